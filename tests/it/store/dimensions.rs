//! Named dimensions: dimension scales that netCDF and h5py find, and that nothing takes for columns.

use crate::common::support::{Scratch, ok, py, run};
use h5part::merge::{MergeOptions, merge};
use h5part::publish::Publishing;
use h5part::verify::Verify;
use h5part::{Adoption, Coordinates, Dtype, ErrorKind, Rows, Store, Table};
use std::path::Path;

/// As many rows as `xyz` is long, so that lengths tell nothing.
fn table(rows: u64) -> Table {
    labelled(rows, &["x", "y", "zä"])
}

fn labelled(rows: u64, labels: &[&str]) -> Table {
    Table::new("g/t", rows)
        .column::<f64>("E", [])
        .column::<f64>("F", [4, 3])
        .column::<f64>("V", [3])
        .row_dim("frame")
        .dims("F", ["atom", "xyz"])
        .dims("V", ["xyz"])
        .coordinates(Coordinates::texts("xyz", labels))
}

fn store(scratch: &Scratch, name: &str, rows: u64) -> Store {
    Store::create(scratch.path(name), table(rows)).expect("creates")
}

fn names(store: &Store) -> Vec<String> {
    let tables = store.tables().expect("reads");
    tables.into_iter().flat_map(|table| table.columns).map(|column| column.name).collect()
}

/// For each column the names of its dimensions, their lengths and, of scales with values, these; as h5py finds them.
fn seen_by_h5py(path: &Path) -> Option<String> {
    let script = r#"
import h5py, sys
NONE = "This is a netCDF dimension but not a netCDF variable."
text = lambda value: value.decode() if isinstance(value, bytes) else value
with h5py.File(sys.argv[1]) as f:
    g = f["g/t"]
    for name in "E", "F", "V":
        for axis, dimension in enumerate(g[name].dims):
            scale, = dimension.values()
            assert h5py.h5ds.is_scale(scale.id) and scale.parent == g and len(scale) == g[name].shape[axis]
            values = "" if text(scale.attrs["NAME"]).startswith(NONE) else [text(value) for value in scale[()].tolist()]
            print(name, scale.name.split("/")[-1], len(scale), values)
"#;
    py(script, &[path.to_str().expect("UTF-8")])
}

fn expected(rows: u64) -> String {
    let xyz = "xyz 3 ['x', 'y', 'zä']";
    format!("E frame {rows} \nF frame {rows} \nF atom 4 \nF {xyz}\nV frame {rows} \nV {xyz}\n")
}

fn is_sound(store: &Store) {
    let report = store.verify(&Verify::default()).expect("verifies");
    assert!(report.sound, "{report:?}");
}

#[test]
fn h5py_finds_them_and_they_grow_with_the_table() {
    let scratch = Scratch::new();
    let store = store(&scratch, "a.h5", 3);
    assert_eq!(names(&store), ["E", "F", "V"]);
    let Some(seen) = seen_by_h5py(store.path()) else { return };
    assert_eq!(seen, expected(3));
    store.writer("g/t").expect("writer").commit(1..3).set("E", &[1.5, 2.5]).run().expect("commits");
    store.extend("g/t", 2_000_000).expect("extends");
    assert_eq!(seen_by_h5py(store.path()).as_deref(), Some(expected(2_000_000).as_str()));
    assert_eq!(names(&store), ["E", "F", "V"]);
    is_sound(&store);
}

#[test]
fn they_are_told() {
    let scratch = Scratch::new();
    let store = store(&scratch, "a.h5", 3);
    let found = store.dimensions("g/t").expect("reads");
    let text = |column: &str, names: &[&str]| (column.to_owned(), names.iter().map(|&n| n.to_owned()).collect());
    let all = [text("E", &["frame"]), text("F", &["frame", "atom", "xyz"]), text("V", &["frame", "xyz"])];
    assert_eq!(found.columns, all);
    assert_eq!(found.coordinates, [Coordinates::texts("xyz", &["x", "y", "zä"])]);
    let plain = Table::new("plain", 3).column::<f64>("F", [4, 3]);
    store.create_table(plain).expect("creates");
    assert_eq!(store.dimensions("plain").expect("reads"), h5part::Dimensions::default());
}

