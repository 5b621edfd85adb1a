//! Workers and runners that are killed at random, in every mode.

use super::rig::Rig;
use crate::common::killing::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Commits the rows of its task, and reports if another program of the same task is running.
const COMMITS: &str = r#"
    commit() {
        printf '{"rows":"%s","set":{"E":[%s,%s],"E2":[%s,%s]}}\n' "$1" "$2" "$2" "$2" "$2" | "$H" update "$S" t --stream
    }
    exec 9> "busy.$3"
    # A process that is just going away may have closed its log before this: only one that still has it open runs.
    flock -n 9 || for open in $(find /proc/[0-9]*/fd -lname "$PWD/busy.$3" 2>/dev/null); do
        pid=${open#/proc/}; pid=${pid%%/*}
        group=$(ps -o pgid= -p "$pid") && [ "$group" -ne $$ ] && ps -f -p "$pid" >> overlaps
    done
    commit "$2" "$3"
"#;

/// The worker processes of a run.
pub fn workers(run: u32) -> Vec<i32> {
    let processes = fs::read_dir("/proc").expect("reads").filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(run) && command.contains("--of-run")
    })
    .collect()
}

fn start(rig: &Rig, mode: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_h5part"))
        .current_dir(rig.dir.path(""))
        .env("H", env!("CARGO_BIN_EXE_h5part"))
        .env("S", &rig.store)
        .args(["run", &rig.ledger, "-q", "-j", "3", "--mode", mode, "--max-attempts", "1000", "--keep-going"])
        .args(["--retry-delay", "0.01", "--", "sh", "-c", COMMITS, "sh", "{name}", "{rows}", "{index}"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts")
}

fn pause(random: &mut ChaCha8Rng, most_ms: u32) {
    std::thread::sleep(Duration::from_millis(u64::from(random.next_u32() % most_ms)));
}

fn all_rows_are_there_and_right(rig: &Rig, rows: u64, block: u64) {
    assert_eq!(rig.status()["done"], rows / block);
    assert_eq!(rig.rows_that_are_there(), (0..rows).collect::<Vec<_>>());
    let overlaps = fs::read_to_string(rig.dir.path("overlaps")).unwrap_or_default();
    assert_eq!(overlaps, "", "two programs of one task at once");
    crate::common::support::ok(&["verify", &rig.store]);
    crate::common::support::ok(&["ledger", "reconcile", &rig.ledger, &rig.store]);
    assert_eq!(rig.status()["done"], rows / block, "done with its data, all of them");
}

#[test]
fn runners_killed_at_random_lose_nothing() {
    for mode in ["serial", "threads", "processes"] {
        let seed = u64::from(std::process::id());
        eprintln!("{mode}: seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rig = Rig::with_store(240, 2);
        let mut kills = 0;
        loop {
            let mut run = start(&rig, mode);
            pause(&mut random, 400);
            if let Some(status) = run.try_wait().expect("waits") {
                assert!(status.success(), "{mode}");
                break;
            }
            run.kill().expect("kills");
            run.wait().expect("waits");
            kills += 1;
            if kills == 12 {
                assert!(start(&rig, mode).wait().expect("waits").success());
                break;
            }
        }
        all_rows_are_there_and_right(&rig, 240, 2);
        eprintln!("{mode}: {kills} kills");
    }
}

#[test]
fn workers_killed_at_random_are_replaced_and_lose_nothing() {
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let rig = Rig::with_store(600, 2);
    let mut run = start(&rig, "processes");
    let (mut kills, mut ended) = (0, None);
    until("the run ends", || {
        pause(&mut random, 120);
        let workers = workers(run.id());
        if kills < 40 && !workers.is_empty() {
            let one = workers[random.next_u32() as usize % workers.len()];
            kills += usize::from(kill(Pid::from_raw(one), Signal::SIGKILL).is_ok());
        }
        ended = run.try_wait().expect("waits");
        ended.is_some()
    });
    assert!(ended.is_some_and(|status| status.success()));
    all_rows_are_there_and_right(&rig, 600, 2);
    eprintln!("{kills} kills");
}

#[test]
fn programs_killed_at_random_are_tried_again() {
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    for mode in ["serial", "threads", "processes"] {
        let rig = Rig::with_store(60, 2);
        let dies = "[ $(($(od -An -N1 -tu1 /dev/urandom) % 3)) = 0 ] && kill -9 $$";
        let script = format!("{dies}\n{COMMITS}");
        let output = Command::new(env!("CARGO_BIN_EXE_h5part"))
            .env("H", env!("CARGO_BIN_EXE_h5part"))
            .env("S", &rig.store)
            .args([
                "run",
                &rig.ledger,
                "-j",
                "3",
                "--mode",
                mode,
                "--max-attempts",
                "1000",
                "--retry-delay",
                "0.01",
                "--keep-going",
            ])
            .args(["--", "sh", "-c", &script, "sh", "{name}", "{rows}", "{index}"])
            .current_dir(rig.dir.path(""))
            .output()
            .expect("starts");
        assert!(output.status.success(), "{mode}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("signal 9"), "{mode}: {output:?}");
        all_rows_are_there_and_right(&rig, 60, 2);
    }
}
