//! Tables that h5py made get stamps: nothing else in the file changes, and their rows can be updated.

use crate::common::support::{Scratch, ok, py, run};
use h5part_base::dataspace::Rows;
use h5part_base::error::{ErrorKind, Gone};
use h5part_base::storage::{Disk, Storage as _};
use h5part_engine::store::{Adoption, Store, Values};
use ndarray::Array1;
use serde_json::Value;

/// A file with a table `a/b` of twenty rows and columns of every kind. The second argument is the oldest library
/// version that must be able to read it.
const MAKE: &str = "\
import sys, h5py, numpy as np
low = {'0': 'earliest', '2': 'v108', '3': 'v110'}[sys.argv[2]]
high = 'v108' if low == 'v108' else 'latest'
f = h5py.File(sys.argv[1], 'w', libver=(low, high))
f.attrs['title'] = 'made by others'
g = f.create_group('a/b')
g.attrs['unit'] = 'eV'
g.attrs['numbers'] = np.arange(5.)
f.create_group('a/other/deep')['scalar'] = 3
n = np.arange(20.)
g['plain'] = n
g['cells'] = np.arange(60.).reshape(20, 3)
g.create_dataset('chunked', data=n.astype('f4'), chunks=(6,), maxshape=(None,))
g.create_dataset('late', shape=(20,), dtype='u2', chunks=(3,), fillvalue=9)
g.create_dataset('part', shape=(20,), dtype='i8', chunks=(4,))[8:11] = [1, 0, 3]
g.create_dataset('gzip', data=np.arange(60, dtype='i4').reshape(20, 3), chunks=(7, 2), compression='gzip', shuffle=True)
g['big8'] = n.astype('>f8')
g.create_dataset('big4', data=n.astype('>i4'), chunks=(5,))
g['pair'] = np.array([(i, i / 2) for i in range(20)], dtype=[('k', 'i4'), ('x', 'f8')])
g.create_dataset('color', data=np.arange(20) % 2, dtype=h5py.enum_dtype({'red': 0, 'blue': 1}))
g['name'] = np.array([b'row%d' % i for i in range(20)], dtype='S6')
g.create_dataset('text', data=['text %d' % i for i in range(20)], dtype=h5py.string_dtype())
g['flag'] = n % 3 == 0
g.create_dataset('status', data=np.array([2, 0] * 10, dtype='i8'), chunks=(4,))
g['plain'].attrs['note'] = 'of a column'
g['other length'] = np.zeros(3)
f.close()
assert open(sys.argv[1], 'rb').read(9)[8] == int(sys.argv[2])
";

/// Every name, type, value and attribute, except those of h5part.
const DUMP: &str = "\
import sys, h5py, numpy as np
def text(v):
    v = np.asarray(v)
    return repr(v.tolist()) if v.dtype.kind == 'O' else v.tobytes().hex()
def look(name, o):
    if name.startswith('__h5part__'): return
    if isinstance(o, h5py.Dataset): print(name, o.dtype, o.shape, o.chunks, o.compression, o.fillvalue, text(o[()]))
    else: print(name)
    for k in sorted(o.attrs):
        if not k.startswith('h5part_'): print(name, '@', k, text(o.attrs[k]))
f = h5py.File(sys.argv[1])
look('/', f)
f.visititems(look)
";

/// Makes the file and returns its content. `None` without h5py.
fn made(scratch: &Scratch, superblock: &str) -> Option<(String, String)> {
    let file = scratch.text("a.h5");
    py(MAKE, &[&file, superblock])?;
    let dump = py(DUMP, &[&file])?;
    Some((file, dump))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().expect("a list").iter().map(|name| name.as_str().expect("a name")).collect()
}

const UNSUPPORTED: [&str; 2] = ["other length", "text"];

