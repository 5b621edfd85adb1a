//! An exclusive lock on a whole file, as a lock on one byte far beyond its end.

use super::ofd::{self, Kind};
use super::{Patience, holders};
use crate::error::ErrorKind;
use crate::inherited::LockFile;
use crate::storage::StorageFile;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, TryLockError};

/// No file is this long.
const BYTE: Range<u64> = (1 << 62)..((1 << 62) + 1);

/// A lock that one thread of one process holds at a time. If the process dies, the kernel releases it.
#[derive(Debug)]
pub struct ByteLock {
    file: LockFile,
    path: PathBuf,
    what: &'static str,
    /// The kernel's lock belongs to the descriptor, which the threads of a process share.
    threads: Mutex<()>,
}

/// Held until dropped.
#[derive(Debug)]
pub struct ByteGuard<'a> {
    lock: &'a ByteLock,
    _thread: MutexGuard<'a, ()>,
}

impl ByteLock {
    /// Opens the file, which must exist. `what` names the lock in reports of waits.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(path: &Path, what: &'static str) -> io::Result<Self> {
        Ok(Self::on(OpenOptions::new().read(true).write(true).open(path)?, path, what))
    }

    /// A lock that guards what is read and written through `file`, which has been opened by this path.
    ///
    /// # Errors
    /// As open(2) and dup(2).
    pub fn of(file: &dyn StorageFile, path: &Path, what: &'static str) -> io::Result<Self> {
        match file.lock_handle()? {
            Some(handle) => Ok(Self::on(handle, path, what)),
            None => Self::open(path, what),
        }
    }

    fn on(file: File, path: &Path, what: &'static str) -> Self {
        Self { file: LockFile::new(file), path: path.to_owned(), what, threads: Mutex::new(()) }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`].
    pub fn hold(&self, patience: &Patience) -> Result<ByteGuard<'_>, ErrorKind> {
        patience.wait_for(self.what, || Ok(self.try_hold()?), || holders::of_byte(&self.path, &BYTE))
    }

    fn try_hold(&self) -> io::Result<Option<ByteGuard<'_>>> {
        let thread = match self.threads.try_lock() {
            Ok(guard) => guard,
            // It protects nothing that a panic could leave half-done.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let taken = ofd::set(&self.file, Kind::Exclusive, &BYTE)?;
        Ok(taken.then_some(ByteGuard { lock: self, _thread: thread }))
    }
}

impl Drop for ByteGuard<'_> {
    fn drop(&mut self) {
        // If this fails, closing the descriptor releases it.
        let _ = ofd::set(&self.lock.file, Kind::Unlock, &BYTE);
    }
}
