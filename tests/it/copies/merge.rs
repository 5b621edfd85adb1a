//! Merging files of the same tables into one.

use crate::common::killing::Killer;
use crate::common::support::{Scratch, h5part, ok, py, remove_store, run, small_store, small_table};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_base::storage::{Disk, Mode, Storage};
use h5part_engine::h5::{Attribute, Filters, NewTable};
use h5part_engine::store::{Durability, Reader, Store, Values};
use ndarray::{Array1, Array3};
use std::path::Path;
use std::time::Duration;

/// Commits rows that hold the same values in every file.
fn commit(store: &Store, rows: std::ops::Range<u64>) {
    let n = usize::try_from(rows.end - rows.start).expect("fits");
    let e: Array1<f64> = rows.clone().map(|row| row as f64).collect();
    let f = Array3::from_shape_fn((n, 4, 3), |(k, i, j)| (rows.start + k as u64) as f64 + (i * 3 + j) as f64 / 16.0);
    let status = Array1::from_elem(n, 0i64);
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(Durability::Process);
    let values = [("E", Values::from(&e)), ("F", Values::from(&f)), ("status", Values::from(&status))];
    writer.commit(&Rows::range(rows), &values).expect("commit");
}

fn mask(path: &Path, column: &str) -> Vec<bool> {
    let mut reader = Store::open(path).expect("open").reader("t").expect("reader");
    let rows = reader.table().rows;
    reader.read(column, &Rows::range(0..rows)).expect("read").mask().to_vec()
}

/// Checks that the rows with values hold what `commit` writes. Returns their number.
fn check(path: &Path) -> usize {
    let mut reader: Reader = Store::open(path).expect("open").reader("t").expect("reader");
    let rows = reader.table().rows;
    let blocks = reader.read_columns(&["E", "F", "status"], &Rows::range(0..rows)).expect("read");
    let (e, f) = (blocks[0].array::<f64>().expect("E"), blocks[1].array::<f64>().expect("F"));
    let mask = blocks[0].mask();
    assert_eq!(mask, blocks[1].mask(), "rows are whole");
    assert_eq!(mask, blocks[2].mask(), "rows are whole");
    for (row, _) in mask.iter().enumerate().filter(|(_, there)| **there) {
        assert!(e[[row]] == row as f64 && f[[row, 3, 2]] == row as f64 + 11.0 / 16.0, "row {row}");
    }
    mask.iter().filter(|there| **there).count()
}

fn merge(out: &Path, inputs: &[&Path]) -> (i32, String, String) {
    let mut args = vec!["merge", out.to_str().expect("UTF-8")];
    args.extend(inputs.iter().map(|path| path.to_str().expect("UTF-8")));
    run(&args)
}

#[test]
fn rows_of_four_workers() {
    let scratch = Scratch::new();
    let files: Vec<_> = (0..4).map(|k| scratch.path(&format!("w{k}.h5"))).collect();
    std::thread::scope(|scope| {
        for (k, file) in (0..).zip(&files) {
            scope.spawn(move || {
                let store = small_store(file, 1000);
                for block in 0..4 {
                    let first = block * 250 + k * 50;
                    commit(&store, first..first + 50);
                }
            });
        }
    });
    let store = Store::open(&files[0]).expect("open");
    store.set_attributes("t", &[("unit".to_owned(), Attribute::Text("eV".to_owned()))]).expect("attribute");
    let out = scratch.path("all.h5");
    let inputs: Vec<&Path> = files.iter().map(std::path::PathBuf::as_path).collect();
    let (code, text, err) = merge(&out, &inputs);
    assert_eq!((code, err.as_str()), (0, ""), "{text}");
    assert!(text.contains("table 't': 1000 rows, 2400 cells merged, 0 were there already"), "{text}");
    assert_eq!(check(&out), 800);
    assert!(
        mask(&out, "E").iter().enumerate().all(|(row, &there)| there == (row % 250 < 200)),
        "missing stays missing"
    );
    ok(&["verify", out.to_str().expect("UTF-8")]);
    assert_ne!(Store::open(&out).expect("open").identity().expect("uuid").0, store.identity().expect("uuid").0);
    let info = ok(&["info", out.to_str().expect("UTF-8")]);
    assert_eq!(info.matches("direct").count(), 3, "{info}");
    // Merging again finds nothing to do.
    let (code, text, _) = merge(&out, &inputs);
    assert_eq!(code, 0);
    assert!(text.contains("0 cells merged, 2400 were there already") && text.contains("added to"), "{text}");
    let script = "import sys, h5py, numpy as np\n\
        t = h5py.File(sys.argv[1])['t']\n\
        e = t['E'][...]; there = np.arange(1000) % 250 < 200\n\
        print(t.attrs['unit'], (e[there] == np.arange(1000)[there]).all(), np.isnan(e[~there]).all(), t['status'][200])";
    if let Some(found) = py(script, &[out.to_str().expect("UTF-8")]) {
        assert_eq!(found, "eV True True 1\n");
    }
}

