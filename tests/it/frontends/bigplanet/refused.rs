//! Files that are not replaced, and files that are no archives.

use super::run_in;
use super::toy::Toy;
use crate::common::support::{is_one_error, py};
use std::fs;
use std::os::unix::fs::symlink;

/// The command must fail with this message and leave the file unchanged.
fn refused(toy: &Toy, args: &[&str], file: &str, said: &str) {
    let before = fs::read(toy.path(file)).expect("reads");
    let (code, out, err) = toy.run(args);
    assert!(code == 2 && err.contains(said) && is_one_error(&err), "{args:?} {file}: {code} {out}{err}");
    assert!(fs::read(toy.path(file)).expect("reads") == before, "{args:?} changed {file}");
}

#[test]
fn the_filter_never_replaces_what_it_reads() {
    let toy = Toy::new(2);
    toy.ok(&["-a", "bpl.in"]);
    symlink("MP.bpa", toy.path("link.bpf")).expect("links");
    for output in ["MP.bpa", "./MP.bpa", "link.bpf"] {
        toy.bpl("f.in", &format!("sOutputFile {output}\nsaKeyInclude planet:dSemi:option\n"));
        refused(&toy, &["-o", "f.in"], "MP.bpa", "it is the archive");
    }
    // The table for Ulysses is a link from another name.
    symlink("MP.bpa", toy.path("User.csv")).expect("links");
    toy.bpl("f.in", "bUlysses 1\nsaKeyInclude planet:dSemi:option\n");
    refused(&toy, &["-o", "f.in"], "MP.bpa", "it is the archive");
    fs::remove_file(toy.path("MP.bpa")).expect("removes");
    toy.bpl("f.in", "sOutputFile MP.bpa\nsaKeyInclude planet:dSemi:option\n");
    let (code, _, err) = toy.run(&["-o", "f.in"]);
    assert!(code == 2 && err.contains("it is the archive") && !toy.path("MP.bpa").exists(), "{err}");
}

#[test]
fn texts_and_inputs_are_never_made_anew() {
    let toy = Toy::new(1);
    toy.write("notes.txt", "mine");
    toy.write("vpl.in", toy.read("MP/a0/vpl.in"));
    for file in ["f.in", "vpl.in", "notes.txt", "MP/a0/planet.in"] {
        toy.bpl("f.in", &format!("sOutputFile {file}\nsaKeyInclude planet:dSemi:option\n"));
        refused(&toy, &["-o", "f.in"], file, "it is not an HDF5 file");
        toy.bpl("f.in", &format!("sArchiveFile {file}\n"));
        refused(&toy, &["-a", "-o", "f.in"], file, "it is not an HDF5 file");
    }
    let (code, _, err) = toy.run(&["-a", "-o", "bpl.in"]);
    assert!(code == 0, "{err}");
    // An empty file, as a kill may leave it, is rebuilt.
    for (args, file) in [(&["-a", "-o", "bpl.in"][..], "MP.bpa"), (&["-o", "f.in"], "MP_filtered.bpf")] {
        toy.bpl("f.in", "saKeyInclude planet:dSemi:option\n");
        toy.write(file, "");
        toy.ok(args);
        assert!(fs::metadata(toy.path(file)).expect("there").len() > 1000, "{file}");
    }
    fs::create_dir(toy.path("folder.bpf")).expect("makes");
    toy.bpl("f.in", "sOutputFile folder.bpf\nsaKeyInclude planet:dSemi:option\n");
    let (code, _, err) = toy.run(&["-o", "f.in"]);
    assert!(code == 2 && err.contains("it is not a file") && toy.path("folder.bpf").is_dir(), "{err}");
    // The message says how to rebuild it, if that is allowed.
    toy.bpl("f.in", "saKeyInclude planet:dSemi:option\n");
    let (code, _, err) = toy.run(&["f.in"]);
    assert!(code == 11 && err.contains("pass -o to rebuild it"), "{err}");
}

#[test]
fn nothing_is_archived_into_a_file_that_is_no_archive() {
    let toy = Toy::new(2);
    toy.bpl("f.in", "saKeyInclude planet:dSemi:option\n");
    let script = "import sys, h5py\n\
        with h5py.File(sys.argv[1], 'w') as f: f['runs/1/x'] = 1.0\n\
        with h5py.File(sys.argv[2], 'w') as f: f['a0/energy'] = [1.0, 2.0]\n\
        with h5py.File(sys.argv[3], 'w') as f: f['a1'] = 3";
    if py(script, &["nested.h5", "group.h5", "dataset.h5"].map(|name| toy.text(name)).each_ref().map(String::as_str))
        .is_none()
    {
        return;
    }
    assert_eq!(run_in(&toy.folder(), &["create", "table.h5", "t", "--rows", "3", "--column", "E:f64"]).0, 0);
    toy.ok(&["f.in"]);
    fs::copy(toy.path("MP_filtered.bpf"), toy.path("filtered.bpa")).expect("copies");
    fs::remove_file(toy.path("MP_filtered.bpf")).expect("removes");
    for (file, name) in [
        ("nested.h5", "'runs'"),
        ("group.h5", "'a0'"),
        ("dataset.h5", "'a1'"),
        ("table.h5", "'t'"),
        ("filtered.bpa", "'planet:dSemi:option'"),
    ] {
        println!("{file}");
        toy.bpl("b.in", &format!("sArchiveFile {file}\nsaKeyInclude planet:dSemi:option\n"));
        for args in [&["-a", "b.in"][..], &["-o", "b.in"], &["-deleterawdata", "-y", "b.in"], &["-a", "-o", "b.in"]] {
            refused(&toy, args, file, &format!("{name} is not a trial"));
        }
        assert!(toy.path("MP/a1").exists());
    }
    // The filter replaces filtered files only.
    toy.ok(&["-a", "bpl.in"]);
    fs::copy(toy.path("MP.bpa"), toy.path("other.bpa")).expect("copies");
    for file in ["other.bpa", "table.h5"] {
        toy.bpl("f.in", &format!("sOutputFile {file}\nsaKeyInclude planet:dSemi:option\n"));
        refused(&toy, &["-o", "f.in"], file, "it is not a filtered file");
    }
}
