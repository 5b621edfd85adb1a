//! Faults of the disk: errors name the path, nothing after them is acknowledged, and the file stays sound.

use crate::common::content::content;
use crate::common::support::{Scratch, small_table};
use crate::store::changes::{CHANGES, acknowledged_rows_are_there, store_with_rows};
use h5part::{ErrorKind, Shortage};
use h5part_base::dataspace::Rows;
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::h5::Attribute;
use h5part_engine::store::{CellState, Durability, Store, Values};
use ndarray::{Array1, Array3};
use std::sync::Arc;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// A new store of ten rows on a storage that fails on command.
fn faulty_store(scratch: &Scratch) -> (Faulty, Store) {
    let path = scratch.path("a.h5");
    let _ = std::fs::remove_file(&path);
    let faulty = Faulty::default();
    let store = Store::new(&path).expect("path").with_storage(Arc::new(faulty.clone()));
    store.create(&small_table(10), &|_, _| ()).expect("create");
    (faulty, store)
}

#[test]
fn a_fault_at_any_call_of_a_commit_leaves_rows_whole_or_not_there() {
    let scratch = Scratch::new();
    let rows = Rows::range(3..6);
    let (energies, forces) = (Array1::from_elem(3, 7.0), Array3::from_elem((3, 4, 3), 7.0));
    let mut faults = 0;
    for durability in [Durability::Process, Durability::Power] {
        for errno in [EIO, ENOSPC, EDQUOT] {
            for call in 0..64 {
                let (faulty, store) = faulty_store(&scratch);
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(durability);
                faulty.arm(Some(Fault { call, errno, persistent: false }));
                let sets = [("E", Values::from(&energies)), ("F", Values::from(&forces))];
                let outcome = writer.commit(&rows, &sets);
                if faulty.calls() <= call {
                    outcome.expect("no fault, no error");
                    break;
                }
                faults += 1;
                let error = outcome.expect_err("the fault is told");
                assert!(error.to_string().contains("a.h5"), "{error}");
                match errno {
                    ENOSPC => assert!(matches!(error.kind(), ErrorKind::NoSpace(Shortage::Disk { .. })), "{error}"),
                    EDQUOT => assert!(matches!(error.kind(), ErrorKind::NoSpace(Shortage::Quota)), "{error}"),
                    _ => assert!(matches!(error.kind(), ErrorKind::Io(_)), "{error}"),
                }
                let again = writer.commit(&rows, &sets).expect_err("poisoned");
                assert!(matches!(again.kind(), ErrorKind::Poisoned));
                drop(writer);
                check_whole(&store);
                // Another writer commits the rows again.
                store.writer("t").expect("writer").commit(&rows, &sets).expect("commit");
                assert!(store.reader("t").expect("reader").read("F", &rows).expect("read").mask().iter().all(|&m| m));
            }
        }
    }
    assert!(faults >= 30, "only {faults} faults were met");
}

/// A commit fails while it overwrites rows: the next writer finds the old rows, or the new ones.
#[test]
fn a_fault_among_overwrites_loses_no_value() {
    let scratch = Scratch::new();
    let rows = Rows::range(3..6);
    let values = |v: f64| (Array1::from_elem(3, v), Array3::from_elem((3, 4, 3), v));
    let mut faults = 0;
    for durability in [Durability::Process, Durability::Power] {
        for persistent in [false, true] {
            for call in 0..64 {
                let (faulty, store) = faulty_store(&scratch);
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(durability);
                let (e, f) = values(1.0);
                writer.commit(&rows, &[("E", Values::from(&e)), ("F", Values::from(&f))]).expect("commit");
                faulty.arm(Some(Fault { call, errno: EIO, persistent }));
                let (e, f) = values(2.0);
                let outcome = writer.commit(&rows, &[("E", Values::from(&e)), ("F", Values::from(&f))]);
                let met = faulty.calls() > call;
                faulty.arm(None);
                if !met {
                    outcome.expect("no fault, no error");
                    break;
                }
                faults += 1;
                outcome.expect_err("the fault is told");
                // The failed writer still lives: another one restores its rows.
                let mut next = store.writer("t").expect("writer");
                let mut reader = store.reader("t").expect("reader");
                for row in 3..6 {
                    let blocks = reader.read_columns(&["E", "F"], &Rows::one(row)).expect("read");
                    let all =
                        blocks.iter().flat_map(|b| b.array::<f64>().expect("f64").into_iter().collect::<Vec<_>>());
                    let all: Vec<f64> = all.collect();
                    assert!(all.iter().all(|&v| v == 1.0) || all.iter().all(|&v| v == 2.0), "call {call}: {all:?}");
                }
                let (e, f) = values(3.0);
                next.commit(&rows, &[("E", Values::from(&e)), ("F", Values::from(&f))]).expect("commit");
                drop(writer);
                assert_eq!(store.recover().expect("recover").restored, 0);
            }
        }
    }
    assert!(faults >= 30, "only {faults} faults were met");
}

fn check_whole(store: &Store) {
    let mut reader = store.reader("t").expect("reader");
    for row in 0..10 {
        let e = reader.read("E", &Rows::one(row)).expect("read");
        let f = reader.read("F", &Rows::one(row)).expect("read");
        let states = [e.states()[0], f.states()[0]];
        assert!(!states.contains(&CellState::Changed), "row {row}: {states:?}");
        if states.iter().all(|s| s.is_present()) {
            assert!(e.array::<f64>().expect("f64").iter().chain(&f.array::<f64>().expect("f64")).all(|&v| v == 7.0));
        } else {
            assert!(states.iter().all(|s| !s.is_present()), "row {row} is there in part: {states:?}");
        }
    }
}

