//! Texts that h5part keeps in a file: they are stored in object headers, and those of earlier versions are read.

use crate::common::support::{Scratch, ok, py};
use crate::store::columns::{findings, second};
use crate::store::guard::store_with_rows;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Adoption, Store, Values};
use hdf5::types::{FixedUnicode, VarLenUnicode};
use std::path::Path;
use std::str::FromStr;

fn has_a_heap(path: &Path) -> bool {
    std::fs::read(path).expect("reads").windows(4).any(|bytes| bytes == b"GCOL")
}

/// If a loss of power had taken the bytes of a text heap, reading it would never end.
#[test]
fn what_h5part_writes_needs_no_heap() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    store.add_columns(&second(10)).expect("adds");
    store
        .change(|h5| {
            let group = h5.library().create_group("p")?;
            group.new_dataset_builder().with_data(&[1.5; 20]).create("x")?;
            Ok(())
        })
        .expect("changes");
    store.adopt("p", &Adoption::default(), &|_, _| ()).expect("adopts");
    store.extend("t", 3000).expect("extends");
    assert!(!has_a_heap(store.path()), "the store");
    let (work, out) = (scratch.text("a.h5"), scratch.text("out.h5"));
    for _ in 0..2 {
        ok(&["publish", &work, "-o", &out, "--gzip", "1"]);
        assert!(!has_a_heap(Path::new(&out)), "what was published");
    }
    py(
        r#"
import h5py, sys
text = lambda value: value.decode() if isinstance(value, bytes) else value
with h5py.File(sys.argv[1]) as f:
    stamps = f["__h5part__/1"].attrs
    assert [text(name) for name in stamps["columns"]] == ["E", "F", "status", "E2", "F2", "status2"]
    assert text(stamps["table"]) == "t" and len(text(f.attrs["h5part_uuid"])) == 36
    assert [text(word) for word in stamps["guards"]] == ["status", "1", "", "status2", "1", "0"]
"#,
        &[&work],
    );
}

/// Names of any length, longer than an attribute can hold.
#[test]
fn long_names_are_kept() {
    let scratch = Scratch::new();
    let name = |k: usize| format!("{k}{}", "µ".repeat(if k == 40 { 20_000 } else { k * 20 }));
    let names: Vec<String> = (0..63).map(name).collect();
    let columns = names.iter().map(|name| ColumnSpec::new(name, Dtype::U8, &[])).collect();
    let store = Store::new(scratch.path("a.h5")).expect("path");
    store.create(&NewTable::new("t", 5, columns), &|_, _| ()).expect("creates");
    let known = || -> Vec<String> {
        let mut columns = store.reader("t").expect("reader").table().columns.clone();
        columns.sort_by_key(|column| column.stamp);
        columns.into_iter().map(|column| column.name).collect()
    };
    assert_eq!(known(), names);
    store.add_columns(&NewTable::new("t", 5, vec![ColumnSpec::new("one more", Dtype::F64, &[])])).expect("adds");
    assert_eq!(known(), [names.as_slice(), &["one more".to_owned()]].concat());
}

fn variable(text: &str) -> VarLenUnicode {
    VarLenUnicode::from_str(text).expect("a text")
}

/// Replaces a text, or a list, by one in the form that earlier versions wrote.
fn as_it_was(object: &hdf5::Location, name: &str, texts: &[&str], list: bool) {
    object.delete_attr(name).expect("is there");
    let texts: Vec<VarLenUnicode> = texts.iter().map(|text| variable(text)).collect();
    if list {
        object.new_attr_builder().with_data(&texts).create(name).expect("writes");
    } else {
        object.new_attr::<VarLenUnicode>().create(name).expect("makes").write_scalar(&texts[0]).expect("writes");
    }
}

#[test]
fn texts_of_earlier_versions_are_read() {
    let scratch = Scratch::new();
    let store = store_with_rows(&scratch.path("a.h5"), 0);
    let file = hdf5::File::open_rw(store.path()).expect("opens");
    let uuid: FixedUnicode<36> = file.attr("h5part_uuid").expect("there").read_scalar().expect("reads");
    as_it_was(&file, "h5part_uuid", &[uuid.as_str()], false);
    let stamps = file.dataset("__h5part__/1").expect("there");
    as_it_was(&stamps, "table", &["t"], false);
    as_it_was(&stamps, "columns", &["E", "F", "status"], true);
    as_it_was(&stamps, "guard", &["status"], false);
    as_it_was(&stamps, "guard_undefined", &["1"], false);
    drop((stamps, file));
    assert!(has_a_heap(store.path()));
    let before = store.reader("t").expect("reader").table().clone();
    assert_eq!(before.stamps.as_ref().expect("stamps").guards.len(), 1);
    store
        .writer("t")
        .expect("writer")
        .commit(&Rows::one(1), &[("E", Values::from(&ndarray::arr1(&[2.5])))])
        .expect("commits");
    store.add_columns(&second(10)).expect("adds");
    let after = store.reader("t").expect("reader").table().clone();
    assert_eq!(after.stamps.as_ref().expect("stamps").guards.len(), 2);
    assert!(before.columns.iter().all(|column| after.columns.iter().any(|now| column.is_still(now))));
    assert_eq!(findings(&store), []);
}