/// Temporary files of builds beside a file.
fn leftovers(scratch: &Scratch, of: &str) -> Vec<String> {
    let entries = std::fs::read_dir(scratch.path(of).parent().expect("folder")).expect("reads");
    let names = entries.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!(".{of}.")) && name.ends_with(".h5part-new")).collect()
}

#[test]
fn files_that_disagree_are_both_named() {
    let scratch = Scratch::new();
    let (a, b, c) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("c.h5"));
    for (file, rows) in [(&a, 0..50), (&b, 40..80), (&c, 90..100)] {
        commit(&small_store(file, 100), rows);
    }
    let out = scratch.path("out.h5");
    let mut writer = Store::open(&b).expect("open").writer("t").expect("writer");
    let other = Array1::from_elem(1, 7.25);
    writer.commit(&Rows::one(45), &[("E", Values::from(&other))]).expect("commit");
    drop(writer);
    let (code, _, err) = merge(&out, &[&c, &a, &b]);
    assert_eq!(code, 4, "{err}");
    let (at, text) = (format!("cannot merge {}", b.display()), format!("is 7.25 here, and 45.0 in {}", a.display()));
    assert!(err.contains(&at) && err.contains("row 45 of column 'E' of table 't'") && err.contains(&text), "{err}");
    assert!(!out.exists(), "a first merge is made whole or not at all");
    assert_eq!(leftovers(&scratch, "out.h5"), [""; 0]);
    // Rows between those of the first merge and those of the next.
    assert_eq!(merge(&out, &[&a]).0, 0);
    let (code, _, err) = merge(&out, &[&b]);
    assert!(code == 4 && err.contains(&format!("45.0 in {}", out.display())), "{err}");
    assert_eq!(check(&out), 50);
}

/// There are many NaN values. Two of them are equal only if their bytes are.
#[test]
fn values_are_compared_by_their_bytes() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("out.h5"));
    for (file, bits) in [(&a, 0x7ff8_0000_0000_0000u64), (&b, 0x7ff8_0000_0000_0001)] {
        let mut writer = small_store(file, 3).writer("t").expect("writer");
        let values = Array1::from_vec(vec![f64::from_bits(bits), -0.0]);
        writer.commit(&Rows::range(0..2), &[("E", Values::from(&values))]).expect("commit");
    }
    let (code, _, err) = merge(&out, &[&a, &b]);
    assert!(code == 4 && err.contains("0x7ff8000000000001 here, and 0x7ff8000000000000"), "{err}");
    assert_eq!(merge(&out, &[&a, &a]).0, 0, "one file twice agrees with itself");
    assert_eq!(mask(&out, "E"), [true, true, false], "a committed NaN is a value");
    assert_eq!(mask(&out, "F"), [false; 3]);
}

