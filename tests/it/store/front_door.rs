//! The front door: the library as a user's program sees it.

use crate::common::support::Scratch;
use h5part::merge::{MergeOptions, merge};
use h5part::publish::{Packing, Publishing, Snapshot};
use h5part::verify::Verify;
use h5part::{
    Adoption, Attribute, CellState, Dtype, Durability, ErrorKind, Fence, Misfit, Rows, RowsFault, Side, Store,
    StoreOptions, StorePair, Table, Values,
};
use ndarray::{Array1, Array3};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Names the file for a worker process, which is this program started again.
const FILE: &str = "H5PART_FRONT_DOOR_FILE";
/// The first row of its share.
const FIRST: &str = "H5PART_FRONT_DOOR_FIRST";
const SHARE: u64 = 200;

fn table() -> Table {
    Table::new("frames", 4000).column::<f64>("E", []).column::<f64>("F", [100, 3])
}

fn small(scratch: &Scratch, name: &str) -> Store {
    let table = Table::new("t", 100).column::<f64>("E", []).column_with_fill("status", [], -1_i64);
    Store::create(scratch.path(name), table).expect("creates")
}

/// The worker of the README. Does nothing unless it was started as one.
#[test]
fn a_worker_process() -> h5part::Result<()> {
    let (Ok(file), Ok(first)) = (std::env::var(FILE), std::env::var(FIRST)) else { return Ok(()) };
    let first: u64 = first.parse().expect("a number");
    let store = Store::open(file)?;
    let mut frames = store.writer("frames")?;
    frames.set_durability(Durability::Process);
    for row in (first..first + SHARE).step_by(10) {
        let (energies, forces) = (Array1::from_elem(10, row as f64), Array3::<f64>::ones((10, 100, 3)));
        frames.commit(row..row + 10).set("E", &energies).set("F", &forces).run()?;
    }
    Ok(())
}

#[test]
fn processes_run_the_program_of_the_readme() {
    let scratch = Scratch::new();
    let store = Store::create(scratch.path("run.h5"), table()).expect("creates");
    let start = |first: u64| {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        // Without the name of the crate, as in the names of tests.
        let (_, module) = module_path!().split_once("::").expect("a module of the crate");
        command.args([&format!("{module}::a_worker_process"), "--exact"]);
        command.env(FILE, store.path()).env(FIRST, first.to_string()).output().expect("starts")
    };
    std::thread::scope(|scope| {
        for worker in [scope.spawn(|| start(0)), scope.spawn(|| start(SHARE))] {
            let output = worker.join().expect("runs");
            let out = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && out.contains("1 passed"), "{out}");
        }
    });
    let mut reader = store.reader("frames").expect("reader");
    let energies = reader.read("E", 0..2 * SHARE + 1).expect("reads");
    let mask = energies.mask().to_vec();
    assert!(mask[..400].iter().all(|&there| there) && !mask[400], "{mask:?}");
    let values = energies.array::<f64>().expect("f64");
    assert!((0..400).all(|row| values[[row]] == (row / 10 * 10) as f64));
    assert_eq!(store.missing("frames").expect("reads").to_string(), "400:4000");
    assert_eq!(store.status("frames").expect("reads").columns[1].committed, 400);
    let part = reader.read_part("F", [399, 400], "0:2, 1").expect("reads");
    assert_eq!((part.shape(), part.mask().to_vec()), ([2, 2, 1].as_slice(), vec![true, false]));
    assert_eq!(part.array::<f64>().expect("f64")[[0, 1, 0]], 1.0);
}

#[test]
fn rows_and_values_in_all_forms() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let store = small(&scratch, "a.h5");
    let mut writer = store.writer("t")?;
    let list = vec![40, 30];
    let (vec, array) = (vec![7.0, 8.0], Array1::from_vec(vec![9.0, 10.0]));
    writer.commit(0).set("E", 1.0).set("status", 0_i64).run()?;
    writer.commit(1..3).set("E", &[2.0, 3.0]).run()?;
    writer.commit(5..=6).set("E", &vec).run()?;
    writer.commit([9, 8]).set("E", &array).run()?;
    writer.commit(&list).set("E", &vec[..]).run()?;
    writer.commit([50..51, 60..61]).set("E", &vec).run()?;
    writer.commit((70..80).step_by(5).collect::<Rows>()).set("E", &vec).run()?;
    writer.commit(&Rows::parse("-1", 100)?).set("E", 99.0).run()?;
    let rows = [0, 1, 2, 5, 6, 8, 9, 30, 40, 50, 60, 70, 75, 99];
    let block = store.reader("t")?.read("E", rows)?;
    assert!(block.mask().iter().all(|&there| there));
    let expected = [1.0, 2.0, 3.0, 7.0, 8.0, 10.0, 9.0, 8.0, 7.0, 7.0, 8.0, 7.0, 8.0, 99.0];
    assert_eq!(block.array::<f64>()?.into_raw_vec_and_offset().0, expected);
    let missing: Rows = store.missing("t")?;
    assert_eq!(missing.len(), 99, "only row 0 has a status");

    // A row named twice is read twice, and refused in a commit.
    assert_eq!(store.reader("t")?.read("E", [1, 1])?.array::<f64>()?.into_raw_vec_and_offset().0, [2.0, 2.0]);
    let twice = writer.commit([1, 1]).set("E", &vec).run().expect_err("twice");
    assert!(matches!(twice.kind(), ErrorKind::BadRows(RowsFault::Twice(1))), "{twice}");
    Ok(())
}

