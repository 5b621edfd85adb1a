//! Row locks over several ranges: each row has one holder, and ascending order never ends in a deadlock.

use crate::explore::{Outcome, holds, is_found, pick};
use crate::world::patience;
use h5part_base::lock::{Paths, Patience, RowLocks};
use std::array::from_fn;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const ROWS: usize = 8;
const TAKERS: usize = 3;

struct Site {
    _scratch: tempfile::TempDir,
    locks: Mutex<Vec<RowLocks>>,
}

fn site() -> Site {
    let scratch = tempfile::tempdir().expect("tempdir");
    let file = scratch.path().join("a.h5");
    std::fs::write(&file, b"x").expect("write");
    let paths = Paths::of(&file).expect("paths");
    let locks = Mutex::new((0..TAKERS).map(|_| RowLocks::open(&paths).expect("row locks")).collect());
    Site { _scratch: scratch, locks }
}

/// Some ranges, with gaps between.
fn ranges() -> Vec<Range<u64>> {
    let held: [bool; ROWS] = from_fn(|_| pick(2) == 0);
    (0..ROWS).filter(|&row| held[row]).map(|row| row as u64..row as u64 + 1).collect()
}

fn take(locks: &RowLocks, ranges: &[Range<u64>], held: &[AtomicBool; ROWS], patience: &Patience) -> Outcome {
    let guard = locks.lock(1, ranges, patience).map_err(|e| e.to_string())?;
    let rows = || ranges.iter().flat_map(Clone::clone).map(|row| &held[usize::try_from(row).expect("small")]);
    if rows().any(|row| row.swap(true, Relaxed)) {
        return Err("a row has two holders".to_owned());
    }
    shuttle::thread::sleep(Duration::ZERO);
    rows().for_each(|row| row.store(false, Relaxed));
    drop(guard);
    Ok(())
}

fn schedule(site: &Site, patience: &Patience, ascending: bool) -> Outcome {
    let held: Arc<[AtomicBool; ROWS]> = Arc::new(from_fn(|_| AtomicBool::new(false)));
    let locks = std::mem::take(&mut *site.locks.lock().expect("lock"));
    let threads: Vec<_> = locks
        .into_iter()
        .enumerate()
        .map(|(k, locks)| {
            let (held, patience) = (Arc::clone(&held), patience.clone());
            shuttle::thread::spawn(move || {
                let mut all = [ranges(), ranges()];
                if !ascending && k == 0 {
                    for ranges in &mut all {
                        ranges.reverse();
                    }
                }
                let outcome = all.iter().try_for_each(|ranges| take(&locks, ranges, &held, &patience));
                (locks, outcome)
            })
        })
        .collect();
    let (locks, outcomes): (Vec<_>, Vec<_>) = threads.into_iter().map(|t| t.join().expect("no panic")).unzip();
    *site.locks.lock().expect("lock") = locks;
    outcomes.into_iter().collect()
}

#[test]
fn a_row_has_one_holder_and_all_get_theirs() {
    let site = site();
    holds("row locks", move || schedule(&site, &patience(), true));
}

/// The order is what excludes deadlocks: with one who takes his rows from the end, they are found.
#[test]
fn another_order_ends_in_a_deadlock() {
    let site = site();
    let hasty = Patience { timeout: Duration::from_millis(10), ..patience() };
    is_found(200, move || schedule(&site, &hasty, false));
}
