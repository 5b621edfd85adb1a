//! Bad input: one clear message with path and remedy, its own exit code, and nothing written.

use crate::common::support::{Scratch, finished, h5part, holder, is_one_error, ok, py, run};
use h5part_base::dataspace::Dtype;
use h5part_input::npy::NpyHeader;

/// A file with table `t` (E f64, F f64 4x3, n i32) of 10 rows.
fn file(scratch: &Scratch) -> String {
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "10", "--column", "E:f64", "--column", "F:f64:4x3", "--column", "n:i32"]);
    file
}

/// Expects this exit code and one message with these words. The file must not change.
fn refused(file: &str, args: &[&str], code: i32, words: &[&str]) {
    let before = std::fs::read(file).ok();
    let (got, out, err) = run(args);
    assert_eq!(got, code, "{args:?}: {err}");
    assert!(is_one_error(&err), "one message: {err}");
    for word in words {
        assert!(err.contains(word), "{args:?}: '{word}' is not in: {err}");
    }
    assert_eq!(out, "");
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(std::fs::read(file).ok(), before, "{args:?} changed the file");
}

#[test]
fn names_and_rows_that_are_not_there() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    let set = format!("E={e}");
    let gone = scratch.text("gone.h5");
    refused(
        &gone,
        &["update", &gone, "t", "--rows", "0:2", "--set", &set],
        3,
        &["gone.h5", "no such file", "check the path"],
    );
    refused(&gone, &["info", &gone], 3, &["no such file"]);
    refused(
        &file,
        &["update", &file, "x", "--rows", "0:2", "--set", &set],
        3,
        &["a.h5", "no such table 'x'", "available: t"],
    );
    refused(&file, &["read", &file, "t", "X", "--rows", "0"], 3, &["no such column 'X'", "E, F, n"]);
    refused(&file, &["update", &file, "t", "--rows", "0:2", "--set", &format!("X={e}")], 3, &["no such column 'X'"]);
    refused(&file, &["update", &file, "t", "--rows", "9:11", "--set", &set], 3, &["row 10 is out of range", "10 rows"]);
    refused(&file, &["update", &file, "t/E", "--rows", "0:2", "--set", &set], 3, &["is a dataset, not a table"]);
    refused(&file, &["update", &file, "t", "--rows", "0:2", "--set", "E=gone.npy"], 3, &["gone.npy", "no such file"]);
    refused(&file, &["status", &file, "x"], 3, &["no such table 'x'"]);
}

#[test]
fn a_name_that_is_a_group() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    ok(&["create", &file, "t/inner", "--rows", "3", "--column", "E:f64"]);
    refused(&file, &["read", &file, "t", "inner", "--rows", "0"], 3, &["'inner' is a group"]);
    refused(&file, &["create", &file, "t", "--rows", "3", "--column", "E:f64"], 11, &["already exists"]);
    refused(&file, &["create", &file, "t/E/x", "--rows", "3", "--column", "E:f64"], 3, &["not a table"]);
    assert_eq!(ok(&["read", &file, "t/inner", "E", "--rows", "2"]), "NaN\n");
}

#[test]
fn selections_that_cannot_be_read() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    let set = format!("E={e}");
    let update = |rows: &str, code, words: &[&str]| {
        refused(&file, &["update", &file, "t", "--rows", rows, "--set", &set], code, words);
    };
    assert_eq!(ok(&["update", &file, "t", "--rows", "3:3", "--set", &set]).split(',').next(), Some("committed 0 rows"));
    update("1,1", 2, &["row 1 is named twice"]);
    update("abc", 2, &["bad selection 'abc'"]);
    update("0:2:0", 2, &["step"]);
    update(&format!("@{e}"), 4, &["whole numbers"]);
    update("@gone.npy", 3, &["gone.npy"]);
}

