//! Bad input, each with its exit code and a message that names it.

use super::{KEY, METHOD, place, prepared, side};
use crate::common::support::{Scratch, ok, run};
use h5part_base::dataspace::Dtype;
use std::path::Path;

fn fails(args: &[&str], code: i32, says: &[&str]) {
    let (found, out, err) = run(args);
    assert_eq!(found, code, "{args:?}: {out}{err}");
    assert!(err.lines().count() >= 1 && says.iter().all(|word| err.contains(word)), "{args:?}: {err}");
}

#[test]
fn keys_that_are_no_structures() {
    let (scratch, file) = place();
    if side(&["make", &file, KEY, "3", "2"]).is_none() {
        return;
    }
    let more = "import sys, h5py
f = h5py.File(sys.argv[1], 'r+')
f.create_group('crystal').attrs['dataclass'] = 'MolecularCrystal'
f.create_group('hollow').attrs['dataclass'] = 'FiniteSubsystem'
f.create_group('odd').attrs['dataclass'] = 'Structure'
f.create_group('zero').attrs.update({'dataclass': 'Structure', 'n_frames': 0, 'n_atoms': 2})
f.create_group('text').attrs.update({'dataclass': 'Structure', 'n_frames': 'many', 'n_atoms': 2})
f.create_group('number').attrs['dataclass'] = 7
f.copy('training/urea', 'cluster/cluster_of_molecules')
f['cluster'].attrs['dataclass'] = 'FiniteSubsystem'
f.copy('training/urea', 'md'); f['md'].attrs['dataclass'] = 'Trajectory'";
    crate::common::support::py(more, &[&file]).expect("h5py");
    let init = |key: &str| ["mbe", "init", &file, key, "--method", METHOD].map(str::to_owned);
    let expect = |key: &str, says: &[&str]| {
        let args = init(key);
        fails(&args.each_ref().map(String::as_str), 3, says);
    };
    expect("training", &["'training'", "without the attribute 'dataclass'", "training/urea"]);
    expect("nothing/there", &["'nothing/there'", "not in the file", "training/urea"]);
    expect("training/urea/masses (u)", &["a dataset"]);
    expect("crystal", &["a MolecularCrystal"]);
    expect("hollow", &["a FiniteSubsystem without a 'cluster_of_molecules'"]);
    expect("odd", &["without the attribute 'n_frames'"]);
    expect("zero", &["'n_frames'"]);
    expect("text", &["'n_frames'"]);
    expect("number", &["without the attribute 'dataclass'"]);
    // The structure of a cluster and a trajectory work like any other.
    for key in ["cluster", "md", "/training/urea/"] {
        let args = init(key);
        ok(&args.each_ref().map(String::as_str));
        assert_eq!(ok(&["mbe", "select", &file, key, "--method", METHOD, "--spec"]), "0:3\n");
    }
    let verdict = ok(&["verify", &file]);
    assert!(verdict.contains("sound"), "{verdict}");
    drop(scratch);
}

#[test]
fn frames_that_are_not_there_or_named_twice() {
    let (scratch, file) = place();
    prepared(Path::new(&file), 10, 2);
    let indices = scratch.npy("i.npy", &[2], &[1.0, 1.0]);
    let save = |spec: &str, n: u64| {
        let energies = scratch.npy("e.npy", &[n], &vec![1.0; n as usize]);
        let args = ["mbe", "save", &file, KEY, "--method", METHOD, "--frames", spec, "--energies", &energies];
        args.map(str::to_owned)
    };
    for (spec, n, code, says) in [
        ("10", 1, 3, "frame 10 is out of range"),
        ("8:12", 4, 3, "frame 11 is out of range"),
        ("3,4,3", 3, 2, "frame 3 is named twice"),
        ("0:5,4:6", 7, 2, "frame 4 is named twice"),
        ("5:5", 0, 2, "the selection is empty"),
        ("x", 1, 2, "bad selection"),
        ("0:3", 2, 4, "shape 3, found 2"),
        (&format!("@{indices}"), 2, 4, "whole numbers"),
    ] {
        fails(&save(spec, n).each_ref().map(String::as_str), code, &[says]);
    }
    let select = ["mbe", "select", &file, KEY, "--method", METHOD];
    fails(&[&select[..], &["--frames", "3,3"]].concat(), 2, &["frame 3 is named twice"]);
    fails(
        &[&select[..], &["--frames", "9:11"]].concat(),
        3,
        &["frame 10 is out of range: the structure has 10 frames"],
    );
    for chunk in ["0/3", "4/3", "x", "1/0"] {
        fails(&[&select[..], &["--chunk", chunk]].concat(), 2, &["chunk"]);
    }
    fails(&[&select[..], &["--chunk", "slurm"]].concat(), 2, &["SLURM_ARRAY_TASK_ID"]);
    fails(&["mbe", "read", &file, KEY, "--method", METHOD, "--frames", "1,1"], 2, &["frame 1 is named twice"]);
    assert_eq!(ok(&[&select[..], &["--spec"]].concat()), "0:10\n", "nothing was written");
}

