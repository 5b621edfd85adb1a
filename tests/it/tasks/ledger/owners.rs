//! Which owners are dead and which are not: proofs, beats, stopped processes, clocks.

use super::{claim, dead_owner, ledger, owner_elsewhere};
use crate::common::killing::{lives, until};
use crate::common::support::{Scratch, finished, h5part, ok, python, run, says, small_store};
use h5part::ErrorKind;
use h5part::ledger::{End, Ledger, Owner, Reason, TaskState, Watch};
use h5part_base::lock::{ByteLock, Patience, ProcessId};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const NEVER: Duration = Duration::MAX;

fn states(ledger: &Ledger) -> Vec<TaskState> {
    (0..ledger.len()).map(|place| ledger.task(place).expect("reads").state).collect()
}

#[test]
fn a_dead_owners_tasks_come_back_with_their_attempts_counted() {
    let scratch = Scratch::in_memory();
    let ledger = ledger(&scratch.path("a.ledger"), 4);
    let mut watch = Watch::new(NEVER, |_| None);
    let living = ledger.register(&Owner::this_process()).expect("registers");
    assert_eq!(claim(&ledger, living, 1).len(), 1);
    for attempt in 1..=3 {
        let dead = ledger.register(&dead_owner()).expect("registers");
        let claims = claim(&ledger, dead, 2);
        assert_eq!(
            claims.iter().map(|c| (c.place, c.attempts)).collect::<Vec<_>>(),
            [(1, attempt - 1), (2, attempt - 1)]
        );
        let lapsed = ledger.reap(&mut watch).expect("reaps");
        let expected = if attempt == 3 { TaskState::Failed } else { TaskState::Waiting };
        assert!(lapsed.len() == 2 && lapsed.iter().all(|l| (l.reason, l.state) == (Reason::OwnerDied, expected)));
        let late = ledger.finish(&claims[0], End::Done).expect_err("lapsed");
        assert!(matches!(late.kind(), ErrorKind::Fenced { .. }), "{late}");
    }
    assert_eq!(states(&ledger), [TaskState::Running, TaskState::Failed, TaskState::Failed, TaskState::Waiting]);
    assert!(ledger.task(1).expect("reads").reason == Reason::OwnerDied);
}

/// The observer measures a beat with its own clock, which does not jump. An owner lives unless its beat was seen to
/// stand still.
#[test]
fn a_beat_that_stands_still_and_one_that_moves() {
    const STALE: Duration = Duration::from_millis(20);
    static TIME: AtomicU64 = AtomicU64::new(1_000_000_000_000);
    let scratch = Scratch::in_memory();
    // A clock that jumps back and forth by years.
    let ledger = ledger(&scratch.path("a.ledger"), 3).with_clock(|| TIME.load(Ordering::Relaxed));
    let jump = |years: i64| TIME.store((1_000_000_000_000 + years * 31_557_600_000).cast_unsigned(), Ordering::Relaxed);
    let owner = ledger.register(&owner_elsewhere()).expect("registers");
    let claims = claim(&ledger, owner, 1);
    let mut watch = Watch::new(STALE, |_| None);
    for years in [0, 20, -20, 5] {
        jump(years);
        ledger.beat(owner).expect("beats");
        std::thread::sleep(STALE * 2);
        // However long ago the last look was: the beat has moved since.
        assert!(ledger.reap(&mut watch).expect("reaps").is_empty(), "{years}");
    }
    std::thread::sleep(STALE * 2);
    let lapsed = ledger.reap(&mut watch).expect("reaps");
    assert!(lapsed.len() == 1 && lapsed[0].reason == Reason::OwnerSilent, "{lapsed:?}");
    // The owner lives after all, and can do no harm.
    for error in [
        ledger.finish(&claims[0], End::Done).expect_err("lapsed"),
        ledger.beat(owner).expect_err("was given up"),
        ledger.claim(owner, &h5part::ledger::ClaimOptions::default()).expect_err("was given up"),
    ] {
        assert!(matches!(error.kind(), ErrorKind::Fenced { .. }), "{error}");
    }
    assert_eq!(states(&ledger), [TaskState::Waiting; 3]);
}

/// If there is SLURM, its answer counts.
#[test]
fn a_job_that_is_gone() {
    let scratch = Scratch::in_memory();
    let ledger = ledger(&scratch.path("a.ledger"), 2);
    for id in ["1", "2"] {
        let job = h5part::ledger::SlurmJob { id: id.to_owned(), restarts: 0, cluster: None, user: None };
        let owner = Owner { by_job: true, job: Some(job), ..owner_elsewhere() };
        let owner = ledger.register(&owner).expect("registers");
        assert_eq!(claim(&ledger, owner, 1).len(), 1);
    }
    let mut watch = Watch::new(NEVER, |job| Some(job.id == "2"));
    ledger.reap(&mut watch).expect("reaps");
    assert_eq!(states(&ledger), [TaskState::Running, TaskState::Waiting]);
}

/// A reaper died after it had marked the owner: the next one continues.
#[test]
fn an_owner_that_was_given_up_half_way() {
    let scratch = Scratch::in_memory();
    let ledger = ledger(&scratch.path("a.ledger"), 2);
    let mut watch = Watch::new(NEVER, |_| None);
    assert!(ledger.reap(&mut watch).expect("reaps").is_empty());
    let owner = ledger.register(&Owner::this_process()).expect("registers");
    claim(&ledger, owner, 2);
    ledger.give_up(owner).expect("gives up");
    let lapsed = ledger.reap(&mut watch).expect("reaps");
    assert_eq!(lapsed.len(), 2, "though this watch has looked before");
    assert!(ledger.owner(owner).expect("reads").is_none());
}

