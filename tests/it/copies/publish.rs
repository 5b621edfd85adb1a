//! Published files: their content, what a second publish does, and what no reader ever sees.

use crate::common::content::{content, difference};
use crate::common::killing::Killer;
use crate::common::support::{Scratch, h5part, ok, py, run, small_store, small_table};
use h5part::publish::ErrorKind::NotPublished;
use h5part::{ErrorKind, Item};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::publish::{Packing, Publishing, Snapshot};
use h5part_engine::store::{CellState, Durability, Filters, NewTable, Store, Values};
use ndarray::{Array1, Array3};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What row `row` holds after its commit number `version`.
fn commit(store: &Store, rows: &[u64], version: f64) {
    let e: Array1<f64> = rows.iter().map(|&row| row as f64 + version / 64.0).collect();
    let f = Array3::from_shape_fn((rows.len(), 4, 3), |(k, i, j)| e[k] + (i * 3 + j) as f64 * 1000.0);
    let status = Array1::from_elem(rows.len(), 0i64);
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    let values = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&status))];
    writer.commit(&Rows::list(rows), &values).expect("commit");
}

/// Returns the rows with values and their versions. Each row must be whole.
fn rows_of(path: &Path) -> Vec<(u64, f64)> {
    let mut reader = Store::open(path).expect("opens").reader("t").expect("reader");
    let rows = reader.table().rows;
    let blocks = reader.read_columns(&["E", "F", "status"], &Rows::range(0..rows)).expect("reads");
    let (e, f) = (blocks[0].array::<f64>().expect("E"), blocks[1].array::<f64>().expect("F"));
    let mut found = Vec::new();
    for row in 0..rows as usize {
        let states: Vec<CellState> = blocks.iter().map(|block| block.states()[row]).collect();
        assert!(states.windows(2).all(|pair| pair[0] == pair[1]), "row {row}: {states:?}");
        if states[0] == CellState::Committed {
            assert_eq!(f[[row, 3, 2]], e[[row]] + 11000.0, "row {row} is of two commits");
            found.push((row as u64, (e[[row]] - row as f64) * 64.0));
        } else {
            assert!(e[[row]].is_nan() && f[[row, 0, 0]].is_nan(), "row {row}");
        }
    }
    found
}

fn publish(work: &str, out: &str, more: &[&str]) -> Value {
    let text = ok(&[&["publish", work, "-o", out, "--json"], more].concat());
    serde_json::from_str(&text).expect("JSON")
}

const WAYS: [&[&str]; 6] =
    [&[], &["--gzip", "1"], &["--gzip", "6", "--shuffle"], &["--gzip", "0"], &["--zstd", "3"], &["--plain"]];

#[test]
fn everything_is_there_in_every_way() {
    let scratch = Scratch::in_memory();
    let (work, path) = (scratch.text("w.h5"), scratch.path("w.h5"));
    let store = small_store(&path, 1000);
    commit(&store, &(0..700).collect::<Vec<_>>(), 1.0);
    commit(&store, &[5, 600, 3], 2.0);
    ok(&["attr", &work, "t", "level=7"]);
    let others = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'r+') as f:\n\
        \x20   f['t/E'].attrs['unit'] = 1.5\n\
        \x20   f.create_group('more/deep').attrs['x'] = True\n\
        \x20   f['more/raw'] = np.arange(20000.)\n\
        \x20   f['more/again'] = f['more/raw']\n\
        \x20   f['more/soft'] = h5py.SoftLink('/t/F')";
    let foreign = py(others, &[&work]).is_some();
    let before = content(&path).expect("reads");
    for (k, way) in WAYS.iter().enumerate() {
        let out = scratch.path(&format!("p{k}.h5"));
        let report = publish(&work, out.to_str().expect("UTF-8"), way);
        assert_eq!(
            (&report["cells"], &report["reused"]),
            (&Value::from(2100 + if foreign { 20000 } else { 0 }), &Value::from(0)),
            "{way:?}"
        );
        assert_eq!(rows_of(&out), rows_of(&path), "{way:?}");
        ok(&["verify", out.to_str().expect("UTF-8")]);
        // The stock library cannot read Zstandard without its plugin.
        if !way.contains(&"--zstd") {
            let names = difference(&before, &content(&out).expect("reads"));
            let ours = |name: &String| name.starts_with("/__h5part__/published") || name.starts_with("/@h5part_");
            assert!(names.iter().all(ours) && !names.is_empty(), "{way:?}: {names:?}");
        }
    }
    if foreign {
        let same = "import sys, h5py\n\
            for name in sys.argv[1:]:\n\
            \x20   with h5py.File(name) as f:\n\
            \x20       print(f['more/raw'] == f['more/again'], f.get('more/soft', getlink=True).path, f['t/F'].shape, f['t/F'].maxshape)";
        let out = py(same, &[&scratch.text("p0.h5"), &scratch.text("p5.h5")]).expect("python");
        assert_eq!(out, "True /t/F (1000, 4, 3) (None, 4, 3)\nTrue /t/F (1000, 4, 3) (1000, 4, 3)\n");
    }
}

