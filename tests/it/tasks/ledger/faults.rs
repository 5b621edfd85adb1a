//! Every error at every call of the ledger's storage, once or permanently: it is reported with the path, nothing is
//! acknowledged, and no task is lost.

use super::{claim, dead_owner, latest, ledger, tasks};
use crate::common::support::Scratch;
use h5part::ledger::{ClaimOptions, Claimed, End, Ledger, Owner, Reason, Task, TaskState, Watch};
use h5part::{ErrorKind, Shortage};
use h5part_base::storage::{Fault, Faulty};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const ERRORS: [i32; 4] = [EINTR, EIO, ENOSPC, EDQUOT];
const TASKS: u64 = 12;

struct Work {
    name: &'static str,
    work: fn(&Ledger) -> h5part::Result<()>,
    /// What must hold once it is acknowledged.
    made: fn(&[Task]) -> bool,
}

fn all(answers: Vec<h5part::Result<TaskState>>) -> h5part::Result<()> {
    answers.into_iter().try_for_each(|answer| answer.map(|_| ()))
}

fn watch() -> Watch {
    Watch::new(Duration::MAX, |_| None)
}

/// Tasks 0 to 5 are held by a dead owner, 6 is done, 7 failed once.
const WORKS: [Work; 12] = [
    Work { name: "register", work: |l| l.register(&Owner::this_process()).map(|_| ()), made: |_| true },
    Work {
        name: "claim",
        work: |l| {
            let owner = l.register(&dead_owner())?;
            let terms = ClaimOptions { count: 3, delay: Duration::ZERO };
            assert!(matches!(l.claim(owner, &terms)?, Claimed::Tasks(claims) if claims.len() == 3));
            Ok(())
        },
        made: |tasks| tasks[7..10].iter().all(|task| task.state == TaskState::Running),
    },
    Work {
        name: "done",
        work: |l| all(l.finish_all(&latest(l, 1..4)?, End::Done)?),
        made: |tasks| tasks[1..4].iter().all(|task| task.state == TaskState::Done),
    },
    Work {
        name: "fail",
        work: |l| all(l.finish_all(&latest(l, 0..2)?, End::Failed(Reason::Exit(1)))?),
        made: |tasks| tasks[..2].iter().all(|task| task.state == TaskState::Waiting && task.attempts == 1),
    },
    Work {
        name: "release",
        work: |l| all(l.finish_all(&latest(l, 2..5)?, End::Released)?),
        made: |tasks| tasks[2..5].iter().all(|task| task.state == TaskState::Waiting && task.attempts == 0),
    },
    Work { name: "note", work: |l| l.note_empty(&latest(l, 4..5)?[0]), made: |tasks| tasks[4].rows_were_empty },
    Work {
        name: "requeue",
        work: |l| l.requeue(&[2, 6, 7], |_| true).map(|_| ()),
        made: |tasks| [2, 6, 7].iter().all(|&k: &usize| tasks[k].state == TaskState::Waiting),
    },
    Work {
        name: "cancel",
        work: |l| l.cancel(&[3, 9]).map(|_| ()),
        made: |tasks| [3, 9].iter().all(|&k: &usize| tasks[k].state == TaskState::Failed),
    },
    Work {
        name: "reap",
        work: |l| l.reap(&mut watch()).map(|_| ()),
        made: |tasks| tasks.iter().all(|task| task.state != TaskState::Running),
    },
    Work {
        name: "beat and leave",
        work: |l| {
            let owner = l.register(&Owner::this_process())?;
            l.beat(owner)?;
            l.leave(owner)
        },
        made: |_| true,
    },
    Work { name: "sync", work: Ledger::sync, made: |_| true },
    Work {
        name: "look",
        work: |l| {
            let tally = l.tally()?;
            assert_eq!((tally.damaged, tally.running), (0, 6));
            assert_eq!(l.find("task 11")?, 11);
            l.each(|place, task| l.listed(place, task.expect("whole")).map(|_| ()))
        },
        made: |_| true,
    },
];

/// The ledger that all works start with; its bytes are copied.
fn template() -> Vec<u8> {
    let scratch = Scratch::in_memory();
    let path = scratch.path("a.ledger");
    let ledger = ledger(&path, TASKS);
    let owner = ledger.register(&dead_owner()).expect("registers");
    let claims = claim(&ledger, owner, 8);
    super::end(&ledger, &claims[6..7], End::Done);
    super::end(&ledger, &claims[7..8], End::Failed(Reason::Exit(1)));
    std::fs::read(path).expect("reads")
}

