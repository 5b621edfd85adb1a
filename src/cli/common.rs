//! Options and conversions that several subcommands share.

use h5part::ledger::TaskFence;
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Rows;
use h5part_base::error::At;
use h5part_base::lock::Fence;
use h5part_base::lock::{Patience, Shared};
use h5part_engine::store::{Durability, Listing, Store, StorePair};
use h5part_input::npy;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Values are committed in portions of about this many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// How to treat locks.
#[derive(Debug, clap::Args)]
pub struct LockArgs {
    /// Give up when a lock is not released within this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    pub timeout: f64,
    /// Write even where locks may not be visible to every host. Only safe if a single host writes.
    #[arg(long)]
    pub trust_locks: bool,
    /// Let several hosts write: they mount the folder by NFS 4.1 or newer. A store that was shared once stays so.
    #[arg(long, value_name = "KIND", env = "H5PART_SHARED", hide_env_values = true)]
    pub shared: Option<SharedArg>,
}

/// How hosts share a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SharedArg {
    Nfs,
}

impl SharedArg {
    /// What an option says.
    pub fn kind(option: Option<Self>) -> Shared {
        match option {
            Some(Self::Nfs) => Shared::Nfs,
            None => Shared::Local,
        }
    }
}

impl LockArgs {
    /// How long to wait for locks. Long waits are reported on standard error.
    pub fn patience(&self) -> Patience {
        Patience::telling(Duration::from_secs_f64(self.timeout))
    }

    /// The store at a path that exists.
    pub fn open(&self, file: &Path) -> Result<Store> {
        Store::open(file).map(|store| self.apply(store))
    }

    /// The store at a path that may not exist yet.
    pub fn new_store(&self, file: &Path) -> Result<Store> {
        Store::new(file).map(|store| self.apply(store))
    }

    fn apply(&self, store: Store) -> Store {
        let store = store.with_patience(self.patience()).with_trusted_locks(self.trust_locks);
        store.with_shared(SharedArg::kind(self.shared))
    }
}

/// Where to look up what the file does not have.
#[derive(Debug, clap::Args)]
pub struct ParentArgs {
    /// Look for tables and columns that FILE does not have in this file, which was published before.
    #[arg(long, value_name = "FILE")]
    pub parent: Option<PathBuf>,
}

impl ParentArgs {
    /// The store that has the table and the column.
    pub fn find(&self, lock: &LockArgs, file: &Path, table: &str, column: Option<&str>) -> Result<Store> {
        let work = lock.open(file)?;
        let Some(parent) = &self.parent else { return Ok(work) };
        let pair = StorePair::new(work, lock.open(parent)?);
        Ok(pair.store(pair.find(table, column)?).clone())
    }

    /// All tables, each with its store.
    pub fn tables(&self, lock: &LockArgs, work: &Store) -> Result<Vec<(Store, Listing)>> {
        let Some(parent) = &self.parent else {
            return Ok(work.tables()?.into_iter().map(|listing| (work.clone(), listing)).collect());
        };
        let pair = StorePair::new(work.clone(), lock.open(parent)?);
        let tables = pair.tables()?.into_iter();
        Ok(tables.map(|(side, listing)| (pair.store(side).clone(), listing)).collect())
    }
}

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DurabilityArg {
    /// Loss of power; every commit is synced.
    #[default]
    Power,
    /// Death of any process, but not loss of power.
    Process,
}

impl From<DurabilityArg> for Durability {
    fn from(arg: DurabilityArg) -> Self {
        match arg {
            DurabilityArg::Power => Self::Power,
            DurabilityArg::Process => Self::Process,
        }
    }
}

/// The task of a ledger that something is written for.
#[derive(Debug, clap::Args)]
pub struct FenceArgs {
    /// Write for a task of this ledger, and only while its claim holds. `h5part run` passes ledger, task and
    /// fence to its programs in the environment.
    #[arg(
        long,
        value_name = "LEDGER",
        env = "H5PART_LEDGER",
        requires = "task",
        requires = "fence",
        hide_env_values = true
    )]
    ledger: Option<String>,
    /// Name of the task.
    #[arg(long, value_name = "NAME", env = "H5PART_TASK", requires = "ledger", hide_env_values = true)]
    task: Option<String>,
    /// Fence of the claim.
    #[arg(long, value_name = "F", env = "H5PART_FENCE", requires = "ledger", hide_env_values = true)]
    fence: Option<u64>,
}

impl FenceArgs {
    /// The fence of a commit for a task, if there is a task.
    pub fn fence(&self) -> Result<Option<Arc<dyn Fence>>> {
        let (Some(ledger), Some(task), Some(fence)) = (&self.ledger, &self.task, self.fence) else { return Ok(None) };
        Ok(Some(Arc::new(TaskFence::of(ledger, task, fence)?)))
    }
}

/// Parses seconds, which must be finite and not negative.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.0..=1e9).contains(&s) => Ok(s),
        _ => Err("a number of seconds from 0 to 1e9".to_owned()),
    }
}

/// Parses `--rows`: a SPEC, or `@FILE.npy` with row numbers or a mask.
pub fn rows(spec: &str, table_rows: u64, file: &Path) -> Result<Rows> {
    match spec.strip_prefix('@') {
        Some(path) => {
            let rows = Rows::list(&npy::indices(Path::new(path), table_rows).at("read row numbers from", path)?);
            rows.check(table_rows).at("select rows of", file)?;
            Ok(rows)
        }
        None => Rows::parse(spec, table_rows).at("select rows of", file),
    }
}

/// Splits `NAME=VALUE` at the first `=`, since values may contain more of them.
pub fn split_first(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is needed".to_owned()),
    }
}

/// Splits `NAME=VALUE` at the last `=`, since names may contain more of them.
pub fn split_last(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is needed".to_owned()),
    }
}

/// A request error for a path.
pub fn request(operation: &'static str, path: impl Into<PathBuf>, text: impl Into<String>) -> h5part::Error {
    ErrorKind::BadRequest(text.into()).at(operation, path.into())
}

/// Elements of a type from little-endian bytes, whatever the alignment.
pub fn elements<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

/// The selection in portions of about [`PORTION_BYTES`], each with its position.
pub fn portions(rows: &Rows, row_bytes: u64) -> impl Iterator<Item = (u64, Rows)> + '_ {
    let count = (PORTION_BYTES / row_bytes.max(1)).max(1);
    (0..rows.len().div_ceil(count)).map(move |k| (k * count, rows.slice(k * count, count)))
}