#[test]
fn published_again_only_what_changed_is_done_again() {
    let scratch = Scratch::in_memory();
    let (work, out) = (scratch.text("w.h5"), scratch.text("p.h5"));
    let store = Store::new(&work).expect("path");
    store.create(&NewTable { chunk_rows: Some(50), ..small_table(1000) }, &|_, _| ()).expect("create");
    let raw = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'r+') as f:\n\
        \x20   f.create_dataset('g/raw', data=np.arange(80000.), chunks=(8000,), compression='gzip')";
    let foreign = u64::from(py(raw, &[&work]).is_some());
    commit(&store, &(0..1000).collect::<Vec<_>>(), 1.0);
    let report = publish(&work, &out, &[]);
    assert_eq!((&report["chunks"], &report["reused"]), (&Value::from(60 + 10 * foreign), &Value::from(0)));
    let report = publish(&work, &out, &[]);
    assert_eq!(report["reused"], 60 + 10 * foreign, "nothing has changed");
    // The guard of one chunk does not change.
    commit(&store, &[120, 121], 3.0);
    let report = publish(&work, &out, &[]);
    assert_eq!(report["reused"], 58 + 10 * foreign);
    if foreign == 1 {
        py("import sys, h5py\nwith h5py.File(sys.argv[1], 'r+') as f: f['g/raw'][8001] = -1.", &[&work])
            .expect("python");
        let report = publish(&work, &out, &[]);
        assert_eq!(report["reused"], 69, "what h5py changed is seen");
        assert_eq!(ok(&["read", &out, "g", "raw", "--rows", "8000:8003"]), "8000.0\n-1.0\n8002.0\n");
    }
    // With another packing nothing of the old file can be reused.
    assert_eq!(publish(&work, &out, &["--gzip", "4"])["reused"], 0);
    assert_eq!(rows_of(Path::new(&out)), rows_of(Path::new(&work)));
    // Nothing of a damaged old file is reused.
    let mut bytes = std::fs::read(&out).expect("reads");
    let at = bytes.len() / 2;
    bytes[at..at + 64].fill(0xA5);
    std::fs::write(&out, bytes).expect("writes");
    publish(&work, &out, &["--gzip", "4"]);
    ok(&["verify", &out]);
    assert_eq!(rows_of(Path::new(&out)), rows_of(Path::new(&work)));
}

#[test]
fn values_of_another_program_are_an_error_unless_they_are_accepted() {
    let scratch = Scratch::in_memory();
    let (work, out) = (scratch.text("w.h5"), scratch.text("p.h5"));
    let store = small_store(Path::new(&work), 100);
    commit(&store, &(0..90).collect::<Vec<_>>(), 1.0);
    let change = "import sys, h5py\n\
        with h5py.File(sys.argv[1], 'r+') as f:\n\
        \x20   f['t/E'][17] = -1.\n\
        \x20   f['t/E'][95] = -2.";
    if py(change, &[&work]).is_none() {
        return;
    }
    let (code, _, err) = run(&["publish", &work, "-o", &out]);
    assert!(code == 9 && err.contains("'E'") && err.contains("17") && !Path::new(&out).exists(), "{err}");
    publish(&work, &out, &["--accept-foreign"]);
    assert_eq!(ok(&["read", &out, "t", "E", "--rows", "17,95,18"]), "-1.0\n-2.0\n18.015625\n");
    let mut reader = Store::open(&out).expect("opens").reader("t").expect("reader");
    let states = reader.read("E", &Rows::list(&[17, 95, 18])).expect("reads").states().to_vec();
    assert_eq!(states, [CellState::Plain, CellState::Plain, CellState::Committed]);
}

