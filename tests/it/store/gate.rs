//! The gate in the hands of a user's program: another library changes the file beside running writers.

use crate::common::support::{Scratch, holder};
use h5part::verify::Verify;
use h5part::{Durability, ErrorKind, Store, StoreOptions, Table};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const ROWS: u64 = 1000;
/// Names the file for a process that takes the gate and keeps it: this program, started again.
const FILE: &str = "H5PART_GATE_FILE";

fn store(scratch: &Scratch) -> Store {
    Store::create(scratch.path("a.h5"), Table::new("t", ROWS).column::<f64>("x", [])).expect("creates")
}

fn commit(store: &Store, row: u64) -> h5part::Result<()> {
    let mut writer = store.writer("t")?;
    writer.set_durability(Durability::Process);
    writer.commit(row..row + 1).set("x", &[row as f64]).run().map(|_| ())
}

fn impatient(store: &Store) -> Store {
    StoreOptions::new().timeout(Duration::from_millis(50)).open(store.path()).expect("opens")
}

/// Does nothing where nobody started it as a holder.
#[test]
fn a_process_that_keeps_the_gate() {
    let Ok(file) = std::env::var(FILE) else { return };
    let _gate = Store::open(file).expect("opens").gate(None).expect("takes it");
    println!("\nhas it");
    loop {
        std::thread::park();
    }
}

fn start_holder(store: &Store) -> Child {
    use std::io::{BufRead, BufReader};
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let (_, module) = module_path!().split_once("::").expect("a module of the crate");
    command.args([&format!("{module}::a_process_that_keeps_the_gate"), "--exact", "--nocapture"]);
    let mut child = command.env(FILE, store.path()).stdout(Stdio::piped()).spawn().expect("starts");
    let lines = BufReader::new(child.stdout.as_mut().expect("piped")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "has it"), "it ended without the gate");
    child
}

/// The library opens the file for writing, with its own lock, again and again.
#[test]
fn another_library_writes_beside_writers() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let (stop, committed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for first in 0..3 {
            let (store, stop, committed) = (&store, &stop, &committed);
            scope.spawn(move || {
                let mut writer = store.writer("t").expect("writer");
                writer.set_durability(Durability::Process);
                for row in (first..ROWS).step_by(3).cycle() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    writer.commit(row..row + 1).set("x", &[row as f64]).run().expect("commits");
                    committed.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..10u64 {
            // Writers come in between.
            let before = committed.load(Ordering::Relaxed);
            while committed.load(Ordering::Relaxed) < before + 10 {
                std::thread::yield_now();
            }
            let gate = store.gate(None).expect("takes it");
            let file = hdf5::File::open_rw(store.path()).expect("nobody has it open for writing");
            file.new_attr::<u64>()
                .create(format!("turn {turn}").as_str())
                .and_then(|a| a.write_scalar(&turn))
                .expect("writes");
            let inside = committed.load(Ordering::Relaxed);
            file.close().expect("closes");
            assert_eq!(committed.load(Ordering::Relaxed), inside, "nobody commits while it is held");
            drop(gate);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let file = hdf5::File::open(store.path()).expect("opens");
    let turn = |turn: u64| file.attr(&format!("turn {turn}")).and_then(|a| a.read_scalar::<u64>()).expect("is there");
    assert_eq!((0..10).map(turn).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    drop(file);
    let report = store.verify(&Verify::default()).expect("verifies");
    assert!(report.sound, "{report:?}");
}

#[test]
fn whoever_waits_in_vain_is_told_the_holder() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let gate = store.gate(None).expect("takes it");
    for outcome in [
        commit(&impatient(&store), 1),
        impatient(&store).gate(None).map(drop),
        impatient(&store).extend("t", 2000).map(drop),
    ] {
        let error = outcome.expect_err("is held");
        assert!(matches!(error.kind(), ErrorKind::LockTimeout { .. }), "{error}");
        assert!(error.to_string().contains("this process itself"), "{error}");
    }
    // A time limit of its own.
    let error = store.gate(Some(Duration::from_millis(20))).expect_err("is held");
    assert!(error.to_string().contains("cannot take the gate of"), "{error}");
    drop(gate);
    commit(&store, 1).expect("is free");
    let mut other = holder(&scratch.path("a.h5.lock"));
    let error = impatient(&store).gate(None).expect_err("is held");
    assert!(error.to_string().contains(&format!("pid {}", other.id())), "{error}");
    other.kill().and_then(|()| other.wait()).expect("ends");
    drop(store.gate(None).expect("is free"));
}

#[test]
fn the_gate_of_a_killed_process_is_free() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    let mut child = start_holder(&store);
    let error = commit(&impatient(&store), 1).expect_err("is held");
    assert!(error.to_string().contains(&format!("pid {}", child.id())), "{error}");
    child.kill().and_then(|()| child.wait()).expect("ends");
    commit(&store, 1).expect("is free");
    drop(store.gate(None).expect("is free"));
}

/// A value that another program puts into a committed cell under the gate is foreign, and one in a fresh cell is noticed.
#[test]
fn values_written_under_it_are_noticed() {
    let scratch = Scratch::new();
    let store = store(&scratch);
    commit(&store, 1).expect("commits");
    let gate = store.gate(None).expect("takes it");
    let file = hdf5::File::open_rw(store.path()).expect("opens");
    file.dataset("t/x").and_then(|x| x.write_slice(&[7.0, 8.0], 1..3)).expect("writes");
    file.close().expect("closes");
    drop(gate);
    for row in [1, 2] {
        let error = commit(&store, row).expect_err("foreign");
        assert!(matches!(error.kind(), ErrorKind::ForeignChange { row: found, .. } if *found == row), "{error}");
    }
    commit(&store, 3).expect("commits");
}
