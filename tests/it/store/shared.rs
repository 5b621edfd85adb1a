//! Stores that hosts share by NFS, as far as one host can show it: the storage of such stores, and what is refused.

use crate::common::support::{Scratch, is_one_error, ok, run, small_table};
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_base::lock::Shared;
use h5part_base::storage::Nfs;
use h5part_engine::store::{Durability, Store, Values};
use ndarray::Array1;
use std::path::Path;
use std::sync::Arc;

/// A store whose files are opened as those of a shared one, but may be kept in memory, since only NFS takes reads and
/// writes of any length with `O_DIRECT`.
fn store(path: &Path) -> Store {
    Store::new(path).expect("path").with_storage(Arc::new(Nfs::with_flags(0)))
}

fn commit(store: &Store, rows: std::ops::Range<u64>, value: f64, durability: Durability) {
    let mut writer = store.writer("t").expect("writer");
    writer.set_durability(durability);
    for row in rows {
        let e = Array1::from_elem(1, value + row as f64);
        writer.commit(&Rows::one(row), &[("E", Values::from(&e))]).expect("commits");
    }
}

/// Writers, a structural change between them, a recovery and a reader, all through the file of the gate.
#[test]
fn everything_works_through_the_file_of_the_gate() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    store(&path).create(&small_table(20), &|_, _| ()).expect("creates");
    std::thread::scope(|scope| {
        for k in 0..4u64 {
            let path = path.clone();
            scope.spawn(move || {
                commit(&store(&path), 5 * k..5 * (k + 1), 100.0, Durability::Process);
                store(&path).extend("t", 20 + k).map(drop).or_else(|e| match e.kind() {
                    // Another thread has made it longer already.
                    ErrorKind::BadRequest(_) => Ok(()),
                    _ => Err(e),
                })
            });
        }
    });
    commit(&store(&path), 3..5, 200.0, Durability::Power);
    store(&path).recover().expect("recovers");
    let block = store(&path).reader("t").expect("reader").read("E", &Rows::range(0..20)).expect("reads");
    let expected: Vec<f64> =
        (0..20).map(|row| f64::from(row) + if (3..5).contains(&row) { 200.0 } else { 100.0 }).collect();
    assert_eq!(block.array::<f64>().expect("f64").iter().copied().collect::<Vec<_>>(), expected);
    assert!(ok(&["verify", &scratch.text("a.h5")]).contains("sound"));
}

/// A writer goes on when a commit to a compressed column, or another process, has changed the structure of the file.
#[test]
fn a_writer_keeps_its_own_file_after_structural_changes() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let filters = h5part_engine::h5::Filters { gzip: Some(1), shuffle: true };
    let table = h5part_engine::h5::NewTable { filters, ..small_table(20) };
    store(&path).create(&table, &|_, _| ()).expect("creates");
    let shared = store(&path);
    let mut writer = shared.writer("t").expect("writer");
    for row in 0..10 {
        let e = Array1::from_elem(1, row as f64);
        writer.commit(&Rows::one(row), &[("E", Values::from(&e))]).expect("commits through the library");
        if row == 4 {
            store(&path).extend("t", 30).expect("extends");
        }
    }
    let block = shared.reader("t").expect("reader").read("E", &Rows::range(0..10)).expect("reads");
    assert_eq!(
        block.array::<f64>().expect("f64").iter().copied().collect::<Vec<_>>(),
        (0..10).map(f64::from).collect::<Vec<_>>()
    );
}

#[test]
fn where_it_is_refused_nothing_is_made() {
    let scratch = Scratch::new();
    let path = scratch.text("a.h5");
    let (code, _, err) = run(&["create", &path, "t", "--rows", "4", "--column", "E:f64", "--shared", "nfs"]);
    assert!(code == 10 && is_one_error(&err) && err.contains("not an NFS mount"), "{code}: {err}");
    assert!(!scratch.path("a.h5").exists() && !scratch.path("a.h5.part").exists());
    ok(&["create", &path, "t", "--rows", "4", "--column", "E:f64"]);
    let (code, _, err) = run(&["extend", &path, "t", "--rows", "9", "--shared", "nfs"]);
    assert!(code == 10 && err.contains("not an NFS mount"), "{code}: {err}");
    assert!(!scratch.path("a.h5.part/shared").exists());
    let (code, _, err) = run(&["extend", &path, "t", "--rows", "9", "--shared", "lustre"]);
    assert!(code == 2 && err.contains("nfs"), "{code}: {err}");
}

/// The mark of a shared store is obeyed by programs that were not told, also on the server, where locks do not meet those
/// of the clients.
#[test]
fn a_store_that_was_shared_stays_so() {
    let scratch = Scratch::new();
    let path = scratch.text("a.h5");
    ok(&["create", &path, "t", "--rows", "4", "--column", "E:f64"]);
    std::fs::write(scratch.path("a.h5.part/shared"), "nfs\n").expect("marks");
    let (code, _, err) = run(&["extend", &path, "t", "--rows", "9"]);
    assert!(
        code == 10 && err.contains("not an NFS mount") && err.contains("remove the file 'shared'"),
        "{code}: {err}"
    );
    ok(&["read", &path, "t", "E", "--rows", "0:4"]);
    ok(&["verify", &path]);
    ok(&["extend", &path, "t", "--rows", "9", "--trust-locks"]);
    std::fs::remove_file(scratch.path("a.h5.part/shared")).expect("removes");
    ok(&["extend", &path, "t", "--rows", "10"]);
    let told = Store::open(scratch.path("a.h5")).expect("opens").with_shared(Shared::Nfs);
    let error = told.writer("t").expect_err("is not on NFS");
    assert!(matches!(error.kind(), ErrorKind::UntrustedLocks { .. }), "{error}");
}
