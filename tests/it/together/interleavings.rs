//! Who meets what a dead writer left, and when: every interleaving that recovery guards against.
//!
//! A writer that dies in the middle of an overwrite leaves half of the values, the stamps of an unfinished commit, and
//! its record.

use crate::common::support::{Scratch, small_store};
use crate::together::power::Power;
use fs2::FileExt;
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::store::{CellState, Durability, Recovery, Store, Values, Writer};
use ndarray::Array1;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn put(writer: &mut Writer, value: f64) -> h5part::Result<()> {
    let e = Array1::from_elem(2, value);
    let f = ndarray::Array3::from_elem((2, 4, 3), value);
    writer.commit(&Rows::range(4..6), &[("E", Values::from(&e)), ("F", Values::from(&f))]).map(|_| ())
}

/// A store whose rows 4 and 5 hold 1.0, and in which a writer died while it wrote 2.0.
fn with_a_dead_writer(scratch: &Scratch) -> Store {
    let store = small_store(&scratch.path("a.h5"), 10);
    put(&mut store.writer("t").expect("writer"), 1.0).expect("commit");
    die_while_writing(&store, 2.0);
    store
}

/// The third write of the commit fails: E is written, F is not. The next process would restore the rows of a live
/// writer, too, so the fault can stand for its death.
fn die_while_writing(store: &Store, value: f64) {
    let faulty = Faulty::default();
    let store = store.clone().with_storage(Arc::new(faulty.clone()));
    let mut writer = store.writer("t").expect("writer");
    // Its first durable record syncs folders, too.
    for _ in 0..2 {
        writer.commit(&Rows::one(0), &[("E", Values::from(&Array1::from_elem(1, 0.5)))]).expect("commit");
    }
    writer.set_durability(Durability::Process);
    faulty.arm(Some(Fault { call: 3, errno: 5, persistent: true }));
    put(&mut writer, value).expect_err("dies");
    std::mem::forget(writer);
}

fn holds(store: &Store, value: f64) {
    let mut reader = store.reader("t").expect("reader");
    for (column, block) in ["E", "F"].iter().zip(reader.read_columns(&["E", "F"], &Rows::range(4..6)).expect("read")) {
        assert_eq!(block.states(), [CellState::Committed; 2], "{column}");
        assert!(block.array::<f64>().expect("f64").iter().all(|&v| v == value), "{column}");
    }
}

#[test]
fn rows_get_their_old_values_back_once() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    assert_eq!(
        store.reader("t").expect("reader").read("E", &Rows::one(4)).expect("read").states(),
        [CellState::Writing]
    );
    let found = store.recover().expect("recover");
    assert_eq!((found.records, found.restored + found.settled), (1, 4), "{found:?}");
    holds(&store, 1.0);
    assert_eq!(store.recover().expect("recover"), Recovery::default());
    holds(&store, 1.0);
}

/// A killed program releases its row locks first, while its child, in its last system call, still holds the lock on the
/// record. The record is waited for: rows whose old values are in it are not reported as lost.
#[test]
fn a_record_that_is_let_go_after_the_rows_is_waited_for() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let records: Vec<_> = std::fs::read_dir(scratch.path("a.h5.part/records")).expect("there").flatten().collect();
    let held: Vec<_> = records.iter().map(|record| File::open(record.path()).expect("opens")).collect();
    assert!(held.iter().filter(|record| FileExt::try_lock(*record).is_ok()).count() > 0, "nobody died");
    let start = Instant::now();
    let late = Duration::from_millis(300);
    let found = std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(late);
            drop(held);
        });
        store.recover().expect("recover")
    });
    assert!(start.elapsed() >= late, "the record was not waited for");
    assert_eq!((found.restored + found.settled, found.without_record), (4, 0), "{found:?}");
    holds(&store, 1.0);
    assert_eq!(store.recover().expect("recover"), Recovery::default());
}

#[test]
fn two_dead_writers_in_a_row_on_the_same_rows() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    die_while_writing(&store, 3.0);
    assert_eq!(store.recover().expect("recover").records, 1);
    holds(&store, 1.0);
}

#[test]
fn a_living_writer_that_meets_them_recovers_by_itself() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut living = store.writer("t").expect("writer");
    put(&mut living, 1.0).expect("commit");
    die_while_writing(&store, 2.0);
    // The next writer overwrites E alone: F is restored.
    let e = Array1::from_elem(2, 1.0);
    living.commit(&Rows::range(4..6), &[("E", Values::from(&e))]).expect("commit");
    holds(&store, 1.0);
}

#[test]
fn a_foreign_correction_of_a_half_written_row_is_left_alone() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let file = hdf5::File::open_rw(store.path()).expect("opens for writing");
    file.dataset("t/E").expect("E").write_slice(&[7.0], hdf5::Hyperslab::from(4..5)).expect("write");
    drop(file);
    assert_eq!(store.recover().expect("recover").foreign, 1);
    let through_library = hdf5::File::open(store.path()).expect("opens").dataset("t/E").expect("E").read_raw::<f64>();
    assert_eq!(through_library.expect("read")[4], 7.0);
}

#[test]
fn a_record_that_reappears_does_nothing() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let records = scratch.path("a.h5.part/records");
    let file = std::fs::read_dir(&records).expect("folder").next().expect("one").expect("entry").path();
    let copy = std::fs::read(&file).expect("read");
    store.recover().expect("recover");
    put(&mut store.writer("t").expect("writer"), 5.0).expect("commit");
    std::fs::write(&file, copy).expect("write");
    assert_eq!(store.recover().expect("recover").restored, 0);
    holds(&store, 5.0);
}

