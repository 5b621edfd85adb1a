//! Structural changes of files in use: tables, attributes and rows are added and taken back.

use crate::common::content::{Content, content};
use crate::common::stopping::Stopping;
use crate::common::support::{Scratch, ok, run, small_store, small_table};
use crate::store::changes::{SUPERBLOCKS, stock_file, store_with_rows};
use h5part::ErrorKind;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::{Filters, NewTable};
use h5part_engine::store::{CellState, Store, Values};
use ndarray::Array1;
use std::path::Path;
use std::sync::Arc;

fn generation(path: &Path) -> u64 {
    let file = hdf5::File::open(path).expect("opens");
    file.attr("h5part_generation").expect("there").read_scalar().expect("u64")
}

/// The content of the file that is not h5part's.
fn foreign(path: &Path) -> Content {
    let mut content = content(path).expect("opens");
    content.retain(|name, _| name.starts_with("/p/") && !name.contains("h5part") || name.starts_with("/big"));
    assert_eq!(content.len(), 4, "{:?}", content.keys());
    content
}

#[test]
fn every_command_in_files_of_every_version() {
    for superblock in SUPERBLOCKS {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        stock_file(&path, superblock);
        let (file, before) = (scratch.text("a.h5"), foreign(&path));
        let values = scratch.npy("v.npy", &[2], &[1.5, 2.5]);
        for (step, command) in [
            &["create", &file, "deep/t", "--rows", "5", "--column", "E:f64", "--attr", "n=1"][..],
            &["create", &file, "z", "--rows", "5", "--column", "E:f64", "--gzip", "3", "--shuffle"],
            &["attr", &file, "deep/t", "n=2", "text=some words", "x=1.5", "yes=true"],
            &["extend", &file, "deep/t", "--rows", "700"],
            &["extend", &file, "z", "--rows", "700"],
            &["adopt", &file, "p"],
            &["extend", &file, "deep/t", "--rows", "700000"],
        ]
        .iter()
        .enumerate()
        {
            ok(command);
            assert_eq!(generation(&path), step as u64 + 1, "{command:?}");
            assert_eq!(foreign(&path), before, "{command:?}");
        }
        for table in ["deep/t", "z"] {
            ok(&["update", &file, table, "--rows", "699,2", "--set", &format!("E={values}")]);
            assert_eq!(ok(&["read", &file, table, "E", "--rows", "2,3,699"]), "2.5\nNaN\n1.5\n", "{table}");
        }
        let stock = hdf5::File::open(&path).expect("opens");
        let group = stock.group("deep/t").expect("there");
        assert_eq!(group.attr("n").and_then(|a| a.read_scalar::<i64>()).expect("i64"), 2);
        assert_eq!(group.attr("x").and_then(|a| a.read_scalar::<f64>()).expect("f64"), 1.5);
        assert_eq!(std::fs::read(&path).expect("read")[8], superblock);
    }
}

#[test]
fn a_contiguous_table_cannot_grow_and_nothing_changes() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "5", "--column", "E:f64", "--contiguous"]);
    let before = std::fs::read(&file).expect("read");
    let (code, _, err) = run(&["extend", &file, "t", "--rows", "6"]);
    assert!(code == 10 && err.contains("cannot grow"), "{code} {err}");
    assert_eq!(run(&["extend", &file, "t", "--rows", "4"]).0, 10);
    assert_eq!(run(&["extend", &file, "x", "--rows", "9"]).0, 3);
    assert_eq!(run(&["attr", &file, "x", "a=1"]).0, 3);
    assert!(std::fs::read(&file).expect("read") == before);
}

#[test]
fn a_living_writer_and_reader_follow_a_table_that_grows() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    let e = Array1::from_elem(2, 1.5);
    writer.commit(&Rows::range(0..2), &[("E", Values::from(&e))]).expect("commit");
    for rows in [11u64, 600, 5000, 140_000] {
        let had = reader.table().rows;
        assert_eq!(store.extend("t", rows).expect("extend"), had);
        let ends = Rows::list(&[1, rows - 1]);
        writer.commit(&ends, &[("E", Values::from(&e))]).expect("commit");
        let block = reader.read("E", &Rows::list(&[0, 1, rows - 1, rows / 2 + 1])).expect("read");
        let present = [CellState::Committed, CellState::Committed, CellState::Committed, CellState::Missing];
        assert_eq!(block.states(), present, "{rows} rows");
        assert_eq!((reader.table().rows, writer.table().rows), (rows, rows));
        let error = writer.commit(&Rows::one(rows), &[("E", Values::from(&Array1::from_elem(1, 1.0)))]);
        assert!(matches!(error.expect_err("beyond").kind(), ErrorKind::RowOutOfRange { .. }));
    }
    assert_eq!(store.status("t", 1).expect("status").columns[0].committed, 6);
}

