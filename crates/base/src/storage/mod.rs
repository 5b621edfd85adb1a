//! The seam through which every byte of a store passes.
//!
//! The engine never calls the file system itself: it asks a [`Storage`], which is [`Disk`] in
//! production. Tests put a faulty or a recording one in its place.

mod disk;
mod faulty;
mod replace;

pub use disk::Disk;
pub use faulty::{Fault, Faulty};
pub use replace::{PIECE, beside, replace, take_name};

use std::fmt::Debug;
use std::io;
use std::path::Path;

/// Which file a name or a descriptor stands for, and how long it is.
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
    /// Whether both are the same file, at whatever length.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// For reading only.
    Read,
    /// For reading and writing; it exists.
    Write,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// A folder's worth of operations. All paths are absolute.
pub trait Storage: Debug + Send + Sync {
    /// Opens a file; the descriptor is not inherited by started programs.
    ///
    /// # Errors
    /// As open(2).
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>>;

    /// What the path names now.
    ///
    /// # Errors
    /// As stat(2).
    fn identity(&self, path: &Path) -> io::Result<Identity>;

    /// Atomic rename over whatever has the name `to`. Use [`replace`], which also syncs.
    ///
    /// # Errors
    /// As rename(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Rename to a name that nothing has: fails with `AlreadyExists` else. Use [`take_name`], which also
    /// syncs. Where the system has no such call, two who do this at once may both succeed.
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

    /// Makes names in this folder durable.
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

    /// Cuts or extends the file, with zeros, to this length in bytes.
    ///
    /// # Errors
    /// As ftruncate(2).
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes data and length durable.
    ///
    /// # Errors
    /// As fdatasync(2).
    fn sync(&self) -> io::Result<()>;

    /// What this descriptor is open on.
    ///
    /// # Errors
    /// As fstat(2).
    fn identity(&self) -> io::Result<Identity>;
}
