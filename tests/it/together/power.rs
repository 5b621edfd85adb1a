//! Loss of power at any call: each sector written since the last sync may be there or not.

use crate::common::content::{content, difference};
use crate::common::support::Scratch;
use crate::store::changes::{CHANGES, SUPERBLOCKS, acknowledged_rows_are_there, store_with_rows};
use crate::store::guard;
use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use h5part_engine::store::Recovery;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const SECTOR: usize = 512;

/// Does what [`Disk`] does until a call at which the power fails.
#[derive(Clone, Debug)]
pub struct Power(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    calls: u64,
    stop: u64,
    files: BTreeMap<PathBuf, Unsynced>,
}

/// The state of a file at its last sync: what has changed since.
#[derive(Debug)]
struct Unsynced {
    len: u64,
    sectors: BTreeMap<u64, Vec<u8>>,
}

#[derive(Debug)]
struct File {
    inner: Box<dyn StorageFile>,
    path: PathBuf,
    power: Power,
}

impl Power {
    /// The power fails at this call, counted from 0.
    pub fn until(stop: u64) -> Self {
        Self(Arc::new(Mutex::new(State { calls: 0, stop, files: BTreeMap::new() })))
    }

    /// Counts the call, and fails it if the power is off.
    fn call(&self) -> io::Result<()> {
        let mut state = self.0.lock().expect("lock");
        state.calls += 1;
        if state.calls > state.stop { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    /// Cuts the power, unless it has failed already. Each unsynced sector is lost or kept, and so is each length.
    /// Returns whether the work had ended before.
    pub fn fail(&self, seed: u64) -> bool {
        let mut state = self.0.lock().expect("lock");
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut lost = || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x >> 63 == 1
        };
        for (path, unsynced) in std::mem::take(&mut state.files) {
            let Ok(file) = Disk.open(&path, Mode::Write) else { continue };
            let now = file.identity().expect("stat").len;
            for (sector, mut old) in unsynced.sectors {
                if lost() {
                    old.resize(SECTOR, 0);
                    file.write_at(&old, sector * SECTOR as u64).expect("write");
                }
            }
            file.set_len(if lost() { unsynced.len } else { now }).expect("length");
        }
        state.calls <= state.stop
    }
}

impl Storage for Power {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let inner = Disk.open(path, mode)?;
        Ok(Box::new(File { inner, path: path.to_owned(), power: self.clone() }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        Disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        Disk.remove(path)
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.call()
    }
}

impl File {
    /// Saves the sectors in a range of addresses before they change.
    fn keep(&self, from: u64, to: u64) -> io::Result<()> {
        let len = self.inner.identity()?.len;
        let mut state = self.power.0.lock().expect("lock");
        let unsynced = state.files.entry(self.path.clone());
        let unsynced = unsynced.or_insert_with(|| Unsynced { len, sectors: BTreeMap::new() });
        for sector in from / SECTOR as u64..to.div_ceil(SECTOR as u64) {
            if let Entry::Vacant(vacant) = unsynced.sectors.entry(sector) {
                let address = sector * SECTOR as u64;
                let mut old = vec![0; usize::try_from(len.saturating_sub(address)).unwrap_or(SECTOR).min(SECTOR)];
                self.inner.read_at(&mut old, address)?;
                vacant.insert(old);
            }
        }
        Ok(())
    }
}

impl StorageFile for File {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.inner.read_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        self.power.call()?;
        self.keep(address, address + buf.len() as u64)?;
        self.inner.write_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.power.call()?;
        self.keep(len, self.inner.identity()?.len)?;
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.power.call()?;
        self.power.0.lock().expect("lock").files.remove(&self.path);
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }
}

#[test]
fn a_change_is_made_or_not_made() {
    for ((name, change), superblock) in CHANGES.into_iter().zip(SUPERBLOCKS.into_iter().cycle()) {
        let scratch = Scratch::new();
        let path = scratch.path("a.h5");
        let store = store_with_rows(&path, superblock);
        let (template, old) = (std::fs::read(&path).expect("read"), content(&path).expect("opens"));
        change(&store).expect("nothing stops it");
        let new = content(&path).expect("opens");
        let (mut made, mut undone) = (0, 0);
        for stop in 0.. {
            let mut over = true;
            for seed in 1..4 {
                std::fs::write(&path, &template).expect("write");
                std::fs::remove_dir_all(scratch.path("a.h5.part")).expect("remove");
                let power = Power::until(stop);
                let outcome = change(&store.clone().with_storage(Arc::new(power.clone())));
                over &= power.fail(stop * 10 + seed);
                let why = format!("{name}, superblock {superblock}, call {stop}, seed {seed}");
                let found = store.recover().unwrap_or_else(|e| panic!("{why}: {e}"));
                assert_eq!(found.logs_aside, 0, "{why}");
                let now = content(&path).unwrap_or_else(|e| panic!("{why}: {e}"));
                assert!(now == new || now == old, "{why}: {:?}, {:?}", difference(&now, &old), difference(&now, &new));
                assert!(outcome.is_err() || now == new, "{why}: it was acknowledged");
                *(if now == new { &mut made } else { &mut undone }) += 1;
                acknowledged_rows_are_there(&store, &why);
                assert_eq!(store.recover().expect("recover"), Recovery::default(), "{why}");
            }
            if over {
                break;
            }
        }
        assert!(made > 5 && undone > 5, "{name}: {made} and {undone}");
    }
}

#[test]
fn rows_with_a_guard_are_old_or_new() {
    for (old, set) in [(0, Some(3)), (0, Some(0)), (0, None)] {
        for stop in 0.. {
            let mut over = true;
            for seed in 1..8 {
                let scratch = Scratch::new();
                let store = guard::store_with_rows(&scratch.path("a.h5"), old);
                let power = Power::until(stop);
                let mut writer = store.clone().with_storage(Arc::new(power.clone())).writer("t").expect("writer");
                let outcome = guard::put(&mut writer, 2.0, set);
                drop(writer);
                over &= power.fail(stop * 10 + seed);
                let why = format!("guard {set:?}, call {stop}, seed {seed}");
                guard::guards_are_honest(store.path(), &why);
                store.recover().unwrap_or_else(|e| panic!("{why}: {e}"));
                guard::rows_are_whole(&store, old, set.unwrap_or(old), &why);
                let made = guard::seen(store.path())[3..6].iter().all(|(_, value)| *value == Some(2.0));
                assert!(outcome.is_err() || made, "{why}: it was acknowledged");
            }
            if over {
                break;
            }
        }
    }
}
