//! Rows that a dead writer left, and that a program without stamps has computed since: its values are values for
//! everyone from then on.

use crate::common::support::{Scratch, small_table};
use crate::together::power::Power;
use h5part_base::dataspace::Rows;
use h5part_engine::h5::NewTable;
use h5part_engine::store::{CellState, Durability, Store, Values, Writer};
use h5part_engine::verify::Verify;
use ndarray::{Array1, Array3};
use std::sync::Arc;

const ROWS: std::ops::Range<u64> = 3..6;
const COMPLETE: i64 = 0;
const UNDEFINED: i64 = 1;

/// The content of a row: one number in all values, and its status.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Row(f64, i64);

fn save(writer: &mut Writer, value: f64, expected: i64) -> h5part::Result<()> {
    let n = ROWS.count();
    let (e, f) = (Array1::from_elem(n, value), Array3::from_elem((n, 4, 3), value));
    let [complete, expected] = [COMPLETE, expected].map(|word| Array1::from_elem(n, word));
    let sets = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&complete))];
    writer.set_accept_foreign(true);
    writer.commit_if(&Rows::range(ROWS), &sets, &[("status", Values::from(&expected))]).map(|_| ())
}

/// As a stock program sees the rows.
fn seen(store: &Store) -> Vec<Row> {
    let file = hdf5::File::open(store.path()).expect("opens");
    let column = |name: &str| file.dataset(name).expect("there");
    let e = column("t/E").read_raw::<f64>().expect("E");
    let f = column("t/F").read_raw::<f64>().expect("F");
    let status = column("t/status").read_raw::<i64>().expect("status");
    let row = |row: u64| {
        let k = usize::try_from(row).expect("small");
        let whole = f[k * 12..(k + 1) * 12].iter().all(|&v| v == e[k]);
        assert!(status[k] == UNDEFINED || whole, "row {row} is torn, and says that it is complete");
        Row(e[k], status[k])
    };
    ROWS.map(row).collect()
}

/// The other program computes what is undefined.
fn compute_elsewhere(store: &Store, value: f64) {
    let file = hdf5::File::open_rw(store.path()).expect("opens");
    for (row, now) in ROWS.zip(seen_by(&file)) {
        if now == UNDEFINED {
            let k = usize::try_from(row).expect("small");
            file.dataset("t/E").expect("E").write_slice(&[value], k..=k).expect("write");
            let cell = Array3::from_elem((1, 4, 3), value);
            file.dataset("t/F").expect("F").write_slice(&cell, (k..=k, .., ..)).expect("write");
            file.dataset("t/status").expect("status").write_slice(&[COMPLETE], k..=k).expect("write");
        }
    }
}

fn seen_by(file: &hdf5::File) -> Vec<i64> {
    let status = file.dataset("t/status").expect("status").read_raw::<i64>().expect("status");
    ROWS.map(|row| status[usize::try_from(row).expect("small")]).collect()
}

/// The rows as a reader that accepts the values of others sees them.
fn read(store: &Store) -> Vec<Row> {
    let mut reader = store.reader("t").expect("reader");
    reader.set_accept_foreign(true);
    let blocks = reader.read_columns(&["E", "F", "status"], &Rows::range(ROWS)).expect("reads");
    let (e, f) = (blocks[0].array::<f64>().expect("E"), blocks[1].array::<f64>().expect("F"));
    let status = blocks[2].array::<i64>().expect("status");
    let row = |k: usize| {
        assert!(f.index_axis(ndarray::Axis(0), k).iter().all(|&v| v == e[k] || (v.is_nan() && e[k].is_nan())));
        Row(e[k], status[k])
    };
    (0..ROWS.count()).map(row).collect()
}

fn guarded(scratch: &Scratch) -> Store {
    let store = Store::new(scratch.path("a.h5")).expect("path");
    let table = NewTable { guard: Some("status".to_owned()), ..small_table(10) };
    store.create(&table, &|_, _| ()).expect("create");
    store
}

fn repair(store: &Store, accept_foreign: bool) -> h5part_engine::verify::Report {
    let how = Verify { repair: true, accept_foreign, ..Verify::default() };
    store.verify(&how, &|_, _| ()).expect("verifies")
}

/// A save dies at each of its calls. Then another program computes the rows whose status says they are missing.
#[test]
fn what_another_program_computes_after_a_death_is_kept() {
    for (before, durability, elsewhere) in [
        (None, Durability::Power, true),
        (None, Durability::Power, false),
        (Some(1.0), Durability::Power, true),
        (Some(1.0), Durability::Power, false),
        (None, Durability::Process, true),
        (Some(1.0), Durability::Process, true),
    ] {
        let mut ends = std::collections::BTreeSet::new();
        for stop in 0.. {
            let when = format!("{before:?}, {durability:?}, {elsewhere}, call {stop}");
            let scratch = Scratch::in_memory();
            let store = guarded(&scratch);
            if let Some(value) = before {
                save(&mut store.writer("t").expect("writer"), value, UNDEFINED).expect("saves");
            }
            let power = Power::until(stop);
            let mut writer = store.clone().with_storage(Arc::new(power)).writer("t").expect("writer");
            writer.set_durability(durability);
            let over = save(&mut writer, 2.0, if before.is_some() { COMPLETE } else { UNDEFINED }).is_ok();
            drop(writer);
            if elsewhere {
                compute_elsewhere(&store, 7.0);
            }
            let rows = seen(&store);
            ends.extend(rows.iter().map(|row| format!("{row:?}")));
            let complete = rows.iter().all(|row| row.1 == COMPLETE);
            if complete {
                let read = read(&store);
                // Rows that a record explains are missing until they are recovered.
                let explained = before.is_some() && rows.iter().all(|row| row.0 != 7.0);
                let hidden = explained && read.iter().all(|row| row.0.is_nan());
                assert!(read == rows || hidden, "{when}, before anybody recovers: {read:?} {rows:?}");
            }
            // Saving rows whose status says they are missing succeeds, and no others.
            let mut again = store.writer("t").expect("writer");
            let outcome = save(&mut again, 9.0, UNDEFINED);
            drop(again);
            let rows = if outcome.is_ok() { vec![Row(9.0, COMPLETE); 3] } else { seen(&store) };
            assert_eq!(seen(&store), rows, "{when}");
            assert_eq!(read(&store), rows, "{when}, after another save");
            store.recover().expect("recovers");
            assert_eq!((seen(&store), read(&store)), (rows.clone(), rows.clone()), "{when}, recovered");
            repair(&store, false);
            assert_eq!((seen(&store), read(&store)), (rows.clone(), rows.clone()), "{when}, repaired");
            let report = repair(&store, true);
            assert!(report.sound && report.findings.is_empty(), "{when}: {:#?}", report.findings);
            assert_eq!((seen(&store), read(&store)), (rows.clone(), rows), "{when}, taken over");
            let states = store.reader("t").and_then(|mut r| r.read("E", &Rows::range(ROWS))).expect("reads");
            assert!(states.states().iter().all(|state| *state == CellState::Committed), "{when}");
            if over {
                break;
            }
        }
        println!("{before:?}, {durability:?}, {elsewhere}: {ends:?}");
    }
}