/// Columns of a row come from different files. The guard says whether the row is complete.
#[test]
fn columns_come_together() {
    let scratch = Scratch::new();
    let files = [scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("c.h5")];
    let names = ["E", "F", "status"];
    for (k, file) in files.iter().enumerate() {
        let store = Store::new(file).expect("path");
        let table = NewTable {
            guard: Some("status".to_owned()),
            guard_complete: Some("0".to_owned()),
            filters: Filters { gzip: (k == 1).then_some(4), shuffle: k == 1 },
            ..small_table(10)
        };
        store.create(&table, &|_, _| ()).expect("create");
        let mut writer = store.writer("t").expect("writer");
        let (e, f, s) = (Array1::from_elem(4, 1.5), Array3::from_elem((4, 4, 3), 2.5), Array1::from_elem(4, 0i64));
        let values = [Values::from(&e), Values::from(&f), Values::from(&s)];
        writer.commit(&Rows::range(2..6), &[(names[k], values[k].clone())]).expect("commit");
    }
    let out = scratch.path("out.h5");
    for (k, file) in files.iter().enumerate() {
        let (code, _, err) = merge(&out, &[file]);
        assert_eq!(code, 0, "{err}");
        let there: Vec<bool> = (0..10).map(|row| (2..6).contains(&row)).collect();
        assert_eq!(mask(&out, names[k]), there);
        let guard = Store::open(&out).expect("open").reader("t").expect("reader").read("status", &Rows::range(0..10));
        let guard = guard.expect("read").array::<i64>().expect("i64");
        assert_eq!(guard[[2]], i64::from(k < 2), "complete when the last column is there");
    }
    ok(&["verify", out.to_str().expect("UTF-8")]);
}

#[test]
fn compressed_tables() {
    let scratch = Scratch::new();
    let files = [scratch.path("a.h5"), scratch.path("b.h5")];
    for (file, rows) in files.iter().zip([0..300, 250..500]) {
        let filters = Filters { gzip: Some(6), shuffle: true };
        let table = NewTable { filters, chunk_rows: Some(64), ..small_table(600) };
        let store = Store::new(file).expect("path");
        store.create(&table, &|_, _| ()).expect("create");
        commit(&store, rows);
    }
    let out = scratch.path("out.h5");
    let (code, _, err) = merge(&out, &[&files[0], &files[1]]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(check(&out), 500);
    ok(&["verify", out.to_str().expect("UTF-8")]);
    let script =
        "import sys, h5py\nd = h5py.File(sys.argv[1])['t/F']\nprint(d.chunks, d.compression, d.shuffle, d[499, 0, 0])";
    if let Some(found) = py(script, &[out.to_str().expect("UTF-8")]) {
        assert_eq!(found, "(64, 4, 3) gzip True 499.0\n");
    }
}

/// Without stamps, whatever differs from the fill is a value. The merged file gets stamps.
#[test]
fn files_that_h5py_wrote() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    let script = "import sys, h5py, numpy as np\n\
        for path, lo, hi in [(sys.argv[1], 0, 40), (sys.argv[2], 30, 70)]:\n\
        \x20   f = h5py.File(path, 'w')\n\
        \x20   g = f.create_group('run')\n\
        \x20   g.attrs['unit'] = 'eV'\n\
        \x20   e = g.create_dataset('E', shape=(100 if lo else 90,), maxshape=(None,), chunks=(16,), dtype='f8', fillvalue=np.nan)\n\
        \x20   n = g.create_dataset('n', shape=(100 if lo else 90, 2), maxshape=(None, 2), dtype='>i4', chunks=(10, 1))\n\
        \x20   e[lo:hi] = np.arange(lo, hi); n[lo:hi, 1] = np.arange(lo, hi) + 1\n\
        \x20   g['label'] = np.array([b'x'] * e.shape[0])\n\
        \x20   f['mine/' + str(lo)] = lo\n\
        \x20   f['nothing'] = h5py.Empty('f8')";
    if py(script, &[&a, &b]).is_none() {
        return;
    }
    let (code, printed, err) = run(&["merge", &out, &b, &a, "--json"]);
    assert_eq!(code, 0, "{err}");
    let report: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((report["created"].as_bool(), report["complete"].as_bool()), (Some(true), Some(true)), "{report}");
    assert_eq!(report["tables"][0]["rows"], 100);
    assert_eq!(report["tables"][0]["taken"], serde_json::json!([180, 60]));
    assert_eq!(report["tables"][0]["agreed"], 110);
    let there: Vec<_> = report["already_there"].as_array().expect("list").iter().map(|e| e[1].clone()).collect();
    assert_eq!(there, ["/nothing"], "{report}");
    let script = "import sys, h5py, numpy as np\n\
        f = h5py.File(sys.argv[1]); g = f['run']; r = np.arange(70)\n\
        print((g['E'][:70] == r).all(), np.isnan(g['E'][70:]).all(), (g['n'][:70, 1] == r + 1).all(), g['n'].dtype.str)\n\
        print(sorted(f), sorted(f['mine']), g['label'].shape, g.attrs['unit'])";
    let found = py(script, &[&out]).expect("h5py");
    assert_eq!(found, "True True True >i4\n['__h5part__', 'mine', 'nothing', 'run'] ['0', '30'] (100,) eV\n");
    let status = ok(&["status", &out]);
    assert!(status.contains("70 committed, 30 missing"), "{status}");
}

