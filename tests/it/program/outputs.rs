//! Outputs never replace foreign files. Requests that cannot be meant are refused before anything runs.

use crate::common::support::{Scratch, finished, h5part, ok, py, run};

/// A table, a ledger of its rows, and measurements.
fn scene() -> (Scratch, String, String) {
    let scratch = Scratch::new();
    let (store, ledger) = (scratch.text("run.h5"), scratch.text("run.ledger"));
    ok(&["create", &store, "t", "--rows", "4", "--column", "E:f64"]);
    ok(&["ledger", "init", &ledger, "--rows", "4", "--block", "2"]);
    ok(&["run", &ledger, "-j", "1", "--", "true"]);
    (scratch, store, ledger)
}

#[test]
fn outputs_replace_their_own_kind_and_nothing_else() {
    let (scratch, store, ledger) = scene();
    let (text, block) = (scratch.text("notes.txt"), scratch.text("block.h5"));
    std::fs::write(scratch.path("block.h5"), [vec![b' '; 512], std::fs::read(&store).expect("store")].concat())
        .expect("write");
    let outputs: [(&[&str], &str); 4] = [
        (&["read", &store, "t", "E", "--rows", ":", "-o"], "out.npy"),
        (&["read", &store, "t", "E", "--rows", ":", "--mask"], "mask.npy"),
        (&["monitor", &ledger, "--svg"], "out.svg"),
        (&["ledger", "export", &ledger], "out.MP"),
    ];
    for (args, own) in outputs {
        std::fs::write(&text, "results of a year").expect("write");
        for kept in [&store, &ledger, &block, &text] {
            let before = std::fs::read(kept).expect("reads");
            for force in [&["--force"][..], &[]] {
                if *kept == text && !force.is_empty() {
                    continue;
                }
                let (code, _, err) = run(&[args, &[kept], force].concat());
                assert!([2, 11].contains(&code), "{args:?} {kept}: {code} {err}");
                assert!(std::fs::read(kept).expect("reads") == before, "{args:?} {kept}");
            }
        }
        // A new name and an output of the same kind are accepted, and anything else with force.
        let own = scratch.text(own);
        ok(&[args, &[&own]].concat());
        ok(&[args, &[&own]].concat());
        ok(&[args, &[&text, "--force"]].concat());
        assert!(std::fs::read(&text).expect("reads") != b"results of a year");
    }
}

#[test]
fn pages_and_tables_replace_nothing_else() {
    let (scratch, store, ledger) = scene();
    for kept in [&store, &ledger] {
        let before = std::fs::read(kept).expect("reads");
        assert_eq!(run(&["monitor", &ledger, "--export", kept]).0, if *kept == ledger { 2 } else { 11 });
        assert!(std::fs::read(kept).expect("reads") == before);
    }
    let pages = scratch.text("man");
    ok(&["man", &pages]);
    ok(&["man", &pages]);
    let page = scratch.text("man/h5part-read.1");
    std::fs::copy(&store, &page).expect("copies");
    for force in [&[][..], &["--force"]] {
        let (code, _, err) = run(&[&["man", &pages], force].concat());
        assert!(code == 11 && err.contains("h5part-read.1"), "{code} {err}");
    }
    assert!(std::fs::read(&page).expect("reads") == std::fs::read(&store).expect("reads"));
    std::fs::write(&page, "notes").expect("writes");
    assert_eq!(run(&["man", &pages]).0, 11);
    ok(&["man", &pages, "--force"]);
}

#[test]
fn placeholders_that_cannot_be_filled_start_nothing() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("names"), "a\nb\n").expect("write");
    let ledger = scratch.text("l");
    ok(&["ledger", "init", &ledger, "--tasks", &scratch.text("names")]);
    for (command, word) in [("run", "{row}"), ("work", "{row}"), ("run", "<{rows}>")] {
        let (code, _, err) = run(&[command, &ledger, "-j", "1", "--", "touch", &scratch.text(word)]);
        assert!(
            code == 2 && err.contains(&word[word.find('{').expect("one")..=word.find('}').expect("one")]),
            "{code} {err}"
        );
        assert!(ok(&["ledger", "status", &ledger]).contains("waiting          2"), "nothing was tried");
    }
    ok(&[
        "run",
        &ledger,
        "-j",
        "1",
        "--",
        "sh",
        "-c",
        r#"h=h; echo {name} '{print $1} {{row}}' "${h}" >>"$0""#,
        &scratch.text("out"),
    ]);
    let out = std::fs::read_to_string(scratch.path("out")).expect("reads");
    assert_eq!(out, "a {print $1} {row} h\nb {print $1} {row} h\n");
}

