//! Merging files that do not match in every respect: attributes that differ, columns of types that h5part does not
//! read, columns that another program has damaged.

use crate::common::support::{Scratch, commit_e, ok, py, run};

fn merge_json(args: &[&str]) -> (i32, serde_json::Value, String) {
    let (code, text, err) = run(&[&["merge", "--json"], args].concat());
    (code, serde_json::from_str(&text).unwrap_or_default(), err)
}

/// Two files of one table; the arguments say how their units and notes differ.
const ATTRIBUTES: &str = "import sys, h5py, numpy as np\n\
    for k, (path, unit, creator) in enumerate(zip(sys.argv[1:3], sys.argv[3:5], sys.argv[5:7])):\n\
    \x20   f = h5py.File(path, 'w'); g = f.create_group('t')\n\
    \x20   f.attrs['creator'] = creator\n\
    \x20   g.attrs['label'] = np.bytes_('x') if k else 'x'\n\
    \x20   g.attrs['count'] = np.int32(3) if k else np.int64(3)\n\
    \x20   e = g.create_dataset('E', data=np.full(6, np.nan), fillvalue=np.nan)\n\
    \x20   e[3 * k:3 * k + 3] = np.arange(3)\n\
    \x20   e.attrs['units'] = unit\n\
    \x20   if k: e.attrs['only here'] = 7";

#[test]
fn units_that_differ_are_an_error() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    if py(ATTRIBUTES, &[&a, &b, "m", "cm", "me", "me"]).is_none() {
        return;
    }
    let (code, _, err) = run(&["merge", &out, &a, &b]);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("attribute 'units' of /t/E is 'cm' here, and 'm' in"), "{err}");
    assert!(err.contains(&a) && err.contains(&b) && err.contains("--attrs first"), "{err}");
    assert!(!std::path::Path::new(&out).exists());
    let (code, report, err) = merge_json(&[&out, &a, &b, "--attrs", "first"]);
    assert_eq!((code, report["complete"].as_bool()), (0, Some(true)), "{err}");
    let other = &report["attributes"][0];
    assert_eq!((other["object"].as_str(), other["attribute"].as_str()), (Some("/t/E"), Some("units")), "{report}");
    assert_eq!((other["value"].as_str(), other["kept"].as_str()), (Some("'cm'"), Some("'m'")), "{report}");
    assert!(err.contains("'m', of ") && err.contains("was kept"), "{err}");
    let script = "import sys, h5py\ne = h5py.File(sys.argv[1])['t/E']\nprint(e.attrs['units'], e.attrs['only here'], e[:].tolist())";
    assert_eq!(py(script, &[&out]).expect("h5py"), "m 7 [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]\n");
    // The existing output now counts as the first file.
    let (code, _, err) = run(&["merge", &out, &b]);
    assert!(code == 4 && err.contains("'m' in") && err.contains(&out), "{err}");
}

#[test]
fn other_attributes_that_differ_are_told() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    if py(ATTRIBUTES, &[&a, &b, "m", "m", "me", "you"]).is_none() {
        return;
    }
    let (code, report, err) = merge_json(&[&out, &a, &b]);
    assert_eq!((code, report["complete"].as_bool()), (1, Some(false)), "{err}");
    let told = report["attributes"].as_array().expect("list");
    assert_eq!(told.len(), 1, "texts and numbers of other sizes say the same: {report}");
    assert_eq!((told[0]["object"].as_str(), told[0]["attribute"].as_str()), (Some("/"), Some("creator")));
    assert_eq!((told[0]["file"].as_str(), told[0]["other"].as_str()), (Some(b.as_str()), Some(a.as_str())));
    assert!(err.contains("attribute 'creator' of / is 'you' in"), "{err}");
    assert_eq!(run(&["merge", &scratch.text("2.h5"), &a, &b, "--attrs", "first"]).0, 0);
}

