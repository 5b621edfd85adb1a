//! How a run ends, by a signal or a kill, and which processes end with it.

use super::rig::{Rig, json, names};
use crate::common::killing::{lives, until};
use crate::common::support::says;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const MODES: [&str; 3] = ["serial", "threads", "processes"];
/// Printed at the first Ctrl-C.
const DRAINS: &str = "no more tasks are claimed";

/// Each program writes its process number to `$1.pid`, and that of its child to `$1.child`. It runs until there is a
/// file `go`.
const WAITS: &str = r#"
    echo $$ > "$1.pid"
    sleep 1000 & echo $! > "$1.child"
    while [ ! -e go ]; do sleep 0.02; done
    kill $!
"#;

fn start(rig: &Rig, mode: &str, script: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_h5part"))
        .current_dir(rig.dir.path(""))
        .args(["run", &rig.ledger, "-j", "2", "--mode", mode, "--", "sh", "-c", script, "sh", "{name}"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// Process numbers in the files with this ending.
fn pids(folder: &Path, ending: &str) -> Vec<i32> {
    let entries = fs::read_dir(folder).expect("reads").filter_map(Result::ok);
    let paths = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == ending));
    paths.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).collect()
}

/// A run with as many programs running as it can have.
fn under_way(mode: &str) -> (Rig, Child, Vec<i32>) {
    let rig = Rig::new(&names(8));
    let run = start(&rig, mode, WAITS);
    let both = if mode == "serial" { 1 } else { 2 };
    until("all workers have a program", || pids(&rig.dir.path(""), "child").len() == both);
    let started = [pids(&rig.dir.path(""), "pid"), pids(&rig.dir.path(""), "child")].concat();
    (rig, run, started)
}

fn signal(run: &Child, signal: Signal) {
    kill(Pid::from_raw(run.id().cast_signed()), signal).expect("signals");
}

fn ended(run: Child) -> (i32, String) {
    let output = run.wait_with_output().expect("waits");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn all_are_gone(pids: &[i32]) {
    until("programs end", || !pids.iter().any(|&pid| lives(pid)));
}

/// A new run does the remaining tasks.
fn goes_on(rig: &Rig, mode: &str) {
    fs::write(rig.dir.path("go"), "").expect("writes");
    let (code, err) = ended(start(rig, mode, WAITS));
    assert_eq!(code, 0, "{err}");
    assert_eq!(rig.status()["done"], 8);
}

#[test]
fn ctrl_c_lets_running_programs_end() {
    for mode in MODES {
        let (rig, mut run, started) = under_way(mode);
        signal(&run, Signal::SIGINT);
        says(&mut run, DRAINS);
        assert!(started.iter().all(|&pid| lives(pid)), "{mode}: they end by themselves");
        fs::write(rig.dir.path("go"), "").expect("writes");
        let (code, err) = ended(run);
        assert_eq!(code, 1, "{mode}: {err}");
        let done = started.len() as u64 / 2;
        let (status, waiting) = (rig.status(), 8 - done);
        assert_eq!((&status["done"], &status["waiting"]), (&done.into(), &waiting.into()), "{mode}: {err}");
        goes_on(&rig, mode);
    }
}

#[test]
fn a_second_ctrl_c_and_sigterm_end_them_and_give_their_tasks_back() {
    for mode in MODES {
        for signals in [&[Signal::SIGINT, Signal::SIGINT][..], &[Signal::SIGTERM]] {
            let (rig, mut run, started) = under_way(mode);
            for (number, one) in signals.iter().enumerate() {
                signal(&run, *one);
                says(&mut run, if number == 0 && signals.len() == 2 { DRAINS } else { "running programs are killed" });
            }
            let (code, err) = ended(run);
            assert_eq!(code, 1, "{mode}: {err}");
            all_are_gone(&started);
            assert_eq!(rig.status()["waiting"], 8, "{mode}: {err}");
            assert!(rig.list().iter().all(|task| task["attempts"] == 0), "{mode}: nothing has failed");
            goes_on(&rig, mode);
        }
    }
}

#[test]
fn programs_end_with_a_runner_that_is_killed_and_their_tasks_go_on() {
    for mode in MODES {
        let (rig, run, started) = under_way(mode);
        signal(&run, Signal::SIGKILL);
        ended(run);
        all_are_gone(&started);
        goes_on(&rig, mode);
    }
}

#[test]
fn a_worker_that_is_killed_is_told_and_replaced_at_once() {
    let (rig, run, started) = under_way("processes");
    let workers = super::kills::workers(run.id());
    assert_eq!(workers.len(), 2);
    kill(Pid::from_raw(workers[0]), Signal::SIGKILL).expect("kills");
    until("another takes its place", || {
        let now = super::kills::workers(run.id());
        now.len() == 2 && !now.contains(&workers[0])
    });
    fs::write(rig.dir.path("go"), "").expect("writes");
    let (code, err) = ended(run);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("signal 9") && err.contains("another takes its place"), "{err}");
    all_are_gone(&started);
    assert_eq!(rig.list().iter().filter(|task| task["attempts"] == 1).count(), 1, "its attempt counts");
}

#[test]
fn a_task_does_not_start_again_while_its_former_program_lives() {
    // It leaves its process group, so that it does not end with its runner; it still has its input.
    let rig = Rig::new(&["a".to_owned()]);
    let script = r"echo begins >> said; [ -e second ] && exit 0; touch second
        setsid sh -c 'echo $$ > left; while [ ! -e go ]; do sleep 0.02; done; echo ends >> said' &
        while :; do sleep 1; done";
    let run = start(&rig, "threads", script);
    until("the program is there", || rig.dir.path("left").exists());
    signal(&run, Signal::SIGKILL);
    ended(run);
    let mut second = start(&rig, "threads", script);
    let mut words = BufReader::new(second.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(words.any(|line| line.contains("a program of an earlier attempt")), "it says for what it waits");
    let said = || fs::read_to_string(rig.dir.path("said")).expect("reads");
    assert_eq!(said(), "begins\n", "it waits");
    fs::write(rig.dir.path("go"), "").expect("writes");
    let rest: Vec<String> = words.collect();
    assert!(second.wait().expect("waits").success(), "{rest:?}");
    assert_eq!(said(), "begins\nends\nbegins\n");
}

#[test]
fn a_task_that_is_taken_away_ends_its_program() {
    let (rig, run, started) = under_way("threads");
    crate::common::support::ok(&["ledger", "cancel", &rig.ledger, "--all"]);
    let (code, err) = ended(run);
    assert_eq!(code, 1, "{err}");
    all_are_gone(&started);
    assert_eq!(rig.status()["failed"], json("8"));
}