#[test]
fn a_living_writer_resets_rows_that_were_added_since_it_was_opened() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    store.extend("t", 20).expect("extend");
    let e = Array1::from_elem(1, 1.5);
    store.writer("t").expect("writer").commit(&Rows::one(15), &[("E", Values::from(&e))]).expect("commit");
    assert_eq!(writer.reset(&Rows::one(15)).expect("reset").rows, 1);
    assert_eq!(store.status("t", 1).expect("status").columns[0].committed, 0);
    assert!(matches!(writer.reset(&Rows::one(20)).expect_err("beyond").kind(), ErrorKind::RowOutOfRange { .. }));
}

#[test]
fn a_table_of_fixed_size_is_as_large_as_it_is() {
    let scratch = Scratch::new();
    let store = Store::new(scratch.path("a.h5")).expect("path");
    store.create(&NewTable { contiguous: true, ..small_table(10) }, &|_, _| ()).expect("create");
    assert_eq!(store.extend("t", 10).expect("nothing to do"), 10);
    assert!(matches!(store.extend("t", 11).expect_err("cannot").kind(), ErrorKind::CannotGrow { .. }));
}

fn states(store: &Store, table: &str, columns: &[&str], row: u64) -> Vec<CellState> {
    let mut reader = store.reader(table).expect("reader");
    columns.iter().map(|column| reader.read(column, &Rows::one(row)).expect("read").states()[0]).collect()
}

#[test]
fn rows_that_are_reset_are_fill_and_missing() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let store = store_with_rows(&path, 2);
    let file = scratch.text("a.h5");
    for (table, columns) in [("t", ["E", "F"]), ("g", ["z", "s"])] {
        assert!(ok(&["reset", &file, table, "--rows", "3,9"]).starts_with("reset 2 rows"));
        assert_eq!(states(&store, table, &columns, 2), [CellState::Committed; 2]);
        assert_eq!(states(&store, table, &columns, 3), [CellState::Missing; 2]);
        assert_eq!(states(&store, table, &columns, 4), [CellState::Committed; 2]);
    }
    let stock = hdf5::File::open(&path).expect("opens");
    assert!(stock.dataset("t/E").expect("E").read_raw::<f64>().expect("read")[3].is_nan());
    let z = stock.dataset("g/z").expect("z").read_raw::<f64>().expect("read");
    assert!(z[300..400].iter().all(|v| v.is_nan()) && z[400..500].iter().all(|&v| v == 1.5));
    assert_eq!(stock.dataset("g/s").expect("s").read_raw::<i64>().expect("read")[2..5], [7, 0, 7]);
}

#[test]
fn a_reset_row_has_its_guard_undefined() {
    for filters in [Filters::default(), Filters { gzip: Some(2), shuffle: false }] {
        let scratch = Scratch::new();
        let store = Store::new(scratch.path("a.h5")).expect("path");
        let status = ColumnSpec { fill: vec![1, 0, 0, 0], ..ColumnSpec::new("status", Dtype::I32, &[]) };
        let columns = vec![ColumnSpec::new("E", Dtype::F64, &[]), status];
        let table = NewTable { guard: Some("status".to_owned()), filters, ..NewTable::new("t", 5, columns) };
        store.create(&table, &|_, _| ()).expect("create");
        let mut writer = store.writer("t").expect("writer");
        let (e, s) = (Array1::from_elem(3, 2.5), Array1::from_elem(3, 0i32));
        writer.commit(&Rows::range(1..4), &[("E", Values::from(&e)), ("status", Values::from(&s))]).expect("commit");
        writer.reset(&Rows::one(2)).expect("reset");
        drop(writer);
        let stock = hdf5::File::open(store.path()).expect("opens").dataset("t/status").expect("there");
        assert_eq!(stock.read_raw::<i32>().expect("read"), [1, 0, 1, 0, 1]);
        assert_eq!(states(&store, "t", &["E", "status"], 2), [CellState::Missing; 2]);
    }
}