#[test]
fn more_rows_and_more_tables() {
    let scratch = Scratch::new();
    let (a, b, c, out) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("c.h5"), scratch.path("out.h5"));
    commit(&small_store(&a, 10), 0..5);
    let store = small_store(&b, 40);
    commit(&store, 30..40);
    let table = NewTable::new("deep/u", 7, vec![ColumnSpec::new("n", Dtype::U16, &[2])]);
    store.create(&table, &|_, _| ()).expect("create");
    let n = ndarray::Array2::from_elem((3, 2), 9u16);
    store.writer("deep/u").expect("writer").commit(&Rows::range(2..5), &[("n", Values::from(&n))]).expect("commit");
    commit(&small_store(&c, 60), 50..60);
    assert_eq!(merge(&out, &[&a, &b]).0, 0);
    assert_eq!((mask(&out, "E").len(), check(&out)), (40, 15));
    let (code, _, err) = merge(&out, &[&c]);
    assert_eq!(code, 0, "{err}");
    assert_eq!((mask(&out, "E").len(), check(&out)), (60, 25), "extended");
    assert_eq!(ok(&["read", out.to_str().expect("UTF-8"), "deep/u", "n", "--rows", "1:3"]), "0 0\n9 9\n");
    ok(&["verify", out.to_str().expect("UTF-8")]);
}

#[test]
fn what_is_refused() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("out.h5"));
    commit(&small_store(&a, 10), 0..5);
    let others = NewTable::new("t", 10, vec![ColumnSpec::new("E", Dtype::F32, &[])]);
    Store::new(&b).expect("path").create(&others, &|_, _| ()).expect("create");
    let (code, _, err) = merge(&out, &[&a, &b]);
    assert!(code == 4 && err.contains("no column 'F'"), "{err}");
    assert!(err.contains(b.to_str().expect("UTF-8")) && err.contains(a.to_str().expect("UTF-8")), "{err}");
    let (code, _, err) = merge(&a, &[&b, &a]);
    assert!(code == 2 && err.contains("into itself"), "{err}");
    let link = scratch.path("link.h5");
    std::os::unix::fs::symlink(&a, &link).expect("link");
    assert_eq!(merge(&a, &[&link]).0, 2);
    let (code, _, err) = merge(&out, &[&a, &scratch.path("none.h5")]);
    assert!(code == 3 && err.contains("none.h5"), "{err}");
    std::fs::write(scratch.path("text.h5"), "no HDF5").expect("write");
    let (code, _, err) = merge(&out, &[&a, &scratch.path("text.h5")]);
    assert!(code == 5 && err.contains("text.h5"), "{err}");
    assert!(!out.exists(), "nothing was made");
    assert_eq!(run(&["merge", out.to_str().expect("UTF-8")]).0, 2);
}

