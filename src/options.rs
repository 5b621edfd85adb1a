//! Options of an open store: time limits, callbacks, and whether to trust the file system's locks.

use crate::{Result, Store, Table};
use h5part_base::lock::{Patience, Shared, Waiting};
use h5part_engine::store as engine;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How to open or create a store: how long to wait for locks, which functions to call meanwhile, and whether to trust
/// the file system's locks.
///
/// ```no_run
/// use h5part::StoreOptions;
/// use std::time::Duration;
///
/// let store = StoreOptions::new()
///     .timeout(Duration::from_secs(60))
///     .on_wait(|wait| eprintln!("waiting for {}, held by {}", wait.what, wait.holder))
///     .open("run.h5")?;
/// # Ok::<(), h5part::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    patience: Patience,
    trust_locks: bool,
    shared: Shared,
    progress: Progress,
}

impl StoreOptions {
    /// The default options: wait up to 300 s for each lock, call no function, and refuse to write on file systems whose
    /// locks may not be visible to every host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long to wait for each lock. After that the call fails with
    /// [`ErrorKind::LockTimeout`](crate::ErrorKind::LockTimeout). Default: 300 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.patience.timeout = timeout;
        self
    }

    /// Sets a function to call when a wait for a lock has lasted 1 s, and again each time the wait has tripled.
    #[must_use]
    pub fn on_wait(mut self, tell: impl Fn(&Waiting<'_>) + Send + Sync + 'static) -> Self {
        self.patience.tell = Some(Arc::new(tell));
        self
    }

    /// Sets a function that decides whether to give up a wait for a lock. It is called ten times per second during the
    /// wait. If it returns true, the call fails with [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted).
    #[must_use]
    pub fn interrupt(mut self, interrupt: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.patience.interrupt = Some(Arc::new(interrupt));
        self
    }

    /// Sets a function to call from time to time with two numbers: bytes done, and bytes to do in all. It is called
    /// while a table is created or adopted, and while a file is verified, published or merged.
    #[must_use]
    pub fn on_progress(mut self, tell: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        self.progress = Progress(Some(Arc::new(tell)));
        self
    }

    /// Sets whether to write on a file system whose locks may not be visible to every host. This is safe only if all
    /// writers run on this host. Default: such writes fail with
    /// [`ErrorKind::UntrustedLocks`](crate::ErrorKind::UntrustedLocks).
    #[must_use]
    pub fn trust_locks(mut self, trust: bool) -> Self {
        self.trust_locks = trust;
        self
    }

    /// Sets how writers reach the store. With [`Shared::Nfs`] any number of hosts that mount its folder by NFS 4.1 or
    /// newer may write. Every commit is then on the server before it is acknowledged, so
    /// [`Durability::Process`](crate::Durability::Process) costs what [`Durability::Power`](crate::Durability::Power)
    /// does. A store that was shared once stays so, and this need not be set again.
    ///
    /// Writing fails with [`ErrorKind::UntrustedLocks`](crate::ErrorKind::UntrustedLocks) where the mount does not allow
    /// it. Default: [`Shared::Local`].
    #[must_use]
    pub fn shared(mut self, shared: Shared) -> Self {
        self.shared = shared;
        self
    }

    /// Opens the store at `path`: see [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Store> {
        engine::Store::open(path).map(|engine| self.apply(engine))
    }

    /// Creates a table in the file at `path`: see [`Store::create`].
    ///
    /// # Errors
    /// As [`Store::create`].
    pub fn create(&self, path: impl AsRef<Path>, table: Table) -> Result<Store> {
        let store = self.name(path)?;
        store.create_table(table)?;
        Ok(store)
    }

    /// Creates a table, unless it exists: see [`Store::require`].
    ///
    /// # Errors
    /// As [`Store::require`].
    pub fn require(&self, path: impl AsRef<Path>, table: Table) -> Result<Store> {
        let store = self.name(path)?;
        store.require_table(table)?;
        Ok(store)
    }

    /// A store that may not exist yet.
    pub(crate) fn name(&self, path: impl AsRef<Path>) -> Result<Store> {
        engine::Store::new(path).map(|engine| self.apply(engine))
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    fn apply(&self, engine: engine::Store) -> Store {
        let engine = engine.with_patience(self.patience.clone()).with_trusted_locks(self.trust_locks);
        let engine = engine.with_shared(self.shared);
        Store::new(engine, self.clone())
    }
}

/// The function that receives progress, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Progress(Option<Arc<dyn Fn(u64, u64) + Send + Sync>>);

impl Progress {
    pub(crate) fn tell(&self, done: u64, total: u64) {
        if let Some(tell) = &self.0 {
            tell(done, total);
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "told" } else { "silent" })
    }
}
