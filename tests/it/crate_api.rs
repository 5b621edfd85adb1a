//! The crate beside itself: two writers in one process, bursts, rows that are locked.

use crate::support::{Scratch, small_store};
use h5part::ErrorKind;
use h5part::dataspace::Rows;
use h5part::lock::{Paths, Patience, RowLocks};
use h5part::store::{Durability, Values};
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
    let patience = Patience { timeout: Duration::from_millis(100), tell: None };
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
    // The writer lives and does nothing: another program gets file and gate.
    let deadline = Instant::now() + Duration::from_secs(5);
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
    assert!(matches!(kind(&Rows::list(&[1, 1, 2]), &[("E", (&three).into())]), ErrorKind::DuplicateRow(1)));
    assert!(matches!(kind(&Rows::range(3..3), &[("E", (&one).into())]), ErrorKind::EmptySelection));
    assert!(matches!(kind(&Rows::one(1), &[("X", (&one).into())]), ErrorKind::NoSuchColumn { .. }));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&ints).into())]), ErrorKind::DtypeMismatch { .. }));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&three).into())]), ErrorKind::ShapeMismatch { .. }));
    assert!(matches!(kind(&Rows::one(1), &[]), ErrorKind::BadRequest(_)));
    assert!(matches!(kind(&Rows::one(1), &[("E", (&one).into()), ("E", (&one).into())]), ErrorKind::BadRequest(_)));
    assert_eq!(std::fs::read(store.path()).expect("read"), before);
}