/// For a file that nobody writes with h5part, only the copy is created.
#[test]
fn publishing_what_h5py_made_leaves_nothing_beside_it() {
    let scratch = Scratch::in_memory();
    let (work, out) = (scratch.text("w.h5"), scratch.text("p.h5"));
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f: f['g/v'] = np.arange(20000.)";
    if py(make, &[&work]).is_none() {
        return;
    }
    let before = std::fs::read(&work).expect("reads");
    assert_eq!(publish(&work, &out, &[])["cells"], 20000);
    let mut names: Vec<_> =
        std::fs::read_dir(scratch.path("")).expect("folder").flatten().map(|e| e.file_name()).collect();
    names.sort();
    assert_eq!(names, ["p.h5", "w.h5"]);
    assert!(std::fs::read(&work).expect("reads") == before);
}

#[test]
fn only_complete_rows() {
    let scratch = Scratch::in_memory();
    let (work, out) = (scratch.text("w.h5"), scratch.text("p.h5"));
    let store = small_store(Path::new(&work), 100);
    commit(&store, &(0..50).collect::<Vec<_>>(), 1.0);
    let e = Array1::from_elem(10, 5.0);
    store.writer("t").expect("writer").commit(&Rows::range(60..70), &[("E", Values::from(&e))]).expect("commit");
    let report = publish(&work, &out, &[]);
    assert_eq!((&report["cells"], &report["left_out_rows"]), (&Value::from(160), &Value::from(0)));
    let report = publish(&work, &out, &["--only-complete"]);
    assert_eq!((&report["cells"], &report["left_out_rows"]), (&Value::from(150), &Value::from(50)));
    assert_eq!(rows_of(Path::new(&out)).len(), 50);
    ok(&["verify", &out]);
}

#[test]
fn what_is_no_publication_is_not_replaced_and_what_is_is_not_changed() {
    let scratch = Scratch::in_memory();
    let (work, out, other) = (scratch.text("w.h5"), scratch.text("p.h5"), scratch.text("o.h5"));
    commit(&small_store(Path::new(&work), 10), &[1, 2], 1.0);
    let store = small_store(Path::new(&other), 10);
    for taken in [&other, &work] {
        let before = std::fs::read(taken).expect("reads");
        let (code, _, err) = run(&["publish", &work, "-o", taken]);
        assert!(code == 11 && err.contains("was not published from this store"), "{err}");
        assert!(std::fs::read(taken).expect("reads") == before);
    }
    std::fs::write(&out, b"my notes").expect("writes");
    assert_eq!(run(&["publish", &work, "-o", &out]).0, 11);
    assert_eq!(std::fs::read(&out).expect("reads"), b"my notes");
    std::fs::remove_file(&out).expect("removes");
    publish(&work, &out, &[]);
    // The published file of another store is a different file.
    assert_eq!(run(&["publish", &other, "-o", &out]).0, 11);
    drop(store);
    let before = std::fs::read(&out).expect("reads");
    let value = scratch.npy("v.npy", &[1], &[1.0]);
    let set = format!("E={value}");
    let attempts: [&[&str]; 4] = [
        &["update", &out, "t", "--rows", "3", "--set", &set],
        &["extend", &out, "t", "--rows", "20"],
        &["attr", &out, "t", "a=1"],
        &["create", &out, "u", "--rows", "3", "--column", "x:f64"],
    ];
    for attempt in attempts {
        let (code, _, err) = run(attempt);
        assert!(code == 10 && err.contains("published"), "{attempt:?}: {code} {err}");
    }
    assert!(std::fs::read(&out).expect("reads") == before);
    let (code, _, err) = run(&["publish", &scratch.text("none.h5"), "-o", &out]);
    assert!(code == 3 && err.contains("no such file"), "{err}");
    assert_eq!(run(&["publish", &work, "-o", &out, "--gzip", "10"]).0, 2);
    assert_eq!(run(&["publish", &work, "-o", &out, "--plain", "--zstd", "3"]).0, 2);
    assert_eq!(run(&["publish", &work, "-o", &out, "--shuffle"]).0, 2);
}

