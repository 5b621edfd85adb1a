//! A file system that several hosts mount by NFS.
//!
//! A host keeps pages of a file in memory and writes whole pages back, over bytes that another host has written since.
//! It drops pages that have become old only when it takes a lock on that file. So nothing is kept here (`O_DIRECT`, which
//! needs no alignment on NFS), and the lock that guards a file is on the descriptor that writes it: if the server gives
//! that lock away, since this host stood still, it refuses what the host writes later.

use super::aio::Writes;
use super::{Disk, Facts, Identity, Mode, Storage, StorageFile};
use crate::inherited::LockFile;
use nix::errno::Errno;
use nix::sys::statfs::{NFS_SUPER_MAGIC, statfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// The flag of open(2) that keeps a file's pages out of the host's memory.
pub const O_DIRECT: i32 = nix::libc::O_DIRECT;

/// Storage whose files several hosts read and write at the same time. Every write is on the server when it returns, so
/// that a sync has nothing left to do.
#[derive(Clone, Copy, Debug)]
pub struct Nfs {
    flags: i32,
}

#[derive(Debug)]
struct NfsFile {
    file: LockFile,
    writes: Option<Writes>,
}

impl Nfs {
    /// Opens all files with `O_DIRECT`.
    #[must_use]
    pub fn new() -> Self {
        Self { flags: O_DIRECT }
    }

    /// Opens files with these flags of open(2) in place of `O_DIRECT`, for tests on other file systems.
    #[must_use]
    pub fn with_flags(flags: i32) -> Self {
        Self { flags }
    }
}

impl Default for Nfs {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a path, which must exist, is on NFS of whatever version.
#[must_use]
pub fn is_on_nfs(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == NFS_SUPER_MAGIC)
}

/// Has this host ask the server for the names in a folder. A host that has found a name missing may not ask again for up
/// to a minute.
pub fn refresh(folder: &Path) {
    // If this fails, so does what is done in the folder next.
    let _ = File::open(folder).and_then(|folder| Facts::of(&folder));
}

/// Opens a file. If it is missing, the server is asked once more.
fn open_named(options: &OpenOptions, path: &Path) -> io::Result<File> {
    match (options.open(path), path.parent()) {
        (Err(e), Some(folder)) if e.kind() == io::ErrorKind::NotFound => {
            refresh(folder);
            options.open(path)
        }
        (other, _) => other,
    }
}

impl Storage for Nfs {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read).create_new(mode == Mode::CreateNew).custom_flags(self.flags);
        let file = open_named(&options, path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "not a regular file"));
        }
        let writes = (mode != Mode::Read).then(Writes::new).transpose().map_err(|e| without_writes(&e))?;
        Ok(Box::new(NfsFile { file: LockFile::new(file), writes }))
    }

    /// Only open(2) asks the server which file has a name. For stat(2) the host may answer from memory.
    fn identity(&self, path: &Path) -> io::Result<Identity> {
        Ok(Facts::of(&open_named(OpenOptions::new().read(true), path)?)?.identity)
    }

    fn refresh(&self, folder: &Path) {
        refresh(folder);
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename_new(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        Disk.sync_folder(path)
    }
}

impl StorageFile for NfsFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, address).map_err(explain)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        let writes = self.writes.as_ref().ok_or(io::ErrorKind::PermissionDenied)?;
        writes.write_all(&self.file, buf, address).map_err(explain)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(explain)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(explain)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Facts::of(&self.file).map_err(explain)?.identity)
    }

    fn lock_handle(&self) -> io::Result<Option<File>> {
        self.file.try_clone().map(Some)
    }
}

/// Says why `io_setup(2)` has failed.
fn without_writes(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{error}: this host allows no (more) asynchronous writes; see fs.aio-max-nr"))
}

/// Says what some errors mean on NFS.
fn explain(error: io::Error) -> io::Error {
    let why = match error.raw_os_error().map(Errno::from_raw) {
        // The latter if the server has forgotten that the file is open, too.
        Some(Errno::EIO | Errno::EBADF) => {
            "the server has taken this host's locks back, since it did not hear from it for longer than its lease, or \
             the server's disk failed"
        }
        Some(Errno::ESTALE) => "another host has replaced or removed the file",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "uses the file system")]
    fn the_lock_handle_is_the_descriptor_that_writes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        let storage = Nfs::with_flags(0);
        let file = storage.open(&path, Mode::CreateNew).expect("opens");
        let lock = file.lock_handle().expect("dup").expect("has one");
        lock.try_lock().expect("locks");
        let other = storage.open(&path, Mode::Write).expect("opens");
        let other_lock = other.lock_handle().expect("dup").expect("has one");
        assert!(other_lock.try_lock().is_err(), "another open file is locked out");
        drop(lock);
        assert!(other_lock.try_lock().is_err(), "the lock stays as long as the file is open");
        drop(file);
        other_lock.try_lock().expect("is free");
    }

    #[test]
    #[cfg_attr(miri, ignore = "uses the file system")]
    fn facts_are_those_of_stat() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("a");
        std::fs::write(&path, b"12345").expect("writes");
        let (here, there) = (Nfs::with_flags(0).identity(&path).expect("asks"), Disk.identity(&path).expect("asks"));
        assert_eq!(here, there);
        assert_eq!(here.len, 5);
    }
}