#[test]
fn values_that_do_not_fit() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let two = scratch.npy("two.npy", &[2], &[1.0, 2.0]);
    let flat = scratch.npy("flat.npy", &[2, 12], &[1.0; 24]);
    let update = |set: &str, code, words: &[&str]| {
        refused(&file, &["update", &file, "t", "--rows", "0:3", "--set", set], code, words);
    };
    update(&format!("E={two}"), 4, &["two.npy", "'E': expected values of shape 3, found 2"]);
    update(&format!("F={flat}"), 4, &["shape 3x4x3, found 2x12"]);
    update(&format!("n={two}"), 4, &["'n': expected values of type i32, found f64", "--cast"]);
    let cut = scratch.path("cut.npy");
    std::fs::write(&cut, &std::fs::read(&two).expect("read")[..135]).expect("write");
    update(&format!("E={}", cut.display()), 4, &["it is truncated"]);
    std::fs::write(&cut, b"nonsense").expect("write");
    update(&format!("E={}", cut.display()), 4, &["not a usable .npy file"]);
    let fractions = scratch.npy("fractions.npy", &[3], &[1.0, 2.5, 3.0]);
    let args = ["update", &file, "t", "--rows", "0:3", "--cast", "--set", &format!("n={fractions}")];
    refused(&file, &args, 4, &["does not fit the cast from f64 to i32"]);
}

#[test]
fn casts_that_are_asked_for() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let whole = scratch.npy("whole.npy", &[3], &[1.0, -2.0, 3.0]);
    ok(&["update", &file, "t", "--rows", "0:3", "--cast", "--set", &format!("n={whole}")]);
    assert_eq!(ok(&["read", &file, "t", "n", "--rows", "0:3"]), "1\n-2\n3\n");
}

#[test]
fn fortran_order_and_big_endian_are_converted() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let script = "import sys, numpy as np\n\
        a = np.arange(36.).reshape(3, 4, 3)\n\
        np.save(sys.argv[1], np.asfortranarray(a.astype('>f8')))\n\
        np.save(sys.argv[2], np.array([2, 0, 1], dtype='>u2'))";
    let (values, rows) = (scratch.text("f.npy"), scratch.text("rows.npy"));
    if py(script, &[&values, &rows]).is_none() {
        return;
    }
    ok(&["update", &file, "t", "--rows", &format!("@{rows}"), "--set", &format!("F={values}")]);
    assert!(ok(&["read", &file, "t", "F", "--rows", "2"]).starts_with("0.0 1.0 2.0 3.0 4.0"));
    assert!(ok(&["read", &file, "t", "F", "--rows", "1"]).starts_with("24.0 25.0"));
}

#[test]
fn raw_bytes_on_standard_input() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let bytes: Vec<u8> = [1.5f64, 2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
    let update = |bytes: &[u8]| {
        let output = h5part().args(["update", &file, "t", "--rows", "5,1", "--set", "E=-"]).write_stdin(bytes).output();
        finished(&output.expect("runs"))
    };
    assert_eq!(update(&bytes).0, 0);
    assert_eq!(ok(&["read", &file, "t", "E", "--rows", "1,5"]), "2.5\n1.5\n");
    let (code, _, err) = update(&bytes[..12]);
    assert!(code == 4 && err.contains("there are too few"), "{err}");
    let more: Vec<u8> = bytes.iter().copied().chain([0]).collect();
    let (code, _, err) = update(&more);
    assert!(code == 4 && err.contains("there are too many"), "{err}");
}

#[test]
fn files_that_are_no_hdf5() {
    let scratch = Scratch::new();
    let whole = std::fs::read(file(&scratch)).expect("read");
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    let bad = scratch.text("bad.h5");
    let cases: [(&[u8], &str); 4] = [
        (b"", "the file is empty"),
        (b"this is not HDF5, whatever its name says", "no HDF5 signature"),
        (&whole[..whole.len() / 2], "the file is truncated"),
        (&whole[..8], "not a usable HDF5 file"),
    ];
    for (bytes, words) in cases {
        std::fs::write(&bad, bytes).expect("write");
        refused(&bad, &["update", &bad, "t", "--rows", "0:2", "--set", &format!("E={e}")], 5, &["bad.h5", words]);
        for command in ["info", "status"] {
            refused(&bad, &[command, &bad], 5, &["bad.h5", words]);
        }
        refused(&bad, &["create", &bad, "t", "--rows", "3", "--column", "E:f64"], 5, &[words]);
    }
    let folder = scratch.text("folder.h5");
    std::fs::create_dir(&folder).expect("mkdir");
    assert_ne!(run(&["info", &folder]).0, 0);
}