/// Rows that a dead writer had begun to overwrite are published with their old values.
#[test]
fn rows_of_dead_writers_are_published_with_their_old_values() {
    let scratch = Scratch::in_memory();
    let (path, out) = (scratch.path("w.h5"), scratch.path("p.h5"));
    let mut interrupted = 0;
    for call in 0..14 {
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(&out);
        let faulty = Faulty::default();
        let store = Store::new(&path).expect("path").with_storage(Arc::new(faulty.clone()));
        store.create(&small_table(20), &|_, _| ()).expect("create");
        commit(&store, &(0..20).collect::<Vec<_>>(), 1.0);
        let e: Array1<f64> = (4..7).map(|row| f64::from(row) + 2.0 / 64.0).collect();
        let f = Array3::from_shape_fn((3, 4, 3), |(k, i, j)| e[k] + (i * 3 + j) as f64 * 1000.0);
        let mut writer = store.writer("t").expect("writer");
        faulty.arm(Some(Fault { call, errno: 5, persistent: true }));
        let outcome = writer.commit(&Rows::range(4..7), &[("E", Values::from(&e)), ("F", Values::from(&f))]);
        if outcome.is_ok() {
            break;
        }
        drop((writer, store));
        interrupted += 1;
        let store = Store::open(&path).expect("opens");
        store.publish(&Store::new(&out).expect("path"), Publishing::default(), &|_, _| ()).expect("publishes");
        let published = rows_of(&out);
        // A commit that failed after its last stamp stands, although it was not acknowledged.
        let old_or_new = |(row, version): &(u64, f64)| *version == 1.0 || *version == 2.0 && (4..7).contains(row);
        assert!(published.len() == 20 && published.iter().all(old_or_new), "call {call}: {published:?}");
    }
    assert!(interrupted > 5, "{interrupted}");
}

#[test]
fn beside_writers_each_published_row_is_of_one_commit() {
    let scratch = Scratch::in_memory();
    for gzip in [false, true] {
        let (path, out) = (scratch.path(&format!("w{gzip}.h5")), scratch.path(&format!("p{gzip}.h5")));
        let store = Store::new(&path).expect("path");
        let filters = Filters { gzip: gzip.then_some(1), shuffle: false };
        let table = NewTable { chunk_rows: Some(64), filters, ..small_table(512) };
        store.create(&table, &|_, _| ()).expect("create");
        commit(&store, &(0..512).collect::<Vec<_>>(), 0.0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for k in 0..2u64 {
                let (store, done) = (&store, &done);
                scope.spawn(move || {
                    for version in 1.. {
                        let rows: Vec<u64> = (0..16).map(|i| (version * 37 + i * 2 + k) % 512 / 2 * 2 + k).collect();
                        let rows: std::collections::BTreeSet<u64> = rows.into_iter().filter(|row| *row < 512).collect();
                        commit(store, &rows.into_iter().collect::<Vec<_>>(), version as f64);
                        if done.load(Ordering::Acquire) {
                            return;
                        }
                    }
                });
            }
            let mut versions = Vec::new();
            for round in 0..8 {
                let packing = if round % 2 == 0 { Packing::Plain } else { Publishing::default().packing };
                let how = Publishing { packing, ..Publishing::default() };
                let out = Store::new(&out).expect("path");
                let published = store.publish(&out, how, &|_, _| ()).expect("publishes");
                assert_eq!(published.missing, 0, "a row that is overwritten is waited for");
                let rows = rows_of(out.path());
                assert_eq!(rows.len(), 512);
                versions.push(rows.iter().map(|(_, version)| *version).sum::<f64>());
            }
            done.store(true, Ordering::Release);
            assert!(versions.last() > versions.first(), "nothing was committed meanwhile: {versions:?}");
        });
    }
}

#[test]
fn views_stay_what_they_were() {
    let scratch = Scratch::in_memory();
    let (path, out) = (scratch.path("w.h5"), scratch.path("p.h5"));
    let store = small_store(&path, 100);
    commit(&store, &(0..60).collect::<Vec<_>>(), 1.0);
    let plain = Publishing { packing: Packing::Plain, ..Publishing::default() };
    let out = Store::new(&out).expect("path");
    store.publish(&out, plain, &|_, _| ()).expect("publishes");
    let old = Snapshot::open(&out).expect("opens");
    let f = old.view::<f64>("t", "F").expect("a view");
    assert_eq!((f.shape(), f[[59, 3, 2]], f[[60, 0, 0]].is_nan()), (&[100, 4, 3][..], 59.015625 + 11000.0, true));
    commit(&store, &[59], 2.0);
    store.publish(&out, plain, &|_, _| ()).expect("publishes");
    let new = Snapshot::open(&out).expect("opens");
    assert_eq!(f[[59, 0, 0]], 59.015625, "the old view stays");
    assert_eq!(new.view::<f64>("t", "F").expect("a view")[[59, 0, 0]], 59.03125);
    assert_eq!(new.view::<i64>("/t/", "status").expect("a view").iter().filter(|s| **s == 0).count(), 60);
    let kind = |e: h5part::Error| e.into_kind();
    assert!(matches!(kind(new.view::<f32>("t", "F").expect_err("f64")), ErrorKind::DtypeMismatch { .. }));
    assert!(matches!(
        kind(new.view::<f64>("u", "F").expect_err("no table")),
        ErrorKind::NotFound { what: Item::Table(_), .. }
    ));
    assert!(Snapshot::open(&store).expect_err("a working file").kind_of() == Some(&NotPublished));
    store.publish(&out, Publishing::default(), &|_, _| ()).expect("publishes");
    let packed = Snapshot::open(&out).expect("opens");
    assert!(matches!(kind(packed.view::<f64>("t", "F").expect_err("compressed")), ErrorKind::LibraryColumn { .. }));
}

