//! Files in memory that stop at a chosen call, as a kill stops a process.

use h5part_base::storage::{Identity, StorageFile};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts the calls that change something, of all files that share it.
#[derive(Clone, Debug)]
pub struct Plug(Arc<State>);

#[derive(Debug)]
struct State {
    calls: AtomicU64,
    /// The first call that does nothing any more.
    stop: u64,
    /// Whether the first half of its sectors arrives, if it is a write.
    torn: bool,
}

/// What becomes of a call.
#[derive(PartialEq)]
enum Fate {
    Done,
    Torn,
    Lost,
}

impl Plug {
    /// Nothing stops.
    pub fn none() -> Self {
        Self::at(u64::MAX, false)
    }

    /// Stops at a call, counted from 0.
    pub fn at(stop: u64, torn: bool) -> Self {
        Self(Arc::new(State { calls: AtomicU64::new(0), stop, torn }))
    }

    /// Calls so far, those that did nothing included.
    pub fn calls(&self) -> u64 {
        self.0.calls.load(Relaxed)
    }

    fn fate(&self) -> Fate {
        match self.0.calls.fetch_add(1, Relaxed) {
            call if call < self.0.stop => Fate::Done,
            call if call == self.0.stop && self.0.torn => Fate::Torn,
            _ => Fate::Lost,
        }
    }
}

/// A file in memory.
#[derive(Debug)]
pub struct MemoryFile {
    bytes: Mutex<Vec<u8>>,
    inode: u64,
    plug: Plug,
}

impl MemoryFile {
    /// A file that holds these bytes.
    pub fn new(bytes: Vec<u8>, inode: u64, plug: &Plug) -> Self {
        Self { bytes: Mutex::new(bytes), inode, plug: plug.clone() }
    }

    /// What it holds now.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, buf: &[u8], address: u64) {
        let (mut bytes, at) = (self.lock(), index(address));
        let len = bytes.len().max(at + buf.len());
        assert!(len < 1 << 30, "a write at {address} makes the file {len} bytes long");
        bytes.resize(len, 0);
        bytes[at..at + buf.len()].copy_from_slice(buf);
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).expect("64 bits")
}

fn stopped() -> io::Error {
    io::Error::other("stopped")
}

impl StorageFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        if buf.is_empty() {
            return Ok(()); // at any address, as pread(2)
        }
        let bytes = self.lock();
        let from = bytes.get(index(address)..).and_then(|rest| rest.get(..buf.len()));
        buf.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        const SECTOR: u64 = 512;
        match self.plug.fate() {
            Fate::Done => {
                self.put(buf, address);
                Ok(())
            }
            Fate::Torn => {
                let half = address + buf.len() as u64 / 2;
                let arrived = index((half - half % SECTOR).saturating_sub(address));
                if arrived > 0 {
                    self.put(&buf[..arrived], address);
                }
                Err(stopped())
            }
            Fate::Lost => Err(stopped()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.plug.fate() != Fate::Done {
            return Err(stopped());
        }
        self.lock().resize(index(len), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.plug.fate() == Fate::Done { Ok(()) } else { Err(stopped()) }
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity { device: 1, inode: self.inode, len: self.lock().len() as u64, links: 1 })
    }
}
