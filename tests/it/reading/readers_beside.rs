//! Stock readers beside structural changes: they are kept out only while the change is written into the file.

use crate::common::support::Scratch;
use fs2::FileExt;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_base::lock::Patience;
use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use h5part_engine::h5::Attribute;
use h5part_engine::store::{Filters, NewTable, Store, Values};
use ndarray::{Array1, array};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a change does to its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    /// The log, or the file, is synced.
    Sync,
    /// Bytes are written below the end that the file had before.
    Applied,
}

type Hook = Arc<dyn Fn(Call) + Send + Sync>;

/// Does what [`Disk`] does, and reports each call before it.
#[derive(Clone)]
struct Watched {
    hook: Hook,
    old_end: Arc<AtomicU64>,
}

#[derive(Debug)]
struct WatchedFile {
    inner: Box<dyn StorageFile>,
    storage: Watched,
    is_data: bool,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watched")
    }
}

impl Storage for Watched {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let is_data = path.extension().is_some_and(|end| end == "h5");
        Ok(Box::new(WatchedFile { inner: Disk.open(path, mode)?, storage: self.clone(), is_data }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
}

impl StorageFile for WatchedFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.inner.read_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        if self.is_data && address < self.storage.old_end.load(Ordering::Relaxed) {
            (self.storage.hook)(Call::Applied);
        }
        self.inner.write_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        (self.storage.hook)(Call::Sync);
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }
}

/// A compressed table of ten rows, whose later changes call `hook`.
fn store(scratch: &Scratch, hook: Hook) -> Store {
    let path = scratch.path("a.h5");
    let store = Store::new(&path).expect("path");
    let column = ColumnSpec::new("x", Dtype::F64, &[]);
    let filters = Filters { gzip: Some(1), ..Filters::default() };
    store.create(&NewTable { filters, ..NewTable::new("t", 10, vec![column]) }, &|_, _| ()).expect("create");
    let old_end = Arc::new(AtomicU64::new(std::fs::metadata(&path).expect("there").len()));
    // Short, so that a failed test ends soon.
    let patience = Patience { timeout: Duration::from_secs(20), ..Patience::default() };
    store.with_patience(patience).with_storage(Arc::new(Watched { hook, old_end }))
}

/// Opens the file for reading as the HDF5 library does. `None` if it is refused.
fn stock_reader(path: &Path) -> Option<File> {
    let file = File::open(path).expect("opens");
    FileExt::try_lock_shared(&file).is_ok().then_some(file)
}

fn stock_writer(path: &Path) -> Option<File> {
    let file = File::options().read(true).write(true).open(path).expect("opens");
    FileExt::try_lock(&file).is_ok().then_some(file)
}

/// All calls of a commit and of other changes, and who could open the file at each.
#[test]
fn are_kept_out_only_while_the_change_is_applied() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let seen: Arc<Mutex<Vec<(Call, bool)>>> = Arc::default();
    let (log, name) = (Arc::clone(&seen), path.clone());
    let hook = move |call| {
        assert!(stock_writer(&name).is_none(), "a stock writer could open the file");
        let opens = stock_reader(&name).is_some();
        log.lock().expect("lock").push((call, opens));
    };
    let store = store(&scratch, Arc::new(hook));
    let ones = Array1::from_elem(1, 1.0);
    store.writer("t").expect("writer").commit(&Rows::range(3..4), &[("x", Values::from(&ones))]).expect("commit");
    store.extend("t", 20).expect("extend");
    store.set_attributes("t", &[("n".to_owned(), Attribute::Int(7))]).expect("attributes");
    // This many columns are committed through the log.
    let names: Vec<String> = (0..65).map(|k| format!("c{k}")).collect();
    let columns = names.iter().map(|name| ColumnSpec::new(name, Dtype::F64, &[])).collect();
    store.create(&NewTable::new("wide", 3, columns), &|_, _| ()).expect("create");
    let sets: Vec<_> = names.iter().map(|name| (name.as_str(), Values::from(&ones))).collect();
    store.writer("wide").expect("writer").commit(&Rows::one(1), &sets).expect("commit");
    let seen = seen.lock().expect("lock");
    for (call, opens) in seen.iter() {
        assert_eq!(*opens, *call == Call::Sync, "{seen:?}");
    }
    let count = |which: Call| seen.iter().filter(|(call, _)| *call == which).count();
    assert!(count(Call::Sync) >= 9 && count(Call::Applied) >= 3, "{seen:?}");
}

/// A reader opens the file in the middle of a commit and keeps it open: the commit waits, and is made when the reader
/// closes it.
#[test]
fn who_came_during_a_change_and_stays_is_waited_for() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let kept: Arc<Mutex<Option<File>>> = Arc::default();
    let (slot, name, first) = (Arc::clone(&kept), path.clone(), AtomicU64::new(0));
    let hook = move |call| {
        if call == Call::Sync && first.fetch_add(1, Ordering::Relaxed) == 0 {
            let reader = stock_reader(&name).expect("is let in");
            *slot.lock().expect("lock") = Some(reader);
        }
    };
    let store = store(&scratch, Arc::new(hook));
    let before = std::fs::read(&path).expect("read");
    let start = Instant::now();
    let held = Duration::from_millis(700);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let values = array![1.0, 2.0];
            let mut writer = store.writer("t").expect("writer");
            writer.commit(&Rows::range(3..5), &[("x", Values::from(&values))]).expect("commit");
            assert!(start.elapsed() >= held, "the reader was not waited for");
        });
        while kept.lock().expect("lock").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // Others pass the gate meanwhile.
        let mut reader = store.reader("t").expect("enters");
        assert!(!reader.read("x", &Rows::range(3..5)).expect("read").mask().iter().any(|&there| there));
        std::thread::sleep(held.saturating_sub(start.elapsed()));
        let (now, len) = (std::fs::read(&path).expect("read"), before.len());
        assert!(now[..len] == before[..], "the file changed under a reader");
        *kept.lock().expect("lock") = None;
    });
    let block = store.reader("t").expect("reader").read("x", &Rows::range(2..6)).expect("read");
    assert_eq!(block.mask().to_vec(), [false, true, true, false]);
    let found = store.recover().expect("recover");
    assert_eq!(found, h5part_engine::store::Recovery::default(), "nothing is left behind");
}