#[test]
fn every_kind_of_dataset_stays_as_it_is() {
    for superblock in ["0", "2", "3"] {
        let scratch = Scratch::new();
        let Some((file, before)) = made(&scratch, superblock) else { return };
        let adopted = json(&ok(&["adopt", &file, "a/b", "--attr", "run=7", "--json"]));
        assert_eq!(adopted["rows"], 20);
        assert_eq!(names(&adopted["without_stamps"]), UNSUPPORTED);
        let stamped = names(&adopted["columns"]);
        let all = [
            "big4", "big8", "cells", "chunked", "color", "flag", "gzip", "late", "name", "pair", "part", "plain",
            "status",
        ];
        assert_eq!(stamped, all);
        let after = py(DUMP, &[&file]).expect("h5py");
        let (own, rest): (Vec<&str>, Vec<&str>) = after.lines().partition(|line| line.contains("@ run"));
        assert_eq!((own.len(), rest), (1, before.lines().collect::<Vec<_>>()), "superblock {superblock}");
        let head = std::fs::read(scratch.path("a.h5")).expect("read");
        assert_eq!(head[8].to_string(), superblock, "the superblock is of the version that it was");
    }
}

#[test]
fn all_kinds_of_columns_are_updated_afterwards() {
    for superblock in ["0", "2", "3"] {
        let scratch = Scratch::new();
        let Some((file, before)) = made(&scratch, superblock) else { return };
        ok(&["adopt", &file, "a/b", "--committed", "all"]);
        let one = scratch.npy("one.npy", &[2], &[-1.0, -2.0]);
        let three = scratch.npy("three.npy", &[2, 3], &[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
        let mut touched = Vec::new();
        for column in ["plain", "chunked", "part", "big8", "big4", "status", "gzip", "cells", "late"] {
            let values = match column {
                "gzip" | "cells" => &three,
                "late" => &scratch.npy("late.npy", &[2], &[1.0, 2.0]),
                _ => &one,
            };
            let set = format!("{column}={values}");
            let out = ok(&["update", &file, "a/b", "--rows", "17,4", "--set", &set, "--cast", "--json"]);
            assert_eq!(json(&out)["stamped"], true);
            touched.push(column);
        }
        let script = "import sys, h5py\n\
            g = h5py.File(sys.argv[1])['a/b']\n\
            print([[c, g[c][17].tolist(), g[c][4].tolist(), g[c][5].tolist()] for c in sys.argv[2:]])";
        let out = py(script, &[&[file.as_str()], &touched[..]].concat()).expect("h5py");
        assert_eq!(
            out.trim(),
            "[['plain', -1.0, -2.0, 5.0], ['chunked', -1.0, -2.0, 5.0], ['part', -1, -2, 0], ['big8', -1.0, -2.0, 5.0], \
             ['big4', -1, -2, 5], ['status', -1, -2, 0], ['gzip', [-1, -2, -3], [-4, -5, -6], [15, 16, 17]], \
             ['cells', [-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0], [15.0, 16.0, 17.0]], ['late', 1, 2, 9]]"
        );
        let untouched = |dump: &str| {
            let changed = |line: &&str| !touched.iter().any(|c| line.starts_with(&format!("a/b/{c} ")));
            dump.lines().filter(changed).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(untouched(&py(DUMP, &[&file]).expect("h5py")), untouched(&before));
        assert_eq!(json(&ok(&["recover", &file, "--json"]))["foreign"], 0);
    }
}

#[test]
fn what_counts_is_for_the_user_to_say() {
    let committed = |file: &str, rule: &str| json(&ok(&["adopt", file, "a/b", "--committed", rule, "--json"]));
    let counts = |file: &str| {
        let status = json(&ok(&["status", file, "a/b", "--json"]));
        let columns = status["columns"].as_array().expect("columns").clone();
        move |name: &str| columns.iter().find(|c| c["name"] == name).map(|c| c["committed"].as_u64().expect("a number"))
    };
    for (rule, plain, late, part, status) in
        [("all", 20, 20, 20, 20), ("nonfill", 19, 0, 2, 10), ("status=2", 10, 10, 10, 10)]
    {
        let scratch = Scratch::new();
        let Some((file, before)) = made(&scratch, "0") else { return };
        let adopted = committed(&file, rule);
        let count = counts(&file);
        let found = ["plain", "late", "part", "status"].map(|name| count(name).expect("stamped"));
        assert_eq!(found, [plain, late, part, status], "{rule}");
        assert!(adopted["committed"].as_u64() >= Some(plain + late + part + status), "{adopted}");
        assert_eq!(py(DUMP, &[&file]).expect("h5py"), before, "{rule}");
    }
}

/// Rows 1, 3, 5, ... are declared to have no value. Their bytes stay until they are updated.
#[test]
fn rows_that_do_not_count_are_missing_and_may_be_updated() {
    let scratch = Scratch::new();
    let Some((file, before)) = made(&scratch, "0") else { return };
    ok(&["adopt", &file, "a/b", "--committed", "status=2", "--guard", "status=1"]);
    assert_eq!(ok(&["read", &file, "a/b", "plain", "--rows", "1:4"]), "0.0\n2.0\n0.0\n", "missing rows are fill");
    let values = scratch.npy("v.npy", &[2], &[7.5, 8.5]);
    for column in ["plain", "big8"] {
        ok(&["update", &file, "a/b", "--rows", "3,5", "--set", &format!("{column}={values}")]);
        assert_eq!(ok(&["read", &file, "a/b", column, "--rows", "2:6"]), "2.0\n7.5\n4.0\n8.5\n");
    }
    let script = "import sys, h5py\n\
        g = h5py.File(sys.argv[1])['a/b']\n\
        print(g['plain'][:8].tolist(), g['big8'][:8].tolist(), g['status'][:8].tolist())";
    let out = py(script, &[&file]).expect("h5py");
    let values = "[0.0, 1.0, 2.0, 7.5, 4.0, 8.5, 6.0, 7.0]";
    assert_eq!(out.trim(), format!("{values} {values} [2, 0, 2, 0, 2, 0, 2, 0]"));
    let others = |dump: &str| {
        let is_other = |l: &&str| !l.starts_with("a/b/plain ") && !l.starts_with("a/b/big8 ");
        dump.lines().filter(is_other).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(others(&py(DUMP, &[&file]).expect("h5py")), others(&before));
}

#[test]
fn a_foreign_change_after_it_is_refused() {
    let scratch = Scratch::new();
    let Some((file, _)) = made(&scratch, "2") else { return };
    ok(&["adopt", &file, "a/b", "--committed", "status=2"]);
    let script = "import sys, h5py\n\
        with h5py.File(sys.argv[1], 'r+') as f:\n\
        \x20   for c in ('plain', 'big8', 'chunked'): f['a/b'][c][4] = 99; f['a/b'][c][5] = 98";
    py(script, &[&file]).expect("h5py");
    let value = scratch.npy("v.npy", &[1], &[7.5]);
    for (column, row) in [("plain", "4"), ("plain", "5"), ("big8", "4"), ("big8", "5"), ("chunked", "4")] {
        let set = format!("{column}={value}");
        let update = ["update", &file, "a/b", "--rows", row, "--set", &set, "--cast"];
        let (code, _, err) = run(&update);
        assert!(code == 9 && err.contains("changed by another program"), "{column} {row}: {code} {err}");
        assert_eq!(ok(&[&update[..], &["--accept-foreign"]].concat()).lines().count(), 1);
        assert_eq!(ok(&["read", &file, "a/b", column, "--rows", row]), "7.5\n");
    }
}

#[test]
fn what_cannot_be_adopted() {
    let scratch = Scratch::new();
    let Some((file, _)) = made(&scratch, "0") else { return };
    let script = "import sys, h5py\n\
        f = h5py.File(sys.argv[1], 'r+')\n\
        for i in range(4097): f['many/c%d' % i] = [1., 2.]\n\
        f['texts/x'] = ['a', 'b']\n\
        for i in range(64): f['most/c%d' % i] = [1., 2.]";
    py(script, &[&file]).expect("h5py");
    let before = std::fs::read(&file).expect("read");
    let code = |args: &[&str]| {
        let (code, _, err) = run(&[&["adopt", &file], args].concat());
        assert!(code != 0 && err.starts_with("h5part: ") || code == 2, "{args:?}: {err}");
        code
    };
    assert_eq!(code(&["nothing"]), 3);
    assert_eq!(code(&["a/b/plain"]), 3);
    assert_eq!(code(&["a/b", "--committed", "nothing=1"]), 3);
    assert_eq!(code(&["a/b", "--guard", "nothing=1"]), 3);
    assert_eq!(code(&["many"]), 2);
    assert_eq!(code(&["texts"]), 10);
    assert_eq!(code(&["a/b", "--committed", "status=x"]), 2);
    assert_eq!(code(&["a/b", "--committed", "some"]), 2);
    assert_eq!(code(&["a/b", "--guard", "cells=1"]), 2);
    assert_eq!(code(&["a/b", "--guard", "text=1"]), 10);
    assert!(std::fs::read(&file).expect("read") == before, "nothing was changed");
    ok(&["adopt", &file, "most"]);
    ok(&["adopt", &file, "a/b"]);
    let before = std::fs::read(&file).expect("read");
    assert_eq!(code(&["a/b"]), 11);
    assert!(std::fs::read(&file).expect("read") == before, "nothing was changed");
}

#[test]
fn without_stamps_an_update_works_and_says_so() {
    let scratch = Scratch::new();
    let Some((file, before)) = made(&scratch, "0") else { return };
    let value = scratch.npy("v.npy", &[1], &[7.5]);
    for column in ["plain", "big8"] {
        let set = format!("{column}={value}");
        let (code, out, err) = run(&["update", &file, "a/b", "--rows", "3", "--set", &set, "--json"]);
        assert_eq!((code, &json(&out)["stamped"]), (0, &Value::Bool(false)), "{err}");
        assert!(err.contains("has no stamps") && err.contains("h5part adopt"), "{err}");
        assert_eq!(ok(&["read", &file, "a/b", column, "--rows", "3"]), "7.5\n");
    }
    let after = py(DUMP, &[&file]).expect("h5py");
    let differ = before.lines().zip(after.lines()).filter(|(a, b)| a != b).count();
    assert_eq!((differ, before.lines().count()), (2, after.lines().count()));
}

/// With a guard, `--committed status=0` also says which rows are complete: other rows need no values.
#[test]
fn the_rule_says_what_a_complete_row_is() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   f['t/status'] = np.array([0, 1, 2, 0])\n\
        \x20   f['t/E'] = np.array([1., np.nan, np.nan, 4.])";
    if py(make, &[&file]).is_none() {
        return;
    }
    ok(&["adopt", &file, "t", "--committed", "status=0", "--guard", "status=1"]);
    // 2 stands for "failed": it is not undefined, and says nothing about E.
    ok(&["verify", &file]);
    let set = format!("status={}", scratch.npy("s.npy", &[1], &[0.0]));
    ok(&["update", &file, "t", "--rows", "2", "--set", &set, "--cast"]);
    let (code, out, err) = run(&["verify", &file]);
    assert!(code == 1 && out.contains("guard"), "{out}{err}");
}

/// If another program copies a table, the copy has the original's id but no stamps.
#[test]
fn a_table_that_was_copied_is_one_without_stamps() {
    let scratch = Scratch::new();
    let (file, other) = (scratch.text("a.h5"), scratch.text("b.h5"));
    let store = crate::common::support::small_store(&scratch.path("a.h5"), 9);
    let commit = |table: &str, row: u64, value: f64| {
        let mut writer = store.writer(table).expect("writer");
        writer.commit(&Rows::one(row), &[("E", Values::from(&Array1::from_elem(1, value)))]).map(|_| ())
    };
    commit("t", 2, 5.0).expect("commit");
    let script = "import sys, h5py\n\
        with h5py.File(sys.argv[1], 'r+') as f, h5py.File(sys.argv[2], 'w') as g:\n\
        \x20   f.copy('t', 'copy')\n\
        \x20   f.copy('t', g, 't')\n\
        \x20   f['alias'] = f['t']";
    if crate::common::support::py(script, &[&file, &other]).is_none() {
        return;
    }
    let stamped = |table: &str| store.reader(table).expect("reader").table().stamps.is_some();
    assert!(stamped("t") && stamped("alias") && !stamped("copy"));
    commit("t", 3, 6.0).expect("commit");
    let said = ok(&["verify", &file]);
    assert!(
        said.contains("table 'copy': a copy of a table, without stamps of its own") && said.contains("sound"),
        "{said}"
    );
    // The copy holds the same values, and gets its own stamps.
    assert_eq!(ok(&["read", &file, "copy", "E", "--rows", "2:4"]), "5.0\nNaN\n");
    ok(&["adopt", &file, "copy", "--committed", "nonfill"]);
    commit("copy", 4, 7.0).expect("commit");
    commit("t", 4, 8.0).expect("commit");
    assert_eq!(ok(&["read", &file, "copy", "E", "--rows", "4"]), "7.0\n");
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "4"]), "8.0\n");
    assert!(ok(&["verify", &file]).contains("sound: 0 faults, 0 notes"));
    // In another file there are no stamps at all.
    assert_eq!(ok(&["read", &other, "t", "E", "--rows", "2"]), "5.0\n");
    ok(&["adopt", &other, "t", "--committed", "nonfill"]);
    // A table that is moved keeps its stamps.
    let script = "import sys, h5py\nwith h5py.File(sys.argv[1], 'r+') as f: del f['alias']; f.move('t', 'moved')";
    crate::common::support::py(script, &[&file]).expect("h5py");
    assert!(stamped("moved") && ok(&["verify", &file]).contains("sound: 0 faults"));
}

