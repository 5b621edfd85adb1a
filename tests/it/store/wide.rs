//! Tables with more columns than a sector has stamps: rows are whole however many columns a commit names.

use crate::common::killing::Killer;
use crate::common::stopping::Stopping;
use crate::common::support::{Scratch, h5part, ok, py, run};
use crate::store::columns::findings;
use h5part::ErrorKind;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Adoption, CellState, Durability, Store, Values, Writer};
use ndarray::Array1;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: u64 = 10;

pub fn name(column: usize) -> String {
    format!("c{column:04}")
}

fn specs(columns: Range<usize>) -> Vec<ColumnSpec> {
    columns.map(|k| ColumnSpec::new(&name(k), Dtype::F64, &[])).collect()
}

pub fn wide_store(path: &Path, columns: usize) -> Store {
    let store = Store::new(path).expect("path");
    store.create(&NewTable::new("t", ROWS, specs(0..columns)), &|_, _| ()).expect("creates");
    store
}

/// Commits one value to all of these cells.
pub fn put(writer: &mut Writer, columns: &[usize], rows: Range<u64>, value: f64) -> h5part::Result<()> {
    let values = Array1::from_elem(usize::try_from(rows.end - rows.start).expect("small"), value);
    let names: Vec<String> = columns.iter().map(|&k| name(k)).collect();
    let sets: Vec<(&str, Values<'_>)> = names.iter().map(|name| (name.as_str(), Values::from(&values))).collect();
    writer.commit(&Rows::range(rows), &sets).map(|_| ())
}

fn all(columns: usize) -> Vec<usize> {
    (0..columns).collect()
}

/// The cells of these columns, row by row.
fn cells(store: &Store, columns: &[usize]) -> Vec<Vec<Option<f64>>> {
    let names: Vec<String> = columns.iter().map(|&k| name(k)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let blocks = store.reader("t").expect("reader").read_columns(&names, &Rows::range(0..ROWS)).expect("reads");
    let values: Vec<Array1<f64>> = blocks
        .iter()
        .map(|block| block.array::<f64>().expect("f64").into_owned().into_dimensionality().expect("1"))
        .collect();
    let cell = |c: usize, row: usize| match blocks[c].states()[row] {
        CellState::Committed => Some(values[c][row]),
        CellState::Missing => None,
        other => panic!("column {c}, row {row}: {other:?}"),
    };
    (0..ROWS as usize).map(|row| (0..columns.len()).map(|c| cell(c, row)).collect()).collect()
}

fn format_of(store: &Store) -> u64 {
    hdf5::File::open(store.path()).expect("opens").attr("h5part_format").expect("there").read_scalar().expect("reads")
}

/// Random commits and resets, compared with a table in memory.
#[test]
fn commits_of_any_columns_do_what_they_do_to_a_model() {
    for (seed, columns) in [(1u64, 65usize), (2, 130), (3, 200), (4, 400)] {
        let scratch = Scratch::in_memory();
        let store = wide_store(&scratch.path("a.h5"), columns);
        assert_eq!(format_of(&store), 3);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |n: usize| random.next_u32() as usize % n;
        let mut model = vec![vec![None; columns]; ROWS as usize];
        let mut writer = store.writer("t").expect("writer");
        for step in 0..40u32 {
            let first = below(ROWS as usize - 1);
            let rows = first..first + 1 + below(ROWS as usize - first);
            let range = rows.start as u64..rows.end as u64;
            if below(8) == 0 {
                writer.reset(&Rows::range(range)).expect("resets");
                for row in &mut model[rows] {
                    row.fill(None);
                }
                continue;
            }
            let (start, count) = (below(columns), 1 + below(columns));
            let named: Vec<usize> = match below(3) {
                0 => all(columns),
                1 => vec![start],
                _ => (0..count).map(|k| (start + k) % columns).collect(),
            };
            let durability = if below(4) == 0 { Durability::Power } else { Durability::Process };
            writer.set_durability(durability);
            put(&mut writer, &named, range, f64::from(step)).expect("commits");
            for row in &mut model[rows] {
                for &k in &named {
                    row[k] = Some(f64::from(step));
                }
            }
        }
        assert_eq!(cells(&store, &all(columns)), model, "{columns} columns");
        assert_eq!(findings(&store), [], "{columns} columns");
        let status = store.status("t", 1).expect("counts");
        for (k, column) in status.columns.iter().enumerate() {
            let there = model.iter().filter(|row| row[k].is_some()).count() as u64;
            assert_eq!((column.name.clone(), column.committed, column.missing), (name(k), there, ROWS - there));
        }
    }
}

/// A file without a wide table does not change.
#[test]
fn the_format_is_3_where_a_table_is_wide_and_only_there() {
    let scratch = Scratch::new();
    let store = wide_store(&scratch.path("a.h5"), 60);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, &all(60), 2..5, 1.5).expect("commits");
    store.add_columns(&NewTable::new("t", ROWS, specs(60..64))).expect("adds");
    assert_eq!(format_of(&store), 1);
    put(&mut writer, &all(60), 3..6, 2.5).expect("goes on");
    put(&mut store.writer("t").expect("writer"), &[60, 61, 62, 63], 3..6, 2.5).expect("commits");
    store.add_columns(&NewTable::new("t", ROWS, specs(64..65))).expect("adds");
    assert_eq!(format_of(&store), 3);
    store.add_columns(&NewTable::new("t", ROWS, specs(65..200))).expect("adds");
    put(&mut writer, &[0, 59], 5..7, 3.0).expect("goes on, though stamps are wider");
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, &all(200), 5..7, 3.5).expect("commits");
    put(&mut writer, &[150, 151], 2..4, 4.5).expect("commits");
    store.extend("t", ROWS).expect("is as long");
    let mut expected = vec![vec![None; 200]; ROWS as usize];
    expected[2][..60].fill(Some(1.5));
    for row in &mut expected[3..6] {
        row[..64].fill(Some(2.5));
    }
    for row in &mut expected[5..7] {
        row.fill(Some(3.5));
    }
    for row in &mut expected[2..4] {
        row[150..152].fill(Some(4.5));
    }
    assert_eq!(cells(&store, &all(200)), expected);
    assert_eq!(findings(&store), []);
}

