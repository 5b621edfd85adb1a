//! The interface through which every byte of a store passes.
//!
//! The engine never calls the file system itself. It uses a [`Storage`], which is [`Disk`] in production. Tests replace
//! it by a faulty or a recording one.

mod aio;
mod disk;
mod facts;
mod faulty;
mod nfs;
mod replace;

pub use disk::Disk;
pub(crate) use facts::Facts;
pub use faulty::{Fault, Faulty};
pub use nfs::{Nfs, O_DIRECT, is_on_nfs, refresh};
pub use replace::{PIECE, beside, replace, take_name};

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Which file a name or a descriptor refers to, and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Number of hard links.
    pub links: u64,
}

impl Identity {
    /// Whether both are the same file. Lengths may differ.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// How the writers of a store reach its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shared {
    /// As the file system allows by itself: from one host, or from all hosts of a file system for clusters.
    #[default]
    Local,
    /// From any number of hosts that mount its folder by NFS 4.1 or newer.
    Nfs,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading only.
    Read,
    /// For reading and writing. The file must exist.
    Write,
    /// For reading and writing. The file must not exist.
    CreateNew,
}

/// The storage for a file that must not be kept in the memory of a host: [`Nfs`] on NFS, else [`Disk`]. The file need
/// not exist.
#[must_use]
pub fn uncached(path: &Path) -> Arc<dyn Storage> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A symbolic link may lead from one file system to another.
    let place = if path.exists() { path } else { folder };
    if nfs::is_on_nfs(place) { Arc::new(Nfs::new()) } else { Arc::new(Disk) }
}

/// A folder's worth of operations. All paths are absolute.
pub trait Storage: Debug + Send + Sync {
    /// Opens a file. Started programs do not inherit the descriptor.
    ///
    /// # Errors
    /// As open(2).
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>>;

    /// The file that the path refers to now.
    ///
    /// # Errors
    /// As stat(2).
    fn identity(&self, path: &Path) -> io::Result<Identity>;

    /// Looks anew which names a folder has. A host may remember for up to a minute that a name was missing. Does nothing
    /// where no other host can add names.
    fn refresh(&self, _folder: &Path) {}

    /// Renames atomically over whatever has the name `to`. Use [`replace`], which also syncs.
    ///
    /// # Errors
    /// As rename(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames to a name that must not exist; fails with `AlreadyExists` if it does. Use [`take_name`], which also
    /// syncs. If the system has no such call, two processes that do this at the same time may both succeed.
    ///
    /// # Errors
    /// As rename(2).
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.identity(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.rename(from, to),
            Err(e) => Err(e),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As unlink(2).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Syncs the names in this folder.
    ///
    /// # Errors
    /// As fsync(2).
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// One open file. Reads and writes are positioned; no cursor is shared.
pub trait StorageFile: Debug + Send + Sync {
    /// Fills `buf` from `address`.
    ///
    /// # Errors
    /// As pread(2); `UnexpectedEof` at the end of the file.
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()>;

    /// Writes all of `buf` at `address`.
    ///
    /// # Errors
    /// As pwrite(2).
    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()>;

    /// Truncates the file, or extends it with zeros, to this length in bytes.
    ///
    /// # Errors
    /// As ftruncate(2).
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Syncs data and length.
    ///
    /// # Errors
    /// As fdatasync(2).
    fn sync(&self) -> io::Result<()>;

    /// The file that this descriptor refers to.
    ///
    /// # Errors
    /// As fstat(2).
    fn identity(&self) -> io::Result<Identity>;

    /// Another descriptor of the same open file, for the locks that guard its bytes. `None`: a lock on any descriptor
    /// guards them.
    ///
    /// # Errors
    /// As dup(2).
    fn lock_handle(&self) -> io::Result<Option<File>> {
        Ok(None)
    }
}
