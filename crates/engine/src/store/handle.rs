//! The store itself: the path of a file, and the settings with which it is used.

use crate::h5::{H5File, Listing};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{self, FileSystem, LockReport, Paths, Patience, RowLocks, Shared};
use h5part_base::storage::{Disk, Mode, Nfs, Storage, StorageFile, is_on_nfs};
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
    /// How it is meant to be shared. The file may be reached in another way from here.
    pub(super) shared: Shared,
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
        let (log_is_named, shared) = (Arc::default(), Shared::by_mark(&paths));
        let (storage, patience) = (Arc::new(Disk), Patience::default());
        Self { paths, storage, patience, trust_locks: false, shared, log_is_named }.with_shared(shared)
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

    /// Says how writers reach the store. A store that was shared by NFS once stays so, and knows it by itself.
    ///
    /// With [`Shared::Nfs`] any number of hosts may write. Writing is refused on mounts that do not allow it. Every
    /// commit is on the server before it is acknowledged, so [`Durability::Process`](super::Durability::Process) costs
    /// what [`Durability::Power`](super::Durability::Power) does.
    #[must_use]
    pub fn with_shared(mut self, shared: Shared) -> Self {
        if shared == Shared::Nfs {
            self.shared = shared;
            if is_on_nfs(self.folder()) {
                self.paths.shared = shared;
                self = self.with_storage(Arc::new(Nfs::new()));
            }
        }
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

    /// Runs calls that open files. Where hosts share the store, the server may keep them waiting while it takes back what a
    /// dead host had; long waits are reported.
    pub(super) fn opening<T>(&self, body: impl FnOnce() -> T) -> T {
        match self.paths.shared {
            Shared::Local => body(),
            Shared::Nfs => self.patience.watch("the NFS server", &lock::of_server(&self.paths), body),
        }
    }

    /// Opens the row locks, and makes their file if it is missing.
    pub(super) fn open_locks(&self) -> Result<Arc<RowLocks>, ErrorKind> {
        let locks = self.in_sidecar(self.opening(|| RowLocks::open(&self.paths)))?;
        self.in_sidecar(self.shared.mark(&self.paths))?;
        Ok(Arc::new(locks))
    }

    /// Turns errors about the sidecar that seem to be about the file into errors that name the sidecar.
    pub(super) fn in_sidecar<T>(&self, outcome: Result<T, impl Into<ErrorKind>>) -> Result<T, ErrorKind> {
        outcome.map_err(|e| match e.into() {
            ErrorKind::ReadOnly(_) => ErrorKind::ReadOnly(Some(self.paths.sidecar.clone())),
            other => other,
        })
    }

    /// Refuses file systems on which the store cannot be shared in this way.
    pub(super) fn check_mount(&self) -> Result<(), ErrorKind> {
        if self.trust_locks {
            return Ok(());
        }
        let system = FileSystem::of(if self.paths.file.exists() { &self.paths.file } else { self.folder() });
        match self.shared.refusal(&system) {
            Some(why) => Err(ErrorKind::UntrustedLocks { what: format!("{system}: {}", why.what), remedy: why.remedy }),
            None => Ok(()),
        }
    }

    /// Refuses file systems whose locks do not exclude everyone, and files with several names.
    pub(super) fn check_sharing(&self) -> Result<(), ErrorKind> {
        self.check_mount()?;
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
