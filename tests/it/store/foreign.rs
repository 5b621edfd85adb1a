//! Changes that other programs make to a file are noticed before a byte is written.

use crate::common::support::{Scratch, holder, small_store, small_table};
use h5part::{ErrorKind, Gone, Item};
use h5part_base::dataspace::Rows;
use h5part_engine::h5::NewTable;
use h5part_engine::store::{CellState, Store, Values, Writer};
use ndarray::Array1;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

fn put(writer: &mut Writer, row: u64, value: f64) -> h5part::Result<()> {
    let values = Array1::from_elem(1, value);
    writer.commit(&Rows::one(row), &[("E", Values::from(&values))]).map(|_| ())
}

/// Longer than a burst of the gate, so that a waiting program gets the lock.
fn pause(writer: &mut Writer) {
    writer.pause();
    std::thread::sleep(Duration::from_millis(12));
}

/// Changes a cell of E as a stock program does.
fn change(store: &Store, row: u64, value: f64) {
    let file = hdf5::File::open_rw(store.path()).expect("opens for writing");
    let dataset = file.dataset("t/E").expect("E");
    dataset
        .write_slice(
            &[value],
            hdf5::Hyperslab::from(usize::try_from(row).expect("small")..usize::try_from(row).expect("small") + 1),
        )
        .expect("write");
}

#[test]
fn a_committed_value_changed_by_another_program_is_not_overwritten_unnoticed() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 4, 1.0).expect("commit");
    pause(&mut writer);
    change(&store, 4, 2.0);
    let error = put(&mut writer, 4, 3.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::ForeignChange { row: 4, .. }), "{error}");
    assert_eq!(
        store.reader("t").expect("reader").read("E", &Rows::one(4)).expect("read").states(),
        [CellState::Changed]
    );
    assert!(!writer.is_poisoned(), "nothing was written");
    writer.set_accept_foreign(true);
    put(&mut writer, 4, 3.0).expect("accepted");
}

#[test]
fn a_value_that_another_program_wrote_into_an_empty_cell_is_not_overwritten_unnoticed() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 0, 1.0).expect("commit");
    pause(&mut writer);
    change(&store, 7, 2.0);
    let error = put(&mut writer, 7, 3.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::ForeignChange { row: 7, .. }), "{error}");
    put(&mut writer, 8, 3.0).expect("its neighbour is free");
    let block = store.reader("t").expect("reader").read("E", &Rows::one(7)).expect("read");
    assert_eq!((block.states(), block.array::<f64>().expect("f64")[0]), (&[CellState::Plain][..], 2.0));
}

#[test]
fn objects_that_others_add_are_fine() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    for round in 0..5u64 {
        put(&mut writer, round, 1.5).expect("commit");
        pause(&mut writer);
        let file = hdf5::File::open_rw(store.path()).expect("opens for writing");
        let group = file.create_group(&format!("other{round}")).expect("group");
        group.new_dataset::<f64>().shape(1000).create("data").expect("dataset");
        file.group("t").expect("t").new_attr::<i64>().create(format!("note{round}").as_str()).expect("attribute");
        drop((group, file));
        assert!(reader.read("E", &Rows::one(round)).expect("read").mask()[0]);
    }
    put(&mut writer, 6, 1.5).expect("commit");
}

#[test]
fn another_file_in_its_place_is_refused() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let other = small_store(&scratch.path("b.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    put(&mut writer, 0, 1.0).expect("commit");
    pause(&mut writer);
    let before = std::fs::read(other.path()).expect("read");
    std::fs::copy(other.path(), scratch.path("c.h5")).expect("copy");
    rename(&scratch.path("c.h5"), store.path());
    let error = put(&mut writer, 1, 1.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Replaced(Gone::File)), "{error}");
    assert_eq!(std::fs::read(store.path()).expect("read"), before, "nothing was written");
    let error = reader.read("E", &Rows::one(0)).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Replaced(Gone::File)), "{error}");
}

/// `cp other.h5 run.h5`: the same inode and the same layout, but another store.
#[test]
fn another_store_copied_over_it_in_place_is_refused() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let other = small_store(&scratch.path("b.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 0, 1.0).expect("commit");
    pause(&mut writer);
    std::fs::write(store.path(), std::fs::read(other.path()).expect("read")).expect("write");
    let before = std::fs::read(store.path()).expect("read");
    let error = put(&mut writer, 1, 1.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Replaced(Gone::File)), "{error}");
    assert_eq!(std::fs::read(store.path()).expect("read"), before, "nothing was written");
}

