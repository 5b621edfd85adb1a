//! Guard columns: programs that ignore stamps never see a guard that calls an incomplete row complete.

use crate::common::stopping::Stopping;
use crate::common::support::Scratch;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{CellState, Durability, Store, Values, Writer};
use ndarray::{Array1, Array2};
use std::path::Path;
use std::sync::Arc;

const UNDEFINED: i64 = 1;
/// Elements per cell: more than a sector, so that its writes tear.
const CELL: usize = 150;
const ROWS: std::ops::Range<u64> = 3..6;

/// Rows 3 to 5 are complete, with values 1.0 and guard `guard`.
pub fn store_with_rows(path: &Path, guard: i64) -> Store {
    let status = ColumnSpec { fill: UNDEFINED.to_le_bytes().to_vec(), ..ColumnSpec::new("status", Dtype::I64, &[]) };
    let columns = vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &[CELL as u64]), status];
    let table = NewTable { guard: Some("status".to_owned()), ..NewTable::new("t", 10, columns) };
    let _ = std::fs::remove_file(path);
    let store = Store::new(path).expect("path");
    store.create(&table, &|_, _| ()).expect("create");
    put(&mut store.writer("t").expect("writer"), 1.0, Some(guard)).expect("commit");
    store
}

pub fn put(writer: &mut Writer, value: f64, guard: Option<i64>) -> h5part::Result<()> {
    let (e, f) = (Array1::from_elem(3, value), Array2::from_elem((3, CELL), value));
    let status = Array1::from_elem(3, guard.unwrap_or_default());
    let mut sets = vec![("E", Values::from(&e)), ("F", Values::from(&f))];
    sets.extend(guard.map(|_| ("status", Values::from(&status))));
    writer.commit(&Rows::range(ROWS), &sets).map(|_| ())
}

/// What a stock program sees: the guard of each row, and its value if the row is whole.
pub fn seen(path: &Path) -> Vec<(i64, Option<f64>)> {
    let file = hdf5::File::open(path).expect("opens");
    let status = file.dataset("t/status").expect("there").read_raw::<i64>().expect("read");
    let e = file.dataset("t/E").expect("there").read_raw::<f64>().expect("read");
    let f = file.dataset("t/F").expect("there").read_raw::<f64>().expect("read");
    let whole = |row: usize| f[row * CELL..(row + 1) * CELL].iter().all(|v| v.to_bits() == e[row].to_bits());
    (0..10).map(|row| (status[row], whole(row).then_some(e[row]))).collect()
}

/// No guard calls a row complete that is not wholly from one commit.
pub fn guards_are_honest(path: &Path, why: &str) {
    for (row, (guard, value)) in seen(path).into_iter().enumerate() {
        if ROWS.contains(&(row as u64)) {
            assert!(
                guard == UNDEFINED || value.is_some(),
                "{why}: row {row} is called complete ({guard}), and is torn"
            );
            assert!(guard == UNDEFINED || value == Some(1.0) || value == Some(2.0), "{why}: {value:?}");
        } else {
            assert_eq!(guard, UNDEFINED, "{why}: row {row} has no value");
        }
    }
}

/// Each row is old or new, with the matching guard.
pub fn rows_are_whole(store: &Store, old: i64, new: i64, why: &str) {
    for (row, (guard, value)) in seen(store.path()).into_iter().enumerate().filter(|(row, _)| (3..6).contains(row)) {
        let expected = if value == Some(1.0) { old } else { new };
        assert!(value == Some(1.0) || value == Some(2.0), "{why}: row {row} holds {value:?}");
        assert_eq!(guard, expected, "{why}: row {row}");
    }
    let mut reader = store.reader("t").expect("reader");
    for column in ["E", "F", "status"] {
        let states = reader.read(column, &Rows::range(ROWS)).expect("read").states().to_vec();
        assert_eq!(states, [CellState::Committed; 3], "{why}: {column}");
    }
}