#[test]
fn columns_and_tables_that_cannot_be_made() {
    let scratch = Scratch::new();
    let gone = scratch.text("new.h5");
    let create = |column: &str, words: &[&str]| {
        refused(&gone, &["create", &gone, "t", "--rows", "3", "--column", column], 2, words);
    };
    create("E:f65", &["bad column 'E:f65'", "NAME:DTYPE"]);
    create("E:i8=300", &["the fill '300' is not a i8"]);
    create("E:f64:1000000x1000000", &["4 GiB"]);
    refused(&gone, &["create", &gone, "/", "--rows", "3", "--column", "E:f64"], 2, &["needs a name"]);
    refused(&gone, &["create", &gone, "t", "--rows", "0", "--column", "E:f64"], 2, &["1 to 2^40 rows"]);
    let twice = ["create", &gone, "t", "--rows", "3", "--column", "E:f64", "--column", "E:f32"];
    refused(&gone, &twice, 2, &["two columns"]);
    refused(
        &gone,
        &["create", &gone, "t", "--rows", "1000000000000", "--column", "E:f64"],
        7,
        &["the disk is full", "bytes are needed"],
    );
    let nowhere = scratch.text("no/such/folder/a.h5");
    refused(&nowhere, &["create", &nowhere, "t", "--rows", "3", "--column", "E:f64"], 3, &["no/such/folder"]);
}

#[test]
fn a_table_that_h5part_did_not_make() {
    let scratch = Scratch::new();
    let file = scratch.text("foreign.h5");
    let foreign = hdf5::File::create(&file).expect("create");
    foreign
        .new_dataset::<f64>()
        .shape(5)
        .create("E")
        .expect("dataset")
        .write(&[1.0, 2.0, 3.0, 4.0, 5.0])
        .expect("write");
    foreign.close().expect("close");
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    refused(&file, &["reset", &file, "/", "--rows", "0:2"], 10, &["no stamps", "h5part adopt"]);
    let (code, _, told) = run(&["update", &file, "/", "--rows", "0,3", "--set", &format!("E={e}")]);
    assert!(code == 0 && told.contains("has no stamps") && told.contains("h5part adopt"), "{told}");
    assert_eq!(ok(&["read", &file, "/", "E", "--rows", "4,0,3"]), "5.0\n1.0\n2.0\n");
}

#[test]
fn a_lock_that_is_not_released_in_time() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    let mut holder = holder(&scratch.path("a.h5.lock"));
    let args = ["update", &file, "t", "--rows", "0:2", "--set", &format!("E={e}"), "--timeout", "0.3"];
    refused(&file, &args, 6, &["the gate is still held after 0.3 s by pid", "--timeout"]);
    holder.kill().expect("kill");
    holder.wait().expect("wait");
}

