//! Every kind of file that h5part writes is read by h5py and by Debian's h5dump (HDF5 1.10), with the same bytes that
//! h5part reads.

use crate::common::support::{Scratch, ok, py};
use h5part::monitor::Monitor;
use h5part_base::dataspace::Rows;
use h5part_engine::store::Store;
use serde::Deserialize;
use std::ops::Range;
use std::process::Command;

/// All datasets of numbers in a file, each written as its little-endian bytes to the folder; as JSON.
const DATASETS: &str = r"
import h5py, json, sys
found = []
def look(path, o):
    if not isinstance(o, h5py.Dataset) or o.dtype.kind not in 'fiub':
        return
    raw = f'{sys.argv[2]}/{len(found)}.raw'
    open(raw, 'wb').write(o[...].astype(o.dtype.newbyteorder('<')).tobytes())
    found.append(dict(path='/' + path, raw=raw, flag=o.dtype.kind == 'b'))
with h5py.File(sys.argv[1]) as f:
    f.visititems(look)
print(json.dumps(found))
";

/// A dataset, as h5py reads it.
#[derive(Deserialize)]
struct Dataset {
    path: String,
    raw: String,
    flag: bool,
}

/// Debian's h5dump. `None` if it is missing; CI fails if it could be installed.
fn h5dump() -> Option<Command> {
    if Command::new("h5dump").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return Some(Command::new("h5dump"));
    }
    assert!(std::env::var_os("H5PART_REQUIRE_H5DUMP").is_none(), "h5dump is required here, and missing");
    println!("skipped: there is no h5dump (Debian's package hdf5-tools)");
    None
}

