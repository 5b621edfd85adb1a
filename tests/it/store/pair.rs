//! A working file and the file published before, read as one.

use crate::common::support::{Scratch, ok, run, small_store};
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Side, Store, StorePair, Values};
use ndarray::Array1;
use std::path::Path;

fn fill(store: &Store, table: &str, column: &str, value: f64) {
    let values = Array1::from_elem(2, value);
    let mut writer = store.writer(table).expect("writer");
    writer.commit(&Rows::range(0..2), &[(column, Values::from(&values))]).expect("commit");
}

/// Both have `t`; only the parent has `old`, and a column `G` of `both`.
fn pair(scratch: &Scratch) -> StorePair {
    let make = |store: &Store, path: &str, columns: &[&str]| {
        let columns = columns.iter().map(|name| ColumnSpec::new(name, Dtype::F64, &[])).collect();
        store.create(&NewTable::new(path, 5, columns), &|_, _| ()).expect("create");
    };
    let (work, parent) = (small_store(&scratch.path("work.h5"), 5), small_store(&scratch.path("parent.h5"), 9));
    make(&work, "both", &["E"]);
    make(&parent, "both", &["E", "G"]);
    make(&parent, "old", &["E"]);
    for (table, column) in [("t", "E"), ("both", "E"), ("both", "G"), ("old", "E")] {
        fill(&parent, table, column, 2.0);
    }
    fill(&work, "t", "E", 1.0);
    fill(&work, "both", "E", 1.0);
    StorePair::new(work, parent)
}

#[test]
fn names_are_looked_up_in_the_working_file_first() {
    let scratch = Scratch::new();
    let pair = pair(&scratch);
    let read = |table: &str, column: &str| {
        let mut reader = pair.reader_of(table, column).expect("reader");
        reader.read(column, &Rows::one(1)).expect("read").array::<f64>().expect("f64")[[0]]
    };
    assert_eq!([read("t", "E"), read("both", "E"), read("both", "G"), read("old", "E")], [1.0, 1.0, 2.0, 2.0]);
    assert_eq!(pair.find("/both/", None).expect("found"), Side::Work);
    assert_eq!(pair.find("both", Some("G")).expect("found"), Side::Parent);
    assert_eq!(pair.reader("old").expect("reader").table().rows, 5);
    let tables = pair.tables().expect("tables");
    let tables: Vec<(Side, &str, u64)> =
        tables.iter().map(|(side, l)| (*side, l.table.path.as_str(), l.table.rows)).collect();
    assert_eq!(tables, [(Side::Work, "both", 5), (Side::Work, "t", 5), (Side::Parent, "old", 5)]);
    let error = pair.find("none", None).expect_err("nowhere").to_string();
    assert!(error.contains("work.h5") && error.contains("available: both, old, t"), "{error}");
    let error = pair.find("both", Some("H")).expect_err("nowhere").to_string();
    assert!(error.contains("available: E, G"), "{error}");
}

#[test]
fn read_info_and_status_take_a_parent() {
    let scratch = Scratch::new();
    drop(pair(&scratch));
    let (work, parent) = (scratch.text("work.h5"), scratch.text("parent.h5"));
    let read = |args: &[&str]| ok(&[&["read", &work], args, &["--rows", "1:3", "--parent", &parent]].concat());
    assert_eq!(read(&["t", "E"]), "1.0\nNaN\n");
    assert_eq!(read(&["both", "G"]), "2.0\nNaN\n");
    assert_eq!(run(&["read", &work, "both", "G", "--rows", "0"]).0, 3, "without the parent");
    let status = ok(&["status", &work, "--parent", &parent]);
    assert!(status.contains("table 'old'") && status.matches("table 't'").count() == 1, "{status}");
    assert_eq!(ok(&["status", &work, "old", "--missing", "--parent", &parent]), "2:5\n");
    let info: serde_json::Value =
        serde_json::from_str(&ok(&["info", &work, "--json", "--parent", &parent])).expect("JSON");
    let tables: Vec<_> =
        info["tables"].as_array().expect("tables").iter().map(|t| (&t["path"], &t["parent"])).collect();
    assert_eq!(tables.len(), 3);
    let real = Path::new(&parent).canonicalize().expect("path");
    assert!(tables[0].1.is_null() && tables[2].0 == "old" && *tables[2].1 == real.to_str().expect("UTF-8"), "{info}");
    assert!(ok(&["info", &work, "--parent", &parent]).contains(&format!("in {}", real.display())));
    let (code, _, err) = run(&["info", &work, "--parent", &scratch.text("none.h5")]);
    assert!(code == 3 && err.contains("none.h5"), "{err}");
}