#[test]
fn a_record_of_another_file_is_left_alone() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let copy = scratch.path("copy.h5");
    std::fs::copy(store.path(), &copy).expect("copy");
    std::fs::remove_file(store.path()).expect("remove");
    std::fs::copy(&copy, store.path()).expect("copy back");
    let before = std::fs::read(store.path()).expect("read");
    let found = store.recover().expect("recover");
    assert_eq!((found.other_file, found.restored), (1, 0));
    assert_eq!(std::fs::read(store.path()).expect("read"), before);
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let records = scratch.path("a.h5.part/records");
    let file = std::fs::read_dir(&records).expect("folder").next().expect("one").expect("entry").path();
    let mut bytes = std::fs::read(&file).expect("read");
    bytes[4096 + 7] = b'2';
    std::fs::write(&file, &bytes).expect("write");
    let before = std::fs::read(store.path()).expect("read");
    assert!(matches!(store.recover().expect_err("refused").kind(), ErrorKind::NewerFormat { .. }));
    assert_eq!(std::fs::read(store.path()).expect("read"), before);
    assert_eq!(std::fs::read(&file).expect("read"), bytes);
}

#[test]
fn recovery_beside_a_living_writer() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    put(&mut store.writer("t").expect("writer"), 1.0).expect("commit");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The live one overwrites the same rows, and finds them whole again, whichever writer died in them.
        scope.spawn(|| {
            let mut living = store.writer("t").expect("writer");
            living.set_durability(Durability::Process);
            while !over.load(Ordering::Relaxed) {
                put(&mut living, 5.0).expect("commit");
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.recover().expect("recover");
            }
        });
        for _ in 0..60 {
            die_while_writing(&store, 2.0);
        }
        over.store(true, Ordering::Relaxed);
    });
    store.recover().expect("recover");
    let value = store.reader("t").expect("reader").read("E", &Rows::one(4)).expect("read").array::<f64>().expect("f64");
    holds(&store, if value[0] == 1.0 { 1.0 } else { 5.0 });
}

#[test]
fn two_recoveries_at_once() {
    for _ in 0..20 {
        let scratch = Scratch::new();
        let store = with_a_dead_writer(&scratch);
        let found = std::thread::scope(|scope| {
            let both = [scope.spawn(|| store.recover()), scope.spawn(|| store.recover())];
            both.map(|thread| thread.join().expect("no panic").expect("recover"))
        });
        assert_eq!(found[0].records + found[1].records, 1, "{found:?}");
        holds(&store, 1.0);
    }
}

/// The power fails while old values are restored. An unsynced stamp may be lost, which leaves the stamp of the
/// unfinished commit; so the record must still exist.
#[test]
fn a_lost_unsynced_stamp() {
    for stop in 0.. {
        let mut over = true;
        for seed in 1..6 {
            let scratch = Scratch::new();
            let store = with_a_dead_writer(&scratch);
            let power = Power::until(stop);
            let outcome = store.clone().with_storage(Arc::new(power.clone())).recover();
            over &= power.fail(stop * 10 + seed);
            store.recover().unwrap_or_else(|e| panic!("call {stop}, seed {seed}: {e}"));
            holds(&store, 1.0);
            drop(outcome);
        }
        if over {
            break;
        }
    }
}

/// A commit without durability against a loss of power replaces values that have it.
#[test]
fn a_process_commit_over_durable_values() {
    for stop in 0.. {
        let mut over = true;
        for seed in 1..8 {
            let scratch = Scratch::new();
            let store = small_store(&scratch.path("a.h5"), 10);
            put(&mut store.writer("t").expect("writer"), 1.0).expect("commit");
            let power = Power::until(stop);
            let mut writer = store.clone().with_storage(Arc::new(power.clone())).writer("t").expect("writer");
            writer.set_durability(Durability::Process);
            let outcome = put(&mut writer, 2.0);
            drop(writer);
            over &= power.fail(stop * 10 + seed);
            store.recover().unwrap_or_else(|e| panic!("call {stop}, seed {seed}: {e}"));
            let mut reader = store.reader("t").expect("reader");
            for row in 4..6 {
                let blocks = reader.read_columns(&["E", "F"], &Rows::one(row)).expect("read");
                let values = blocks.iter().flat_map(|b| b.array::<f64>().expect("f64"));
                let values: Vec<f64> = values.collect();
                let whole = values.iter().all(|&v| v == 1.0) || values.iter().all(|&v| v == 2.0);
                assert!(whole, "call {stop}, seed {seed}, row {row}, {outcome:?}: {values:?}");
            }
        }
        if over {
            break;
        }
    }
}

/// A store is moved without its sidecar in the middle of a commit: its rows are missing, and this is reported.
#[test]
fn a_store_moved_without_its_sidecar_is_told() {
    let scratch = Scratch::new();
    let store = with_a_dead_writer(&scratch);
    let moved = scratch.path("moved.h5");
    std::fs::copy(store.path(), &moved).expect("copy");
    let moved = Store::open(&moved).expect("opens");
    assert_eq!(moved.recover().expect("recover").without_record, 4);
    let states = moved.reader("t").expect("reader").read("E", &Rows::range(4..6)).expect("read").states().to_vec();
    assert_eq!(states, [CellState::Writing; 2]);
    // Rows without a value are not reported, however often a writer died in them.
    let fresh = small_store(&scratch.path("fresh.h5"), 10);
    die_while_writing(&fresh, 2.0);
    die_while_writing(&fresh, 3.0);
    assert_eq!(fresh.recover().expect("recover").without_record, 0);
    put(&mut moved.writer("t").expect("writer"), 5.0).expect("commit");
    holds(&moved, 5.0);
    store.recover().expect("recover");
    holds(&store, 1.0);
}