/// Zeros, `False` and NaN are values in datasets that were written. Cells that were never written are missing.
#[test]
fn what_was_written_is_told_by_evidence() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   g = f.create_group('t')\n\
        \x20   g['zeros'] = np.zeros(12, int)\n\
        \x20   g['flags'] = np.zeros(12, bool)\n\
        \x20   g['nan'] = np.full(12, np.nan)\n\
        \x20   g.create_dataset('own', data=np.arange(12) % 3, fillvalue=2)\n\
        \x20   g.create_dataset('chunked', shape=(12,), dtype='f8', chunks=(4,))[4:6] = 0\n\
        \x20   g.create_dataset('gzip', shape=(12,), dtype='f8', chunks=(4,), compression='gzip')[8:] = 0\n\
        \x20   g.create_dataset('late', shape=(12,), dtype='f8')\n\
        \x20   d = g.create_dataset('netcdf', data=np.where(np.arange(12) < 5, -999., 1.))\n\
        \x20   d.attrs['_FillValue'] = np.array([-999.])\n\
        \x20   d = g.create_dataset('masked', data=np.where(np.arange(12) < 5, np.nan, 1.).astype('f4'))\n\
        \x20   d.attrs['missing_value'] = np.float32('nan')\n\
        \x20   d = g.create_dataset('tables', data=np.zeros(12), chunks=(4,), maxshape=(None,), fillvalue=0.)\n\
        \x20   d.attrs['CLASS'] = np.bytes_(b'EARRAY')";
    if py(make, &[&file]).is_none() {
        return;
    }
    let before = std::fs::read(&file).expect("read");
    let planned = json(&ok(&["adopt", &file, "t", "--dry-run", "--json"]));
    assert!(std::fs::read(&file).expect("read") == before, "a dry run changes nothing");
    let done = json(&ok(&["adopt", &file, "t", "--json"]));
    assert_eq!(planned["decisions"], done["decisions"]);
    assert_eq!((&planned["dry_run"], &done["dry_run"]), (&Value::Bool(true), &Value::Bool(false)));
    let expected = [
        ("zeros", 12),
        ("flags", 12),
        ("nan", 12),
        ("own", 8),
        ("chunked", 4),
        ("gzip", 4),
        ("late", 0),
        ("netcdf", 7),
        ("masked", 7),
        ("tables", 12),
    ];
    let decisions = done["decisions"].as_array().expect("decisions");
    for (name, committed) in expected {
        let decision = decisions.iter().find(|d| d["column"] == name).expect(name);
        assert_eq!(
            (&decision["committed"], &decision["not_there"]),
            (&committed.into(), &(12 - committed).into()),
            "{decision}"
        );
        assert!(decision["because"].as_str().is_some_and(|text| !text.is_empty()), "{decision}");
    }
    assert!(ok(&["verify", &file]).contains("sound: 0 faults"));
}