/// Calls `body` for every call at which an overwriting commit can stop.
fn for_every_stop(old: i64, set: Option<i64>, mut body: impl FnMut(&Store, &str)) {
    let scratch = Scratch::new();
    let file = scratch.path("a.h5");
    for durability in [Durability::Process, Durability::Power] {
        for torn in [false, true] {
            let mut stops = 0;
            for call in 0.. {
                let store = store_with_rows(&file, old);
                let stopping = Stopping::at(call, torn);
                let mut writer = store.clone().with_storage(Arc::new(stopping.clone())).writer("t").expect("writer");
                writer.set_durability(durability);
                let outcome = put(&mut writer, 2.0, set);
                drop(writer);
                if stopping.calls() <= call {
                    outcome.expect("nothing stopped it");
                    break;
                }
                stops += 1;
                body(&store, &format!("{durability:?}, torn {torn}, stopped at call {call}"));
            }
            assert!(stops > 5, "only {stops} stops");
        }
    }
}

#[test]
fn a_guard_never_speaks_of_a_torn_row() {
    for (old, set) in [(0, Some(3)), (0, Some(0)), (0, None)] {
        for_every_stop(old, set, |store, why| {
            guards_are_honest(store.path(), why);
            store.recover().expect("recover");
            guards_are_honest(store.path(), why);
            rows_are_whole(store, old, set.unwrap_or(old), why);
        });
    }
}

/// Restoring old values is writing, too.
#[test]
fn nor_while_rows_are_put_back() {
    for (old, set) in [(0, Some(3)), (0, Some(0)), (0, None)] {
        for_every_stop(old, set, |store, why| {
            for second in 0..40 {
                let why = format!("{why}, recovery at call {second}");
                let stopping = Stopping::at(second, true);
                let outcome = store.clone().with_storage(Arc::new(stopping.clone())).recover();
                guards_are_honest(store.path(), &why);
                if outcome.is_ok() {
                    break;
                }
            }
            store.recover().expect("recover");
            rows_are_whole(store, old, set.unwrap_or(old), why);
        });
    }
}

#[test]
fn a_commit_that_leaves_the_guard_out_shows_it_again() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 2.0, None).expect("commit");
    rows_are_whole(&store, 0, 0, "after the commit");
    // Rows whose guard is undefined keep it so.
    let e = Array1::from_elem(1, 5.0);
    writer.commit(&Rows::one(8), &[("E", Values::from(&e))]).expect("commit");
    drop(writer);
    assert_eq!(seen(store.path())[8].0, UNDEFINED);
    assert_eq!(
        store.reader("t").expect("reader").read("status", &Rows::one(8)).expect("read").states(),
        [CellState::Missing]
    );
    guards_are_honest(store.path(), "after both");
}

/// Rows of a table whose guard uses another value for undefined than its fill.
#[test]
fn new_rows_of_an_adopted_table_are_undefined() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let file = hdf5::File::create(&path).expect("create");
    let group = file.create_group("t").expect("group");
    let make = |name: &str| group.new_dataset::<i64>().chunk(4).shape(hdf5::Extent::resizable(6)).create(name);
    make("E").expect("dataset").write(&Array1::from_elem(6, 5i64)).expect("write");
    make("status").expect("dataset").write(&Array1::from_elem(6, 2i64)).expect("write");
    drop((group, file));
    let store = Store::open(&path).expect("opens");
    let guard = Some(("status".to_owned(), UNDEFINED.to_string()));
    store.adopt("t", &h5part_engine::store::Adoption { guard, ..Default::default() }, &|_, _| ()).expect("adopt");
    store.extend("t", 12).expect("extend");
    let guards = hdf5::File::open(&path).expect("opens").dataset("t/status").expect("there").read_raw::<i64>();
    assert_eq!(guards.expect("read"), [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
    let missing = store.missing("t").expect("status");
    assert_eq!(missing.iter().collect::<Vec<_>>(), [6, 7, 8, 9, 10, 11]);
}
