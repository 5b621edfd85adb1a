//! Every error at every call of the storage, once or permanently: it is reported with the path, nothing is acknowledged
//! after it, and the file is sound afterwards.

use crate::common::support::{Scratch, small_store};
use crate::store::changes::{CHANGES, acknowledged_rows_are_there, store_with_rows};
use crate::store::guard;
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::store::{Durability, Store, Values, Writer};
use h5part_engine::verify::Verify;
use ndarray::{Array1, Array3};
use std::path::Path;
use std::sync::{Arc, OnceLock};

const EINTR: i32 = 4;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;
const ERRORS: [i32; 4] = [EINTR, EIO, ENOSPC, EDQUOT];

/// Something that writes: its name, its preparation and its work.
struct Work {
    name: &'static str,
    prepare: fn(&Path) -> Store,
    work: fn(&Store) -> h5part::Result<()>,
}

fn put(writer: &mut Writer, rows: std::ops::Range<u64>, value: f64) -> h5part::Result<()> {
    let n = usize::try_from(rows.end - rows.start).expect("small");
    let (e, f) = (Array1::from_elem(n, value), Array3::from_elem((n, 4, 3), value));
    writer.commit(&Rows::range(rows), &[("E", Values::from(&e)), ("F", Values::from(&f))]).map(|_| ())
}

/// Rows 2 to 4 hold 1.5.
fn plain(path: &Path) -> Store {
    let store = small_store(path, 10);
    put(&mut store.writer("t").expect("writer"), 2..5, 1.5).expect("commit");
    store
}

/// The same, and a writer died while it replaced these rows.
fn with_a_dead_writer(path: &Path) -> Store {
    let store = plain(path);
    let faulty = Faulty::default();
    let mut writer = store.clone().with_storage(Arc::new(faulty.clone())).writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    faulty.arm(Some(Fault { call: 3, errno: EIO, persistent: true }));
    put(&mut writer, 2..5, 2.5).expect_err("dies");
    std::mem::forget(writer);
    store
}

/// Commits twice with the same writer: after a failure nothing may be acknowledged.
fn commit(store: &Store, rows: std::ops::Range<u64>, durability: Durability) -> h5part::Result<()> {
    let mut writer = store.writer("t")?;
    writer.set_durability(durability);
    let first = put(&mut writer, rows.clone(), 1.5);
    if writer.is_poisoned() {
        let again = put(&mut writer, rows, 1.5).expect_err("poisoned");
        assert!(matches!(again.kind(), ErrorKind::Poisoned), "{again}");
    }
    first
}

const WORKS: [Work; 8] = [
    Work { name: "fresh rows", prepare: plain, work: |s| commit(s, 6..9, Durability::Power) },
    Work { name: "fresh rows, process", prepare: plain, work: |s| commit(s, 6..9, Durability::Process) },
    Work { name: "rows replaced", prepare: plain, work: |s| commit(s, 2..7, Durability::Power) },
    Work { name: "rows replaced, process", prepare: plain, work: |s| commit(s, 2..7, Durability::Process) },
    Work {
        name: "a group",
        prepare: plain,
        work: |s| {
            let mut writer = s.writer("t")?;
            let mut group = writer.group();
            for row in [1, 3, 8] {
                let e = Array1::from_elem(1, 1.5);
                group.commit(&Rows::one(row), &[("E", Values::from(&e))])?;
            }
            group.finish().into_iter().collect::<h5part::Result<Vec<_>>>().map(|_| ())
        },
    },
    Work { name: "rows taken back", prepare: plain, work: |s| s.writer("t")?.reset(&Rows::range(6..9)).map(|_| ()) },
    Work { name: "a recovery", prepare: with_a_dead_writer, work: |s| s.recover().map(|_| ()) },
    Work { name: "a commit that recovers", prepare: with_a_dead_writer, work: |s| commit(s, 3..8, Durability::Power) },
];

/// Plays every fault of these errors. `check` inspects the file afterwards, and gets whether the work was acknowledged.
fn every_fault(
    errors: &[i32],
    name: &str,
    prepare: fn(&Path) -> Store,
    work: fn(&Store) -> h5part::Result<()>,
    check: impl Fn(&Store, bool, &str),
) -> u64 {
    let mut faults = 0;
    for &errno in errors {
        for persistent in [false, true] {
            for call in 0.. {
                let scratch = Scratch::in_memory();
                let store = prepare(&scratch.path("a.h5"));
                let faulty = Faulty::of_every_call();
                faulty.arm(Some(Fault { call, errno, persistent }));
                let outcome = work(&store.clone().with_storage(Arc::new(faulty.clone())));
                let met = faulty.calls() > call;
                let why = format!("{name}, error {errno}, call {call}, persistent: {persistent}");
                if let Err(error) = &outcome {
                    assert!(met, "{why}: no fault, no error: {error}");
                    assert!(error.to_string().contains("a.h5"), "{why}: {error}");
                    let full =
                        matches!(error.kind(), ErrorKind::NoSpace(_) | ErrorKind::Poisoned | ErrorKind::GroupFailed(_));
                    assert!(full || ![ENOSPC, EDQUOT].contains(&errno), "{why}: {error}");
                }
                store.recover().unwrap_or_else(|e| panic!("{why}: {e}"));
                check(&store, outcome.is_ok(), &why);
                if !met {
                    break;
                }
                faults += 1;
            }
        }
    }
    faults
}

