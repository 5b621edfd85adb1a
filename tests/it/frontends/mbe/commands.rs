//! The session of docs/mbe.md, and the output of its parts.

use super::{KEY, METHOD, dump, place, prepared, save, side, structure};
use crate::common::support::{h5part, ok, run};
use h5part_base::dataspace::Dtype;
use h5part_mbe::FrameStatus::Completed;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

#[test]
fn a_structure_from_beginning_to_end() {
    let (scratch, file) = place();
    structure(Path::new(&file), 7, 2);
    let at = [&file, KEY, "--method", METHOD];
    let mbe = |what: &str, more: &[&str]| ok(&[&["mbe", what], &at[..], more].concat());
    mbe("init", &[]);
    assert!(mbe("init", &[]).contains("had prepared already"));
    assert_eq!(mbe("select", &["--chunk", "2/3"]), "3\n4\n");
    let energies = scratch.npy("e.npy", &[3], &[1.0, 2.0, 3.0]);
    let forces = scratch.npy("f.npy", &[3, 2, 3], &(0..18).map(f64::from).collect::<Vec<_>>());
    let statuses = scratch.npy_of("s.npy", Dtype::I64, &[3], &[0i64, 2, 0]);
    let said = mbe("save", &["--frames", "5,3,0", "--energies", &energies, "--forces", &forces, "--status", &statuses]);
    assert_eq!(said, "saved 2 frames, 1 with their status alone\n");
    assert_eq!(mbe("select", &[]), "1\n2\n3\n4\n6\n");
    assert_eq!(mbe("select", &["--spec"]), "1:5,6\n");
    assert_eq!(mbe("select", &["--spec", "--overwrite", "--frames", "5,0,1"]), "0:2,5\n");
    let read = mbe("read", &["--frames", "3,0,5"]);
    assert_eq!(read, "3 SCF_NOT_CONVERGED NaN\n0 COMPLETED 3.0\n5 COMPLETED 1.0\n");
    let out = ["e2.npy", "f2.npy", "s2.npy"].map(|name| scratch.text(name));
    mbe("read", &["--frames", "0,5", "--energies", &out[0], "--forces", &out[1], "--status", &out[2]]);
    let script = "import sys, numpy as np; e, f, s = map(np.load, sys.argv[1:])
assert e.tolist() == [3, 1] and s.tolist() == [0, 0] and s.dtype == 'i8'
assert f.shape == (2, 2, 3) and f.ravel().tolist() == [12, 13, 14, 15, 16, 17, 0, 1, 2, 3, 4, 5]";
    crate::common::support::py(script, &[&out[0], &out[1], &out[2]]);
    // Nothing left to do is no error.
    ok(&[&["mbe", "save"], &at[..], &["--frames", ":", "--status", "FAILED"]].concat());
    let all = scratch.npy("all.npy", &[7], &[4.0; 7]);
    let forces = scratch.npy("af.npy", &[7, 2, 3], &[0.5; 42]);
    let said = mbe("save", &["--frames", ":", "--energies", &all, "--forces", &forces, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), json!({"completed": 5, "marked": 0, "left": 2}));
    assert_eq!((mbe("select", &[]), mbe("select", &["--spec"])), (String::new(), String::new()));
    assert!(ok(&["verify", &file]).contains("sound"));
    if let Some(seen) = dump(&file) {
        assert_eq!(seen.levels, [METHOD]);
        assert_eq!(seen.methods[METHOD].status, Some(vec![0; 7]));
        let energies = [3.0, 4.0, 4.0, 4.0, 4.0, 1.0, 4.0].map(Some);
        assert_eq!(seen.methods[METHOD].energies.as_deref(), Some(&energies[..]));
    }
}

#[test]
fn tasks_of_a_job_array_share_the_frames() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 10, 2);
    save(&mut truth.saver().expect("saver"), &[0, 9], 2, 0.0, Completed).expect("save");
    let mut all = String::new();
    for (id, part) in [(4, "1\n2\n3\n"), (6, "4\n5\n6\n"), (8, "7\n8\n")] {
        let mut command = h5part();
        command.args(["mbe", "select", &file, KEY, "--method", METHOD, "--chunk", "slurm"]);
        for (name, value) in [("ID", id), ("MIN", 4), ("MAX", 8), ("COUNT", 3)] {
            command.env(format!("SLURM_ARRAY_TASK_{name}"), value.to_string());
        }
        let out = String::from_utf8(command.output().expect("starts").stdout).expect("UTF-8");
        assert_eq!(out, part, "task {id}");
        all += &out;
    }
    assert_eq!(all.lines().count(), 8);
}

#[test]
fn status_tells_what_completed_frames_lack() {
    let (scratch, file) = place();
    prepared(Path::new(&file), 6, 2);
    let energies = scratch.npy("e.npy", &[3], &[1.0, 2.0, 3.0]);
    let at = [&file, KEY, "--method", METHOD];
    let (code, _, err) = run(&[&["mbe", "save"], &at[..], &["--frames", "1:4", "--energies", &energies]].concat());
    assert!(code == 0 && err.contains("forces were prepared and are not given"), "{code} {err}");
    let (code, out, _) = run(&["mbe", "status", &file]);
    assert!(code == 1 && out.contains("COMPLETED without forces (NaN): 1:4"), "{code} {out}");
    let (code, out, _) = run(&["mbe", "status", &file, KEY, "--json"]);
    let told: Value = serde_json::from_str(&out).expect("JSON");
    let method = &told[0]["methods"][0];
    assert_eq!((code, &told[0]["frames"], &method["counts"]["COMPLETED"]), (1, &json!(6), &json!(3)));
    assert_eq!((&method["lacking"], &method["prepared"]), (&json!({"forces": "1:4"}), &json!(true)));
    // The table records that the status is its guard, and which value means complete.
    let (code, out, _) = run(&["verify", &file]);
    assert!(code == 1 && out.contains("guard"), "{code} {out}");
    assert_eq!(ok(&[&["mbe", "select"], &at[..], &["--forces", "--spec"]].concat()), "0:6\n");
    assert_eq!(ok(&[&["mbe", "select"], &at[..], &["--energies", "--spec"]].concat()), "0,4:6\n");
}