#[test]
fn a_table_has_4096_columns_and_no_more() {
    let scratch = Scratch::in_memory();
    let store = wide_store(&scratch.path("a.h5"), 4096);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, &all(4096), 2..4, 1.0).expect("commits");
    put(&mut writer, &[4095], 3..4, 2.0).expect("commits");
    let mut expected = vec![vec![None; 4096]; ROWS as usize];
    for row in &mut expected[2..4] {
        row.fill(Some(1.0));
    }
    expected[3][4095] = Some(2.0);
    assert_eq!(cells(&store, &all(4096)), expected);
    assert_eq!(findings(&store), []);
    let more = store.add_columns(&NewTable::new("t", ROWS, specs(4096..4097))).expect_err("is refused").into_kind();
    assert!(matches!(&more, ErrorKind::BadRequest(text) if text.contains("4096") && text.contains("divide")), "{more}");
    let other = Store::new(scratch.path("b.h5")).expect("path");
    let more = other.create(&NewTable::new("t", ROWS, specs(0..4097)), &|_, _| ()).expect_err("is refused").into_kind();
    assert!(matches!(&more, ErrorKind::BadRequest(text) if text.contains("4097") && text.contains("divide")), "{more}");
}

/// Wherever a commit stops, each of its rows is wholly old or new.
#[test]
fn a_commit_that_stops_leaves_whole_rows() {
    const COLUMNS: usize = 66;
    let scratch = Scratch::in_memory();
    let (file, made) = (scratch.path("a.h5"), scratch.path("made.h5"));
    put(&mut wide_store(&made, COLUMNS).writer("t").expect("writer"), &all(COLUMNS), 2..6, 1.0).expect("commits");
    for (torn, named) in [(false, all(COLUMNS)), (true, vec![3, 65]), (true, vec![64, 65])] {
        let mut stops = 0;
        for call in 0.. {
            crate::common::support::remove_store(&file);
            std::fs::copy(&made, &file).expect("copies");
            let store = Store::open(&file).expect("opens");
            let stopping = Stopping::at(call, torn);
            let mut writer = store.clone().with_storage(Arc::new(stopping.clone())).writer("t").expect("writer");
            let outcome = put(&mut writer, &named, 3..5, 2.0);
            drop(writer);
            store.recover().expect("recovers");
            let found = cells(&store, &all(COLUMNS));
            let why = format!("stopped at call {call}, torn {torn}");
            for (row, cells) in found.iter().enumerate() {
                let old: Vec<_> = (0..COLUMNS).map(|_| (2..6).contains(&row).then_some(1.0)).collect();
                let mut new = old.clone();
                for &k in named.iter().filter(|_| (3..5).contains(&row)) {
                    new[k] = Some(2.0);
                }
                assert!(*cells == old || *cells == new, "{why}: row {row} is {cells:?}");
            }
            assert_eq!(findings(&store), [], "{why}");
            if stopping.calls() <= call {
                outcome.expect("nothing stopped it");
                assert_eq!(found[4][named[0]], Some(2.0), "acknowledged, and lost");
                break;
            }
            stops += 1;
        }
        assert!(stops > 5, "only {stops} stops");
    }
}