#[test]
fn an_input_without_tables() {
    let scratch = Scratch::new();
    let (a, empty, out) = (scratch.path("a.h5"), scratch.text("empty.h5"), scratch.path("out.h5"));
    commit(&small_store(&a, 10), 0..5);
    if py("import sys, h5py\nh5py.File(sys.argv[1], 'w').attrs['k'] = 3", &[&empty]).is_none() {
        return;
    }
    let (code, text, err) = merge(&out, &[Path::new(&empty)]);
    assert!(code == 0 && text.contains("no tables to merge"), "{err}");
    let (code, _, err) = merge(&out, &[Path::new(&empty), &a]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(check(&out), 5);
}

/// Changes a byte of a column's cell, or the state in its stamp, behind h5part's back.
fn poke(path: &Path, row: u64, column: Option<&str>, change: impl Fn(&mut u8)) {
    let store = Store::open(path).expect("open");
    let reader = store.reader("t").expect("reader");
    let table = reader.table();
    let address = match column {
        Some(name) => table.column(name).expect("column").layout.as_ref().expect("direct").find(row).0,
        None => table.stamps.as_ref().expect("stamps").layout.find(row).0,
    };
    let file = Disk.open(path, Mode::Write).expect("open");
    let mut byte = [0];
    file.read_at(&mut byte, address).expect("read");
    change(&mut byte[0]);
    file.write_at(&byte, address).expect("write");
}

#[test]
fn a_damaged_input_is_not_merged() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("out.h5"));
    commit(&small_store(&a, 10), 0..5);
    commit(&small_store(&b, 10), 5..10);
    poke(&b, 7, Some("F"), |byte| *byte ^= 1);
    let (code, _, err) = merge(&out, &[&a, &b]);
    assert_eq!(code, 5, "{err}");
    assert!(
        err.contains(b.to_str().expect("UTF-8")) && err.contains("row 7 of column 'F'") && err.contains("verify"),
        "{err}"
    );
    assert!(!out.exists(), "a first merge is made whole or not at all");
}

#[test]
fn what_dead_writers_left() {
    let scratch = Scratch::new();
    let (a, out) = (scratch.path("a.h5"), scratch.path("out.h5"));
    let store = small_store(&a, 10);
    commit(&store, 0..5);
    let writing = |byte: &mut u8| *byte = *byte & 0x80 | 1;
    // A fresh row: it has never had a value.
    poke(&a, 4, None, writing);
    let (code, _, err) = merge(&out, &[&a]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(mask(&out, "E").iter().filter(|m| **m).count(), 4);
    // A value that was being overwritten.
    commit(&store, 0..2);
    poke(&a, 1, None, writing);
    let (code, _, err) = merge(&out, &[&a]);
    assert!(code == 5 && err.contains("1 values of table 't'") && err.contains("h5part recover"), "{err}");
}

/// Two merges run at once into one file, with inputs that overlap: each compares what the other has merged.
#[test]
fn two_merges_at_once() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.path("a.h5"), scratch.path("b.h5"), scratch.path("out.h5"));
    commit(&small_store(&a, 60_000), 0..40_000);
    commit(&small_store(&b, 60_000), 20_000..60_000);
    let start = |inputs: [&Path; 2]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
        command.arg("merge").arg(&out).args(inputs).stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::piped()).spawn().expect("starts")
    };
    let both = [start([&a, &b]), start([&b, &a])];
    for child in both {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(check(&out), 60_000);
    ok(&["verify", out.to_str().expect("UTF-8")]);
}