/// Rows hold 1.5 as a whole, or nothing. Rows that existed before still exist.
fn rows_are_whole(store: &Store, why: &str) {
    let mut reader = store.reader("t").expect("reader");
    let blocks = reader.read_columns(&["E", "F"], &Rows::range(0..10)).expect("read");
    for row in 0..10 {
        let there = blocks.iter().filter(|b| b.states()[row].is_present()).count();
        assert!(there == 2 || there == 0 || row == 1 || row == 8, "{why}: row {row}: {there} of 2 columns");
        assert!(there == 2 || !(2..5).contains(&row), "{why}: row {row} was acknowledged, and is lost");
    }
    let values = blocks[0].array::<f64>().expect("f64");
    assert!(values.iter().all(|v| v.is_nan() || *v == 1.5), "{why}: {values}");
}

/// The only findings are half-written rows without a value, which a kill may leave.
fn nothing_is_wrong(store: &Store, why: &str) {
    let repair = Verify { repair: true, ..Verify::default() };
    let report = store.verify(&repair, &|_, _| ()).unwrap_or_else(|e| panic!("{why}: {e}"));
    assert!(report.sound, "{why}: {:#?}", report.findings);
}

#[test]
fn of_commits_and_recoveries() {
    let mut faults = 0;
    for Work { name, prepare, work } in WORKS {
        faults += every_fault(&ERRORS, name, prepare, work, |store, acknowledged, why| {
            rows_are_whole(store, why);
            nothing_is_wrong(store, why);
            if acknowledged && name.contains("rows") {
                let rows = if name.starts_with("fresh") { 6..9 } else { 2..5 };
                let block = store.reader("t").expect("reader").read("E", &Rows::range(rows)).expect("read");
                let there = block.mask().iter().all(|&there| there) || name.contains("back");
                assert!(there, "{why}: acknowledged, and not there");
            }
        });
    }
    println!("{faults} faults");
    assert!(faults > 2000, "only {faults}");
}

#[test]
fn of_commits_with_a_guard() {
    for guarded in [Some(0), None] {
        let work: fn(&Store) -> h5part::Result<()> = match guarded {
            Some(_) => |store| guard::put(&mut store.writer("t")?, 2.0, Some(0)),
            None => |store| guard::put(&mut store.writer("t")?, 2.0, None),
        };
        let faults = every_fault(
            &ERRORS,
            "a guard",
            |path| guard::store_with_rows(path, 0),
            work,
            |store, acknowledged, why| {
                guard::guards_are_honest(store.path(), why);
                guard::rows_are_whole(store, 0, 0, why);
                nothing_is_wrong(store, why);
                let made = guard::seen(store.path())[3..6].iter().all(|(_, value)| *value == Some(2.0));
                assert!(made || !acknowledged, "{why}: acknowledged, and not there");
            },
        );
        assert!(faults > 100, "only {faults}");
    }
}

/// Created once and copied: its records are bound to no file.
fn copy_with_rows(path: &Path) -> Store {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = TEMPLATE.get_or_init(|| {
        let scratch = Scratch::in_memory();
        std::fs::read(store_with_rows(&scratch.path("a.h5"), 2).path()).expect("read")
    });
    std::fs::write(path, bytes).expect("write");
    Store::open(path).expect("opens")
}

/// One error at a time: these are the tests that take longest.
fn of_structural_changes(errno: i32) {
    let mut faults = 0;
    for (name, change) in CHANGES {
        faults += every_fault(&[errno], name, copy_with_rows, change, |store, _, why| {
            acknowledged_rows_are_there(store, why);
            nothing_is_wrong(store, why);
        });
    }
    println!("{faults} faults");
    assert!(faults > 500, "only {faults}");
}

#[test]
fn of_structural_changes_that_are_interrupted() {
    of_structural_changes(EINTR);
}

#[test]
fn of_structural_changes_on_a_broken_disk() {
    of_structural_changes(EIO);
}

#[test]
fn of_structural_changes_on_a_full_disk() {
    of_structural_changes(ENOSPC);
}

#[test]
fn of_structural_changes_beyond_the_quota() {
    of_structural_changes(EDQUOT);
}
