//! One dataset under names in several tables, as in every H5MD file: one column, with one set of stamps.

use crate::common::support::{Scratch, ok, py, run};

/// `p/step` is `q/step` by a hard link, and `r/when` by a soft one.
const MADE: &str = "import sys, h5py, numpy as np\n\
    f = h5py.File(sys.argv[1], 'w')\n\
    p, q, r = (f.create_group(name) for name in 'pqr')\n\
    p['step'] = np.arange(10.)\n\
    p['value'] = np.arange(20.).reshape(10, 2)\n\
    q['step'] = p['step']\n\
    q['value'] = np.arange(30.).reshape(10, 3)\n\
    r['when'] = h5py.SoftLink('/p/step')\n\
    r['value'] = np.arange(10.)";

#[test]
fn a_dataset_of_several_tables_has_one_set_of_stamps() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("a.h5"), scratch.text("o.h5"));
    if py(MADE, &[&file]).is_none() {
        return;
    }
    ok(&["adopt", &file, "p"]);
    for (table, name) in [("q", "step"), ("r", "when")] {
        let told = ok(&["adopt", &file, table]);
        assert!(told.contains("another name of '/p/step', which has stamps"), "{told}");
        let info = ok(&["info", &file]);
        assert!(info.contains("read only: another name of '/p/step', which has stamps"), "{info}");
        let values = scratch.npy("v.npy", &[1], &[77.5]);
        let (code, _, err) = run(&["update", &file, table, "--rows", "3", "--set", &format!("{name}={values}")]);
        assert!(code == 10 && err.contains(name) && err.contains("/p/step"), "{code} {err}");
        let (code, _, err) = run(&["adopt", &file, table, "--column", name]);
        assert!(code != 0 && err.contains("/p/step"), "{code} {err}");
    }
    let values = scratch.npy("v.npy", &[1], &[77.5]);
    ok(&["update", &file, "p", "--rows", "3", "--set", &format!("step={values}")]);
    for (table, name) in [("p", "step"), ("q", "step"), ("r", "when")] {
        assert_eq!(ok(&["read", &file, table, name, "--rows", "2:5"]), "2.0\n77.5\n4.0\n", "{table}");
    }
    ok(&["update", &file, "q", "--rows", "3", "--set", &format!("value={}", scratch.npy("w.npy", &[1, 3], &[1.0; 3]))]);
    assert!(ok(&["verify", &file]).contains("sound"));
    ok(&["publish", &file, "-o", &out]);
    assert!(ok(&["verify", &out]).contains("sound"));
    let seen = "import sys, h5py\n\
        f = h5py.File(sys.argv[1])\n\
        print(f['p/step'] == f['q/step'] == f['r/when'], f['q/step'][3], f['q/value'][3, 2])";
    assert_eq!(py(seen, &[&out]).expect("h5py"), "True 77.5 1.0\n");
    // The table that is adopted first gets the column.
    let other = scratch.text("b.h5");
    py(MADE, &[&other]).expect("h5py");
    ok(&["adopt", &other, "r"]);
    assert!(ok(&["adopt", &other, "p"]).contains("another name of '/r/when', which has stamps"));
}

#[test]
fn names_within_a_table_are_listed() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    let made = "import sys, h5py, numpy as np\n\
        g = h5py.File(sys.argv[1], 'w').create_group('g')\n\
        g['b'] = np.arange(4.)\n\
        g['c'] = g['b']\n\
        g['a'] = h5py.SoftLink('b')";
    if py(made, &[&file]).is_none() {
        return;
    }
    let info = ok(&["info", &file]);
    assert!(info.contains("  a  another name of 'b'\n  c  another name of 'b'\n"), "{info}");
    let json: serde_json::Value = serde_json::from_str(&ok(&["info", &file, "--json"])).expect("JSON");
    assert_eq!(json["tables"][0]["aliases"], serde_json::json!({"a": "b", "c": "b"}));
}

#[test]
fn a_soft_link_to_a_dataset_with_one_hard_link_is_one_column_with_it() {
    let scratch = Scratch::new();
    let (file, merged) = (scratch.text("a.h5"), scratch.text("m.h5"));
    let made = "import sys, h5py, numpy as np\n\
        f = h5py.File(sys.argv[1], 'w')\n\
        f['t/x'] = np.arange(4.)\n\
        f['t/y'] = np.arange(4.)\n\
        f['s'] = h5py.SoftLink('/t/x')";
    if py(made, &[&file]).is_none() {
        return;
    }
    // The table that is adopted first gets the column, here the one with the soft link.
    ok(&["adopt", &file, "/", "--committed", "all"]);
    assert!(ok(&["adopt", &file, "t", "--committed", "all"]).contains("another name of '/s', which has stamps"));
    let values = scratch.npy("v.npy", &[1], &[77.5]);
    let (code, _, err) = run(&["update", &file, "t", "--rows", "1", "--set", &format!("x={values}")]);
    assert!(code == 10 && err.contains("'/s'"), "{code} {err}");
    ok(&["update", &file, "/", "--rows", "1", "--set", &format!("s={values}")]);
    ok(&["merge", &merged, &file]);
    for file in [&file, &merged] {
        assert!(ok(&["verify", file]).contains("sound"));
        assert_eq!(ok(&["read", file, "t", "x", "--rows", "0:3"]), "0.0\n77.5\n2.0\n");
        let (code, _, err) = run(&["update", file, "t", "--rows", "1", "--set", &format!("x={values}")]);
        assert!(code == 10 && err.contains("'/s'"), "{code} {err}");
    }
}