fn seen(path: &Path) -> Vec<Task> {
    let ledger = Ledger::open(path).expect("opens");
    (0..ledger.len()).map(|place| ledger.task(place).expect("is whole")).collect()
}

/// Checks that the error names the file.
fn told(error: &h5part::Error, errno: i32, why: &str) {
    assert!(error.to_string().contains("a.ledger"), "{why}: {error}");
    let full = matches!(error.kind(), ErrorKind::NoSpace(Shortage::Disk { .. } | Shortage::Quota));
    assert_eq!(full, [ENOSPC, EDQUOT].contains(&errno), "{why}: {error}");
}

/// Plays each fault by number, until no call is left that could fail.
fn every_fault(mut play: impl FnMut(&Faulty, Fault, &str) -> bool) -> u64 {
    let mut faults = 0;
    for errno in ERRORS {
        for persistent in [false, true] {
            for call in 0.. {
                let faulty = Faulty::of_every_call();
                let why = format!("error {errno}, call {call}, persistent: {persistent}");
                if !play(&faulty, Fault { call, errno, persistent }, &why) {
                    break;
                }
                faults += 1;
            }
        }
    }
    faults
}

/// The next worker gets every task that is not done or failed, once.
fn nothing_is_lost(path: &Path, why: &str) {
    let ledger = Ledger::open(path).expect("opens");
    let owner = ledger.register(&Owner::this_process()).expect("registers");
    ledger.reap(&mut watch()).expect("reaps");
    let open: Vec<u64> = (0..).zip(seen(path)).filter(|(_, t)| t.state == TaskState::Waiting).map(|(k, _)| k).collect();
    let ended = seen(path).iter().filter(|t| matches!(t.state, TaskState::Done | TaskState::Failed)).count();
    assert_eq!(open.len() + ended, seen(path).len(), "{why}: something runs still");
    let mut got = Vec::new();
    while let Some(claim) = claim(&ledger, owner, 1).pop() {
        got.push(claim.place);
    }
    got.sort_unstable();
    assert_eq!(got, open, "{why}");
}

#[test]
fn of_all_that_is_done_to_a_ledger() {
    let template = template();
    let mut faults = 0;
    for Work { name, work, made } in WORKS {
        faults += every_fault(|faulty, fault, why| {
            let why = format!("{name}, {why}");
            let scratch = Scratch::in_memory();
            let path = scratch.path("a.ledger");
            std::fs::write(&path, &template).expect("writes");
            let before = seen(&path);
            faulty.arm(Some(fault));
            let outcome = Ledger::open_in(&path, Arc::new(faulty.clone())).and_then(|ledger| work(&ledger));
            let met = faulty.calls() > fault.call;
            let after = seen(&path);
            match &outcome {
                Err(error) => {
                    assert!(met, "{why}: no fault, no error: {error}");
                    told(error, fault.errno, &why);
                }
                Ok(()) => assert!(made(&after), "{why}: acknowledged, and not made"),
            }
            // Only what was requested is done or failed.
            for (place, (old, new)) in before.iter().zip(&after).enumerate() {
                let done = new.state == TaskState::Done && old.state != TaskState::Done;
                assert!(!done || name == "done" && (1..4).contains(&place), "{why}: task {place} is done");
            }
            nothing_is_lost(&path, &why);
            met
        });
    }
    println!("{faults} faults");
    assert!(faults > 800, "only {faults}");
}

#[test]
fn of_making_a_ledger() {
    let faults = every_fault(|faulty, fault, why| {
        let scratch = Scratch::in_memory();
        let path = scratch.path("a.ledger");
        faulty.arm(Some(fault));
        let outcome = tasks(TASKS).create_in(&path, faulty);
        let met = faulty.calls() > fault.call;
        let left = std::fs::read_dir(path.parent().expect("folder")).expect("lists").count();
        match outcome {
            Ok(()) => assert_eq!(seen(&path).len() as u64, TASKS, "{why}"),
            Err(error) => {
                assert!(met, "{why}: {error}");
                told(&error, fault.errno, why);
                // The very last call makes the ledger's name durable: at that point it has its name.
                assert!(!path.exists() || seen(&path).len() as u64 == TASKS, "{why}");
                assert!(left <= 1 && (left == 0 || path.exists() || fault.persistent), "{why}: {left} files are left");
            }
        }
        met
    });
    println!("{faults} faults");
    assert!(faults > 30, "only {faults}");
}