/// Columns that h5part does not read (texts of variable length and opaque bytes) beside a text of fixed length and a
/// compound. `sys.argv[3]`: what the second file holds in row 1.
const OTHERS: &str = "import sys, h5py, numpy as np\n\
    pair = np.dtype([('a', 'i2'), ('b', 'f8')], align=True)\n\
    for k, path in enumerate(sys.argv[1:3]):\n\
    \x20   g = h5py.File(path, 'w').create_group('t')\n\
    \x20   x = np.full(8, np.nan); x[4 * k:4 * k + 4] = np.arange(4)\n\
    \x20   g.create_dataset('x', data=x, fillvalue=np.nan, maxshape=(None,), chunks=(3,))\n\
    \x20   label = np.array([''] * 8, dtype=object); fixed = np.zeros(8, 'S3'); both = np.zeros(8, pair); raw = np.zeros(8, 'V2')\n\
    \x20   for i in range(4 * k, 4 * k + 4): label[i] = f'l{i}'; fixed[i] = b'f%d' % i; both[i] = (i + 1, i / 2); raw[i] = bytes([1, i])\n\
    \x20   if k and sys.argv[3]: label[1] = sys.argv[3]\n\
    \x20   g.create_dataset('label', data=label, dtype=h5py.string_dtype(), maxshape=(None,), chunks=(3,), compression='gzip')\n\
    \x20   g['fixed'] = fixed; g['pair'] = both; g['raw'] = raw";

const SHOW: &str = "import sys, h5py, numpy as np\n\
    g = h5py.File(sys.argv[1])['t']\n\
    print(g['x'][:].tolist(), g['label'].asstr()[:].tolist(), g['fixed'][:].tolist(), g['pair']['a'].tolist(), [bytes(v)[1] for v in g['raw'][:]])";

#[test]
fn columns_of_any_type_are_merged_by_rows() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    if py(OTHERS, &[&a, &b, ""]).is_none() {
        return;
    }
    let all = "[0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0] ['l0', 'l1', 'l2', 'l3', 'l4', 'l5', 'l6', 'l7'] \
        [b'f0', b'f1', b'f2', b'f3', b'f4', b'f5', b'f6', b'f7'] [1, 2, 3, 4, 5, 6, 7, 8] [0, 1, 2, 3, 4, 5, 6, 7]\n";
    let (code, report, err) = merge_json(&[&out, &a, &b]);
    assert_eq!((code, report["complete"].as_bool()), (0, Some(true)), "{err} {report}");
    assert_eq!(py(SHOW, &[&out]).expect("h5py"), all);
    ok(&["verify", &out]);
    // Merge again, and merge into a file that has only the first half.
    assert_eq!(run(&["merge", &out, &a, &b]).0, 0, "what is the same is no difference");
    let half = scratch.text("half.h5");
    assert_eq!(run(&["merge", &half, &a]).0, 0);
    let (code, _, err) = run(&["merge", &half, &b]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(py(SHOW, &[&half]).expect("h5py"), all);
    // Two equal files.
    assert_eq!(run(&["merge", &scratch.text("same.h5"), &a, &a]).0, 0);
}

#[test]
fn texts_that_disagree_are_named() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    if py(OTHERS, &[&a, &b, "other"]).is_none() {
        return;
    }
    let (code, _, err) = run(&["merge", &out, &a, &b]);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("row 1 of column 'label' of table 't' is 'other' here, and 'l1' in"), "{err}");
    assert!(err.contains(&a) && err.contains(&b), "{err}");
    assert!(!std::path::Path::new(&out).exists(), "never half filled");
}

/// A filter that stores values only approximately. Such columns are compared but never written.
#[test]
fn frozen_columns_are_refused_by_name() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    let script = "import sys, h5py, numpy as np\n\
        for k, path in enumerate(sys.argv[1:3]):\n\
        \x20   g = h5py.File(path, 'w').create_group('t')\n\
        \x20   g['x'] = np.arange(8.)\n\
        \x20   z = np.zeros(8); z[4 * k:4 * k + 4] = 1.5\n\
        \x20   g.create_dataset('z', data=z, chunks=(4,), scaleoffset=2)";
    if py(script, &[&a, &b]).is_none() {
        return;
    }
    let (code, _, err) = run(&["merge", &out, &a, &b]);
    assert_eq!(code, 10, "{err}");
    assert!(err.contains("column 'z' of table 't'") && err.contains("approximately") && err.contains(&b), "{err}");
    assert!(!std::path::Path::new(&out).exists(), "never half filled");
    assert_eq!(run(&["merge", &out, &a, &a]).0, 0, "the same values are no difference");
    let (code, _, err) = run(&["merge", "--concat", &scratch.text("c.h5"), &a, &a]);
    assert!(code == 10 && err.contains("column 'z'"), "{err}");
}