/// A reader beside two kinds of writers: of all columns, and of the columns of one sector.
#[test]
fn readers_see_whole_rows_beside_writers() {
    let scratch = Scratch::in_memory();
    let store = wide_store(&scratch.path("a.h5"), 130);
    put(&mut store.writer("t").expect("writer"), &all(130), 0..ROWS, 0.0).expect("commits");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let write = |named: Vec<usize>, first: f64| {
            let (store, stop) = (&store, &stop);
            move || {
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(Durability::Process);
                let mut commits = 0;
                while !stop.load(Ordering::Acquire) || commits < 10 {
                    put(&mut writer, &named, 0..ROWS, first + f64::from(commits)).expect("commits");
                    commits += 1;
                }
                commits
            }
        };
        let whole = scope.spawn(write(all(130), 1e6));
        let sector = scope.spawn(write((64..128).collect(), 2e6));
        let mut reader = store.reader("t").expect("reader");
        let names: Vec<String> = all(130).into_iter().map(name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let start = std::time::Instant::now();
        let (mut looks, mut seen) = (0, 0);
        while start.elapsed() < Duration::from_secs(3) || seen < 20 {
            let blocks = reader.read_columns(&names, &Rows::range(0..ROWS)).expect("reads");
            looks += 1;
            for row in 0..ROWS as usize {
                let states: Vec<CellState> = blocks.iter().map(|block| block.states()[row]).collect();
                assert!(states.iter().all(|s| matches!(s, CellState::Committed | CellState::Writing)), "{states:?}");
                if states.contains(&CellState::Writing) {
                    continue;
                }
                seen += 1;
                let of = |k: usize| blocks[k].array::<f64>().expect("f64")[[row]];
                let outside: Vec<f64> = all(130).into_iter().filter(|k| !(64..128).contains(k)).map(of).collect();
                let inside: Vec<f64> = (64..128).map(of).collect();
                assert!(outside.iter().all(|v| *v == outside[0]), "row {row} is of two commits: {outside:?}");
                assert!(inside.iter().all(|v| *v == inside[0]), "row {row} is of two commits: {inside:?}");
                assert!(inside[0] == outside[0] || inside[0] >= 2e6, "{} beside {}", inside[0], outside[0]);
            }
        }
        stop.store(true, Ordering::Release);
        let commits = (whole.join().expect("writer"), sector.join().expect("writer"));
        println!("{looks} looks, {seen} rows beside {commits:?} commits");
    });
    assert_eq!(findings(&store), []);
}

