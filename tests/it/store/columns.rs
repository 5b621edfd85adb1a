//! Columns that are added to a table or adopted, with their own guards.

use crate::common::stopping::Stopping;
use crate::common::support::{Scratch, ok, py};
use crate::store::guard::{guards_are_honest, put, rows_are_whole, store_with_rows};
use h5part::{ErrorKind, Item};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Adopt, Adoption, CellState, Durability, Store, Values, Writer};
use h5part_engine::verify::{Kind, Verify};
use ndarray::{Array1, Array2};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A second method beside `E`, `F` and `status` of table `t`.
pub fn second(rows: u64) -> NewTable {
    let status = ColumnSpec { fill: 1i64.to_le_bytes().to_vec(), ..ColumnSpec::new("status2", Dtype::I64, &[]) };
    let columns = vec![ColumnSpec::new("E2", Dtype::F64, &[]), ColumnSpec::new("F2", Dtype::F64, &[150]), status];
    let (guard, guard_complete) = (Some("status2".to_owned()), Some("0".to_owned()));
    NewTable { guard, guard_complete, ..NewTable::new("t", rows, columns) }
}

fn put_second(writer: &mut Writer, value: f64, status: i64) -> h5part::Result<()> {
    let (e, f, s) = (Array1::from_elem(3, value), Array2::from_elem((3, 150), value), Array1::from_elem(3, status));
    let sets = [("E2", Values::from(&e)), ("F2", Values::from(&f)), ("status2", Values::from(&s))];
    writer.commit(&Rows::range(3..6), &sets).map(|_| ())
}

pub fn findings(store: &Store) -> Vec<Kind> {
    let report = store.verify(&Verify::default(), &|_, _| ()).expect("verifies");
    report.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn a_second_method_has_its_own_guard() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    store.add_columns(&second(10)).expect("adds");
    rows_are_whole(&store, 0, 0, "after the columns were added");
    let mut writer = store.writer("t").expect("writer");
    put_second(&mut writer, 7.0, 0).expect("commits");
    put(&mut writer, 2.0, Some(3)).expect("commits");
    rows_are_whole(&store, 0, 3, "after both");
    assert_eq!(findings(&store), []);
    let (one, status) = (Array1::from_elem(1, 1.0), Array1::from_elem(1, 0i64));
    let both = [("E", Values::from(&one)), ("status2", Values::from(&status))];
    let error = writer.commit(&Rows::one(0), &both).expect_err("has two guards");
    assert!(
        matches!(error.kind(), ErrorKind::BadRequest(text) if text.contains("'E' and 'status2' have different guards")),
        "{error}"
    );
    py(
        r#"
import h5py, sys
with h5py.File(sys.argv[1]) as f:
    assert list(f["t/status"]) == [1]*3 + [3]*3 + [1]*4, list(f["t/status"])
    assert list(f["t/status2"]) == [1]*3 + [0]*3 + [1]*4
    assert list(f["t/E2"][3:6]) == [7.0]*3 and f.attrs["h5part_format"] == 2
"#,
        &[store.path().to_str().expect("UTF-8")],
    );
    writer.reset(&Rows::range(3..5)).expect("resets both");
    let mut reader = store.reader("t").expect("reader");
    for name in ["E", "F", "status", "E2", "F2", "status2"] {
        let states = reader.read(name, &Rows::range(3..6)).expect("reads").states().to_vec();
        assert_eq!(states, [CellState::Missing, CellState::Missing, CellState::Committed], "{name}");
    }
    let info = ok(&["info", store.path().to_str().expect("UTF-8")]);
    assert_eq!(info.matches("guard (undefined 1)").count(), 2, "{info}");
    assert_eq!(findings(&store), []);
}

#[test]
fn what_cannot_be_added_is_refused() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    let refused = |new: NewTable| store.add_columns(&new).expect_err("is refused").into_kind();
    assert!(matches!(refused(second(11)), ErrorKind::BadRequest(_)));
    assert!(matches!(
        refused(NewTable { path: "u".to_owned(), ..second(10) }),
        ErrorKind::NotFound { what: Item::Table(_), .. }
    ));
    let taken = NewTable::new("t", 10, vec![ColumnSpec::new("E", Dtype::F64, &[])]);
    assert!(matches!(refused(taken), ErrorKind::AlreadyExists(Item::Column { column: name, .. }) if name == "E"));
    let many = (0..4094).map(|k| ColumnSpec::new(&format!("c{k}"), Dtype::U8, &[])).collect();
    assert!(matches!(refused(NewTable::new("t", 10, many)), ErrorKind::BadRequest(_)));
    rows_are_whole(&store, 0, 0, "after all refusals");
}