#[test]
fn published_inputs() {
    let scratch = Scratch::new();
    let out = scratch.text("out.h5");
    let mut published = Vec::new();
    for (k, rows) in [(0, 0..40), (1, 30..70), (2, 90..100)] {
        let (work, copy) = (scratch.text(&format!("w{k}.h5")), scratch.text(&format!("p{k}.h5")));
        commit_e(&work, 100, rows);
        ok(&["publish", &work, "-o", &copy]);
        published.push(copy);
    }
    let inputs: Vec<&str> = published.iter().map(String::as_str).collect();
    let text = ok(&[&["merge", out.as_str()], inputs.as_slice()].concat());
    assert!(text.contains("80 cells merged, 10 were there already"), "{text}");
    ok(&["verify", &out]);
    assert_eq!(ok(&["read", &out, "t", "E", "--rows", "69:71"]), "69.0\nNaN\n");
}

/// Another program shortened a column of one input and deleted it from another. The rest is merged.
#[test]
fn what_is_left_of_lost_columns_is_merged() {
    let scratch = Scratch::new();
    let (a, b, c) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("c.h5"));
    let create = |file: &str, rows: &str| {
        ok(&["create", file, "t", "--rows", "9", "--column", "E:f64", "--column", "n:i32=-1"]);
        let first: u32 = rows.split(':').next().and_then(|first| first.parse().ok()).expect("a number");
        let values: Vec<String> = (first..first + 3).map(|n| n.to_string()).collect();
        for column in ["E", "n"] {
            let npy = scratch.text(&format!("{column}.npy"));
            let dtype = if column == "E" { "f8" } else { "i4" };
            let script =
                format!("import sys, numpy as np\nnp.save(sys.argv[1], np.array([{}], '{dtype}'))", values.join(","));
            py(&script, &[&npy])?;
            ok(&["update", file, "t", "--rows", rows, "--set", &format!("{column}={npy}")]);
        }
        Some(())
    };
    for (file, rows) in [(&a, "0:3"), (&b, "3:6"), (&c, "6:9")] {
        if create(file, rows).is_none() {
            return;
        }
    }
    let script = "import sys, h5py\n\
        h5py.File(sys.argv[1], 'r+')['t/n'].resize((2,))\n\
        del h5py.File(sys.argv[2], 'r+')['t/n']";
    py(script, &[&a, &c]).expect("h5py");
    let out = scratch.text("out.h5");
    let (code, report, err) = merge_json(&[&out, &a, &b, &c]);
    assert_eq!((code, report["complete"].as_bool()), (1, Some(false)), "{err}");
    let lost = report["lost"].as_array().expect("list");
    let told: Vec<_> = lost.iter().map(|lost| (lost["file"].as_str(), lost["column"].as_str())).collect();
    assert_eq!(told, [(Some(a.as_str()), Some("n")), (Some(c.as_str()), Some("n"))], "{report}");
    assert!(err.contains("has only 2 rows left") && err.contains("is gone"), "{err}");
    assert_eq!(ok(&["read", &out, "t", "E", "--rows", ":"]), "0.0\n1.0\n2.0\n3.0\n4.0\n5.0\n6.0\n7.0\n8.0\n");
    assert_eq!(ok(&["read", &out, "t", "n", "--rows", ":"]), "0\n1\n-1\n3\n4\n5\n-1\n-1\n-1\n");
    ok(&["verify", &out]);
    // Merge into an existing file.
    let there = scratch.text("there.h5");
    assert_eq!(run(&["merge", &there, &b]).0, 0);
    let (code, _, err) = run(&["merge", &there, &c, &a]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(ok(&["read", &there, "t", "n", "--rows", ":"]), "0\n1\n-1\n3\n4\n5\n-1\n-1\n-1\n");
}

/// The fill of a guard that another program made may mean "complete".
#[test]
fn guards_say_undefined_where_nothing_is_merged() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    let script = "import sys, h5py, numpy as np\n\
        for k, path in enumerate(sys.argv[1:3]):\n\
        \x20   g = h5py.File(path, 'w').create_group('t')\n\
        \x20   s = np.full(6, 9, 'i4'); s[3 * k:3 * k + 2] = 0\n\
        \x20   g['status'] = s; g['E'] = np.arange(6.)";
    if py(script, &[&a, &b]).is_none() {
        return;
    }
    for file in [&a, &b] {
        ok(&["adopt", file, "t", "--guard", "status=9", "--committed", "status=0"]);
    }
    ok(&["merge", &out, &a, &b]);
    ok(&["verify", &out]);
    assert_eq!(ok(&["read", &out, "t", "status", "--rows", ":"]).lines().count(), 6);
    let script = "import sys, h5py\nprint(h5py.File(sys.argv[1])['t/status'][:].tolist())";
    assert_eq!(py(script, &[&out]).expect("h5py"), "[0, 0, 9, 0, 0, 9]\n");
}