#[test]
fn a_commit_that_expects_what_is_no_longer_there_writes_nothing() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let store = small(&scratch, "a.h5");
    let (mut one, mut other) = (store.writer("t")?, store.writer("t")?);
    let seen = one.read_stored("status", 0..2)?;
    assert_eq!(seen.array::<i64>()?.into_raw_vec_and_offset().0, [-1, -1]);
    one.commit(0..2).set("status", &[1_i64, 1]).expect("status", &seen).run()?;
    let late = other.commit(0..2).set("status", &[2_i64, 2]).expect("status", &seen).run().expect_err("changed");
    assert!(matches!(late.kind(), ErrorKind::NotAsExpected { .. }), "{late}");
    let seen = store.reader("t")?.read("status", 0..2)?;
    assert_eq!(seen.array::<i64>()?.into_raw_vec_and_offset().0, [1, 1]);
    other.commit(0..2).set("status", &[2_i64, 2]).expect("status", &seen).run()?;
    Ok(())
}

/// A fence whose work was given to someone else.
#[derive(Debug)]
struct Fenced;

impl Fence for Fenced {
    fn check(&self) -> Result<(), ErrorKind> {
        Err(ErrorKind::Poisoned)
    }
}

#[test]
fn groups_fences_resets() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let store = small(&scratch, "a.h5");
    let mut writer = store.writer("t")?;
    let mut group = writer.group();
    for row in 0..20 {
        group.commit(row).set("E", row as f64).set("status", 0_i64).add()?;
    }
    let wrong = group.commit(100).set("E", 1.0).add().expect_err("out of range");
    assert!(matches!(wrong.kind(), ErrorKind::RowOutOfRange { row: 100, rows: 100 }), "{wrong}");
    assert_eq!(group.len(), 20);
    assert!(group.finish().into_iter().all(|outcome| outcome.is_ok_and(|commit| commit.rows == 1)));
    writer.set_fence(Some(Arc::new(Fenced)));
    assert!(writer.commit(30).set("E", 1.0).run().is_err());
    writer.set_fence(None);
    writer.reset(5..8)?;
    store.reset("t", 19)?;
    assert_eq!(store.missing("t")?.to_string(), "5:8,19:100");
    let presence = store.reader("t")?.presence(0..20)?;
    assert_eq!((presence.committed, presence.durable), (16, 16));
    assert_eq!(store.recover()?.records, 0);
    Ok(())
}

#[test]
fn errors_say_what_failed_where_and_are_of_one_type() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let store = small(&scratch, "a.h5");
    let file = store.path().display().to_string();
    let block = store.reader("t")?.read("E", 0)?;
    let error = block.array::<f32>().expect_err("another type");
    assert!(error.path() == store.path() && error.to_string().contains("'E'"), "{error}");

    let error = Store::open(scratch.path("none.h5")).expect_err("no such file");
    assert!(matches!(error.kind(), ErrorKind::NotFound { what: h5part::Item::File, .. }), "{error}");
    let error = store.writer("none").expect_err("no such table");
    assert!(error.to_string().contains(&file), "{error}");
    let error = Store::create(store.path(), Table::new("t", 1).column::<f64>("E", [])).expect_err("is there");
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists(h5part::Item::Table(_))), "{error}");
    let error = Store::create(store.path(), Table::new("u", 1)).expect_err("no columns");
    assert!(matches!(error.kind(), ErrorKind::BadRequest(_)), "{error}");
    let mut writer = store.writer("t")?;
    let error = writer.commit(0..2).set("E", &[1.0]).run().expect_err("too few");
    assert!(matches!(error.kind(), ErrorKind::BadValues(Misfit::Shape { .. })), "{error}");

    // Without a file there is none to name.
    let fails = || -> h5part::Result<Rows> { Ok(Rows::parse("x", 10)?) };
    let error = fails().expect_err("not a number");
    assert!(matches!(error.kind(), ErrorKind::BadRows(RowsFault::Unreadable { .. })));
    assert!(error.to_string().starts_with("bad selection 'x'"), "{error}");
    let spec: h5part::ColumnSpec = "z:u8:2x2=7".parse()?;
    assert_eq!((spec.dtype, spec.shape), (Dtype::U8, vec![2, 2]));
    Values::new(Dtype::U8, &[4], vec![0; 3]).expect_err("too few bytes");
    Ok(())
}

