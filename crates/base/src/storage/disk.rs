//! The file systems of this host.

use super::{Identity, Mode, Storage, StorageFile};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Production storage: plain system calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

#[derive(Debug)]
struct DiskFile(File);

impl From<fs::Metadata> for Identity {
    fn from(m: fs::Metadata) -> Self {
        Self { device: m.dev(), inode: m.ino(), len: m.len(), links: m.nlink() }
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Box<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != Mode::Read).create_new(mode == Mode::CreateNew);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "not a regular file"));
        }
        Ok(Box::new(DiskFile(file)))
    }

    fn identity(&self, path: &Path) -> io::Result<Identity> {
        fs::metadata(path).map(Identity::from)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place below `replace`")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EINVAL | Errno::ENOSYS) if !to.try_exists()? => self.rename(from, to),
            Err(Errno::EINVAL | Errno::ENOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
            made => Ok(made?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        self.0.read_exact_at(buf, address)
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        self.0.write_all_at(buf, address)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.0.metadata().map(Identity::from)
    }
}