#[test]
fn a_cut_file_is_refused() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20_000);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 0, 1.0).expect("commit");
    pause(&mut writer);
    let file = std::fs::OpenOptions::new().write(true).open(store.path()).expect("open");
    let len = file.metadata().expect("stat").len();
    file.set_len(len / 2).expect("cut");
    let error = put(&mut writer, 1, 1.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Cut { .. }), "{error}");
    let error = store.reader("t").expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Cut { .. }), "{error}");
}

#[test]
fn a_column_that_another_program_made_anew_is_refused() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 0, 1.0).expect("commit");
    pause(&mut writer);
    let file = hdf5::File::open_rw(store.path()).expect("opens for writing");
    let group = file.group("t").expect("t");
    group.unlink("E").expect("unlink");
    group.new_dataset::<f64>().shape(20).create("E").expect("dataset");
    drop((group, file));
    let before = std::fs::read(store.path()).expect("read");
    let error = put(&mut writer, 1, 1.0).expect_err("noticed");
    assert!(matches!(error.kind(), ErrorKind::Replaced(Gone::Column(column)) if column == "E"), "{error}");
    assert_eq!(std::fs::read(store.path()).expect("read"), before, "nothing was written");
}

#[test]
fn a_table_added_by_h5part_is_followed_by_open_writers_and_readers() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    put(&mut writer, 0, 1.0).expect("commit");
    let second = NewTable { path: "second".to_owned(), ..small_table(5) };
    store.create(&second, &|_, _| ()).expect("create in an existing file");
    put(&mut writer, 1, 2.0).expect("commit");
    let block = reader.read("E", &Rows::range(0..3)).expect("read");
    assert_eq!(block.mask().to_vec(), [true, true, false]);
    put(&mut store.writer("second").expect("writer"), 4, 9.0).expect("commit");
    let error = store.create(&second, &|_, _| ()).expect_err("exists");
    assert!(matches!(error.kind(), ErrorKind::AlreadyExists(Item::Table(_))), "{error}");
}

#[test]
fn a_stock_writer_is_waited_for_and_named() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut holder = holder(store.path());
    let patience = h5part_base::lock::Patience { timeout: Duration::from_millis(200), ..Default::default() };
    let error = store.clone().with_patience(patience).writer("t").expect_err("held");
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    let text = error.to_string();
    assert!(matches!(error.kind(), ErrorKind::LockTimeout { .. }), "{text}");
    assert!(text.contains(&format!("pid {}", holder.id())) || text.contains("sleep"), "{text}");
}

#[test]
fn a_hard_linked_file_is_refused_and_a_symbolic_link_is_followed() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    std::os::unix::fs::symlink(store.path(), scratch.path("link.h5")).expect("symlink");
    let by_link = Store::open(scratch.path("link.h5")).expect("opens");
    assert_eq!(by_link.path(), store.path());
    std::fs::hard_link(store.path(), scratch.path("hard.h5")).expect("link");
    assert!(matches!(store.writer("t").expect_err("refused").kind(), ErrorKind::HardLinked(2)));
}

#[test]
fn damage_is_told_and_not_taken_for_a_value() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    let mut writer = store.writer("t").expect("writer");
    put(&mut writer, 3, 1.0).expect("commit");
    let (address, _) = writer.table().column("E").expect("E").direct().expect("direct").find(3);
    drop(writer);
    let file = std::fs::OpenOptions::new().write(true).open(store.path()).expect("open");
    file.write_all_at(&[0x55], address + 2).expect("flip");
    let block = store.reader("t").expect("reader").read("E", &Rows::one(3)).expect("read");
    assert_eq!(block.states(), [CellState::Changed]);
    assert!(block.array::<f64>().expect("f64")[0].is_nan(), "fill, not the damaged value");
}

#[expect(clippy::disallowed_methods, reason = "what a careless user does")]
fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("rename");
}

/// A program that holds the gate exclusively, with the documented lock, finds the HDF5 file free, because HDF5 does not
/// wait.
#[test]
fn who_has_the_gate_can_open_the_file_beside_readers() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 20);
    put(&mut store.writer("t").expect("writer"), 1, 2.0).expect("commit");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    store.reader("t").expect("reader");
                }
            });
        }
        let lock = std::fs::File::open(scratch.path("a.h5.lock")).expect("opens");
        let mut refused = 0;
        for _ in 0..500 {
            fs2::FileExt::lock(&lock).expect("locks");
            let data = std::fs::File::open(store.path()).expect("opens");
            refused += u32::from(fs2::FileExt::try_lock(&data).is_err());
            drop(data);
            fs2::FileExt::unlock(&lock).expect("unlocks");
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(refused, 0);
    });
}