/// The guards of both methods are right wherever a commit to one of them stops.
#[test]
fn a_commit_to_one_method_leaves_the_other_alone() {
    let scratch = Scratch::new();
    let file = scratch.path("a.h5");
    for torn in [false, true] {
        let mut stops = 0;
        for call in 0.. {
            let store = store_with_rows(&file, 0);
            store.add_columns(&second(10)).expect("adds");
            let mut writer = store.writer("t").expect("writer");
            put_second(&mut writer, 1.0, 0).expect("commits");
            drop(writer);
            let stopping = Stopping::at(call, torn);
            let mut writer = store.clone().with_storage(Arc::new(stopping.clone())).writer("t").expect("writer");
            writer.set_durability(Durability::Process);
            let outcome = put_second(&mut writer, 2.0, 0);
            drop(writer);
            let why = format!("torn {torn}, stopped at call {call}");
            rows_are_whole(&store, 0, 0, &why);
            let file = hdf5::File::open(&file).expect("opens");
            let read = |name: &str| file.dataset(name).expect("there").read_raw::<f64>().expect("reads");
            let (e, f) = (read("t/E2"), read("t/F2"));
            let status = file.dataset("t/status2").expect("there").read_raw::<i64>().expect("reads");
            let whole = |row: usize| f[row * 150..(row + 1) * 150].iter().all(|&v| v == e[row]);
            assert!((3..6).all(|row| status[row] == 1 || whole(row)), "{why}: {status:?}");
            store.recover().expect("recovers");
            assert_eq!(findings(&store), [], "{why}");
            if stopping.calls() <= call {
                outcome.expect("nothing stopped it");
                break;
            }
            stops += 1;
        }
        assert!(stops > 5, "only {stops} stops");
    }
}

#[test]
fn writers_and_readers_go_on_while_columns_are_added() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut writer = store.writer("t").expect("writer");
            let mut commits = 0;
            while !stop.load(Ordering::Acquire) || commits < 10 {
                put(&mut writer, f64::from(1 + commits % 2), Some(0)).expect("commits");
                commits += 1;
            }
        });
        let reading = scope.spawn(|| {
            let mut reader = store.reader("t").expect("reader");
            while !stop.load(Ordering::Acquire) {
                let block = reader.read("E", &Rows::range(3..6)).expect("reads");
                let values = block.array::<f64>().expect("f64");
                let there = block.states().iter().zip(values.iter()).filter(|(s, _)| **s == CellState::Committed);
                there.for_each(|(_, v)| assert!([1.0, 2.0].contains(v), "{v}"));
            }
        });
        // 3 columns become 19: their stamps move twice.
        for k in 0..16 {
            let column = ColumnSpec::new(&format!("more{k}"), Dtype::F64, &[2]);
            store.add_columns(&NewTable::new("t", 10, vec![column])).expect("adds");
        }
        stop.store(true, Ordering::Release);
        writing.join().expect("writer");
        reading.join().expect("reader");
    });
    guards_are_honest(store.path(), "at the end");
    assert_eq!(findings(&store), []);
    assert_eq!(store.reader("t").expect("reader").table().columns.len(), 19);
}

/// Columns that h5py has added to stamped ones, or to a table without stamps.
#[test]
fn further_columns_of_another_program_are_adopted() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    let path = store.path().to_str().expect("UTF-8").to_owned();
    let script = r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1], "r+") as f:
    g = f.require_group(sys.argv[2])
    g["e"] = np.where(np.arange(10) < 4, np.arange(10.0), np.nan)
    g["s"] = np.where(np.arange(10) < 4, 0, 1)
    g["other"] = np.arange(10.0)
"#;
    for table in ["t", "u"] {
        if py(script, &[&path, table]).is_none() {
            return;
        }
        let names = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let how = Adoption {
            columns: names(&["e", "s"]),
            committed: Adopt::Where { column: "s".to_owned(), value: "0".to_owned() },
            guard: Some(("s".to_owned(), "1".to_owned())),
            ..Adoption::default()
        };
        let adopted = store.adopt(table, &how, &|_, _| ()).expect("adopts");
        assert_eq!((adopted.committed, adopted.columns.as_slice()), (8, &["e".to_owned(), "s".to_owned()][..]));
        let error = store.adopt(table, &how, &|_, _| ()).expect_err("has them");
        assert!(
            matches!(error.kind(), ErrorKind::AlreadyExists(Item::Stamps(path)) if *path == format!("{table}/e")),
            "{error}"
        );
        let twice = Adoption { columns: names(&["other", "other"]), ..Adoption::default() };
        assert!(matches!(store.adopt(table, &twice, &|_, _| ()).expect_err("twice").kind(), ErrorKind::BadRequest(_)));
        let mut writer = store.writer(table).expect("writer");
        let (e, s) = (Array1::from_elem(1, 9.5), Array1::from_elem(1, 0i64));
        writer.commit(&Rows::one(9), &[("e", Values::from(&e)), ("s", Values::from(&s))]).expect("commits");
        let mut reader = store.reader(table).expect("reader");
        let states = reader.read("e", &Rows::range(3..10)).expect("reads").states().to_vec();
        let (there, not) = (CellState::Committed, CellState::Missing);
        assert_eq!(states, [there, not, not, not, not, not, there], "{table}");
    }
    rows_are_whole(&store, 0, 0, "the columns that were there");
    ok(&["adopt", &path, "t", "--column", "other", "--committed", "all"]);
    // A column of the other table without stamps is not compared with anything.
    assert_eq!(findings(&store), [Kind::NotRead]);
}
