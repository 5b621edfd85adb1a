//! The crate used twice in one process: two writers, bursts, locked rows.

use crate::common::killing::PATIENCE;
use crate::common::support::{Scratch, small_store};
use h5part::{ErrorKind, Item, Misfit, RowsFault};
use h5part_base::dataspace::Rows;
use h5part_base::lock::{Paths, Patience, RowLocks};
use h5part_base::storage::{Disk, Storage};
use h5part_engine::store::{Durability, Values};
use ndarray::Array1;
use std::time::{Duration, Instant};

#[test]
fn two_writers_of_one_process_write_disjoint_rows_at_once() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 4000);
    std::thread::scope(|scope| {
        for half in 0..2u64 {
            let store = &store;
            scope.spawn(move || {
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(Durability::Process);
                for row in half * 2000..(half + 1) * 2000 {
                    let values = Array1::from_elem(1, row as f64);
                    writer.commit(&Rows::one(row), &[("E", Values::from(&values))]).expect("commit");
                }
            });
        }
    });
    let block = store.reader("t").expect("reader").read("E", &Rows::range(0..4000)).expect("read");
    assert!(block.array::<f64>().expect("f64").iter().enumerate().all(|(i, &v)| v == i as f64));
    assert_eq!(store.status("t", 10).expect("status").columns[0].committed, 4000);
}

#[test]
fn a_locked_row_is_waited_for_and_its_neighbour_is_not() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 100);
    let patience = Patience { timeout: Duration::from_millis(100), ..Default::default() };
    let mut writer = store.clone().with_patience(patience.clone()).writer("t").expect("writer");
    let locks = RowLocks::open(&Paths::of(store.path()).expect("paths")).expect("locks");
    let guard = locks.lock(1, &[10..20], &patience).expect("lock");
    let values = Array1::from_elem(1, 1.0);
    let start = Instant::now();
    let error = writer.commit(&Rows::one(15), &[("E", Values::from(&values))]).expect_err("locked");
    assert!(matches!(error.kind(), ErrorKind::LockTimeout { .. }), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(100));
    writer.commit(&Rows::one(20), &[("E", Values::from(&values))]).expect("free");
    assert_eq!(store.status("t", 1).expect("status").columns[0].committed, 1);
    drop(guard);
    writer.commit(&Rows::one(15), &[("E", Values::from(&values))]).expect("free now");
}

#[test]
fn a_burst_ends_by_itself() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 1000);
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    let values = Array1::from_elem(1, 1.0);
    for row in 0..500 {
        writer.commit(&Rows::one(row), &[("E", Values::from(&values))]).expect("commit");
    }
    // The writer lives and does nothing: another program gets the file and the gate.
    let deadline = Instant::now() + PATIENCE;
    loop {
        match hdf5::File::open_rw(store.path()) {
            Ok(_) => break,
            Err(e) => assert!(Instant::now() < deadline, "the gate is still held: {e}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    writer.commit(&Rows::one(700), &[("E", Values::from(&values))]).expect("commit");
}

#[test]
fn errors_that_write_nothing() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let before = std::fs::read(store.path()).expect("read");
    let one = Array1::from_elem(1, 1.0f64);
    let three = Array1::from_elem(3, 1.0f64);
    let ints = Array1::from_elem(1, 1i64);
    let mut kind =
        |rows: &Rows, sets: &[(&str, Values<'_>)]| writer.commit(rows, sets).expect_err("an error").into_kind();
    assert!(matches!(kind(&Rows::one(10), &[("E", (&one).into())]), ErrorKind::RowOutOfRange { row: 10, rows: 10 }));
    assert!(matches!(
        kind(&Rows::list(&[1, 1, 2]), &[("E", (&three).into())]),
        ErrorKind::BadRows(RowsFault::Twice(1))
    ));
    assert!(matches!(kind(&Rows::range(3..3), &[("E", (&one).into())]), ErrorKind::BadValues(Misfit::Shape { .. })));
    assert!(matches!(
        kind(&Rows::one(1), &[("X", (&one).into())]),
        ErrorKind::NotFound { what: Item::Column { .. }, .. }
    ));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&ints).into())]), ErrorKind::DtypeMismatch { .. }));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&three).into())]), ErrorKind::BadValues(Misfit::Shape { .. })));
    assert!(matches!(kind(&Rows::one(1), &[]), ErrorKind::BadRequest(_)));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&one).into()), ("E", (&one).into())]), ErrorKind::BadRequest(_)));
    assert_eq!(std::fs::read(store.path()).expect("read"), before);
}