/// G1, G3: a kill at any instant leaves a sound file, and the same command finishes the merge.
#[test]
fn a_merge_that_is_killed_is_finished_by_the_next() {
    for filters in [Filters::default(), Filters { gzip: Some(1), shuffle: true }] {
        let scratch = Scratch::in_memory();
        let files: Vec<_> = (0..3).map(|k| scratch.path(&format!("w{k}.h5"))).collect();
        let rows = 60_000;
        for (k, file) in (0..).zip(&files) {
            let store = Store::new(file).expect("path");
            store.create(&NewTable { filters, ..small_table(rows) }, &|_, _| ()).expect("create");
            commit(&store, k * 15_000..k * 15_000 + 25_000);
        }
        let out = scratch.path("out.h5");
        let start = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
            command.arg("merge").arg(&out).args(&files).stdout(std::process::Stdio::null());
            command.spawn().expect("starts")
        };
        let mut killer = Killer::new(Duration::from_millis(100));
        let (mut killed, mut seen) = (0, Vec::new());
        while killed < 20 {
            // Start from the beginning now and then, and when nothing is left to do.
            if killed % 6 == 0 || seen.last() == Some(&55_000) {
                remove_store(&out);
                // A new file appears as a whole or not at all. An existing one gets the rows block by block.
                if killed % 12 < 6 {
                    assert_eq!(merge(&out, &[files[0].as_path()]).0, 0);
                }
            }
            let mut child = start();
            killed += u64::from(killer.kill(&mut child));
            if out.exists() {
                let file = hdf5::File::open(&out).expect("opens in stock HDF5 after a kill");
                assert_eq!(file.dataset("t/E").expect("E").shape(), [60_000]);
                drop(file);
                seen.push(check(&out));
            }
        }
        println!("{killed} were killed, rows there after each: {seen:?}");
        assert!(start().wait().expect("ends").success());
        assert_eq!(check(&out), 55_000);
        let output = h5part().arg("verify").arg(&out).output().expect("starts");
        assert!(output.status.success(), "{output:?}");
    }
}

/// The program follows no link into another file. Such links are copied as they are, and so are datasets whose values
/// lie in another file.
#[test]
fn what_leads_outside() {
    let scratch = Scratch::new();
    let (a, out) = (scratch.text("a.h5"), scratch.text("out.h5"));
    let script = "import sys, os, h5py, numpy as np\n\
        os.chdir(os.path.dirname(sys.argv[1]))\n\
        f = h5py.File('a.h5', 'w')\n\
        f['there'] = np.arange(3)\n\
        g = f.create_group('g')\n\
        g['link'] = h5py.ExternalLink('other.h5', '/x')\n\
        np.arange(4, dtype='f8').tofile('raw.bin')\n\
        g.create_dataset('raw', shape=(4,), dtype='f8', external=[('raw.bin', 0, 32)])\n\
        layout = h5py.VirtualLayout(shape=(3,), dtype='i8')\n\
        layout[:] = h5py.VirtualSource('a.h5', 'there', shape=(3,))\n\
        g.create_virtual_dataset('virtual', layout)";
    if py(script, &[&a]).is_none() {
        return;
    }
    assert_eq!(run(&["merge", &out, &a]).0, 0);
    let script = "import sys, os, h5py\n\
        os.chdir(os.path.dirname(sys.argv[1]))\n\
        g = h5py.File('out.h5')['g']\n\
        l = g.get('link', getlink=True)\n\
        print(l.filename, l.path, sorted(g))\n\
        print(g['raw'].external, g['raw'][:], g['virtual'].virtual_sources()[0][2], g['virtual'][:])";
    let found = py(script, &[&out]).expect("h5py");
    assert_eq!(found, "other.h5 /x ['link', 'raw', 'virtual']\n[('raw.bin', 0, 32)] [0. 1. 2. 3.] there [0 1 2]\n");
}
