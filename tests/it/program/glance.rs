//! A file at a glance, and its rows for a spreadsheet: `info --tree`, `read --csv`.

use crate::common::support::{Scratch, ok, py, run};
use serde_json::Value;

/// Groups, types, filters, links, attributes and names of many kinds.
const MAKE: &str = r#"
import h5py, numpy as np, sys
with h5py.File(sys.argv[1], "a") as f:
    g = f.create_group("raw/deep")
    f.create_dataset("packed", data=np.zeros((20, 3), ">f4"), chunks=(10, 3), maxshape=(None, 3), compression="gzip", compression_opts=4, shuffle=True, fletcher32=True)
    f["text"] = "two words"
    f["nothing"] = h5py.Empty("f8")
    f["pairs"] = np.zeros(2, [("a", "i4"), ("b", "f8")])
    g["again"] = f["packed"]
    f["soft"] = h5py.SoftLink("/raw")
    f["away"] = h5py.ExternalLink("other.h5", "/x")
    f["kind"] = np.dtype("i2")
    f.attrs["title"] = "a\nb" + "x" * 100
    g.attrs["cell"] = np.array([1.5, 2.5])
    g.attrs["many"] = np.arange(100)
    f["packed"].attrs["units"] = "eV"
    f["circle"] = f["/"]
"#;

#[test]
fn a_tree_has_every_name_with_what_it_leads_to() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "40", "--column", "E:f64", "--column", "F:f32:5x3", "--attr", "units=eV"]);
    if py(MAKE, &[&file]).is_none() {
        return;
    }
    let tree = ok(&["info", &file, "--tree"]);
    let has = |line: &str| assert!(tree.lines().any(|found| found == line), "{line}\n{tree}");
    let begins = |line: &str| assert!(tree.lines().any(|found| found.starts_with(line)), "{line}\n{tree}");
    begins(&format!("{file}  "));
    begins("  @title = a\\nbxxxxxxxx");
    has("  t/  table with stamps, 2 members");
    has("    @units = eV");
    begins("    E  40 (may grow), float64, chunks of ");
    begins("    F  40x5x3 (may grow), float32, chunks of 69x5x3, ");
    begins("  packed  20x3 (may grow), float32, big-endian, chunks of 10x3, shuffle, gzip 4, fletcher32, ");
    has("  nothing  empty, float64, 0 bytes");
    begins("  text  scalar, unicode (var len), ");
    begins("  pairs  2, compound");
    has("  raw/  1 member");
    has("    deep/  1 member");
    has("      @cell = 1.5, 2.5");
    begins("      @many = (int64, 100)");
    has("      again  another name of packed");
    has("  circle  another name of /");
    has("  soft  soft link");
    has("  away  link into another file");
    has("  kind  type: int16");
    begins("  __h5part__/  ");
    assert!(tree.lines().all(|line| line.chars().count() < 200), "{tree}");
    let said: Vec<Value> = serde_json::from_str(&ok(&["info", &file, "--tree", "--json"])).expect("JSON");
    let packed = said.iter().find(|entry| entry["path"] == "packed").expect("is there");
    assert_eq!(
        (&packed["kind"], &packed["shape"][0], &packed["chunk"][0]),
        (&"dataset".into(), &20.into(), &10.into())
    );
    assert_eq!(said.len(), tree.lines().filter(|line| !line.trim_start().starts_with('@')).count());
    assert_eq!(run(&["info", &scratch.text("none.h5"), "--tree"]).0, 3);
}

#[test]
fn rows_as_csv_are_read_back_by_others() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let columns = ["--column", "E, eV:f64", "--column", "F:f32:2x2", "--column", "n:i64", "--column", "on:bool"];
    ok(&[&["create", &file, "t", "--rows", "6"], &columns[..]].concat());
    let e = format!("E, eV={}", scratch.npy("e.npy", &[2], &[0.1, f64::NAN]));
    let f = format!("F={}", scratch.npy("f.npy", &[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.5]));
    ok(&["update", &file, "t", "--rows", "4,1", "--cast", "--set", &e, "--set", &f]);
    let (code, out, err) = run(&["read", &file, "t", "--rows", "1,0,4", "--csv", "E, eV", "F", "n"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("5 of 9 cells are not there: they are empty"), "{err}");
    let expected = "row,\"E, eV\",F[0 0],F[0 1],F[1 0],F[1 1],n\n\
                    1,NaN,5.0,6.0,7.0,0.5,\n0,,,,,,\n4,0.1,1.0,2.0,3.0,4.0,\n";
    assert_eq!(out, expected);
    let script = r"
import csv, io, subprocess, sys
out = subprocess.run([sys.argv[1], 'read', sys.argv[2], 't', 'E, eV', 'F', '--rows', ':', '--csv'], check=True, capture_output=True, text=True).stdout
rows = list(csv.DictReader(io.StringIO(out)))
assert [int(row['row']) for row in rows] == list(range(6)) and float(rows[4]['E, eV']) == 0.1 and rows[1]['F[1 1]'] == '0.5'
";
    py(script, &[env!("CARGO_BIN_EXE_h5part"), &file]);
    let (code, _, err) = run(&["read", &file, "t", "n", "Q", "--rows", ":", "--csv"]);
    assert!(code == 3 && err.contains("'Q'"), "{err}");
    assert_eq!(run(&["read", &file, "t", "n", "F", "--rows", ":"]).0, 2, "several columns are for --csv");
    assert_eq!(run(&["read", &file, "t", "n", "--rows", ":", "--csv", "-o", "x.npy"]).0, 2);
}
