//! Pools of tasks from outside: the same bits in every mode, and workers that are killed.

use crate::common::killing::{PATIENCE, children};
use crate::common::support::finished;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROCESSES: &str = r#"{"type": "processes", "kwargs": {"max_workers": 2}}"#;

fn program() -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_h5part")).with_file_name("examples").join("pool_tasks");
    assert!(path.exists(), "{} is not built: cargo build --release --examples", path.display());
    let mut command = Command::new(path);
    // Tasks panic on purpose.
    command.env_remove("RUST_BACKTRACE");
    command
}

fn run(config: &str, scene: &str, tasks: usize) -> (i32, String, String) {
    let mut command = program();
    finished(&command.args([config, scene, &tasks.to_string()]).output().expect("starts"))
}

/// The results and the ends of all tasks, sorted. None occurs twice.
fn sorted(out: &str, tasks: usize) -> BTreeSet<&str> {
    let lines: Vec<&str> = out.lines().filter(|line| line.starts_with("part ") || line.starts_with("end ")).collect();
    let keys = lines.iter().map(|line| line.split(' ').take(if line.starts_with("part") { 3 } else { 2 }));
    let keys: BTreeSet<Vec<&str>> = keys.map(Iterator::collect).collect();
    assert_eq!(keys.len(), lines.len(), "something came twice: {out}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("end ")).count(), tasks, "{out}");
    lines.into_iter().collect()
}

#[test]
fn every_mode_and_number_of_workers_gives_the_same_bits() {
    for scene in ["well", "sum"] {
        let tasks = 40;
        let (code, serial, err) = run(r#"{"type": "serial"}"#, scene, tasks);
        assert_eq!(code, 0, "{serial}{err}");
        let expected = sorted(&serial, tasks);
        for config in [
            r#"{"type": "threads", "kwargs": {"max_workers": 3}}"#,
            PROCESSES,
            r#"{"type": "processes", "kwargs": {"max_workers": 5, "parts_in_flight": 1, "pin": true}}"#,
            r#"{"type": "processes", "kwargs": {"max_workers": 2, "inner": {"type": "threads"}}}"#,
            r#"{"type": "threads", "kwargs": {"inner": {"type": "processes", "kwargs": {"max_workers": 1}}}}"#,
            r#"{"type": "processes", "kwargs": {"max_workers": 2, "oversubscribe": true,
                "inner": {"type": "processes", "kwargs": {"max_workers": 2}}}}"#,
        ] {
            let (code, out, err) = run(config, scene, tasks);
            assert_eq!(code, 0, "{config}: {out}{err}");
            assert_eq!(sorted(&out, tasks), expected, "{config}: {err}");
        }
    }
}

