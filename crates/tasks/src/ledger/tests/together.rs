//! Tests with several threads that share a handle or have handles of their own.

use crate::ledger::{ClaimOptions, Claimed, End, Ledger, NewLedger, Owner, Reason, TaskState, Watch};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const TASKS: u64 = 3_000;
const WORKERS: usize = 4;

/// What each worker reported, by task.
type Told = Mutex<HashMap<u64, u64>>;

/// Works until nothing is left. Some tasks fail, are released, or are left behind.
fn work(ledger: &Ledger, told: &Told, turn: &AtomicU64) {
    let mut owner = ledger.register(&Owner::this_process()).expect("registers");
    let mut watch = Watch::new(Duration::MAX, |_| None);
    loop {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let terms = ClaimOptions { count: 1 + turn % 7, delay: Duration::ZERO };
        let claims = match ledger.claim(owner, &terms).expect("claims") {
            Claimed::Tasks(claims) => claims,
            Claimed::Nothing { resting: 0, running: 0 } => return ledger.leave(owner).expect("leaves"),
            Claimed::Nothing { .. } => {
                ledger.reap(&mut watch).expect("reaps");
                std::thread::yield_now();
                continue;
            }
        };
        let end = match turn % 11 {
            3 => End::Failed(Reason::Exit(1)),
            5 => End::Released,
            7 => {
                // Behaves like a dead worker, so its tasks are requeued.
                ledger.give_up(owner).expect("gives up");
                ledger.reap(&mut watch).expect("reaps");
                owner = ledger.register(&Owner::this_process()).expect("registers");
                End::Done
            }
            _ => End::Done,
        };
        for (claim, answer) in claims.iter().zip(ledger.finish_all(&claims, end).expect("tells")) {
            match answer {
                Ok(TaskState::Done) => *told.lock().expect("lock").entry(claim.place).or_default() += 1,
                Ok(state) => assert_ne!(end, End::Done, "{state:?}"),
                Err(e) => assert!(turn % 11 == 7 && super::real::is_fenced(&e), "{e}"),
            }
        }
    }
}

fn each_task_is_done_once(handle: impl Fn() -> Arc<Ledger>) {
    let (told, turn) = (Told::default(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let ledger = handle();
            let (told, turn) = (&told, &turn);
            scope.spawn(move || work(&ledger, told, turn));
        }
    });
    let tally = handle().tally().expect("counts");
    assert_eq!((tally.done, tally.waiting, tally.running), (TASKS, 0, 0), "{tally:?}");
    let told = told.into_inner().expect("lock");
    assert!(told.len() as u64 == TASKS && told.values().all(|&times| times == 1), "told of {}", told.len());
}

fn made() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.ledger");
    NewLedger { max_attempts: u16::MAX, chunk_rows: 16, ..NewLedger::of_rows(TASKS, 1) }.create(&path).expect("makes");
    (folder, path)
}

#[test]
#[cfg_attr(miri, ignore = "locks files")]
fn threads_that_share_a_handle_do_each_task_once() {
    let (_folder, path) = made();
    let ledger = Arc::new(Ledger::open(path).expect("opens"));
    each_task_is_done_once(|| Arc::clone(&ledger));
}

#[test]
#[cfg_attr(miri, ignore = "locks files")]
fn threads_with_handles_of_their_own_do_each_task_once() {
    let (_folder, path) = made();
    each_task_is_done_once(|| Arc::new(Ledger::open(&path).expect("opens")));
}

/// If two threads create it at once, one succeeds, and the other gets an error.
#[test]
#[cfg_attr(miri, ignore = "renames")]
fn two_who_make_it_at_once() {
    for _ in 0..50 {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.ledger");
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=3)
                .map(|tasks| {
                    let path = &path;
                    scope.spawn(move || (tasks, NewLedger::of_rows(tasks, 1).create(path)))
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        let (ok, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(|(_, made)| made.is_ok());
        assert_eq!(ok.len(), 1, "{refused:?}");
        assert_eq!(Ledger::open(&path).expect("opens").len(), ok[0].0);
        let told = |(_, made): &(u64, h5part_base::error::Result<()>)| {
            matches!(
                made.as_ref().map_err(h5part_base::error::Error::kind),
                Err(h5part_base::error::ErrorKind::AlreadyExists(h5part_base::error::Item::File))
            )
        };
        assert!(refused.iter().all(told), "{refused:?}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1, "something is left beside");
    }
}
