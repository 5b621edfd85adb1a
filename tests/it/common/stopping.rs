//! A storage that stops, as if the process was killed, and counts what is written.

use h5part_base::storage::{Disk, Identity, Mode, Storage, StorageFile};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Which call is the first without effect, and whether part of it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Number of the call, counted from 0 among all calls that change something.
    pub call: u64,
    /// If the call is a write: whether the first half of its sectors arrives.
    pub torn: bool,
}

/// Does what [`Disk`] does until it stops. From then on nothing changes.
#[derive(Clone, Debug, Default)]
pub struct Stopping(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicU64,
    stop: Mutex<Option<Stop>>,
    /// Bytes written, by file name.
    written: Mutex<BTreeMap<String, u64>>,
}

#[derive(Debug)]
struct File {
    inner: Box<dyn StorageFile>,
    name: String,
    shared: Arc<Shared>,
}

/// What happens to a call.
#[derive(PartialEq)]
enum Fate {
    Done,
    Torn,
    Lost,
}

impl Stopping {
    pub fn at(call: u64, torn: bool) -> Self {
        let stopping = Self::default();
        *stopping.0.stop.lock().expect("lock") = Some(Stop { call, torn });
        stopping
    }

    /// Number of calls so far that changed something, or would have.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Bytes written to the files of this name.
    pub fn written(&self, name: &str) -> u64 {
        self.0.written.lock().expect("lock").get(name).copied().unwrap_or(0)
    }
}

impl Shared {
    fn fate(&self) -> Fate {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        match *self.stop.lock().expect("lock") {
            Some(stop) if call == stop.call && stop.torn => Fate::Torn,
            Some(stop) if call >= stop.call => Fate::Lost,
            _ => Fate::Done,
        }
    }

    fn run<T>(&self, body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.fate() == Fate::Done { body() } else { Err(stopped()) }
    }
}

fn stopped() -> io::Error {
    io::Error::other("stopped")
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Storage for Stopping {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let open = || Disk.open(path, mode);
        let inner = if mode == Mode::CreateNew { self.0.run(open)? } else { open()? };
        Ok(Box::new(File { inner, name: name_of(path), shared: Arc::clone(&self.0) }))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Disk.identity(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.run(|| Disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.run(|| Disk.remove(path))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.0.run(|| Disk.sync_folder(path))
    }
}

impl StorageFile for File {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.inner.read_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        match self.shared.fate() {
            Fate::Done => {
                *self.shared.written.lock().expect("lock").entry(self.name.clone()).or_default() += buf.len() as u64;
                self.inner.write_at(buf, address)
            }
            Fate::Torn => {
                const SECTOR: u64 = 512;
                let half = address + buf.len() as u64 / 2;
                let arrived = usize::try_from((half - half % SECTOR).saturating_sub(address)).expect("small");
                self.inner.write_at(&buf[..arrived], address)?;
                Err(stopped())
            }
            Fate::Lost => Err(stopped()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.shared.run(|| self.inner.set_len(len))
    }

    /// The page cache outlives a kill, so these tests need no sync.
    fn sync(&self) -> io::Result<()> {
        self.shared.run(|| Ok(()))
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }
}