#[test]
fn a_column_holds_the_coordinates_of_the_rows() {
    let scratch = Scratch::new();
    let table = Table::new("t", 4).column::<f64>("time", []).column::<f64>("T", []).row_dim("time");
    let store = Store::create(scratch.path("a.h5"), table).expect("creates");
    let mut writer = store.writer("t").expect("writer");
    writer.commit(0..4).set("time", &[0.0, 0.5, 1.0, 1.5]).set("T", &[1.0, 2.0, 3.0, 4.0]).run().expect("commits");
    store.extend("t", 6).expect("extends");
    assert_eq!(names(&store), ["time", "T"]);
    let script = "import h5py, sys\nwith h5py.File(sys.argv[1]) as f:\n\
        \x20   scale, = f['t/T'].dims[0].values()\n    print(scale.name, scale[:4].tolist(), len(scale))";
    if let Some(seen) = py(script, &[store.path().to_str().expect("UTF-8")]) {
        assert_eq!(seen, "/t/time [0.0, 0.5, 1.0, 1.5] 6\n");
    }
    let found = store.dimensions("t").expect("reads");
    assert_eq!(found.columns.iter().map(|(_, names)| names.join(" ")).collect::<Vec<_>>(), ["time", "time"]);
    assert!(found.coordinates.is_empty());
    store.add_columns("t", |new| new.column::<i32>("n", [])).expect("adds");
    assert_eq!(store.dimensions("t").expect("reads").columns.len(), 3);
    is_sound(&store);
}

#[test]
fn further_columns_have_those_of_the_table() {
    let scratch = Scratch::new();
    let store = store(&scratch, "a.h5", 3);
    let add = |add: fn(Table) -> Table| store.add_columns("g/t", add);
    add(|new| {
        new.column::<f64>("q", [4, 2]).dims("q", ["atom", "side"]).coordinates(Coordinates::new("side", &[-1i8, 1]))
    })
    .expect("adds");
    let found = store.dimensions("g/t").expect("reads");
    assert!(found.columns.iter().any(|(column, names)| column == "q" && names == &["frame", "atom", "side"]));
    let side = found.coordinates.iter().find(|coordinates| coordinates.dimension == "side").expect("is there");
    assert_eq!((side.dtype, side.values.as_slice()), (Dtype::I8, [255, 1].as_slice()));
    let before = std::fs::read(store.path()).expect("reads");
    let refused = |change: fn(Table) -> Table, text: &str| {
        let error = store.add_columns("g/t", change).expect_err(text);
        assert!(matches!(error.kind(), ErrorKind::BadRequest(_)) && error.to_string().contains(text), "{error}");
    };
    refused(|new| new.column::<f64>("r", [5]), "name all axes");
    refused(|new| new.column::<f64>("r", [5]).dims("r", ["atom"]), "has the length 4, not 5");
    refused(|new| new.column::<f64>("r", [5]).dims("r", ["E"]), "is not a dimension within rows");
    refused(|new| new.column::<f64>("r", [3]).dims("r", ["frame"]), "is the dimension of rows");
    refused(|new| new.column::<f64>("r", []).row_dim("row"), "the dimension of rows of table 'g/t' is 'frame'");
    let again = |new: Table| {
        new.column::<f64>("r", [3]).dims("r", ["xyz"]).coordinates(Coordinates::texts("xyz", &["a", "b", "c"]))
    };
    refused(again, "with the coordinates that it was made with");
    assert!(before == std::fs::read(store.path()).expect("reads"), "a refusal changes nothing");
    store.create_table(Table::new("plain", 2).column::<f64>("x", [])).expect("creates");
    let error = store.add_columns("plain", |new| new.column::<f64>("y", [2]).dims("y", ["k"])).expect_err("no names");
    assert!(error.to_string().contains("made without named dimensions"), "{error}");
}

#[test]
fn adoption_leaves_them_out() {
    let scratch = Scratch::new();
    let store = store(&scratch, "a.h5", 3);
    let adopted = store.adopt("g/t", &Adoption { again: true, ..Adoption::default() }).expect("adopts");
    assert_eq!(adopted.columns, ["E", "F", "V"]);
    let columns = Some(vec!["xyz".to_owned()]);
    let error = store.adopt("g/t", &Adoption { columns, ..Adoption::default() }).expect_err("not a column");
    assert!(error.to_string().contains("a dimension of the table"), "{error}");
    is_sound(&store);
}

