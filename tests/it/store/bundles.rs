//! Bundles: groups of small datasets that are added at once, with a checksum.

use crate::common::support::{Scratch, ok, py, run};
use h5part::{ErrorKind, Item};
use h5part_engine::store::{Bundle, Content, Member, Store};
use h5part_engine::verify::{Kind, Verify};
use std::path::Path;

fn text(name: &str, shape: &[u64], values: &[&str], unit: &str) -> Member {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    let attributes = vec![("Units".to_owned(), unit.to_owned())];
    Member { name: name.to_owned(), content: Content::Texts { shape: shape.to_vec(), values }, attributes }
}

fn floats(name: &str, shape: &[u64], values: Vec<f64>) -> Member {
    let attributes = vec![("Units".to_owned(), "Å∕µs".to_owned())];
    Member { name: name.to_owned(), content: Content::Floats { shape: shape.to_vec(), values }, attributes }
}

fn trial(k: u64) -> Bundle {
    let many = 300_000 + k;
    let members = vec![
        text("earth:Mass:initial", &[1], &["5.97e24"], "kg"),
        text("earth:OutputOrder", &[100, 2], &["Time", "µs"].repeat(100), ""),
        text("empty", &[0], &[], ""),
        text("nothing in it", &[2], &["", "ü"], ""),
        floats("earth:Time:forward", &[1, 3], vec![f64::from(k as u32), f64::NAN, -0.0]),
        floats("long", &[1, many], (0..many).map(|n| n as f64).collect()),
        floats("none", &[1, 0], Vec::new()),
        floats("scalar", &[], vec![1.5]),
    ];
    Bundle { members }
}

fn archive(scratch: &Scratch, trials: u64) -> Store {
    let store = Store::new(scratch.path("a.bpa")).expect("store");
    assert!(store.create_empty().expect("makes it"));
    assert!(!store.create_empty().expect("is there"));
    for k in 0..trials {
        store.add_bundle(&format!("trial{k}"), &trial(k), false).expect("adds");
        store.check_bundle(&format!("trial{k}"), &trial(k)).expect("reads back");
    }
    store
}

fn faults(path: &Path) -> Vec<Kind> {
    let report = Store::open(path).expect("opens").verify(&Verify::default(), &|_, _| ()).expect("verifies");
    report.findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn what_is_added_is_read_back_by_us_and_by_h5py() {
    let scratch = Scratch::new();
    let store = archive(&scratch, 2);
    let there = store.read_bundle("trial1", None).expect("reads");
    assert_eq!(there.sum(), trial(1).sum());
    let some = store.read_bundle("/trial1", Some(&["long".to_owned(), "no such".to_owned()])).expect("reads");
    assert_eq!(some.members, vec![trial(1).members.swap_remove(5)]);
    assert_eq!(faults(store.path()), []);
    let said = ok(&["verify", store.path().to_str().expect("UTF-8")]);
    assert!(said.contains("2 bundles"), "{said}");
    let steps = std::sync::Mutex::new(Vec::new());
    let step = |done, total| steps.lock().expect("lock").push((done, total));
    let report = store.verify(&Verify::default(), &step).expect("verifies");
    assert_eq!(report.bytes_read, trial(0).bytes() + trial(1).bytes());
    assert_eq!(steps.into_inner().expect("lock"), [(report.bytes, report.bytes)]);
    py(
        r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1]) as f:
    assert sorted(f) == ["trial0", "trial1"], list(f)
    t = f["trial1"]
    assert len(t) == 8 and list(t.attrs) == ["h5part_checksum"]
    d = t["earth:Mass:initial"]
    info = h5py.check_string_dtype(d.dtype)
    assert (d.shape, d[0], info.encoding, info.length) == ((1,), b"5.97e24", "utf-8", None)
    assert d.attrs["Units"] == "kg" and isinstance(d.attrs["Units"], str)
    assert t["earth:OutputOrder"].shape == (100, 2) and t["earth:OutputOrder"][99, 1].decode() == "µs"
    forward = t["earth:Time:forward"]
    assert forward.fletcher32 and forward.dtype == "f8" and forward.attrs["Units"] == "Å∕µs"
    np.testing.assert_array_equal(forward[...], [[1.0, np.nan, -0.0]])
    np.testing.assert_array_equal(t["long"][0], np.arange(300001.0))
    assert t["scalar"][()] == 1.5 and t["none"].shape == (1, 0) and t["empty"].shape == (0,)
"#,
        &[store.path().to_str().expect("UTF-8")],
    );
}