#[test]
fn a_kill_at_any_instant_leaves_the_old_file_or_the_new_one() {
    let scratch = Scratch::in_memory();
    let (work, out) = (scratch.text("w.h5"), scratch.text("p.h5"));
    let store = Store::new(&work).expect("path");
    store.create(&NewTable { chunk_rows: Some(64), ..small_table(20_000) }, &|_, _| ()).expect("create");
    commit(&store, &(0..20_000).collect::<Vec<_>>(), 0.0);
    publish(&work, &out, &[]);
    let mut killer = Killer::new(Duration::from_millis(100));
    let (mut version, mut killed, mut round) = (0.0, 0, 0);
    while killed < 16 {
        round += 1;
        let next = f64::from(round);
        commit(&store, &[0], next);
        let level = if round % 2 == 0 { "1" } else { "2" };
        let mut command = std::process::Command::new(h5part().get_program());
        let mut child = command
            .args(["publish", &work, "-o", &out, "--gzip", level])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        killed += i32::from(killer.kill(&mut child));
        let rows = rows_of(Path::new(&out));
        assert_eq!(rows.len(), 20_000, "round {round}");
        assert!(
            rows[0].1 == version || rows[0].1 == next || rows[0].1 > version,
            "round {round}: {} {version} {next}",
            rows[0].1
        );
        version = rows[0].1;
    }
    println!("{killed} of {round} were killed");
    publish(&work, &out, &[]);
    let left: Vec<_> = std::fs::read_dir(scratch.path(""))
        .expect("folder")
        .flatten()
        .map(|e| e.file_name())
        .filter(|n| n.to_string_lossy().ends_with(".h5part-new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    ok(&["verify", &out]);
}

/// Views are aligned however long the preceding names are, and whatever the neighbouring columns are.
#[test]
fn views_of_small_columns_are_aligned() {
    for k in 0..9usize {
        let scratch = Scratch::in_memory();
        let (work, out) = (scratch.path("w.h5"), scratch.path("out.h5"));
        let store = Store::new(&work).expect("path");
        let columns = [("b", Dtype::U8), ("x", Dtype::F64), ("c", Dtype::I16), ("y", Dtype::F64)];
        let columns = columns.map(|(name, dtype)| ColumnSpec::new(&format!("{name}{}", "z".repeat(k)), dtype, &[]));
        store.create(&NewTable::new("t", 7, columns.to_vec()), &|_, _| ()).expect("creates");
        let how = Publishing { packing: Packing::Plain, ..Publishing::default() };
        store.publish(&Store::new(&out).expect("path"), how, &|_, _| ()).expect("publishes");
        let snapshot = Snapshot::open(&Store::open(&out).expect("opens")).expect("opens");
        for name in ["x", "y"] {
            let view = snapshot.view::<f64>("t", &format!("{name}{}", "z".repeat(k)));
            assert!(view.expect("is aligned").iter().all(|v| v.is_nan()), "{name}, {k}");
        }
    }
}

#[test]
fn levels_that_there_are_not_are_refused() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 4);
    let out = Store::new(scratch.path("o.h5")).expect("path");
    for packing in
        [Packing::Gzip { level: 10, shuffle: false }, Packing::Zstd { level: 0 }, Packing::Zstd { level: 23 }]
    {
        let error =
            store.publish(&out, Publishing { packing, ..Publishing::default() }, &|_, _| ()).expect_err("refused");
        assert!(
            matches!(error.kind(), ErrorKind::BadRequest(_)) && error.to_string().contains("has levels"),
            "{error}"
        );
        assert!(!scratch.path("o.h5").exists());
    }
}
