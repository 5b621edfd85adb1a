//! The store itself: the path of a file, and the settings with which it is used.

use crate::h5::{H5File, Listing};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{self, FileSystem, LockReport, Paths, Patience, RowLocks};
use h5part_base::storage::{Disk, Mode, Storage, StorageFile};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use uuid::Uuid;

/// An HDF5 file with its sidecar. It is cheap to clone and holds nothing open.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) paths: Paths,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) patience: Patience,
    trust_locks: bool,
    /// Whether the name of the log of structural changes is known to be durable.
    pub(super) log_is_named: Arc<AtomicBool>,
}

impl Store {
    /// The store at `path`, which must exist. Symbolic links are resolved.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let paths = Paths::of(path.as_ref()).at("open", &path)?;
        Ok(Self::at(paths))
    }

    /// The store at `path`. The file need not exist yet; its folder must.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the folder.
    pub fn new(path: impl AsRef<Path>) -> Result<Self> {
        let paths = Paths::of_new(path.as_ref()).at("create", &path)?;
        Ok(Self::at(paths))
    }

    fn at(paths: Paths) -> Self {
        let log_is_named = Arc::default();
        Self { paths, storage: Arc::new(Disk), patience: Patience::default(), trust_locks: false, log_is_named }
    }

    /// Sets how long to wait for locks, and who is told about it. Default: 300 s, silently.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Uses another storage in place of the disk, for tests.
    #[must_use]
    pub fn with_storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self.log_is_named = Arc::default();
        self
    }

    /// Allows writing where the file system's locks are not visible to every host. Only one host may write then.
    #[must_use]
    pub fn with_trusted_locks(mut self, trust: bool) -> Self {
        self.trust_locks = trust;
        self
    }

    /// The HDF5 file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.paths.file
    }

    /// All tables of the file, including those that h5part did not make.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn tables(&self) -> Result<Vec<Listing>> {
        self.with_h5(|h5, _| Ok(h5.tables()?)).at("read", &self.paths.file)
    }

    /// The file's uuid, if h5part has written one, and its length in bytes.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn identity(&self) -> Result<(Option<Uuid>, u64)> {
        self.with_h5(|h5, file| Ok((h5.uuid()?, file.identity()?.len))).at("read", &self.paths.file)
    }

    /// Reports who holds which lock. It takes no lock that anybody could wait for.
    ///
    /// # Errors
    /// I/O errors of the sidecar.
    pub fn locks(&self) -> Result<LockReport> {
        lock::report(&self.paths).at("look up the locks of", &self.paths.file)
    }

    /// Rows that a writer of this host has locked at this moment: number of the table, and rows. It takes no lock.
    #[must_use]
    pub fn rows_held(&self, pid: i32) -> Vec<(u64, Range<u64>)> {
        lock::rows_held(&self.paths, pid)
    }

    /// Opens the file in the library and calls `body` with it. Structural changes wait until `body` returns; commits in
    /// place do not.
    ///
    /// # Errors
    /// Those of `body`; as [`Store::reader`].
    pub fn with_h5<T>(
        &self,
        body: impl FnOnce(&H5File, &dyn StorageFile) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let _gate = self.enter_to_read()?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        body(&H5File::open(&file, &self.paths.file)?, file.as_ref())
    }

    /// Opens the row locks, and makes their file if it is missing.
    pub(super) fn open_locks(&self) -> Result<Arc<RowLocks>, ErrorKind> {
        Ok(Arc::new(self.in_sidecar(RowLocks::open(&self.paths))?))
    }

    /// Turns errors about the sidecar that seem to be about the file into errors that name the sidecar.
    pub(super) fn in_sidecar<T>(&self, outcome: Result<T, impl Into<ErrorKind>>) -> Result<T, ErrorKind> {
        outcome.map_err(|e| match e.into() {
            ErrorKind::ReadOnly(_) => ErrorKind::ReadOnly(Some(self.paths.sidecar.clone())),
            other => other,
        })
    }

    /// Refuses file systems whose locks do not exclude everyone, and files with several names.
    pub(super) fn check_sharing(&self) -> Result<(), ErrorKind> {
        if !self.trust_locks {
            let system = FileSystem::of(&self.paths.file);
            if let Some(why) = system.sharing().refusal() {
                return Err(ErrorKind::UntrustedLocks(format!("{system}: {}", why.what)));
            }
        }
        match self.storage.identity(&self.paths.file)?.links {
            0 | 1 => Ok(()),
            links => Err(ErrorKind::HardLinked(links)),
        }
    }
}

/// Types that give access to a store. The front door has a store type of its own, which hides this one.
pub trait AsStore {
    /// The store.
    fn as_store(&self) -> &Store;
}

impl AsStore for Store {
    fn as_store(&self) -> &Store {
        self
    }
}

/// A table's path without the slashes around it.
pub(super) fn trim_slashes(table: &str) -> &str {
    table.trim_matches('/')
}