/// A guard far from some of the columns that it covers.
#[test]
fn a_guard_covers_columns_of_other_sectors() {
    let scratch = Scratch::new();
    let status = ColumnSpec { fill: 1i64.to_le_bytes().to_vec(), ..ColumnSpec::new("status", Dtype::I64, &[]) };
    let columns = [specs(0..99), vec![status]].concat();
    let (guard, guard_complete) = (Some("status".to_owned()), Some("0".to_owned()));
    let store = Store::new(scratch.path("a.h5")).expect("path");
    let table = NewTable { guard, guard_complete, ..NewTable::new("t", ROWS, columns) };
    store.create(&table, &|_, _| ()).expect("creates");
    let mut writer = store.writer("t").expect("writer");
    let (values, complete) = (Array1::from_elem(3, 1.5), Array1::from_elem(3, 0i64));
    let names: Vec<String> = all(99).into_iter().map(name).collect();
    let mut sets: Vec<(&str, Values<'_>)> = names.iter().map(|name| (name.as_str(), Values::from(&values))).collect();
    sets.push(("status", Values::from(&complete)));
    writer.commit(&Rows::range(3..6), &sets).expect("commits");
    put(&mut writer, &[1, 2], 3..5, 2.5).expect("commits");
    put(&mut writer, &[90], 3..5, 3.5).expect("commits in place");
    let guards = store.reader("t").expect("reader").table().stamps.as_ref().expect("stamps").guards.clone();
    assert!(guards.len() == 1 && (0..100).all(|place| guards[0].covers(place)) && !guards[0].covers(100));
    let seen = || {
        let file = hdf5::File::open(store.path()).expect("opens");
        file.dataset("t/status").expect("there").read_raw::<i64>().expect("reads")
    };
    assert_eq!(seen(), [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]);
    let found = cells(&store, &[0, 1, 90]);
    assert_eq!(found[3..6], [[Some(1.5), Some(2.5), Some(3.5)], [Some(1.5), Some(2.5), Some(3.5)], [Some(1.5); 3]]);
    assert_eq!(findings(&store), []);
    writer.reset(&Rows::one(4)).expect("resets");
    assert_eq!(seen()[3..6], [0, 1, 0]);
    assert_eq!(findings(&store), []);
}

const SIMULATED: &str = r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1], "w") as f:
    g = f.create_group("results")
    for k in range(370):
        g.create_dataset(f"c{k:04}", data=np.arange(10.0) + k)
"#;

/// A file with 370 columns made by h5py: the program adopts, updates and publishes it.
#[test]
fn what_others_made_with_370_columns_is_adopted_updated_and_published() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("a.h5"), scratch.text("out.h5"));
    if py(SIMULATED, &[&file]).is_none() {
        return;
    }
    ok(&["adopt", &file, "results"]);
    let values = scratch.npy("v.npy", &[2], &[-1.0, -2.0]);
    let sets: Vec<String> = (0..370).map(|k| format!("--set={}={values}", name(k))).collect();
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    ok(&[&["update", &file, "results", "--rows", "3:5"], sets.as_slice()].concat());
    ok(&["update", &file, "results", "--rows", "7:9", sets[5]]);
    ok(&["reset", &file, "results", "--rows", "9"]);
    let status: Value = serde_json::from_str(&ok(&["status", &file, "results", "--json"])).expect("JSON");
    let columns = status["columns"].as_array().expect("columns");
    assert!(columns.len() == 370 && columns.iter().all(|column| column["committed"] == 9), "{status}");
    ok(&["extend", &file, "results", "--rows", "10"]);
    ok(&["recover", &file]);
    ok(&["verify", &file]);
    let info: Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
    assert_eq!(info["tables"][0]["columns"].as_array().expect("columns").len(), 370);
    ok(&["publish", &file, "-o", &out, "--gzip", "1"]);
    ok(&["verify", &out]);
    py(
        r#"
import h5py, sys, numpy as np
for path in sys.argv[1:]:
    with h5py.File(path) as f:
        for k in range(370):
            expected = np.arange(10.0) + k
            expected[3:5] = [-1, -2]
            if k == 5: expected[7:9] = [-1, -2]
            found = f[f"results/c{k:04}"][:]
            assert (found[:9] == expected[:9]).all() and found[9] in (0, ) or np.isnan(found[9]), (k, found)
"#,
        &[&file, &out],
    );
    let many: Vec<String> = (0..4097).map(|k| format!("--column={}:u8", name(k))).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (code, _, err) = run(&[&["create", &scratch.text("b.h5"), "t", "--rows", "2"], many.as_slice()].concat());
    assert!(code == 2 && err.contains("4096") && err.contains("divide"), "{code}: {err}");
}