#[test]
fn copies_have_them() {
    let scratch = Scratch::new();
    let (a, b) = (store(&scratch, "a.h5", 5), store(&scratch, "b.h5", 3));
    for (store, rows, value) in [(&a, 0..2u64, 1.0), (&b, 0..3, 2.0)] {
        let values = vec![value; usize::try_from(rows.end).expect("small")];
        store.writer("g/t").expect("writer").commit(rows).set("E", values.as_slice()).run().expect("commits");
    }
    let out = scratch.path("published.h5");
    let published = a.publish(&out, Publishing::default()).expect("publishes");
    assert!(published.left_out.is_empty(), "{:?}", published.left_out);
    let Some(seen) = seen_by_h5py(&out) else { return };
    assert_eq!(seen, expected(5));
    let inputs = [a.path(), b.path()];
    for (concat, rows) in [(false, 5), (true, 8)] {
        let out = scratch.path(&format!("merged-{concat}.h5"));
        let same = MergeOptions { concat, ..MergeOptions::default() };
        // Rows 0 and 1 differ in the two files.
        let inputs = if concat { inputs } else { [a.path(), a.path()] };
        let merged = merge(&out, inputs, &same).expect("merges");
        assert!(merged.is_complete() && merged.already_there.is_empty(), "{merged:?}");
        assert_eq!(seen_by_h5py(&out).as_deref(), Some(expected(rows).as_str()), "concat: {concat}");
        is_sound(&Store::open(&out).expect("opens"));
    }
    // Into a file that is there, which has fewer rows.
    b.reset("g/t", 0..3).expect("resets");
    b.merge([a.path()], &MergeOptions::default()).expect("merges");
    assert_eq!(seen_by_h5py(b.path()).as_deref(), Some(expected(5).as_str()));
    assert_eq!(b.missing("g/t").map(|rows: Rows| rows.len()).expect("reads"), 5);
    is_sound(&b);
}

/// Other coordinates under the same name are told.
#[test]
fn a_merge_tells_of_dimensions_that_differ() {
    let scratch = Scratch::new();
    let a = store(&scratch, "a.h5", 3);
    let other = labelled(3, &["a", "b", "c"]);
    Store::create(scratch.path("b.h5"), other).expect("creates");
    let merged =
        merge(scratch.path("out.h5"), [a.path(), &scratch.path("b.h5")], &MergeOptions::default()).expect("merges");
    let there: Vec<&str> = merged.already_there.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(there, ["/g/t/xyz"]);
}

#[test]
fn the_program_makes_them() {
    let scratch = Scratch::new();
    let (file, radii) = (scratch.text("a.h5"), scratch.npy("r.npy", &[4], &[0.1, 0.2, 0.4, 0.8]));
    let common =
        ["create", &file, "g/t", "--rows", "3", "--column", "E:f64", "--column", "F:f64:4x3", "--column", "V:f64:3"];
    let with = |more: &[&str]| run(&[&common, more].concat());
    let (code, _, err) = with(&["--dims", "F=atom,xyz"]);
    assert!(code == 2 && err.contains("name all axes of a table"), "{err}");
    let (code, _, err) = with(&["--dims", "F=r,xyz", "--dims", "V=xyz", "--coords", "xyz=1,2"]);
    assert!(code == 2 && err.contains("has the length 3, and 2 coordinates"), "{err}");
    assert!(!Path::new(&file).exists());
    let radii = format!("r=@{radii}");
    let (code, _, err) = with(&[
        "--row-dim",
        "frame",
        "--dims",
        "F=r,xyz",
        "--dims",
        "V=xyz",
        "--coords",
        "xyz=x,y,z",
        "--coords",
        &radii,
    ]);
    assert_eq!(code, 0, "{err}");
    let found = Store::open(&file).and_then(|store| store.dimensions("g/t")).expect("reads");
    assert_eq!(
        found.coordinates,
        [Coordinates::new("r", &[0.1, 0.2, 0.4, 0.8]), Coordinates::texts("xyz", &["x", "y", "z"])]
    );
    let info = ok(&["info", &file]);
    assert!(!info.contains("xyz"), "a dimension is not a column: {info}");
    ok(&["verify", &file]);
}

/// A file that netCDF or h5py made: dimensions in a group above, and coordinates that are columns.
#[test]
fn those_of_other_programs_are_told() {
    let scratch = Scratch::new();
    let path = scratch.text("a.h5");
    let script = r#"
import h5py, sys
with h5py.File(sys.argv[1], "w") as f:
    f["z"] = [10, 20]
    f["z"].make_scale("height")
    f["g/time"] = [0.5, 1.5, 2.5]
    f["g/time"].make_scale("time")
    f["g/T"] = [[1.0, 2.0]] * 3
    f["g/T"].dims[0].attach_scale(f["g/time"])
    f["g/T"].dims[1].attach_scale(f["z"])
    f["g/none"] = [1, 2, 3]
"#;
    if py(script, &[&path]).is_none() {
        return;
    }
    let store = Store::open(&path).expect("opens");
    let found = store.dimensions("g").expect("reads");
    let mut columns = found.columns.clone();
    columns.sort();
    let text = |column: &str, names: &[&str]| (column.to_owned(), names.iter().map(|&n| n.to_owned()).collect());
    assert_eq!(columns, [text("T", &["time", "z"]), text("time", &["time"])]);
    assert_eq!(found.coordinates, [Coordinates::new("z", &[10i64, 20])]);
    // They stay columns, as before.
    assert!(names(&store).contains(&"time".to_owned()), "{:?}", names(&store));
}