/// If the space of a table was allocated at creation, zeros everywhere prove nothing. One other value proves that the
/// zeros are values.
#[test]
fn space_that_was_allocated_at_once_proves_nothing() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE); p.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   for t in ('blank', 'used'):\n\
        \x20       g = f.create_group(t)\n\
        \x20       for c in ('x', 'y'): h5py.h5d.create(g.id, c.encode(), h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((9,)), p)\n\
        \x20   f['used/x'][3] = 1";
    if py(make, &[&file]).is_none() {
        return;
    }
    assert_eq!(json(&ok(&["adopt", &file, "blank", "--json"]))["committed"], 0);
    assert_eq!(json(&ok(&["adopt", &file, "used", "--json"]))["committed"], 18);
}

/// A dataset that cannot get stamps does not keep the others from theirs.
#[test]
fn odd_datasets_are_left_out_with_the_reason() {
    let scratch = Scratch::new();
    let (file, other) = (scratch.text("a.h5"), scratch.text("s.h5"));
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[2], 'w') as f: f['d'] = np.arange(5.)\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   g = f.create_group('g'); g['E'] = np.arange(5.); g['F'] = np.arange(5.)\n\
        \x20   l = h5py.VirtualLayout((5,), 'f8'); l[:] = h5py.VirtualSource('s.h5', 'd', (5,))\n\
        \x20   g.create_virtual_dataset('virtual', l)\n\
        \x20   g.create_dataset('external', (5,), 'f8', external=[('raw.bin', 0, 40)])\n\
        \x20   g['text'] = ['a'] * 5; g['longer'] = np.zeros(6); g['one'] = 3; g['alias'] = g['E']";
    if py(make, &[&file, &other]).is_none() {
        return;
    }
    let (code, _, err) = run(&["adopt", &file, "g", "--column", "virtual"]);
    assert!(code == 2 && err.contains("'virtual'") && err.contains("stored outside the file"), "{code} {err}");
    let (code, _, err) = run(&["adopt", &file, "g", "--column", "longer"]);
    assert!(code == 2 && err.contains("6 rows"), "{code} {err}");
    let said = ok(&["adopt", &file, "g", "--dry-run"]);
    assert!(said.contains("external, virtual: stored outside the file"), "{said}");
    let done = json(&ok(&["adopt", &file, "g", "--json"]));
    assert_eq!(names(&done["without_stamps"]), ["alias", "external", "longer", "one", "text", "virtual"]);
    assert_eq!(names(&done["columns"]), ["E", "F"]);
    let reasons = names(&done["reasons"]);
    let words = ["another name", "outside", "6 rows", "single value", "not supported", "outside"];
    assert!(reasons.iter().zip(words).all(|(reason, word)| reason.contains(word)), "{reasons:?}");
    assert!(ok(&["verify", &file]).contains("sound"));
}

