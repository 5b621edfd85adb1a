//! A storage that fails on command, as a bad disk would, for tests.

use super::{Disk, Identity, Mode, Storage, StorageFile};
use crate::sync;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Which call fails, how, and whether later calls fail too.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Number of the first write or sync call that fails, counted from 0.
    pub call: u64,
    /// The system's error number.
    pub errno: i32,
    /// Whether every later call fails too.
    pub persistent: bool,
}

/// Counts the calls that change something, over all files opened through it, and fails the chosen ones.
#[derive(Clone, Debug, Default)]
pub struct Faulty {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicU64,
    /// Whether calls that change nothing count and fail, too.
    looks: bool,
    fault: Mutex<Option<Fault>>,
}

#[derive(Debug)]
struct FaultyFile {
    inner: Box<dyn StorageFile>,
    shared: Arc<Shared>,
}

impl Faulty {
    /// Counts all calls, including opens and reads.
    #[must_use]
    pub fn of_every_call() -> Self {
        Self { shared: Arc::new(Shared { looks: true, ..Shared::default() }) }
    }

    /// Starts counting again, with this fault armed.
    pub fn arm(&self, fault: Option<Fault>) {
        *sync::lock(&self.shared.fault) = fault;
        self.shared.calls.store(0, Ordering::Relaxed);
    }

    /// Number of calls since the last [`Faulty::arm`].
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn call(&self) -> io::Result<()> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match *sync::lock(&self.fault) {
            Some(f) if call == f.call || (f.persistent && call > f.call) => Err(io::Error::from_raw_os_error(f.errno)),
            _ => Ok(()),
        }
    }

    /// A call that changes nothing.
    fn look(&self) -> io::Result<()> {
        if self.looks { self.call() } else { Ok(()) }
    }
}

impl Storage for Faulty {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        self.shared.look()?;
        let inner = Disk.open(path, mode)?;
        Ok(Box::new(FaultyFile { inner, shared: Arc::clone(&self.shared) }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        self.shared.look()?;
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.call()?;
        Disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.shared.call()?;
        Disk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.shared.look()?;
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.shared.call()?;
        Disk.sync_folder(path)
    }
}

impl StorageFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.shared.look()?;
        self.inner.read_at(buf, address)
    }

    /// A failing write is a short one: about half of its sectors are written.
    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        if let Err(e) = self.shared.call() {
            const SECTOR: u64 = 512;
            let half = address + buf.len() as u64 / 2;
            let arrived = usize::try_from((half - half % SECTOR).saturating_sub(address)).unwrap_or(0);
            self.inner.write_at(&buf[..arrived], address)?;
            return Err(e);
        }
        self.inner.write_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.shared.call()?;
        self.inner.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.call()?;
        self.inner.sync()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.shared.look()?;
        self.inner.identity()
    }
}
