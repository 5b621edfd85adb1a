//! The files that belong to a store: their names, and how they are opened.

use crate::error::ErrorKind;
use crate::storage::{O_DIRECT, Shared, refresh};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Names of the lock file and of the sidecar folder that belong to one HDF5 file.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The HDF5 file, with symbolic links resolved, so that a link and its target share their locks.
    pub file: PathBuf,
    /// The gate, `FILE.lock`. Other programs use a lock of the same name and kind.
    pub gate: PathBuf,
    /// The sidecar folder, `FILE.part`.
    pub sidecar: PathBuf,
    /// Byte-range locks of rows, and the turnstile.
    pub rows: PathBuf,
    /// Folder with one file per writer.
    pub records: PathBuf,
    /// The log of a structural change. It is empty if there is none.
    pub change: PathBuf,
    /// The uuid of the store that the sidecar belongs to.
    pub uuid: PathBuf,
    /// Exists if the store is shared by NFS.
    pub shared_mark: PathBuf,
    /// How the files are shared, and so opened.
    pub shared: Shared,
}

impl Paths {
    /// Names for a file that exists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; others as realpath(3).
    pub fn of(file: &Path) -> Result<Self, ErrorKind> {
        Ok(Self::new(file.canonicalize()?))
    }

    /// Names for a file that may not exist yet, in a folder that does.
    ///
    /// # Errors
    /// As [`Paths::of`], for the folder; `InvalidInput` if the path has no file name.
    pub fn of_new(file: &Path) -> Result<Self, ErrorKind> {
        if file.symlink_metadata().is_ok() {
            return Self::of(file);
        }
        let name = file.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok(Self::new(folder.canonicalize()?.join(name)))
    }

    fn new(file: PathBuf) -> Self {
        let with = |suffix: &str| {
            let mut name = OsString::from(&file);
            name.push(suffix);
            PathBuf::from(name)
        };
        let (gate, sidecar) = (with(".lock"), with(".part"));
        Self {
            gate,
            rows: sidecar.join("rows.lock"),
            records: sidecar.join("records"),
            change: sidecar.join("change.log"),
            uuid: sidecar.join("store.uuid"),
            shared_mark: sidecar.join("shared"),
            shared: Shared::Local,
            sidecar,
            file,
        }
    }

    /// Opens a file that may be missing. Where hosts share the store, the server is asked whether it is.
    pub(super) fn look_for(&self, options: &OpenOptions, path: &Path) -> io::Result<Option<File>> {
        if self.shared == Shared::Nfs
            && let Some(folder) = path.parent()
        {
            refresh(folder);
        }
        match options.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    /// How the file of row locks is opened. Its first bytes are read and written, so no host may keep them in memory.
    pub(super) fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(if self.shared == Shared::Nfs { O_DIRECT } else { 0 });
        options
    }
}