/// A table adopted by the wrong rule is adopted again, and the changes are reported.
#[test]
fn a_table_is_adopted_again() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   f['t/x'] = np.arange(6.); f['t/status'] = np.array([0, 1, 0, 0, 1, 0])";
    if py(make, &[&file]).is_none() {
        return;
    }
    ok(&["adopt", &file, "t", "--committed", "nonfill"]);
    assert_eq!(run(&["adopt", &file, "t"]).0, 11);
    let again = ["adopt", &file, "t", "--again", "--json"];
    let planned = json(&ok(&[&again[..], &["--dry-run"]].concat()));
    let done = json(&ok(&again));
    assert_eq!((&planned["decisions"], &done["committed"]), (&done["decisions"], &12.into()));
    let before = |name: &str| {
        let decisions = done["decisions"].as_array().expect("decisions");
        decisions.iter().find(|d| d["column"] == name).expect(name)["before"].clone()
    };
    assert_eq!(before("x"), serde_json::json!({"committed": 5, "no_longer": 0, "newly": 1, "changed": 0}));
    assert_eq!(before("status"), serde_json::json!({"committed": 2, "no_longer": 0, "newly": 4, "changed": 0}));
    let script = "import sys, h5py\nwith h5py.File(sys.argv[1], 'r+') as f: f['t/x'][2] = 7";
    py(script, &[&file]).expect("h5py");
    let done = json(&ok(&["adopt", &file, "t", "--again", "--committed", "status=0", "--column", "x", "--json"]));
    let expected = serde_json::json!({"committed": 6, "no_longer": 2, "newly": 0, "changed": 1});
    assert_eq!(done["decisions"][0]["before"], expected);
    assert!(ok(&["verify", &file]).contains("sound"));
    let value = scratch.npy("v.npy", &[1], &[9.0]);
    ok(&["update", &file, "t", "--rows", "1", "--set", &format!("x={value}")]);
    assert_eq!(ok(&["read", &file, "t", "x", "--rows", "0:3"]), "0.0\n9.0\n7.0\n");
    ok(&["adopt", &file, "t", "--again"]);
    assert!(ok(&["verify", &file]).contains("sound"));
}

