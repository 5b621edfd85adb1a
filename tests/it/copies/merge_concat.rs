//! `merge --concat`: the rows of one file after those of another; `merge --tables`.

use crate::common::killing::Killer;
use crate::common::support::{Scratch, commit_e, ok, py, run};
use std::path::Path;
use std::time::Duration;

#[test]
fn rows_come_after_those_of_the_files_before() {
    let scratch = Scratch::new();
    let (a, b, c, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("c.h5"), scratch.text("out.h5"));
    commit_e(&a, 10, 0..5);
    commit_e(&b, 7, 4..7);
    commit_e(&c, 3, 0..3);
    let text = ok(&["merge", "--concat", &out, &a, &b, &c]);
    assert!(text.contains("table 't': 20 rows, 11 cells merged, 0 were there already"), "{text}");
    let expected =
        [0., 1., 2., 3., 4.].into_iter().map(Some).chain([None; 9]).chain([4., 5., 6., 0., 1., 2.].map(Some));
    let expected: Vec<String> =
        expected.map(|value| value.map_or_else(|| "NaN".to_owned(), |value: f64| format!("{value:?}"))).collect();
    assert_eq!(ok(&["read", &out, "t", "E", "--rows", ":"]), expected.join("\n") + "\n");
    let status = ok(&["status", &out]);
    assert!(status.contains("11 committed, 9 missing"), "{status}");
    ok(&["verify", &out]);
    // `--concat` is not the kind of merge that continues.
    let (code, _, err) = run(&["merge", "--concat", &out, &a]);
    assert!(code == 11 && err.contains("already exists"), "{err}");
    assert_eq!(ok(&["read", &out, "t", "E", "--rows", "19:20"]), "2.0\n");
}

/// Datasets of fixed size, texts, and compressed datasets whose chunks do not end where a file ends.
#[test]
fn files_of_other_programs_are_concatenated() {
    let scratch = Scratch::new();
    let (a, b, out) = (scratch.text("a.h5"), scratch.text("b.h5"), scratch.text("out.h5"));
    let script = "import sys, h5py, numpy as np\n\
        for k, path in enumerate(sys.argv[1:3]):\n\
        \x20   g = h5py.File(path, 'w').create_group('t'); n = 10 + k\n\
        \x20   g['fixed'] = np.arange(n) + 1 + 100 * k\n\
        \x20   g.create_dataset('packed', data=np.arange(2. * n).reshape(n, 2) + 1, chunks=(4, 1), compression='gzip', maxshape=(None, 2))\n\
        \x20   g.create_dataset('name', data=[f'{k}-{i}' for i in range(n)], dtype=h5py.string_dtype())";
    if py(script, &[&a, &b]).is_none() {
        return;
    }
    let (code, _, err) = run(&["merge", "--concat", &out, &a, &b]);
    assert_eq!(code, 0, "{err}");
    let script = "import sys, h5py, numpy as np\n\
        a, b, o = (h5py.File(p)['t'] for p in sys.argv[1:])\n\
        print([bool((np.concatenate([a[n][:], b[n][:]]) == o[n][:]).all()) for n in ('fixed', 'packed', 'name')], o['packed'].chunks)";
    assert_eq!(py(script, &[&a, &b, &out]).expect("h5py"), "[True, True, True] (4, 1)\n");
    ok(&["verify", &out]);
    py("import sys, h5py\ndel h5py.File(sys.argv[1], 'r+')['t/name']", &[&b]).expect("h5py");
    let (code, _, err) = run(&["merge", "--concat", &scratch.text("2.h5"), &a, &b]);
    assert!(code == 10 && err.contains("column 'name' of table 't'") && err.contains(&b), "{err}");
    py("import sys, h5py\ndel h5py.File(sys.argv[1], 'r+')['t/fixed']", &[&b]).expect("h5py");
    let (code, _, err) = run(&["merge", "--concat", &scratch.text("2.h5"), &a, &b]);
    assert!(code == 4 && err.contains("no column 'fixed'"), "{err}");
    assert!(!Path::new(&scratch.text("2.h5")).exists());
}

#[test]
fn only_some_tables() {
    let scratch = Scratch::new();
    let (a, out) = (scratch.text("a.h5"), scratch.text("out.h5"));
    for table in ["t", "deep/u", "deep/v"] {
        ok(&["create", &a, table, "--rows", "3", "--column", "E:f64"]);
    }
    let attribute = "import sys, h5py\nf = h5py.File(sys.argv[1], 'r+')\nf['notes'] = 3\nf['deep'].attrs['k'] = 1\nf['deep/u'].attrs['k'] = 2";
    if py(attribute, &[&a]).is_none() {
        return;
    }
    let text = ok(&["merge", &out, &a, "--tables", "deep/u"]);
    assert!(text.contains("table 'deep/u'") && !text.contains("'t'"), "{text}");
    let script = "import sys, h5py\nf = h5py.File(sys.argv[1])\nn = []; f.visit(n.append)\n\
        print([x for x in n if not x.startswith('__')], f['deep'].attrs['k'], f['deep/u'].attrs['k'])";
    assert_eq!(py(script, &[&out]).expect("h5py"), "['deep', 'deep/u', 'deep/u/E'] 1 2\n");
    ok(&["merge", &out, &a, "--tables", "t,/deep/v/"]);
    let found = py(script, &[&out]).expect("h5py");
    assert!(found.starts_with("['deep', 'deep/u', 'deep/u/E', 'deep/v', 'deep/v/E', 't', 't/E']"), "{found}");
    ok(&["verify", &out]);
    let (code, _, err) = run(&["merge", &scratch.text("2.h5"), &a, "--tables", "t", "--tables", "none"]);
    assert!(code == 3 && err.contains("'none'"), "{err}");
}

/// G1: after a kill at any instant there is nothing under the name, or all of it. The next run removes what was left
/// beside it.
#[test]
fn a_concatenation_that_is_killed_leaves_nothing_or_all() {
    let scratch = Scratch::in_memory();
    let files: Vec<String> = (0..3).map(|k| scratch.text(&format!("w{k}.h5"))).collect();
    for (k, file) in (0..).zip(&files) {
        commit_e(file, 400_000, k * 1000..k * 1000 + 300_000);
    }
    let out = scratch.path("out.h5");
    let mut killer = Killer::new(Duration::from_millis(300));
    let (mut killed, mut whole) = (0, 0);
    while killed < 20 {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
        command.args(["merge", "--concat"]).arg(&out).args(&files).stdout(std::process::Stdio::null());
        let mut child = command.spawn().expect("starts");
        killed += u64::from(killer.kill(&mut child));
        if out.exists() {
            whole += 1;
            let text = ok(&["status", out.to_str().expect("UTF-8")]);
            assert!(text.contains("900000 committed, 300000 missing"), "{text}");
            crate::common::support::remove_store(&out);
        }
    }
    println!("{killed} were killed, {whole} times it was there, whole");
    let args = ["merge", "--concat", out.to_str().expect("UTF-8"), &files[0], &files[1], &files[2]];
    ok(&args);
    ok(&["verify", out.to_str().expect("UTF-8")]);
    let left = std::fs::read_dir(out.parent().expect("folder"))
        .expect("reads")
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".h5part-new")));
    assert_eq!(left.count(), 0, "the next one removes what was left behind");
}