#[test]
fn methods_and_statuses_that_are_none() {
    let scratch = Scratch::new();
    let file = scratch.text("a.hdf5");
    prepared(Path::new(&file), 4, 2);
    let energies = scratch.npy("e.npy", &[1], &[1.0]);
    let save = ["mbe", "save", &file, KEY, "--frames", "0", "--energies", &energies, "--method"];
    fails(&[&save[..], &["MP2"]].concat(), 3, &["no ground truth of 'MP2'", METHOD, "mbe init"]);
    fails(&[&save[..], &[""]].concat(), 2, &["a method needs a name"]);
    fails(&[&save[..], &[METHOD, "--status", "DONE"]].concat(), 2, &["'DONE' is not a status", "COMPLETED (0)"]);
    let statuses = scratch.npy_of("s.npy", Dtype::I64, &[2], &[0i64, 0]);
    fails(&[&save[..], &[METHOD, "--status", &statuses]].concat(), 4, &["statuses of shape [2] for 1 frames"]);
    fails(&["mbe", "save", &file, KEY, "--frames", "0", "--method", METHOD], 4, &["COMPLETED frames need"]);
    fails(&["mbe", "read", &file, KEY, "--method", "MP2"], 3, &["no ground truth of 'MP2'"]);
    fails(&["mbe", "status", &file, "--method", "MP2"], 2, &["no ground truth of 'MP2'"]);
    fails(&["mbe", "status", &scratch.text("none.hdf5")], 3, &["no such file"]);
    std::fs::write(scratch.path("text.hdf5"), "no HDF5").expect("write");
    fails(&["mbe", "status", &scratch.text("text.hdf5")], 5, &["not a usable HDF5 file"]);
    // A quantity that was not prepared.
    let other = scratch.text("b.hdf5");
    super::structure(Path::new(&other), 4, 2);
    ok(&["mbe", "init", &other, KEY, "--method", METHOD, "--energies"]);
    let forces = scratch.npy("f.npy", &[1, 2, 3], &[1.0; 6]);
    let save = ["mbe", "save", &other, KEY, "--frames", "0", "--method", METHOD, "--forces", &forces];
    fails(&save, 3, &["no forces of"]);
}

/// Statuses are numbers with a name. Any other number is reported with its frame, and nothing is written.
#[test]
fn statuses_of_a_file_are_whole_numbers_with_a_name() {
    let (scratch, file) = place();
    prepared(Path::new(&file), 6, 2);
    let energies = scratch.npy("e.npy", &[3], &[1.0, 2.0, 3.0]);
    let base = ["mbe", "save", &file, KEY, "--method", METHOD, "--frames", "4,1,3", "--energies", &energies];
    let whole = |name: &str, values: [i64; 3]| scratch.npy_of(name, Dtype::I64, &[3], &values);
    for (statuses, says) in [
        (whole("4.npy", [0, 4, 3]), "the status of frame 1 is 4; expected one of COMPLETED (0)"),
        (whole("minus.npy", [0, 3, -1]), "the status of frame 3 is -1"),
        (scratch.npy_of("b.npy", Dtype::Bool, &[3], &[1u8, 1, 0]), "whole numbers, and these are bool"),
        (scratch.npy("f.npy", &[3], &[0.0, 0.0, 3.0]), "whole numbers, and these are f64"),
    ] {
        fails(&[&base[..], &["--status", &statuses]].concat(), 4, &[says]);
        fails(&[&base[..], &["--status", &statuses, "--cast"]].concat(), 4, &[says]);
    }
    assert_eq!(ok(&["mbe", "select", &file, KEY, "--method", METHOD, "--spec"]), "0:6\n", "nothing was written");
    for (dtype, bytes) in [(Dtype::I8, [0u8, 3, 0]), (Dtype::U8, [0, 2, 0])] {
        let statuses = scratch.npy_of("s.npy", dtype, &[3], &bytes);
        ok(&[&base[..], &["--status", &statuses, "--overwrite"]].concat());
    }
}

