//! Other programs make columns longer or shorter, delete, rename and retype them, or give them more names.

use crate::common::support::{Scratch, ok, py, run};

/// Runs the second argument's Python code on the file of the first argument.
const DO: &str = "\
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'r+') as f: exec(sys.argv[2])
";

/// A table `t` of ten committed rows with columns `E` and `F`; then h5py runs `what`. `None` without h5py.
fn changed(scratch: &Scratch, what: &str) -> Option<String> {
    let file = scratch.text("t.h5");
    let values = scratch.npy("ten.npy", &[10], &[1.5; 10]);
    ok(&["create", &file, "t", "--rows", "10", "--column", "E:f64", "--column", "F:f64", "--chunk-rows", "4"]);
    ok(&["update", &file, "t", "--rows", ":", "--set", &format!("E={values}"), "--set", &format!("F={values}")]);
    py(DO, &[&file, what])?;
    Some(file)
}

fn update(scratch: &Scratch, file: &str, row: &str, column: &str) -> i32 {
    let value = scratch.npy("one.npy", &[1], &[7.0]);
    run(&["update", file, "t", "--rows", row, "--set", &format!("{column}={value}")]).0
}

#[test]
fn what_is_gone_is_told_and_the_rest_goes_on() {
    let kinds = [
        "f['t/E'].resize((5,))",
        "del f['t/E']",
        "f.move('t/E', 't/Z')",
        "del f['t/E']; f['t/E'] = np.arange(10, dtype='i4')",
    ];
    for what in kinds {
        let scratch = Scratch::new();
        let Some(file) = changed(&scratch, what) else { return };
        let (code, out, _) = run(&["verify", &file]);
        assert!(code == 1 && out.contains("column 'E'"), "{what}: {out}");
        assert!(ok(&["status", &file, "t"]).contains("LOST"), "{what}");
        assert_eq!(update(&scratch, &file, "2", "E"), 9, "{what}");
        assert_eq!(run(&["publish", &file, "-o", &scratch.text("p.h5")]).0, 9, "{what}");
        assert_eq!(update(&scratch, &file, "2", "F"), 0, "{what}");
        assert_eq!(ok(&["read", &file, "t", "F", "--rows", "2:4"]), "7.0\n1.5\n", "{what}");
        ok(&["verify", &file, "--repair", "--accept-loss"]);
        ok(&["verify", &file]);
        assert_eq!(update(&scratch, &file, "9", "F"), 0, "{what}");
        ok(&["publish", &file, "-o", &scratch.text("p.h5")]);
    }
}

/// The rest of a shortened column is read, however it is stored. Reading the lost rows is refused.
#[test]
fn the_rest_of_a_shortened_column_is_read() {
    for how in [&["--chunk-rows", "4"][..], &["--gzip", "1", "--chunk-rows", "4"]] {
        let scratch = Scratch::new();
        let file = scratch.text("t.h5");
        let values = scratch.npy("ten.npy", &[10], &[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5]);
        ok(&[&["create", &file, "t", "--rows", "10", "--column", "E:f64", "--column", "F:f64"], how].concat());
        ok(&[
            "update",
            &file,
            "t",
            "--rows",
            "0:7",
            "--set",
            &format!("E={}", scratch.npy("seven.npy", &[7], &[1.5; 7])),
        ]);
        ok(&["update", &file, "t", "--rows", ":", "--set", &format!("F={values}")]);
        for what in ["f['t/E'].resize((5,))", "f['t/F'].resize((5,))"] {
            if py(DO, &[&file, what]).is_none() {
                return;
            }
            for column in ["E", "F"] {
                let shown = run(&["read", &file, "t", column, "--rows", "3:5"]);
                assert_eq!(shown.1, if column == "E" { "1.5\n1.5\n" } else { "3.5\n4.5\n" }, "{what}: {shown:?}");
            }
            let (code, _, err) = run(&["read", &file, "t", "E", "--rows", "3:6"]);
            assert!(code == 9 && err.contains("has only 5 rows left"), "{code} {err}");
        }
        ok(&["verify", &file, "--repair", "--accept-loss"]);
        assert_eq!(ok(&["read", &file, "t", "F", "--rows", "3:5"]), "3.5\n4.5\n");
    }
}