#[test]
fn selections_are_masks_negative_numbers_repetitions_or_nothing() {
    let scratch = Scratch::new();
    let store = scratch.text("a.h5");
    ok(&["create", &store, "t", "--rows", "5", "--column", "E:f64"]);
    let two = scratch.npy("two.npy", &[2], &[3.0, 4.0]);
    ok(&["update", &store, "t", "--rows", "-2:", "--set", &format!("E={two}")]);
    assert_eq!(ok(&["read", &store, "t", "E", "--rows", "-1,3,-1"]), "4.0\n3.0\n4.0\n");
    let mask = scratch.text("mask.npy");
    ok(&["read", &store, "t", "E", "--rows", ":", "--mask", &mask]);
    assert_eq!(ok(&["read", &store, "t", "E", "--rows", &format!("@{mask}")]), "3.0\n4.0\n");
    ok(&["read", &store, "t", "E", "--rows", "3,4,3", "--mask", &mask]);
    let (code, _, err) = run(&["read", &store, "t", "E", "--rows", &format!("@{mask}")]);
    assert!(code == 4 && err.contains("expected 5, found 3"), "{code} {err}");
    let none = scratch.npy("none.npy", &[0], &[]);
    for args in [&["update", "--set", &format!("E={none}")][..], &["reset"], &["read"]] {
        let mut command = vec![args[0], &store, "t"];
        command.extend((args[0] == "read").then_some("E"));
        command.extend(&args[1..]);
        ok(&[&command[..], &["--rows", &format!("@{none}")]].concat());
        ok(&[&command[..], &["--rows", "3:3"]].concat());
    }
    let (code, _, err) = run(&["read", &store, "t", "E", "--rows", "-6"]);
    assert!(code == 2, "{code} {err}");
}

#[test]
fn a_stream_ends_when_it_is_told_so() {
    let scratch = Scratch::new();
    let store = scratch.text("a.h5");
    ok(&["create", &store, "t", "--rows", "5", "--column", "E:f64"]);
    let lines = "{\"rows\": 0, \"set\": {\"E\": -Infinity}}\n{\"end\": true}\n{\"rows\": 1, \"set\": {\"E\": 1}}\n";
    let output = h5part().args(["update", &store, "t", "--stream"]).write_stdin(lines).output().expect("starts");
    assert_eq!(finished(&output), (0, "{\"ok\":true,\"rows\":1}\n".to_owned(), String::new()));
    assert_eq!(ok(&["read", &store, "t", "E", "--rows", "0"]).trim(), "-inf");
    let text = "{\"rows\": 0, \"set\": {\"E\": \"done\"}}\n";
    let output = h5part().args(["update", &store, "t", "--stream"]).write_stdin(text).output().expect("starts");
    let (code, out, _) = finished(&output);
    assert!(code == 1 && out.contains("null for NaN") && out.contains("'E'"), "{code} {out}");
}

/// NumPy writes arrays of random types, orders, versions and shapes. Each is committed, and read back by h5py.
#[test]
fn npy_files_are_read_as_numpy_reads_them() {
    const SCRIPT: &str = r#"
import os, random, subprocess, sys, h5py, numpy as np
exe, folder = sys.argv[1:]
seed = random.randrange(1 << 32)
print("seed", seed)
r = random.Random(seed)
for k in range(40):
    kind = r.choice(["f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
    cell = tuple(r.choice([1, 2, 3]) for _ in range(r.randrange(4)))
    rows = r.choice([1, 1, 2, 4])
    lone = rows == 1 and r.random() < 0.5
    values = np.array([r.randrange(100) for _ in range(rows * int(np.prod(cell)))]).reshape((rows,) + cell)
    array = np.array(values[0] if lone else values, dtype=r.choice("<>") + kind, order=r.choice("CF"))
    version = r.choice([(1, 0), (2, 0), (3, 0)])
    store, npy = f"{folder}/{k}.h5", f"{folder}/{k}.npy"
    with open(npy, "wb") as out:
        np.lib.format.write_array(out, array, version=version)
    name = {"f": "f", "i": "i", "u": "u"}[kind[0]] + str(8 * int(kind[1]))
    shape = ":" + "x".join(map(str, cell)) if cell else ""
    subprocess.run([exe, "create", store, "t", "--rows", "5", "--column", f"E:{name}{shape}"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([exe, "update", store, "t", "--rows", f"1:{1 + rows}", "--set", f"E={npy}"], check=True, stdout=subprocess.DEVNULL)
    with h5py.File(store) as file:
        got = file["t/E"][1:1 + rows]
    assert np.array_equal(got, np.load(npy).reshape(got.shape)), (seed, k, array.dtype, array.shape, version)
print("same")
"#;
    let scratch = Scratch::new();
    let Some(out) = py(SCRIPT, &[env!("CARGO_BIN_EXE_h5part"), &scratch.text("")]) else { return };
    assert!(out.ends_with("same\n"), "{out}");
}