#[test]
fn a_name_that_is_taken_is_refused_or_replaced() {
    let scratch = Scratch::new();
    let store = archive(&scratch, 1);
    let error = store.add_bundle("trial0", &trial(7), false).expect_err("is taken");
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists(Item::Group(name)) if name == "trial0"), "{error}");
    store.add_bundle("trial0", &trial(7), true).expect("replaces");
    store.check_bundle("trial0", &trial(7)).expect("is the new one");
    let error = store.check_bundle("trial0", &trial(0)).expect_err("is not the old one");
    assert!(matches!(error.kind(), ErrorKind::BundleChanged { .. }), "{error}");
    store.add_bundle("deep/down/here", &trial(3), false).expect("makes the groups on the way");
    store.check_bundle("deep/down/here", &trial(3)).expect("is there");
    let error = store.check_bundle("trial9", &trial(9)).expect_err("is not there");
    assert!(matches!(error.kind(), ErrorKind::NotFound { what: Item::Group(_), .. }), "{error}");
}

#[test]
fn verify_finds_whatever_is_changed_in_a_bundle() {
    for change in [
        "f['trial1/earth:Mass:initial'][0] = '5.98e24'",
        "f['trial1/earth:Mass:initial'].attrs['Units'] = 'g'",
        "f['trial1/earth:Time:forward'][0, 0] = 2",
        "del f['trial1/scalar']",
        "f['trial1/more'] = 1.0",
        "f['trial1/other'] = f['trial1/scalar']; del f['trial1/scalar']",
        "del f['trial1/scalar']; f['trial1/scalar'] = np.zeros(1, dtype='f8,i4')",
    ] {
        let scratch = Scratch::new();
        let store = archive(&scratch, 3);
        let path = store.path().to_str().expect("UTF-8");
        py(&format!("import h5py, sys, numpy as np\nwith h5py.File(sys.argv[1], 'r+') as f:\n    {change}"), &[path]);
        assert_eq!(faults(store.path()), [Kind::Bundle], "{change}");
        let (code, said, _) = run(&["verify", path]);
        assert!(code == 1 && said.contains("fault: /trial1: "), "{code}: {said}");
    }
}

#[test]
fn groups_that_others_made_are_read_too() {
    let scratch = Scratch::new();
    let path = scratch.text("theirs.h5");
    py(
        r#"
import h5py, sys, numpy as np
with h5py.File(sys.argv[1], "w", libver="earliest") as f:
    g = f.create_group("t")
    g["fixed"] = np.array([b"ab", b"c"])
    g["vlen ascii"] = np.array(["x", "yz"], dtype=h5py.string_dtype("ascii"))
    g["no utf-8"] = np.array([b"\xff!"], dtype=h5py.string_dtype())
    g["int"] = np.array([1, -2], dtype=">i2")
    g["bool"] = True
    g["int"].attrs["Units"] = np.bytes_("kg")
    g["int"].attrs["numbers"] = [1, 2]
    g.create_group("below")
    f["alias"] = g
"#,
        &[&path],
    );
    let store = Store::open(&path).expect("opens");
    let names = ["fixed", "int", "no utf-8", "vlen ascii"].map(str::to_owned);
    let found = store.read_bundle("t", Some(&names)).expect("reads");
    let texts = |shape: u64, values: &[&str]| Content::Texts {
        shape: vec![shape],
        values: values.iter().map(|&v| v.to_owned()).collect(),
    };
    let contents: Vec<_> = found.members.iter().map(|member| member.content.clone()).collect();
    let ints = Content::Floats { shape: vec![2], values: vec![1.0, -2.0] };
    assert_eq!(contents, [texts(2, &["ab", "c"]), ints, texts(1, &["\u{fffd}!"]), texts(2, &["x", "yz"])]);
    assert_eq!(found.members[1].attributes, [("Units".to_owned(), "kg".to_owned())]);
    let error = store.read_bundle("t", None).expect_err("has a bool");
    assert!(
        matches!(error.kind(), ErrorKind::UnsupportedColumn { column, dtype: Some(_) } if column == "bool"),
        "{error}"
    );
    let names = store.root_names().expect("reads");
    assert_eq!(names.iter().map(|named| named.name.as_str()).collect::<Vec<_>>(), ["alias", "t"]);
    assert!(names[0].object.is_ok() && names[0].object == names[1].object);
    store.add_bundle("ours", &trial(0), false).expect("adds beside");
    store.check_bundle("ours", &trial(0)).expect("is there");
    assert_eq!(faults(store.path()), []);
}

#[test]
fn a_file_of_one_bundle_takes_the_name_of_another() {
    let scratch = Scratch::new();
    let store = archive(&scratch, 1);
    store.replace_with_bundle(&trial(4)).expect("makes it");
    assert_eq!(store.read_bundle("", None).expect("reads").sum(), trial(4).sum());
    assert_eq!(faults(store.path()), []);
    let left: Vec<_> = std::fs::read_dir(scratch.path("")).expect("folder").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| name.to_str().is_some_and(|name| name.starts_with("a.bpa"))), "{left:?}");
}