/// No command takes a stopped process for dead. The operator may still take its task.
#[test]
fn a_stopped_owner_keeps_its_task_until_the_operator_takes_it() {
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    let ledger = ledger(&scratch.path("a.ledger"), 1);
    let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("starts");
    let pid = child.id().to_string();
    ok(&["ledger", "claim", &path, "--owner", &pid]);
    let number = Pid::from_raw(i32::try_from(child.id()).expect("pid"));
    kill(number, Signal::SIGSTOP).expect("stops");
    let id = ProcessId::of(number.as_raw()).expect("is there");
    while id.fate() != h5part_base::lock::Fate::Stopped {
        std::thread::sleep(Duration::from_millis(1));
    }
    let out = ok(&["ledger", "requeue", &path, "--stale", "--stale-after", "0.3"]);
    assert!(out.starts_with("0 tasks"), "{out}");
    assert_eq!(run(&["ledger", "claim", &path]).0, 1, "nothing is left to claim");
    assert_eq!(states(&ledger), [TaskState::Running]);
    assert!(ok(&["ledger", "requeue", &path, "task 0"]).starts_with("1 task"));
    kill(number, Signal::SIGCONT).expect("goes on");
    let (code, _, err) = run(&["ledger", "done", &path, "task 0", "--fence", "1"]);
    assert!(code == 13 && err.contains("it is waiting"), "{code}: {err}");
    ok(&["ledger", "claim", &path]);
    let (code, _, err) = run(&["ledger", "done", &path, "task 0", "--fence", "1"]);
    assert!(code == 13 && err.contains("it was claimed again"), "{code}: {err}");
    child.kill().expect("kills");
    child.wait().expect("ends");
    ok(&["ledger", "done", &path, "task 0", "--fence", "2"]);
}

/// Its first thread has ended, so it looks like a zombie; but other threads work, and may be writing.
#[test]
fn an_owner_without_its_first_thread_lives() {
    let script = "import ctypes, threading, time\n\
        threading.Thread(target=time.sleep, args=(1000,)).start()\n\
        ctypes.CDLL(None).pthread_exit(None)";
    let Some(mut owner) = python(script, &[]) else { return };
    let mut owner = owner.spawn().expect("starts");
    let (pid, stat) = (owner.id().to_string(), format!("/proc/{}/stat", owner.id()));
    until("its first thread ends", || std::fs::read_to_string(&stat).expect("is there").contains(") Z "));
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    let ledger = ledger(&scratch.path("a.ledger"), 1);
    ok(&["ledger", "claim", &path, "--owner", &pid]);
    assert!(ok(&["ledger", "requeue", &path, "--stale"]).starts_with("0 tasks"));
    assert_eq!((states(&ledger), lives(owner.id().cast_signed())), (vec![TaskState::Running], true));
    owner.kill().expect("kills");
    owner.wait().expect("ends");
    assert!(ok(&["ledger", "requeue", &path, "--stale"]).starts_with("1 task"));
}

/// With `--stale-after`, a person who watches can give up a silent worker on another host.
#[test]
fn a_silent_owner_is_requeued_by_an_operator_who_watches() {
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    let ledger = ledger(&scratch.path("a.ledger"), 2);
    let owner = ledger.register(&owner_elsewhere()).expect("registers");
    claim(&ledger, owner, 1);
    assert!(ok(&["ledger", "requeue", &path, "--stale"]).starts_with("0 tasks"), "without a watch only proof counts");
    let out = ok(&["ledger", "requeue", &path, "--stale", "--stale-after", "0.2", "--json"]);
    assert_eq!(out.trim(), r#"{"requeued":1,"failed":0,"done":0}"#);
    assert_eq!(ledger.task(0).expect("reads").reason, Reason::OwnerSilent);
}

/// The time of watching begins with the first look, which may have to wait for the ledger's lock.
#[test]
fn the_time_of_watching_begins_with_the_first_look() {
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    let ledger = ledger(&scratch.path("a.ledger"), 1);
    let owner = ledger.register(&owner_elsewhere()).expect("registers");
    claim(&ledger, owner, 1);
    let lock = ByteLock::open(&scratch.path("a.ledger"), "the ledger's lock").expect("opens");
    let held = lock.hold(&Patience::default()).expect("takes it");
    let program = h5part().get_program().to_owned();
    let mut watcher = std::process::Command::new(program);
    watcher.args(["ledger", "requeue", &path, "--stale", "--stale-after", "0.2", "--json"]);
    let mut watcher = watcher.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    says(&mut watcher, "waiting for the ledger's lock");
    drop(held);
    let (code, out, err) = finished(&watcher.wait_with_output().expect("ends"));
    assert_eq!((code, out.trim()), (0, r#"{"requeued":1,"failed":0,"done":0}"#), "{err}");
}

/// As `ledger requeue`, `ledger reconcile` watches for as long as it is told to.
#[test]
fn reconcile_takes_tasks_from_a_silent_owner() {
    let scratch = Scratch::in_memory();
    let store = scratch.path("a.h5");
    small_store(&store, 4);
    let path = scratch.text("a.ledger");
    ok(&["ledger", "init", &path, "--store", &scratch.text("a.h5"), "--table", "t"]);
    let ledger = Ledger::open(scratch.path("a.ledger")).expect("opens");
    let owner = ledger.register(&owner_elsewhere()).expect("registers");
    claim(&ledger, owner, 1);
    let lapsed = |after: &[&str]| {
        let out = ok(&[&["ledger", "reconcile", &path, "--json"], after].concat());
        serde_json::from_str::<serde_json::Value>(&out).expect("json")["lapsed"].as_u64()
    };
    assert_eq!(lapsed(&[]), Some(0), "without a watch only proof counts");
    assert_eq!(lapsed(&["--stale-after", "0.2"]), Some(1));
}