#[test]
fn a_stream_of_batches() {
    let (scratch, file) = place();
    prepared(Path::new(&file), 20, 1);
    let forces = scratch.npy("f.npy", &[2, 1, 3], &[1.0; 6]);
    let truths = scratch.npy_of("b.npy", Dtype::Bool, &[2], &[1u8, 0]);
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["mbe", "save", &file, KEY, "--method", METHOD, "--stream"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut input = child.stdin.take().expect("piped");
    let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut ask = |line: String| -> Value {
        writeln!(input, "{line}").expect("write");
        serde_json::from_str(&output.next().expect("a line").expect("read")).expect("JSON")
    };
    let batch = json!({"frames": "0:2", "set": {"energies": [1.5, 2.5], "forces": forces}, "id": 7});
    assert_eq!(ask(batch.to_string()), json!({"ok": true, "id": 7, "completed": 2, "marked": 0, "left": 0}));
    let mixed = json!({"frames": [1, 5], "set": {"energies": [9, 3.5], "status": [0, 2]}});
    assert_eq!(ask(mixed.to_string()), json!({"ok": true, "completed": 0, "marked": 1, "left": 1}));
    let failed = json!({"frames": 6, "set": {"status": "FAILED"}});
    assert_eq!(ask(failed.to_string()), json!({"ok": true, "completed": 0, "marked": 1, "left": 0}));
    for (bad, code) in [
        (json!({"frames": [3, 3], "set": {"energies": [1, 1]}}), 2),
        (json!({"frames": 99, "set": {"energies": [1]}}), 3),
        (json!({"frames": 3, "set": {"energy": [1]}}), 2),
        (json!({"frames": 3, "set": {"energies": [null]}}), 4),
        (json!({"frames": 3, "set": {"energies": [1], "status": "DONE"}}), 2),
        (json!({"frames": 3, "set": {"energies": [1], "status": 7}}), 4),
        (json!({"frames": [3, 4], "set": {"energies": [1, 1], "status": [0, -1]}}), 4),
        (json!({"frames": [3, 4], "set": {"energies": [1, 1], "status": truths}}), 4),
        (json!({"frames": 3}), 2),
    ] {
        let answer = ask(bad.to_string());
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!(code)), "{bad}: {answer}");
    }
    drop(input);
    assert_eq!(child.wait().expect("ends").code(), Some(1), "some failed");
    let read = ok(&["mbe", "read", &file, KEY, "--method", METHOD, "--frames", "0:7"]);
    assert_eq!(read.lines().take(2).collect::<Vec<_>>(), ["0 COMPLETED 1.5", "1 COMPLETED 2.5"]);
    assert!(read.contains("5 SCF_NOT_CONVERGED NaN\n6 FAILED NaN"), "{read}");
}

/// Files made by Python are read as they are. `init` takes them over, and statuses keep their meaning.
#[test]
fn what_python_has_made() {
    let (scratch, file) = place();
    if side(&["make", &file, KEY, "6", "2", METHOD, "0,1,2,3,0,1"]).is_none() {
        return;
    }
    let at = [&file, KEY, "--method", METHOD];
    let mbe = |what: &str, more: &[&str]| run(&[&["mbe", what], &at[..], more].concat());
    assert_eq!(mbe("select", &["--spec"]).1, "1:4,5\n");
    let before = mbe("read", &[]).1;
    assert!(before.contains("2 SCF_NOT_CONVERGED NaN\n3 FAILED NaN\n4 COMPLETED 4.0"), "{before}");
    let energies = scratch.npy("e.npy", &[2], &[7.0, 8.0]);
    let forces = scratch.npy("f.npy", &[2, 2, 3], &[1.0; 12]);
    let more = ["--frames", "1:3", "--energies", &energies, "--forces", &forces];
    let (code, _, err) = mbe("save", &more);
    assert!(code == 3 && err.contains("mbe init"), "{code} {err}");
    assert!(mbe("init", &[]).1.contains("took over"));
    assert_eq!(mbe("read", &[]).1, before);
    assert_eq!(mbe("save", &more).1, "saved 2 frames\n");
    // And Python continues.
    side(&["save", &file, KEY, METHOD, "3", "6", "1", "2", "0.01", "100"]).expect("h5py");
    let read = mbe("read", &[]).1;
    assert_eq!(
        read,
        "0 COMPLETED 0.0\n1 COMPLETED 7.0\n2 COMPLETED 8.0\n3 COMPLETED 103.0\n4 COMPLETED 104.0\n5 COMPLETED 105.0\n"
    );
    let (code, out, _) = run(&["mbe", "status", &file]);
    assert!(code == 0 && out.contains("6 COMPLETED"), "{out}");
}