#[test]
fn tables_are_required_extended_and_described() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| Store::require(&path, table()))).collect();
        for one in all {
            one.join().expect("runs").expect("one makes it, all have it");
        }
    });
    let store = Store::require(&path, table())?;
    for (other, word) in [
        (Table::new("frames", 4001).column::<f64>("E", []), "row 4000 is out of range"),
        (Table::new("frames", 4000).column::<f32>("E", []), "f32"),
        (Table::new("frames", 4000).column::<f64>("F", [3]), "100x3"),
        (Table::new("frames", 4000).column::<f64>("G", []), "'G'"),
    ] {
        let error = store.require_table(other).expect_err("does not fit");
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(store.extend("frames", 5000)?, 4000);
    store.add_columns("/frames/", |table| table.column_with_fill("n", [2], 7_u16))?;
    store.set_attribute("frames", "units", "12")?;
    store.set_attribute("frames", "steps", 12_i64)?;
    assert_eq!(store.attribute("frames", "units")?, Some(Attribute::Text("12".to_owned())));
    assert_eq!(store.attribute("frames", "steps")?, Some(Attribute::Int(12)));
    assert_eq!(store.attribute("frames", "none")?, None);
    let tables = store.tables()?;
    let frames = &tables[0];
    assert_eq!((tables.len(), frames.path.as_str(), frames.rows, frames.has_stamps), (1, "frames", 5000, true));
    let column = frames.columns.iter().find(|column| column.name == "n").expect("was added");
    assert_eq!((column.dtype, column.shape.as_slice()), (Some(Dtype::U16), [2].as_slice()));
    assert!(column.is_direct && column.has_stamp && column.fill == 7_u16.to_le_bytes());
    assert_eq!(store.writer("frames")?.table(), store.reader("frames")?.table());
    Ok(())
}

#[test]
fn options_are_kept_and_progress_is_told() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let told = Arc::new(AtomicU64::new(0));
    let options = {
        let told = Arc::clone(&told);
        StoreOptions::new()
            .timeout(Duration::from_millis(50))
            .on_progress(move |_, total| told.store(total, Ordering::Relaxed))
    };
    let store = options.create(scratch.path("a.h5"), table())?;
    store.verify(&Verify::default())?;
    assert!(told.load(Ordering::Relaxed) > 0);
    let lock = std::fs::File::open(scratch.path("a.h5.lock")).expect("the gate");
    lock.lock().expect("nobody has it");
    let error = store.extend("frames", 5000).expect_err("the gate is held");
    assert!(matches!(error.kind(), ErrorKind::LockTimeout { .. }), "{error}");
    Ok(())
}

#[test]
fn published_merged_paired_adopted_verified() -> h5part::Result<()> {
    let scratch = Scratch::new();
    let (one, two) = (small(&scratch, "1.h5"), small(&scratch, "2.h5"));
    one.writer("t")?.commit(0..2).set("E", &[1.0, 2.0]).set("status", &[0_i64, 0]).run()?;
    two.writer("t")?.commit(2).set("E", 3.0).set("status", 0_i64).run()?;
    let all = scratch.path("all.h5");
    assert!(merge(&all, [one.path(), two.path()], &MergeOptions::default())?.is_complete());
    assert_eq!(Store::open(&all)?.missing("t")?.to_string(), "3:100");
    assert!(one.merge([two.path()], &MergeOptions::default())?.is_complete());
    assert!(one.verify(&Verify::default())?.sound);

    let out = scratch.path("out.h5");
    let published = one.publish(&out, Publishing { packing: Packing::Plain, ..Publishing::default() })?;
    assert_eq!((published.tables, published.cells), (1, 6));
    let snapshot = Snapshot::open(&out)?;
    assert_eq!(snapshot.view::<f64>("t", "E")?[[2]], 3.0);
    assert_eq!(snapshot.tables()[0].rows, 100);
    let error = Store::open(&out)?.writer("t").expect_err("published");
    assert!(matches!(error.kind(), ErrorKind::Published), "{error}");

    let work = Store::create(scratch.path("work.h5"), Table::new("new", 1).column::<f64>("x", []))?;
    let pair = StorePair::new(work, Store::open(&out)?);
    assert_eq!((pair.find("new", None)?, pair.find("t", Some("E"))?), (Side::Work, Side::Parent));
    assert_eq!(pair.reader("t")?.read("E", 2)?.states(), [CellState::Committed]);
    assert_eq!(pair.tables()?.len(), 2);

    let error = one.adopt("t", &Adoption::default()).expect_err("has stamps");
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists(h5part::Item::Stamps(_))), "{error}");
    let again = one.adopt("t", &Adoption { again: true, ..Adoption::default() })?;
    assert_eq!(again.rows, 100);
    Ok(())
}
