//! The two kinds of lock that a store uses, as plain calls.

use super::gate::taken;
use super::ofd::{self, Kind};
use fs2::FileExt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::Path;

/// A lock on an open file. It belongs to the descriptor, as all locks of a store do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockCall {
    /// On the whole file: flock(2).
    Whole,
    /// On a range of bytes: fcntl(2), `F_OFD_SETLK`.
    Bytes(Range<u64>),
}

impl LockCall {
    /// Takes it without waiting, shared or exclusively. `false`: someone else holds it.
    ///
    /// # Errors
    /// As flock(2), fcntl(2).
    pub fn take(&self, file: &File, alone: bool) -> io::Result<bool> {
        match self {
            Self::Whole if alone => taken(FileExt::try_lock(file)),
            Self::Whole => taken(FileExt::try_lock_shared(file)),
            Self::Bytes(range) => ofd::set(file, if alone { Kind::Exclusive } else { Kind::Shared }, range),
        }
    }

    /// Releases it.
    ///
    /// # Errors
    /// As flock(2), fcntl(2).
    pub fn release(&self, file: &File) -> io::Result<()> {
        match self {
            Self::Whole => FileExt::unlock(file),
            Self::Bytes(range) => ofd::set(file, Kind::Unlock, range).map(drop),
        }
    }
}

/// Opens a file to lock it alone. NFS grants that only through a descriptor that may write. Another user's file may be
/// read-only for us, and a folder always is; on other file systems that is enough.
///
/// # Errors
/// As open(2).
pub fn open_to_lock(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(e) if cannot_write(e.kind()) => File::open(path),
        other => other,
    }
}

fn cannot_write(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{IsADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | IsADirectory)
}