/// Programs that are killed while they commit whole rows.
#[test]
fn killed_programs_leave_whole_rows() {
    let scratch = Scratch::new();
    let store = wide_store(&scratch.path("a.h5"), 130);
    put(&mut store.writer("t").expect("writer"), &all(130), 0..ROWS, 0.0).expect("commits");
    let file = scratch.text("a.h5");
    let mut killer = Killer::new(Duration::from_millis(50));
    let mut killed = 0;
    for turn in 1.. {
        let values = scratch.npy("v.npy", &[ROWS], &[f64::from(turn); ROWS as usize]);
        let sets: Vec<String> = (0..130).map(|k| format!("--set={}={values}", name(k))).collect();
        let args = ["update", &file, "t", "--rows", "0:10"].into_iter().chain(sets.iter().map(String::as_str));
        let mut child = std::process::Command::new(h5part().get_program()).args(args).spawn().expect("starts");
        killed += i32::from(killer.kill(&mut child));
        let found = cells(&store, &all(130));
        for (row, cells) in found.iter().enumerate() {
            assert!(cells.iter().all(|cell| cell.is_some() && *cell == cells[0]), "row {row}: {cells:?}");
        }
        if killed == 15 {
            println!("{killed} of {turn} killed");
            break;
        }
    }
    store.recover().expect("recovers");
    assert_eq!(findings(&store), []);
}

/// Also in groups, and after stamps were rebuilt.
#[test]
fn a_column_alone_is_read_with_the_stamps_of_its_sector() {
    let scratch = Scratch::in_memory();
    let store = wide_store(&scratch.path("a.h5"), 300);
    put(&mut store.writer("t").expect("writer"), &[299, 7], 2..4, 1.0).expect("commits");
    assert_eq!(cells(&store, &[299])[1..5].concat(), [None, Some(1.0), Some(1.0), None]);
    assert_eq!(cells(&store, &[7, 299])[3], [Some(1.0), Some(1.0)]);
    let mut group = store.writer("t").expect("writer");
    let mut group = group.group();
    for row in 0..ROWS {
        let value = Array1::from_elem(1, row as f64);
        let (a, b) = (name(1), name(200));
        group.commit(&Rows::one(row), &[(&a, Values::from(&value)), (&b, Values::from(&value))]).expect("fits");
    }
    assert!(group.finish().into_iter().all(|outcome| outcome.is_ok()));
    let expected: Vec<Vec<Option<f64>>> = (0..ROWS).map(|row| vec![Some(row as f64); 2]).collect();
    assert_eq!(cells(&store, &[1, 200]), expected);
    store.adopt("t", &Adoption { again: true, ..Adoption::default() }, &|_, _| ()).expect("adopts again");
    assert_eq!(cells(&store, &[1, 200]), expected);
    assert_eq!(findings(&store), []);
}