#[test]
fn a_full_disk_is_told_before_anything_is_made() {
    let scratch = Scratch::new();
    let store = Store::new(scratch.path("a.h5")).expect("path");
    let error = store.create(&small_table(1 << 38), &|_, _| ()).expect_err("too large for any disk here");
    assert!(matches!(error.kind(), ErrorKind::NoSpace(Shortage::Disk { needed, .. }) if *needed > 1 << 40), "{error}");
    assert!(!scratch.path("a.h5").exists());
}

#[test]
fn a_killed_create_leaves_nothing_that_the_next_one_keeps() {
    let scratch = Scratch::new();
    let litter = scratch.path(".a.h5.abc.h5part-new");
    std::fs::write(&litter, b"half a file").expect("write");
    crate::common::support::small_store(&scratch.path("a.h5"), 3);
    assert!(!litter.exists());
}

/// Even if the disk has room again a moment later, the change is made as a whole or not at all.
#[test]
fn a_fault_at_any_call_of_a_structural_change() {
    let mut faults = 0;
    for (name, change) in CHANGES {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        let store = store_with_rows(&path, 2);
        let (template, old) = (std::fs::read(&path).expect("read"), content(&path).expect("opens"));
        change(&store).expect("nothing fails");
        let new = content(&path).expect("opens");
        for errno in [EIO, ENOSPC] {
            for call in 0.. {
                std::fs::write(&path, &template).expect("write");
                std::fs::remove_dir_all(scratch.path("a.h5.part")).expect("remove");
                let faulty = Faulty::default();
                faulty.arm(Some(Fault { call, errno, persistent: false }));
                let outcome = change(&store.clone().with_storage(Arc::new(faulty.clone())));
                if faulty.calls() <= call {
                    outcome.expect("no fault, no error");
                    break;
                }
                faults += 1;
                let why = format!("{name}, errno {errno}, call {call}");
                if let Err(error) = &outcome {
                    assert!(error.to_string().contains("a.h5"), "{why}: {error}");
                    assert_eq!(
                        errno == ENOSPC,
                        matches!(error.kind(), ErrorKind::NoSpace(Shortage::Disk { .. })),
                        "{why}: {error}"
                    );
                }
                let found = store.recover().unwrap_or_else(|e| panic!("{why}: {e}"));
                assert_eq!(found.logs_aside, 0, "{why}");
                let now = content(&path).unwrap_or_else(|e| panic!("{why}: {e}"));
                assert!(now == old || now == new, "{why}: neither old nor new");
                assert!(outcome.is_err() || now == new, "{why}: it was acknowledged");
                acknowledged_rows_are_there(&store, &why);
                store.set_attributes("t", &[("later".to_owned(), Attribute::Int(1))]).expect("goes on");
            }
        }
    }
    assert!(faults >= 100, "only {faults} faults were met");
}

/// A writer dies anywhere in a commit of fresh rows. After a recovery these rows were never written, for stock
/// programs, too. If a recovery dies in the middle, the next one finishes it.
#[test]
fn fresh_rows_of_a_dead_writer_were_never_written() {
    let scratch = Scratch::new();
    let rows = Rows::range(3..6);
    let (energies, forces) = (Array1::from_elem(3, 7.0), Array3::from_elem((3, 4, 3), 7.0));
    let mut reset = 0;
    for call in 0..64 {
        for recovery in [None, Some(0), Some(1), Some(2), Some(3), Some(6)] {
            let (faulty, store) = faulty_store(&scratch);
            let mut writer = store.writer("t").expect("writer");
            let one = Array1::from_elem(1, 1.0);
            writer.commit(&Rows::one(5), &[("E", Values::from(&one))]).expect("commit");
            writer.commit(&Rows::one(8), &[("E", Values::from(&one))]).expect("commit");
            faulty.arm(Some(Fault { call, errno: EIO, persistent: true }));
            let outcome = writer.commit(&rows, &[("E", Values::from(&energies)), ("F", Values::from(&forces))]);
            if outcome.is_ok() {
                assert!(reset > 20, "{reset}");
                return;
            }
            drop(writer);
            if let Some(call) = recovery {
                faulty.arm(Some(Fault { call, errno: EIO, persistent: true }));
                let _ = store.recover();
            }
            faulty.arm(None);
            reset += store.recover().expect("recovers").reset;
            let why = format!("call {call}, recovery dies at {recovery:?}");
            let report = store.verify(&h5part_engine::verify::Verify::default(), &|_, _| ()).expect("verifies");
            assert!(report.sound && report.findings.is_empty(), "{why}: {:#?}", report.findings);
            let file = hdf5::File::open(store.path()).expect("opens");
            let seen = file.dataset("t/E").expect("E").read_raw::<f64>().expect("reads");
            let values: Vec<usize> = (0..10).filter(|&k| !seen[k].is_nan()).collect();
            let all = [3, 4, 5, 8];
            assert!(values == [5, 8] || values == all, "{why}: {seen:?}");
            assert_eq!(seen[5], if values == all { 7.0 } else { 1.0 }, "{why}: {seen:?}");
            let forces = file.dataset("t/F").expect("F").read_raw::<f64>().expect("reads");
            assert!(values == all || forces.iter().all(|v| v.is_nan()), "{why}");
        }
    }
    panic!("no commit came to its end");
}