#[test]
fn workers_that_die_are_replaced_and_their_tasks_done_again() {
    let tasks = 70;
    let (_, serial, _) = run(r#"{"type": "serial"}"#, "well", tasks);
    for workers in [1, 2, 4] {
        let config = format!(r#"{{"type": "processes", "kwargs": {{"max_workers": {workers}}}}}"#);
        let (code, out, err) = run(&config, "mixed", tasks);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(sorted(&out, tasks), sorted(&serial, tasks), "{err}");
        assert!(out.contains("70 tasks: 70 done, 0 failed, 0 lost, 0 cancelled; 40 attempts were retries"), "{out}");
    }
}

#[test]
fn tasks_that_die_every_time_are_told_with_how_and_the_others_are_done() {
    let (code, out, err) = run(PROCESSES, "hopeless", 8);
    assert_eq!(code, 1, "{out}{err}");
    let ends = sorted(&out, 8);
    for end in [
        "end 0 lost its worker was ended by SIGKILL",
        "end 1 lost its worker exited with code 7",
        "end 2 failed panicked: on purpose",
        "end 3 failed plain",
    ] {
        assert!(ends.contains(end), "{end}: {out}");
    }
    assert!(out.contains("8 tasks: 0 done, 4 failed, 4 lost, 0 cancelled; 12 attempts were retries"), "{out}");
    // In threads a panic fails only its own task. A task that reads its input gets nothing, and no messages of the
    // pool.
    let (code, out, _) = run(r#"{"type": "threads", "kwargs": {"max_workers": 2}}"#, "panic", 9);
    assert!(code == 1 && out.contains("9 tasks: 6 done, 3 failed, 0 lost"), "{out}");
    let (code, out, _) = run(PROCESSES, "stdin", 3);
    assert!(code == 1 && out.contains("end 1 failed read 0 bytes"), "{out}");
}

/// The worker ends before the pool has read its last messages.
#[test]
fn what_a_worker_said_before_it_ended_is_heard() {
    let config = r#"{"type": "processes", "kwargs": {"max_workers": 2, "parts_in_flight": 1}}"#;
    let (code, out, err) = run(config, "tardy", 4);
    assert_eq!(code, 1, "{out}{err}");
    let ends = sorted(&out, 4);
    for end in ["end 0 done 3", "end 1 failed panicked: on purpose", "end 2 done 3", "end 3 done 3"] {
        assert!(ends.contains(end), "{end}: {out}");
    }
}

#[test]
fn a_dead_worker_is_noticed_though_what_its_task_started_lives_on() {
    let (code, out, err) = run(PROCESSES, "daemon", 2);
    let daemons: Vec<Pid> = err
        .lines()
        .filter_map(|line| Some(Pid::from_raw(line.strip_prefix("daemon ")?.parse().expect("a number"))))
        .collect();
    // The run is over; the daemons still hold the pipes of the workers.
    let living = daemons.iter().filter(|pid| kill(**pid, Signal::SIGKILL).is_ok()).count();
    assert_eq!((code, daemons.len(), living), (1, 3, 3), "{out}{err}");
    assert!(sorted(&out, 2).contains("end 1 lost its worker was ended by SIGKILL"), "{out}");
}

#[test]
fn a_worker_over_its_memory_limit_takes_one_task_with_it() {
    let config = r#"{"type": "processes", "kwargs": {"max_workers": 2, "memory_limit": 1000000000}}"#;
    let (code, out, err) = run(config, "memory", 6);
    assert_eq!(code, 1, "{out}{err}");
    assert!(sorted(&out, 6).contains("end 4 lost its worker was ended by SIGABRT"), "{out}");
    assert!(out.contains("6 tasks: 4 done, 0 failed, 2 lost"), "{out}");
}

#[test]
fn one_run_of_worker_processes_is_cancelled_and_no_other() {
    let (_, serial, _) = run(r#"{"type": "serial"}"#, "well", 20);
    // Its tasks do not check for cancellation: their workers are killed and replaced.
    let (code, out, err) = run(PROCESSES, "cancel", 20);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(sorted(&out, 20), sorted(&serial, 20), "{err}");
    assert!(out.contains("the other: 8 tasks: 0 done, 0 failed, 0 lost, 8 cancelled"), "{out}");
}

#[test]
fn results_of_worker_processes_wait_to_be_taken() {
    for (workers, bound) in [(1, 1), (3, 4)] {
        let config =
            format!(r#"{{"type": "processes", "kwargs": {{"max_workers": {workers}, "parts_in_flight": {bound}}}}}"#);
        let (code, out, err) = run(&config, "stream", 4);
        assert_eq!(code, 0, "{out}{err}");
    }
}

fn start(config: &str, scene: &str, tasks: usize) -> Child {
    let mut command = program();
    command.args([config, scene, &tasks.to_string()]).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("starts")
}

/// Kills workers at random from outside while the run goes on. The run ends, and each task ends once. Despite many
/// attempts some tasks may be lost; the reports are correct in any case.
#[test]
fn workers_killed_at_random_never_hang_a_run() {
    let seed = u64::from(std::time::UNIX_EPOCH.elapsed().expect("now").subsec_nanos());
    let (tasks, mut random, mut killed) = (120, seed, 0);
    for workers in [1, 3] {
        let config = format!(r#"{{"type": "processes", "kwargs": {{"max_workers": {workers}}}}}"#);
        let mut child = start(&config, "slow", tasks);
        let pid = child.id();
        let out = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || std::io::read_to_string(out).expect("UTF-8"));
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("waits") {
                break status;
            }
            if since.elapsed() > PATIENCE {
                child.kill().expect("kills");
                panic!("the run hangs: seed {seed}, {workers} workers, {killed} killed");
            }
            random = h5part_tasks::pool::task_seed(random, 0);
            std::thread::sleep(Duration::from_millis(random % 60));
            let workers = children(pid);
            if let Some(worker) = workers.get(usize::try_from(random / 64).expect("64 bits") % workers.len().max(1)) {
                killed += u32::from(kill(Pid::from_raw(*worker), Signal::SIGKILL).is_ok());
            }
        };
        let out = reader.join().expect("reads");
        let ends = sorted(&out, tasks);
        let count = |word: &str| ends.iter().filter(|line| line.starts_with("end") && line.contains(word)).count();
        assert_eq!(count(" done ") + count(" lost "), tasks, "seed {seed}: {out}");
        assert_eq!(status.code(), Some(i32::from(count(" lost ") > 0)), "seed {seed}: {out}");
        let parts: BTreeMap<&str, usize> =
            ends.iter().filter(|line| line.starts_with("part")).fold(BTreeMap::new(), |mut parts, line| {
                *parts.entry(line.split(' ').nth(1).expect("index")).or_default() += 1;
                parts
            });
        // A task that was lost may have given all its results, if its worker was killed before it could report the end.
        for done in ends.iter().filter(|line| line.starts_with("end") && line.contains(" done ")) {
            let index = done.split(' ').nth(1).expect("index");
            assert_eq!(parts.get(index), Some(&3), "seed {seed}: {out}");
        }
    }
    println!("{killed} workers killed (seed {seed})");
    assert!(killed >= 10, "only {killed} were killed");
}

#[test]
fn workers_die_with_a_parent_that_is_killed() {
    let nested = r#"{"type": "processes", "kwargs": {"max_workers": 2, "oversubscribe": true,
        "inner": {"type": "processes", "kwargs": {"max_workers": 2}}}}"#;
    for (config, scene, at_least) in [(PROCESSES, "long", 2), (nested, "sum", 2)] {
        let mut child = start(config, scene, 50_000);
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("reads");
        assert_eq!(first, "workers 2\n");
        let since = Instant::now();
        let workers = loop {
            let workers = children(child.id());
            if workers.len() >= at_least || since.elapsed() > PATIENCE {
                break workers;
            }
        };
        assert_eq!(workers.len(), at_least);
        std::thread::sleep(Duration::from_millis(100));
        let all: Vec<i32> = workers.iter().flat_map(|&w| [vec![w], children(w.unsigned_abs())].concat()).collect();
        child.kill().expect("kills");
        child.wait().expect("waits");
        let since = Instant::now();
        let runs = |pid: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains("pool_tasks") && !stat.contains(") Z ")
        };
        while all.iter().any(runs) {
            assert!(since.elapsed() < PATIENCE, "{all:?} live on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn two_by_two_is_refused_where_there_are_fewer_cores() {
    let many = 1 + std::thread::available_parallelism().expect("cores").get();
    let config = format!(
        r#"{{"type": "processes", "kwargs": {{"max_workers": {many}, "inner": {{"type": "threads", "kwargs": {{"max_workers": 2}}}}}}}}"#
    );
    let (code, out, err) = run(&config, "well", 3);
    assert!(code == 2 && out.is_empty(), "{out}");
    assert!(err.contains("with 2 threads each would share") && err.contains("oversubscribe"), "{err}");
}