/// A table keeps its guard when it is adopted again.
#[test]
fn a_guard_stays_when_its_table_is_adopted_again() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let make = "import sys, h5py, numpy as np\n\
        with h5py.File(sys.argv[1], 'w') as f:\n\
        \x20   f['t/status'] = np.array([0, 1, 2, 0]); f['t/E'] = np.arange(4.)";
    if py(make, &[&file]).is_none() {
        return;
    }
    ok(&["adopt", &file, "t", "--committed", "status=0", "--guard", "status=1"]);
    let done = json(&ok(&["adopt", &file, "t", "--again", "--json"]));
    assert_eq!(done["committed"], 3 + 4);
    let store = h5part_engine::store::Store::open(&file).expect("store");
    let guards = store.reader("t").expect("reader").table().stamps.as_ref().expect("stamps").guards.clone();
    assert_eq!(guards.len(), 1);
    assert_eq!(guards[0].undefined, 1i64.to_le_bytes());
}

/// Behind a user block the library reports an address for a dataset without storage: the byte before the superblock.
#[test]
fn a_dataset_without_storage_behind_a_user_block_is_fill() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let script = "import sys, h5py\n\
        with h5py.File(sys.argv[1], 'w', userblock_size=1024) as f:\n\
        \x20   f.create_dataset('t/x', (9,), '<f8')\n\
        \x20   f.create_dataset('t/y', (9,), '<f8', fillvalue=2)";
    if py(script, &[&file]).is_none() {
        return;
    }
    assert_eq!(ok(&["read", &file, "t", "x", "--rows", ":"]), "0.0\n".repeat(9));
    assert_eq!(ok(&["read", &file, "t", "y", "--rows", ":"]), "2.0\n".repeat(9));
    let merged = scratch.text("merged.h5");
    ok(&["merge", &merged, &file]);
    let values = |name: &str| format!("{name}={}", scratch.npy(&format!("{name}.npy"), &[2], &[5.0, 6.0]));
    ok(&["update", &file, "t", "--rows", "1,8", "--set", &values("x"), "--set", &values("y")]);
    let script = "import sys, h5py\n\
        for path in sys.argv[1:]:\n\
        \x20   with h5py.File(path) as f: print([list(f[n][...]) == [e, v, e, e, e, e, e, e, w]\n\
        \x20       for n, e, v, w in (('t/x', 0, *((5, 6) if path == sys.argv[1] else (0, 0))),\n\
        \x20                          ('t/y', 2, *((5, 6) if path == sys.argv[1] else (2, 2))))])";
    assert_eq!(py(script, &[&file, &merged]).expect("h5py"), "[True, True]\n[True, True]\n");
    assert!(ok(&["verify", &file]).contains("sound"));
}