/// No output replaces the store or another output, whatever path or link names it.
#[test]
fn outputs_that_are_the_store() {
    let (scratch, file) = place();
    let truth = prepared(Path::new(&file), 4, 2);
    let table = truth.structure().table();
    let before = std::fs::read(&file).expect("read");
    let (soft, hard, folder) = (scratch.text("soft.npy"), scratch.text("hard.npy"), scratch.text("folder"));
    std::os::unix::fs::symlink(&file, &soft).expect("symlink");
    std::os::unix::fs::symlink(scratch.path(""), &folder).expect("symlink");
    let (lock, inside) = (format!("{file}.lock"), format!("{file}.part/new.npy"));
    let read = ["mbe", "read", &file, KEY, "--method", METHOD];
    let other = ["read", &file, &table, &truth.method().energies(), "--rows", ":"];
    // A hard link is not a valid name of a store to write to, but it still is the store.
    let names = [file.clone(), soft, format!("{folder}/a.hdf5"), lock, inside];
    let refused = |output: &str| {
        for option in ["--energies", "--forces", "--status"] {
            fails(&[&read[..], &[option, output]].concat(), 2, &["this is the store itself, or belongs to it"]);
        }
        for option in ["-o", "--mask"] {
            fails(&[&other[..], &[option, output]].concat(), 2, &["this is the store itself, or belongs to it"]);
        }
    };
    for output in &names {
        refused(output);
    }
    std::fs::hard_link(&file, &hard).expect("link");
    refused(&hard);
    std::fs::remove_file(&hard).expect("remove");
    assert!(std::fs::read(&file).expect("read") == before, "it is as it was");
    let out = scratch.text("out.npy");
    let again = format!("{folder}/out.npy");
    fails(
        &[&read[..], &["--energies", &out, "--status", &again]].concat(),
        2,
        &["each output needs a file of its own"],
    );
    fails(&[&other[..], &["-o", &out, "--mask", &again]].concat(), 2, &["each output needs a file of its own"]);
    // A name that only starts like the store's is another file.
    ok(&[&read[..], &["--energies", &format!("{file}.npy"), "--status", "/dev/null"]].concat());
    ok(&[&other[..], &["-o", &format!("{file}.npy"), "--mask", &out]].concat());
}

/// The suggested remedy fits the problem.
#[test]
fn remedies_fit() {
    let (scratch, file) = place();
    prepared(Path::new(&file), 3, 2);
    let npy = |name: &str, descr: &str, data: &[u8]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n");
        let length = u16::try_from(header.len()).expect("short").to_le_bytes();
        let bytes = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat();
        std::fs::write(scratch.path(name), bytes).expect("write");
        scratch.text(name)
    };
    let save = ["mbe", "save", &file, KEY, "--method", METHOD, "--frames", "0", "--energies"];
    for (descr, size) in [("<f16", 16), ("<M8[s]", 8), ("|V3", 3)] {
        let energies = npy("e.npy", descr, &vec![0; size]);
        let says = [descr, "is not supported", "to f2 to f8, i1 to i8, u1 to u8, bool"];
        fails(&[&save[..], &[&energies]].concat(), 4, &says);
    }
    let nan = scratch.npy("nan.npy", &[1], &[f64::NAN]);
    for args in [
        [&save[..], &[&nan]].concat(),
        [&save[..8], &["--energies", &scratch.npy("inf.npy", &[1], &[f64::INFINITY])]].concat(),
    ] {
        let (code, _, err) = run(&args);
        assert!(code == 4 && err.contains("FAILED?") && !err.contains("one value for each"), "{err}");
    }
    fails(&["mbe", "select", &file, KEY, "--method", "a\nb"], 2, &["'a\\nb' is not a name of a method"]);
    assert_eq!(ok(&["mbe", "select", &file, KEY, "--method", METHOD, "--spec"]), "0:3\n", "nothing was written");
}