#[test]
fn rows_that_others_append_are_taken_in() {
    let scratch = Scratch::new();
    let Some(file) = changed(&scratch, "f['t/E'].resize((15,)); f['t/F'].resize((15,)); f['t/F'][10:] = 3") else {
        return;
    };
    ok(&["status", &file]);
    ok(&["verify", &file]);
    assert_eq!(update(&scratch, &file, "12", "E"), 0);
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "12"]), "7.0\n");
    ok(&["verify", &file]);
    py(DO, &[&file, "f['t/E'].resize((20,))"]);
    ok(&["verify", &file]);
    ok(&["extend", &file, "t", "--rows", "20"]);
    assert_eq!(update(&scratch, &file, "19", "F"), 0);
    ok(&["verify", &file]);
}

#[test]
fn further_names_are_no_columns_and_a_table_may_have_several() {
    let scratch = Scratch::new();
    let what = "f['t/A'] = f['t/E']; f['t/soft'] = h5py.SoftLink('/t/E'); f['zz'] = f['t']; f['AA'] = f['t']";
    let Some(file) = changed(&scratch, what) else { return };
    assert_eq!(update(&scratch, &file, "2", "A"), 0);
    assert_eq!(update(&scratch, &file, "3", "soft"), 0);
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "1:4"]), "1.5\n7.0\n7.0\n");
    assert!(!ok(&["verify", &file]).contains("not there"));
    let adopted = scratch.text("a.h5");
    py(
        "import sys, h5py\nwith h5py.File(sys.argv[1], 'w') as f: f['t/E'] = [1., 2.]; f['t/x'] = f['t/E']",
        &[&adopted],
    );
    ok(&["adopt", &adopted, "t", "--committed", "all"]);
    assert_eq!(update(&scratch, &adopted, "1", "x"), 0);
    ok(&["verify", &adopted]);
    assert_eq!(ok(&["read", &adopted, "t", "E", "--rows", ":"]), "1.0\n7.0\n");
}

#[test]
fn a_table_without_rows_is_read_as_such() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("e.h5"), scratch.text("o.npy"));
    let make = "import sys, h5py\nh5py.File(sys.argv[1], 'w').create_dataset('t/x', (0, 3), 'f8', maxshape=(None, 3))";
    if py(make, &[&file]).is_none() {
        return;
    }
    ok(&["read", &file, "t", "x", "--rows", ":", "-o", &out]);
    let shape = py("import sys, numpy as np\nprint(np.load(sys.argv[1]).shape)", &[&out]);
    assert_eq!(shape.as_deref().map(str::trim), Some("(0, 3)"));
}

/// Values of one column beyond the rows of the others belong to no row. A copy by rows reports that it leaves them out.
#[test]
fn what_lies_beyond_the_rows_is_named_in_copies() {
    let scratch = Scratch::new();
    let Some(file) = changed(&scratch, "f['t/E'].resize((13,)); f['t/E'][10:] = [7, 8, 9]") else { return };
    let (published, merged) = (scratch.text("p.h5"), scratch.text("m.h5"));
    for args in [["publish", &file, "-o", &published].to_vec(), ["merge", &merged, &file].to_vec()] {
        let (code, _, err) = run(&args);
        assert!(code == 1 && err.contains("/t/E") && err.contains("10:13"), "{args:?}: {code} {err}");
    }
    py(DO, &[&file, "f['t/F'].resize((13,))"]).expect("h5py");
    ok(&["publish", &file, "-o", &published]);
    assert_eq!(ok(&["read", &published, "t", "E", "--rows", "9:13"]), "1.5\n7.0\n8.0\n9.0\n");
}
