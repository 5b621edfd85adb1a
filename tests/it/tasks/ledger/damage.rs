//! Files that are no ledger, truncated ones, newer ones, those of another store: each has its exit code, and nothing is
//! written.

use super::tasks;
use crate::common::support::{Scratch, is_one_error, ok, run, small_store};
use h5part::ledger::NewLedger;

/// All commands that look at a ledger.
const COMMANDS: [&[&str]; 8] = [
    &["status"],
    &["list"],
    &["claim"],
    &["requeue", "--failed"],
    &["cancel", "--all"],
    &["export"],
    &["reconcile"],
    &["done", "x", "--fence", "1"],
];

fn each_command(path: &str, code: i32, says: &str) {
    let before = std::fs::read(path).ok();
    for command in COMMANDS {
        let args: Vec<&str> = ["ledger", command[0], path].into_iter().chain(command[1..].iter().copied()).collect();
        let (found, out, err) = run(&args);
        assert_eq!((found, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(says) && err.contains("a.ledger") && is_one_error(&err), "{args:?}: {err}");
    }
    assert_eq!(std::fs::read(path).ok(), before, "{path} was written to");
}

#[test]
fn what_is_no_ledger_is_told_and_left_alone() {
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    each_command(&path, 3, "no such file");
    for bytes in [b"".to_vec(), b"h5part".to_vec(), vec![0; 9000], b"Vspace File: x\n".repeat(1000)] {
        std::fs::write(&path, bytes).expect("writes");
        each_command(&path, 5, "not a usable ledger");
    }
    std::fs::write(&path, [&b"h5partL1"[..], &[0; 9000]].concat()).expect("writes");
    each_command(&path, 5, "it is the log of a structural change, or was made by a development version");
    tasks(30).create(scratch.path("b.ledger")).expect("makes");
    let whole = std::fs::read(scratch.path("b.ledger")).expect("reads");
    for len in [100, 4095, 4096, 5000, whole.len() - 1] {
        std::fs::write(&path, &whole[..len]).expect("writes");
        each_command(&path, 5, "bytes");
    }
    let mut newer = whole.clone();
    // Version 2 records which columns make a task done.
    newer[7] = b'3';
    std::fs::write(&path, newer).expect("writes");
    each_command(&path, 5, "newer");
    let mut damaged = whole;
    damaged[30] ^= 1;
    std::fs::write(&path, damaged).expect("writes");
    each_command(&path, 5, "its header is damaged");
    std::fs::remove_file(&path).expect("removes");
    std::fs::create_dir(&path).expect("folder");
    let (code, _, err) = run(&["ledger", "status", &path]);
    assert!([5, 12].contains(&code) && err.contains("a.ledger"), "{code}: {err}");
}

/// A damaged slot does not affect the other tasks.
#[test]
fn a_damaged_task_is_told_and_the_others_are_done() {
    const SLOTS: usize = 4096 + 1024;
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.ledger");
    tasks(3).create(&path).expect("makes");
    let mut bytes = std::fs::read(&path).expect("reads");
    bytes[SLOTS + 64 + 20] ^= 4;
    std::fs::write(&path, bytes).expect("writes");
    let claims = ok(&["ledger", "claim", &path, "-n", "3", "--json"]);
    assert!(claims.contains("task 0") && !claims.contains("task 1"), "{claims}");
    assert!(ok(&["ledger", "claim", &path, "-n", "3", "--json"]).contains("task 2"));
    let status: serde_json::Value = serde_json::from_str(&ok(&["ledger", "status", &path, "--json"])).expect("JSON");
    assert_eq!((&status["damaged"], &status["running"], &status["total"]), (&1.into(), &2.into(), &3.into()));
    for command in ["done", "fail", "release", "beat"] {
        let (code, _, err) = run(&["ledger", command, &path, "task 1", "--fence", "1"]);
        assert!(code == 5 && err.contains("damaged at task 1"), "{command}: {code} {err}");
    }
    let (code, out, err) = run(&["ledger", "list", &path]);
    assert!(code == 0 && out.lines().count() == 2 && err.contains("damaged at task 1"), "{out}{err}");
}

#[test]
fn a_ledger_of_another_store() {
    let scratch = Scratch::in_memory();
    let [file, other, path] = ["a.h5", "b.h5", "a.ledger"].map(|name| scratch.text(name));
    let store = small_store(&scratch.path("a.h5"), 10);
    small_store(&scratch.path("b.h5"), 10);
    let named = Some(h5part::ledger::store_ref(&store, "t").expect("has an identity"));
    NewLedger { store: named, ..NewLedger::of_rows(10, 2) }.create(&path).expect("makes");
    let before = std::fs::read(&path).expect("reads");
    for args in [&["reconcile", &path, &other][..], &["reconcile", &path, &other, "--table", "t"]] {
        let (code, _, err) = run(&[&["ledger"], args].concat());
        assert!(code == 9 && err.contains("belongs to another store") && err.contains("a.ledger"), "{args:?}: {err}");
    }
    assert_eq!(std::fs::read(&path).expect("reads"), before);
    // Another file replaced it.
    std::fs::copy(&other, &file).expect("copies");
    let (code, _, err) = run(&["ledger", "claim", &path]);
    assert!(code == 9 && err.contains("belongs to another store"), "{code}: {err}");
    let status = ok(&["ledger", "status", &path, "--json"]);
    assert!(status.contains("\"running\":0"), "what was claimed is given back: {status}");
}
