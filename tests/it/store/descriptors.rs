//! A long-lived program keeps no descriptor of what it has closed.

use crate::common::support::Scratch;
use crate::store::changes::{compressed_rows, store_with_rows};
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_base::storage::{Fault, Faulty};
use h5part_engine::store::{Store, Values};
use ndarray::Array1;
use std::path::Path;
use std::sync::Arc;

/// Descriptors of this process on files in a folder.
fn open_in(folder: &Path) -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("Linux").flatten();
    entries.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|path| path.starts_with(folder))).count()
}

fn work(store: &Store) {
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    let e = Array1::from_elem(1, 1.0);
    writer.commit(&Rows::one(7), &[("E", Values::from(&e))]).expect("commit");
    assert!(reader.read("E", &Rows::one(7)).expect("read").mask()[0]);
    compressed_rows(store, 7..8, 1.0).expect("commit");
    store.recover().expect("recover");
    store.status("t", 1).expect("status");
    store.extend("t", reader.table().rows + 1).expect("extend");
    let error = store.change(|_| Err::<(), _>(ErrorKind::BadRequest("no".to_owned()).into())).expect_err("refused");
    assert!(matches!(error.kind(), ErrorKind::BadRequest(_)), "{error}");
}

/// A writer that gives up its record keeps no descriptor of it either.
fn fail(store: &Store) {
    let faulty = Faulty::default();
    let mut writer = store.clone().with_storage(Arc::new(faulty.clone())).writer("t").expect("writer");
    // After its record and the folders on the path to it.
    faulty.arm(Some(Fault { call: 5, errno: 5, persistent: true }));
    let e = Array1::from_elem(1, 2.0);
    writer.commit(&Rows::one(7), &[("E", Values::from(&e))]).expect_err("fails");
    assert!(writer.is_poisoned());
}

#[test]
fn nothing_stays_open() {
    let scratch = Scratch::new();
    let file = scratch.path("a.h5");
    let folder = file.parent().and_then(|folder| folder.canonicalize().ok()).expect("folder");
    let store = store_with_rows(&file, 2);
    for round in 0..5 {
        work(&store);
        fail(&store);
        assert_eq!(open_in(&folder), 0, "round {round}");
    }
}