/// A file of another program has no uuid before that.
#[test]
fn readers_that_were_opened_before_the_first_adoption_go_on() {
    let scratch = Scratch::new();
    let make = |name: &str| {
        let path = scratch.path(name);
        let file = hdf5::File::create(&path).expect("creates");
        file.create_group("t").expect("group").new_dataset_builder().with_data(&[0.5, 1.5]).create("x").expect("makes");
        drop(file);
        Store::open(path).expect("opens")
    };
    let (store, other) = (make("a.h5"), make("b.h5"));
    let mut reader = store.reader("t").expect("reader");
    let mut read = || reader.read("x", &Rows::range(0..2)).map(h5part_engine::store::Block::into_bytes);
    let before = read().expect("reads");
    store.adopt("t", &Adoption::default(), &|_, _| ()).expect("adopts");
    assert_eq!(read().expect("the same file"), before);
    let mut writer = store.writer("t").expect("writer");
    writer.commit(&Rows::one(1), &[("x", Values::from(&ndarray::arr1(&[2.5])))]).expect("commits");
    assert_eq!(read().expect("reads")[8..], 2.5f64.to_le_bytes());
    // Another file under the name is still told.
    other.adopt("t", &Adoption::default(), &|_, _| ()).expect("adopts");
    std::fs::copy(other.path(), scratch.path("new.h5"))
        .and_then(|_| Disk.rename(&scratch.path("new.h5"), store.path()))
        .expect("renames");
    assert!(matches!(read().expect_err("another file").kind(), ErrorKind::Replaced(Gone::File)));
}
