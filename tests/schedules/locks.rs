//! Turnstile, gate and queue: who is inside with whom, and who waits how long.

use crate::explore::{Outcome, holds, is_found, pick};
use crate::world::patience;
use h5part_base::lock::{Gate, Paths, Patience, RowLocks, StockReaders};
use h5part_base::storage::{Disk, Storage};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::array::from_fn;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SHARED: usize = 3;
const EXCLUSIVE: usize = 2;
/// For so long a structural change lets the queue pass.
const QUEUE_PASSES: Duration = Duration::from_millis(100);

std::thread_local! {
    /// Which shared takers have paused, so that they are in the queue.
    static QUEUED: [AtomicBool; SHARED] = from_fn(|_| AtomicBool::new(false));
}

fn pause<const TAKER: usize>(_: Duration) {
    QUEUED.with(|queued| queued[TAKER].store(true, Relaxed));
    shuttle::thread::yield_now();
}

const PAUSES: [fn(Duration); SHARED] = [pause::<0>, pause::<1>, pause::<2>];

struct Site {
    _scratch: tempfile::TempDir,
    /// Each its own descriptors, as processes have.
    gates: Mutex<Vec<Arc<Gate>>>,
    turnstile: File,
}

/// Who is inside, and how often somebody entered.
#[derive(Default)]
struct Inside {
    shared: AtomicUsize,
    exclusive: AtomicUsize,
    changes: AtomicUsize,
    visits: [AtomicUsize; SHARED],
}

fn site() -> Arc<Site> {
    let scratch = tempfile::tempdir().expect("tempdir");
    let file = scratch.path().join("a.h5");
    std::fs::write(&file, b"x").expect("write");
    let paths = Paths::of(&file).expect("paths");
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let gate = || Gate::open(&paths, &storage, Arc::new(RowLocks::open(&paths).expect("row locks"))).expect("gate");
    let gates = Mutex::new((0..SHARED + EXCLUSIVE).map(|_| gate()).collect());
    let turnstile = File::open(&paths.rows).expect("opens");
    Arc::new(Site { _scratch: scratch, gates, turnstile })
}

impl Site {
    /// Whether somebody waits for the exclusive gate: byte 0 of `rows.lock` is locked.
    fn is_turned(&self) -> bool {
        let [kind, none] = [libc::F_RDLCK, libc::F_UNLCK].map(|kind| libc::c_short::try_from(kind).expect("small"));
        let mut lock = libc::flock { l_type: kind, l_whence: 0, l_start: 0, l_len: 1, l_pid: 0 };
        fcntl(&self.turnstile, FcntlArg::F_OFD_GETLK(&mut lock)).expect("looks");
        lock.l_type != none
    }

    fn commit(&self, gate: &Arc<Gate>, taker: usize, inside: &Inside) -> Outcome {
        let mut passed = usize::MAX;
        for _ in 0..3 {
            let shared =
                gate.enter_shared(&Patience { sleep: PAUSES[taker], ..patience() }).map_err(|e| e.to_string())?;
            QUEUED.with(|queued| queued[taker].store(false, Relaxed));
            inside.visits[taker].fetch_add(1, Relaxed);
            inside.shared.fetch_add(1, Relaxed);
            if inside.exclusive.load(Relaxed) > 0 {
                return Err("shared beside exclusive".to_owned());
            }
            // Past one who waits alone at the turnstile comes only who was through it before.
            let changes = inside.changes.load(Relaxed);
            if self.is_turned() {
                if passed == changes {
                    return Err("passed the same waiting change twice".to_owned());
                }
                passed = changes;
            }
            stay();
            inside.shared.fetch_sub(1, Relaxed);
            drop(shared);
            stay();
        }
        Ok(())
    }
}

fn change(gate: &Arc<Gate>, inside: &Inside) -> Outcome {
    for _ in 0..2 {
        let queued: [bool; SHARED] = from_fn(|k| QUEUED.with(|queued| queued[k].load(Relaxed)));
        let visits: [usize; SHARED] = from_fn(|k| inside.visits[k].load(Relaxed));
        let start = Instant::now();
        let stock = if pick(2) == 0 { StockReaders::MustLeave } else { StockReaders::MayStay };
        let alone = gate.enter_exclusive(&patience(), stock).map_err(|e| e.to_string())?;
        inside.changes.fetch_add(1, Relaxed);
        inside.exclusive.fetch_add(1, Relaxed);
        if inside.exclusive.load(Relaxed) > 1 || inside.shared.load(Relaxed) > 0 {
            return Err("exclusive beside others".to_owned());
        }
        for k in 0..SHARED {
            let overtaken = queued[k] && inside.visits[k].load(Relaxed) == visits[k];
            if overtaken && start.elapsed() < QUEUE_PASSES {
                return Err(format!("taker {k} was in the queue, and a change came first"));
            }
        }
        stay();
        drop(alone.keep_readers_out(&patience()).map_err(|e| e.to_string())?);
        stay();
        inside.exclusive.fetch_sub(1, Relaxed);
        drop(alone);
        stay();
    }
    Ok(())
}

/// Others may come meanwhile.
fn stay() {
    for _ in 0..=pick(3) {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

fn schedule(site: &Arc<Site>) -> Outcome {
    QUEUED.with(|queued| queued.iter().for_each(|queued| queued.store(false, Relaxed)));
    let inside = Arc::new(Inside::default());
    let gates = std::mem::take(&mut *site.gates.lock().expect("lock"));
    let threads: Vec<_> = gates
        .into_iter()
        .enumerate()
        .map(|(k, gate)| {
            let (site, inside) = (Arc::clone(site), Arc::clone(&inside));
            shuttle::thread::spawn(move || {
                let outcome = if k < SHARED { site.commit(&gate, k, &inside) } else { change(&gate, &inside) };
                (gate, outcome)
            })
        })
        .collect();
    let (gates, outcomes): (Vec<_>, Vec<_>) = threads.into_iter().map(|t| t.join().expect("no panic")).unzip();
    *site.gates.lock().expect("lock") = gates;
    outcomes.into_iter().collect()
}

/// A change is alone; no stream of commits passes it twice; who is in the queue passes before the next; and
/// nobody waits for ever.
#[test]
fn commits_and_changes_take_turns() {
    let site = site();
    holds("the gate", move || schedule(&site));
}

/// One who changes the file under the lock of another is found.
#[test]
fn a_change_at_another_gate() {
    let (site, elsewhere) = (site(), site());
    let stranger = elsewhere.gates.lock().expect("lock").pop().expect("one");
    site.gates.lock().expect("lock")[SHARED] = stranger;
    is_found(200, move || schedule(&site));
}