/// All columns of a row come from the same commit, even while the row is overwritten again and again.
#[test]
fn columns_read_together_belong_together() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 4);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = store.writer("t").expect("writer");
            writer.set_durability(Durability::Process);
            for round in 0u32.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                let e = Array1::from_elem(4, f64::from(round));
                let f = ndarray::Array3::from_elem((4, 4, 3), f64::from(round));
                writer.commit(&Rows::range(0..4), &[("E", Values::from(&e)), ("F", Values::from(&f))]).expect("commit");
            }
        });
        let mut reader = store.reader("t").expect("reader");
        let mut seen = std::collections::BTreeSet::new();
        let start = Instant::now();
        // For a while, and until the writer was seen at work, even on a busy machine.
        while start.elapsed() < Duration::from_secs(1) || seen.len() <= 20 {
            assert!(start.elapsed() < PATIENCE, "only {} different values were seen", seen.len());
            let blocks = reader.read_columns(&["F", "E"], &Rows::range(0..4)).expect("read");
            let (f, e) = (blocks[0].array::<f64>().expect("f64"), blocks[1].array::<f64>().expect("f64"));
            for row in 0..4 {
                let states = [blocks[0].states()[row], blocks[1].states()[row]];
                assert_eq!(states[0].is_present(), states[1].is_present(), "{states:?}");
                if states[0].is_present() {
                    assert!(f.index_axis(ndarray::Axis(0), row).iter().all(|&v| v == e[row]), "row {row} is a mixture");
                    seen.insert(e[row].to_bits());
                }
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// Rows that a live writer is committing are not reported as interrupted.
#[test]
fn nobody_is_called_interrupted_who_lives() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 300);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for third in 0..3u64 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(Durability::Process);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let e = Array1::from_elem(50, 1.0);
                    let rows = Rows::range(third * 100..third * 100 + 50);
                    writer.commit(&rows, &[("E", Values::from(&e))]).expect("commit");
                }
            });
        }
        let counts: Vec<_> = (0..300).map(|_| store.status("t", 3).expect("status").columns.remove(0)).collect();
        // Before any assertion: after a failed one the writers would never stop.
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for e in counts {
            assert_eq!(e.interrupted, 0, "{e:?}");
            assert_eq!(e.committed + e.writing + e.missing, 300);
        }
    });
}

/// A table added beside a live writer does not make it distrust the file.
#[test]
fn a_structural_change_of_ours_is_not_taken_for_another_programs() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let e = Array1::from_elem(1, 1.0);
    writer.commit(&Rows::one(0), &[("E", Values::from(&e))]).expect("commit");
    let more = h5part_engine::h5::NewTable { path: "more".to_owned(), ..crate::common::support::small_table(3) };
    store.create(&more, &|_, _| ()).expect("create");
    writer.commit(&Rows::one(1), &[("E", Values::from(&e))]).expect("commit");
    drop(writer);
    let paths = Paths::of(store.path()).expect("paths");
    let storage: std::sync::Arc<dyn Storage> = std::sync::Arc::new(Disk);
    let locks = std::sync::Arc::new(RowLocks::open(&paths).expect("locks"));
    let gate = h5part_base::lock::Gate::open(&paths, &storage, locks);
    let entered = gate.expect("gate").enter_shared(&Patience::default()).expect("enter");
    assert!(!entered.is_suspect());
}