/// Root may write anywhere, so the program is run as nobody then.
#[test]
fn read_only_files_and_folders() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    let e = scratch.npy("e.npy", &[2], &[1.0, 2.0]);
    let folder = scratch.path("a.h5").parent().expect("parent").to_owned();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    };
    mode(scratch.path("a.h5").as_path(), 0o444);
    mode(&folder, 0o555);
    let program = env!("CARGO_BIN_EXE_h5part");
    let as_nobody = |args: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(args);
        finished(&command.output().expect("setpriv of util-linux"))
    };
    if as_nobody(&["--version"]).0 != 0 {
        eprintln!("skipped: this user cannot run the program as another user");
        mode(&folder, 0o755);
        return;
    }
    let (code, _, err) = as_nobody(&["update", &file, "t", "--rows", "0:2", "--set", &format!("E={e}")]);
    assert!(code == 8 && err.contains("read-only"), "{code} {err}");
    let (code, out, err) = as_nobody(&["read", &file, "t", "n", "--rows", "0:2"]);
    assert!(code == 0 && out == "0\n0\n", "reading needs no permission to write: {err}");
    let other = scratch.text("b.h5");
    let (code, _, err) = as_nobody(&["create", &other, "t", "--rows", "3", "--column", "E:f64"]);
    assert!(code == 8, "{err}");
    mode(&folder, 0o755);
    // The file is writable, its sidecar is not.
    let sidecar = scratch.path("a.h5.part");
    mode(scratch.path("a.h5").as_path(), 0o666);
    mode(scratch.path("a.h5.lock").as_path(), 0o666);
    mode(&sidecar, 0o555);
    for args in [
        &["update", &file, "t", "--rows", "0:2", "--set", &format!("E={e}")][..],
        &["attr", &file, "t", "a=1"],
        &["recover", &file],
    ] {
        let (code, _, err) = as_nobody(args);
        assert!(code == 8 && err.contains("a.h5.part"), "{args:?}: {code} {err}");
    }
    mode(&sidecar, 0o755);
}

#[test]
fn the_header_of_a_npy_is_as_numpy_writes_it() {
    let script = "import sys, numpy as np\nnp.save(sys.argv[1], np.zeros((3, 100, 3), '<f4'))\nnp.save(sys.argv[2], np.zeros(7, '|b1'))";
    let scratch = Scratch::new();
    let (a, b) = (scratch.text("a.npy"), scratch.text("b.npy"));
    if py(script, &[&a, &b]).is_none() {
        return;
    }
    let head = |path: &str, len: usize| std::fs::read(path).expect("read")[..len].to_vec();
    for (path, dtype, shape) in [(&a, Dtype::F32, &[3, 100, 3][..]), (&b, Dtype::Bool, &[7])] {
        let header = NpyHeader::to_bytes(dtype, shape);
        let parsed = NpyHeader::read(&mut header.as_slice()).expect("reads");
        let theirs = head(path, 128);
        let numpy = NpyHeader::read(&mut theirs.as_slice()).expect("reads");
        assert_eq!((parsed.dtype, &parsed.shape), (numpy.dtype, &numpy.shape));
    }
}

#[test]
fn outputs_do_not_take_the_place_of_the_store() {
    let scratch = Scratch::new();
    let file = file(&scratch);
    refused(&file, &["read", &file, "t", "E", "--rows", ":", "-o", &file], 2, &["the store itself"]);
    let one = scratch.text("one.npy");
    refused(
        &file,
        &["read", &file, "t", "E", "--rows", ":", "-o", &one, "--mask", &one],
        2,
        &["each output needs a file of its own"],
    );
}

#[test]
fn bytes_that_are_no_bool_and_numbers_that_are_too_large() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "3", "--column", "b:bool", "--column", "f:f32"]);
    let output =
        h5part().args(["update", &file, "t", "--rows", "0:3", "--set", "b=-"]).write_stdin(vec![2, 255, 1]).output();
    let (code, _, err) = finished(&output.expect("runs"));
    assert!(code == 4 && err.contains("other than 0 and 1"), "{err}");
    let lines = b"{\"rows\":0,\"set\":{\"f\":1e39}}\n\xff\n{\"rows\":1,\"set\":{\"f\":1.5}}\n".to_vec();
    let output = h5part().args(["update", &file, "t", "--stream"]).write_stdin(lines).output();
    let (code, out, _) = finished(&output.expect("runs"));
    let answers: Vec<bool> = out.lines().map(|l| l.contains("\"ok\":true")).collect();
    assert_eq!((code, answers), (1, vec![false, false, true]), "{out}");
    assert_eq!(ok(&["read", &file, "t", "f", "--rows", "1"]), "1.5\n");
}
