//! The disk, until it stops, as a kill stops a process.

use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Does what [`Disk`] does, but for syncs, which need no time here; until it stops.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    calls: u64,
    stop: Option<(u64, bool)>,
}

#[derive(Debug)]
struct File {
    inner: Box<dyn StorageFile>,
    storage: Stopping,
}

impl Stopping {
    /// Counts anew, calls that change something; from call `stop` on nothing happens any more. Of that
    /// one, if it is a write and torn, the first half of its sectors arrives.
    pub fn arm(&self, stop: Option<(u64, bool)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State { calls: 0, stop };
    }

    /// Whether anything was lost.
    pub fn has_stopped(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stop.is_some_and(|(stop, _)| state.calls > stop)
    }

    /// Counts a call. `Some`: it is lost; whether it is the torn one.
    fn lost(&self) -> Option<bool> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let call = state.calls;
        state.calls += 1;
        state.stop.filter(|(stop, _)| call >= *stop).map(|(stop, torn)| torn && call == stop)
    }

    fn run<T>(&self, body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.lost().is_some() { Err(stopped()) } else { body() }
    }
}

fn stopped() -> io::Error {
    io::Error::other("stopped")
}

impl Storage for Stopping {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let open = || Disk.open(path, mode);
        let inner = if mode == Mode::CreateNew { self.run(open)? } else { open()? };
        Ok(Box::new(File { inner, storage: self.clone() }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(|| Disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(|| Disk.remove(path))
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.run(|| Ok(()))
    }
}

impl StorageFile for File {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.inner.read_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        const SECTOR: u64 = 512;
        match self.storage.lost() {
            None => self.inner.write_at(buf, address),
            Some(torn) => {
                let half = address + buf.len() as u64 / 2;
                let arrived = usize::try_from((half - half % SECTOR).saturating_sub(address)).expect("64 bits");
                if torn {
                    self.inner.write_at(&buf[..arrived], address)?;
                }
                Err(stopped())
            }
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.storage.run(|| self.inner.set_len(len))
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.run(|| Ok(()))
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }
}