/// Runs h5dump, which must succeed. Returns what it printed.
fn dump(args: &[&str]) -> Option<String> {
    let output = h5dump()?.args(args).output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "h5dump {args:?}: {said}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Checks that three programs read the same: h5py and h5dump every dataset, h5part the columns of these tables. Returns
/// the number of datasets; 0 without h5py.
fn read_alike(scratch: &Scratch, file: &str, tables: &[&str]) -> usize {
    let folder = scratch.text("alike");
    std::fs::create_dir_all(&folder).expect("folder");
    let Some(found) = py(DATASETS, &[file, &folder]) else { return 0 };
    let datasets: Vec<Dataset> = serde_json::from_str(&found).expect("JSON");
    dump(&["-H", file]);
    for dataset in &datasets {
        let wanted = std::fs::read(&dataset.raw).expect("raw");
        by_h5dump(file, dataset, &wanted, &scratch.text("dumped.bin"));
        let (table, column) = dataset.path[1..].rsplit_once('/').unwrap_or_default();
        if tables.contains(&table) {
            let mut reader = Store::open(file).expect("opens").reader(table).expect("reader");
            let block = reader.read(column, &Rows::range(0..reader.table().rows)).expect("reads");
            assert!(block.bytes() == wanted, "{file}: {}: h5part and h5py", dataset.path);
        }
    }
    datasets.len()
}

fn by_h5dump(file: &str, dataset: &Dataset, wanted: &[u8], out: &str) {
    // Of enumerations such as bool, h5dump writes only the file's own order. They have one byte.
    let order = if dataset.flag { "NATIVE" } else { "LE" };
    if dump(&["-d", &dataset.path, "-b", order, "-o", out, file]).is_some() {
        let dumped = std::fs::read(out).expect("dumped");
        assert!(dumped == wanted, "{file}: {}: h5dump and h5py", dataset.path);
    }
}

const DTYPES: [&str; 11] = ["f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool"];

/// A table of 40 rows with a column of every type, cells in every second one, and a guard. Rows 3 to 29 have values.
fn every_type(scratch: &Scratch, file: &str, table: &str, more: &[&str]) {
    let shape = |k: usize| if k % 2 == 1 { ":3x2" } else { "" };
    let columns: Vec<String> = DTYPES.iter().enumerate().map(|(k, d)| format!("{d}:{d}{}", shape(k))).collect();
    let mut args = vec!["create", file, table, "--rows", "40", "--attr", "unit=eV", "--attr", "level=7"];
    args.extend(["--guard", "done=255", "--complete", "1", "--column", "done:u8=255"]);
    args.extend(columns.iter().flat_map(|column| ["--column", column.as_str()]));
    ok(&[&args, more].concat());
    update(scratch, file, table, 3..30, 1);
}

/// Writes new values to all columns of these rows. The values are small, so that they fit every type.
fn update(scratch: &Scratch, file: &str, table: &str, rows: Range<u64>, seed: u64) {
    let count = rows.end - rows.start;
    let mut sets = vec![format!("done={}", scratch.npy("done.npy", &[count], &vec![1.0; count as usize]))];
    for (k, dtype) in DTYPES.iter().enumerate() {
        let shape = [count, 3, 2];
        let shape = if k % 2 == 1 { &shape[..] } else { &shape[..1] };
        let below = if *dtype == "bool" { 2 } else { 97 };
        let values: Vec<f64> = (0..shape.iter().product()).map(|i: u64| ((i * 7 + seed) % below) as f64).collect();
        sets.push(format!("{dtype}={}", scratch.npy(&format!("{dtype}.npy"), shape, &values)));
    }
    let rows = format!("{}:{}", rows.start, rows.end);
    let mut args = vec!["update", file, table, "--rows", &rows, "--cast"];
    args.extend(sets.iter().flat_map(|set| ["--set", set.as_str()]));
    ok(&args);
}

const LAYOUTS: [(&str, &[&str]); 6] = [
    ("chunked", &[]),
    ("odd chunks", &["--chunk-rows", "7"]),
    ("contiguous", &["--contiguous"]),
    ("gzip", &["--gzip", "4"]),
    ("gzip 0", &["--gzip", "0", "--chunk-rows", "16"]),
    ("gzip and shuffle", &["--gzip", "9", "--shuffle", "--chunk-rows", "7"]),
];

/// One column per type, the guard, and the stamps.
const DATASETS_OF_A_TABLE: usize = DTYPES.len() + 2;

#[test]
fn tables_of_every_layout_updated_and_extended() {
    let scratch = Scratch::in_memory();
    for (name, layout) in LAYOUTS {
        let file = scratch.text(&format!("{name}.h5"));
        every_type(&scratch, &file, "a/b", layout);
        let datasets = read_alike(&scratch, &file, &["a/b"]);
        assert!([0, DATASETS_OF_A_TABLE].contains(&datasets), "{datasets}");
        update(&scratch, &file, "a/b", 20..37, 5);
        if name != "contiguous" {
            ok(&["extend", &file, "a/b", "--rows", "61"]);
            update(&scratch, &file, "a/b", 35..60, 9);
        }
        ok(&["attr", &file, "a/b", "note=later"]);
        read_alike(&scratch, &file, &["a/b"]);
        ok(&["verify", &file]);
    }
}

#[test]
fn published_and_merged_files() {
    let scratch = Scratch::in_memory();
    let ways: [&[&str]; 4] = [&["--gzip", "4"], &["--gzip", "6", "--shuffle"], &["--gzip", "0"], &["--plain"]];
    let (work, other) = (scratch.text("work.h5"), scratch.text("other.h5"));
    every_type(&scratch, &work, "t", LAYOUTS[5].1);
    for (k, way) in ways.iter().enumerate() {
        let out = scratch.text(&format!("out{k}.h5"));
        for rows in [5..9, 30..33] {
            update(&scratch, &work, "t", rows, k as u64);
            ok(&[&["publish", &work, "-o", &out], *way].concat());
        }
        read_alike(&scratch, &out, &["t"]);
    }
    every_type(&scratch, &other, "t", &[]);
    ok(&["reset", &other, "t", "--rows", "3:33"]);
    update(&scratch, &other, "t", 36..40, 3);
    for (name, inputs) in [("merged.h5", [&work, &other]), ("the other way.h5", [&other, &work])] {
        let merged = scratch.text(name);
        ok(&["merge", &merged, inputs[0], inputs[1]]);
        let datasets = read_alike(&scratch, &merged, &["t"]);
        assert!([0, DATASETS_OF_A_TABLE].contains(&datasets), "{datasets}");
        assert_eq!(ok(&["read", &merged, "t", "done", "--rows", "2,3,32,33,39"]), "255\n1\n1\n255\n1\n");
    }
}

/// Files made by h5py stay readable for all programs after they are adopted and updated.
#[test]
fn adopted_files() {
    let make = "import sys, h5py, numpy as np\n\
        n = np.arange(40.)\n\
        with h5py.File(sys.argv[1], 'w', libver=(sys.argv[2], 'v110')) as f:\n\
        \x20   g = f.create_group('g')\n\
        \x20   g['plain'] = n\n\
        \x20   g['big'] = n.astype('>f8')\n\
        \x20   g.create_dataset('zip', data=n.astype('>i4'), chunks=(7,), compression='gzip', shuffle=True, fletcher32=True)\n\
        \x20   g.create_dataset('late', shape=(40,), dtype='i2', chunks=(9,), fillvalue=4, compression='gzip')\n\
        \x20   g.create_dataset('growing', data=n, chunks=(6,), maxshape=(None,), fletcher32=True)";
    for libver in ["earliest", "v108", "v110"] {
        let scratch = Scratch::in_memory();
        let file = scratch.text("a.h5");
        if py(make, &[&file, libver]).is_none() {
            return;
        }
        ok(&["adopt", &file, "g"]);
        let datasets = read_alike(&scratch, &file, &["g"]);
        assert_eq!(datasets, 6, "five columns and the stamps");
        let values = scratch.npy("v.npy", &[3], &[-1.0, -2.0, -3.0]);
        let sets = ["plain", "big", "zip", "late", "growing"].map(|column| format!("{column}={values}"));
        let mut args = vec!["update", &file, "g", "--rows", "39,2,17", "--cast"];
        args.extend(sets.iter().flat_map(|set| ["--set", set.as_str()]));
        ok(&args);
        read_alike(&scratch, &file, &["g"]);
        assert_eq!(ok(&["read", &file, "g", "zip", "--rows", "17,18"]), "-3\n18\n");
    }
}

/// Tables of records are dumped as text. The numbers in the monitor's tables are all different.
#[test]
fn a_monitors_tables() {
    let scratch = Scratch::in_memory();
    let monitor = Monitor::open(scratch.path("m")).expect("opens");
    for task in 0..5 {
        monitor.measure("count").task(task).weight(2.5).count(1000 + task);
    }
    drop(monitor);
    let file = scratch.text("out.h5");
    ok(&["monitor", &scratch.text("m"), "--export", &file]);
    read_alike(&scratch, &file, &[]);
    let script = "import sys, h5py\nprint(sorted(h5py.File(sys.argv[1])['performance_data']['counts'].tolist()))";
    if let (Some(counts), Some(text)) = (py(script, &[&file]), dump(&["-d", "/performance_data", &file])) {
        let counts: Vec<u64> = serde_json::from_str(&counts).expect("JSON");
        assert!(counts.contains(&1004) && counts.iter().all(|n| text.contains(&format!(" {n},"))), "{counts:?} {text}");
    }
}