#[test]
fn a_change_that_fails_leaves_the_bytes_of_before() {
    for superblock in SUPERBLOCKS {
        let scratch = Scratch::new();
        let store = store_with_rows(&scratch.path("a.h5"), superblock);
        let before = std::fs::read(store.path()).expect("read");
        let unchanged = |why: &str| assert!(std::fs::read(store.path()).expect("read") == before, "{why}");
        let big = Array1::from_elem(100_000, 3.0);
        let error = store.change(|h5| {
            h5.library().unlink("big")?;
            h5.library().new_dataset_builder().with_data(&big).create("more")?;
            h5.flush()?;
            Err::<(), _>(ErrorKind::BadRequest("on second thoughts".to_owned()).into())
        });
        assert!(matches!(error.expect_err("told").kind(), ErrorKind::BadRequest(_)));
        unchanged("an error of the work");
        let mut kept = None;
        let error = store.change(|h5| {
            kept = Some(h5.library().new_dataset_builder().with_data(&big).create("more")?);
            Ok(())
        });
        assert!(matches!(error.expect_err("told").kind(), ErrorKind::StillOpen));
        unchanged("a handle is kept");
        drop(kept);
        unchanged("the handle is gone");
        let error = store.change(|h5| Ok(h5.library().dataset("big")?));
        assert!(matches!(error.expect_err("told").kind(), ErrorKind::StillOpen));
        unchanged("a handle is returned");
        store.change(|_| Ok(())).expect("the next one works");
        store.writer("t").expect("writer");
    }
}

#[test]
fn a_file_shrinks_and_grows_again() {
    for superblock in SUPERBLOCKS {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        stock_file(&path, superblock);
        let len = || std::fs::metadata(&path).expect("stat").len();
        let before = len();
        let store = Store::open(&path).expect("opens");
        store.change(|h5| Ok(h5.library().unlink("big")?)).expect("change");
        assert!(len() + 100_000 < before, "{before} bytes, then {}", len());
        store
            .change(|h5| {
                let file = h5.library();
                for name in ["one", "two"] {
                    file.new_dataset_builder().with_data(&Array1::from_elem(40_000, 1.5)).create(name)?;
                    h5.flush()?;
                    file.unlink(name)?;
                    h5.flush()?;
                }
                file.new_dataset_builder().with_data(&Array1::from_elem(30_000, 2.5)).create("three")?;
                Ok(())
            })
            .expect("change");
        assert!(len() > before);
        let stock = hdf5::File::open(&path).expect("opens");
        assert!(stock.dataset("three").expect("there").read_raw::<f64>().expect("read").iter().all(|&v| v == 2.5));
        assert!(stock.dataset("p/x").expect("there").read_raw::<f64>().expect("read").iter().all(|&v| v == 2.5));
        assert_eq!(stock.member_names().expect("names"), ["p", "three"]);
    }
}

/// Fifty more small datasets in a file of two thousand.
#[test]
fn a_change_costs_what_it_changes() {
    for superblock in SUPERBLOCKS {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        stock_file(&path, superblock);
        let add = |group: &hdf5::Group, n: usize| {
            (0..n).try_for_each(|k| {
                group.new_dataset_builder().with_data(&[1.5; 4]).create(format!("d{k:04}").as_str()).map(drop)
            })
        };
        let file = hdf5::File::open_rw(&path).expect("opens");
        add(&file.create_group("many").expect("group"), 2000).expect("datasets");
        drop(file);
        let counting = Stopping::default();
        let store = Store::open(&path).expect("opens").with_storage(Arc::new(counting.clone()));
        store.create(&small_table(5), &|_, _| ()).expect("create");
        let before = counting.written("change.log");
        store.change(|h5| Ok(add(&h5.library().create_group("few")?, 50)?)).expect("change");
        let log = counting.written("change.log") - before;
        assert!(log > 0 && log < 40_000, "superblock {superblock}: {log} bytes of log");
        assert_eq!(content(&path).expect("opens").keys().filter(|name| name.starts_with("/few/d")).count(), 50);
    }
}
