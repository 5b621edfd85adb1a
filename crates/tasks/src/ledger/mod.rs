//! Which tasks there are, who works on them, and which are done: one file that any number of workers on any number of
//! hosts share without a server.
//!
//! Every task has a slot with a checksum, within one sector of the file. Only the slots define the state. All changes
//! are made under one lock, which is held for microseconds. If a worker dies during a change, each slot is in its old
//! or its new state, and the kernel releases the lock.
//!
//! A claim has a *fence*, which counts how many times its task was claimed. Work for a task that someone else has taken
//! over is refused: by the ledger, and, through [`TaskFence`], under the row locks of a store.

mod bits;
mod claim;
mod create;
mod data;
mod fence;
mod finish;
mod header;
mod names;
mod owner;
mod owners;
mod reap;
mod renew;
mod scan;
mod task;
#[cfg(test)]
mod tests;
mod text;

pub use claim::{Claim, ClaimOptions, Claimed};
pub use create::{NameList, NewLedger};
pub use data::TaskData;
pub use fence::{FENCE_VAR, LEDGER_VAR, TASK_VAR, TaskFence};
pub use finish::{Changed, End};
pub use header::{HEADER, Header, Shape, StoreRef};
pub use owner::{ENTRY, Entry, Owner, SlurmJob};
pub use reap::{Expired, Watch};
pub use renew::Renewed;
pub use scan::{Listed, Standing, Tally};
pub use task::{NameAt, OwnerId, Reason, Refusal, SLOT, Task, TaskState};
pub use text::{Checkpoint, Mark};

use bits::Bits;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{ByteGuard, ByteLock, Patience};
use h5part_base::num::to_usize;
use h5part_base::storage::{Mode, Storage, StorageFile, uncached};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tasks whose slots are read at once when all are read.
const PORTION: u64 = (1 << 20) / SLOT as u64;
/// How many times a slot that is being written is read again, before the lock is taken.
const READS: usize = 3;

/// An open ledger.
///
/// **Concurrency.** Any number of processes and threads may use a ledger at the same time, and every call is atomic. If
/// a process is killed, each slot is changed as a whole or not at all; a call for several tasks may have changed only
/// some of them. After a loss of power a task has some state that it had since the last sync. The ledger syncs when it
/// is created and on [`Ledger::sync`].
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    storage: Arc<dyn Storage>,
    file: Box<dyn StorageFile>,
    header: Header,
    shape: Shape,
    bits: Bits,
    /// `None`: the ledger was opened for reading.
    lock: Option<ByteLock>,
    patience: Patience,
    max_attempts: u16,
    clock: fn() -> u64,
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX))
}

impl Ledger {
    /// Opens a ledger.
    ///
    /// # Errors
    /// No such file, [`crate::ErrorKind::NotALedger`], [`ErrorKind::Cut`], [`ErrorKind::NewerFormat`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let storage = uncached(path.as_ref());
        Self::open_in(path, storage)
    }

    /// Opens a ledger in this storage.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_in(path: impl AsRef<Path>, storage: Arc<dyn Storage>) -> Result<Self> {
        let path = path.as_ref();
        Self::try_open(path, storage, Mode::Write).at("open ledger", path)
    }

    /// Opens a ledger for reading, which needs no write permission.
    ///
    /// # Errors
    /// As [`Ledger::open`]. Changing it fails with [`ErrorKind::ReadOnly`].
    pub fn open_to_read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::try_open(path, uncached(path), Mode::Read).at("open ledger", path)
    }

    fn try_open(path: &Path, storage: Arc<dyn Storage>, mode: Mode) -> Result<Self, ErrorKind> {
        let path = path.canonicalize()?;
        let file = storage.open(&path, mode)?;
        let header = read_header(file.as_ref())?;
        let shape = header.shape()?;
        let lock =
            (mode == Mode::Write).then(|| ByteLock::of(file.as_ref(), &path, "the ledger's lock")).transpose()?;
        let bits = Bits::new(shape, header.tasks);
        let (patience, max_attempts) = (Patience::default(), header.max_attempts);
        Ok(Self { path, storage, file, header, shape, bits, lock, patience, max_attempts, clock: now_ms })
    }

    fn hold(&self) -> Result<ByteGuard<'_>, ErrorKind> {
        self.lock.as_ref().ok_or(ErrorKind::ReadOnly(None))?.hold(&self.patience)
    }

    /// Sets how long to wait for the lock.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Sets the number of failures after which a task stays failed. Default: the ledger's own setting.
    #[must_use]
    pub fn with_max_attempts(mut self, attempts: u16) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// Sets the clock, in milliseconds since 1970.
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// The file, with symbolic links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for its other files: logs of programs, measurements.
    #[must_use]
    pub fn sidecar(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".part");
        PathBuf::from(name)
    }

    /// The properties of the ledger.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Number of tasks.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.header.tasks
    }

    /// Whether there are no tasks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.tasks == 0
    }

    /// The number of failures after which a task stays failed.
    #[must_use]
    pub fn max_attempts(&self) -> u16 {
        self.max_attempts
    }

    /// Makes everything recorded so far survive a loss of power.
    ///
    /// # Errors
    /// As fdatasync(2).
    pub fn sync(&self) -> Result<()> {
        self.file.sync().at("sync ledger", &self.path)
    }

    /// Checks that the file still has its name.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`], or as stat(2).
    pub fn check_named(&self) -> Result<()> {
        self.still_named().at("look at ledger", &self.path)
    }

    /// Pauses in the same way as waiting for the lock.
    pub fn pause(&self, time: Duration) {
        (self.patience.sleep)(time);
    }

    fn at_slot(&self, place: u64) -> u64 {
        self.shape.slots + place * SLOT as u64
    }

    /// The current slots of some tasks. `None`: damaged, or being written.
    fn slots(&self, places: std::ops::Range<u64>) -> std::io::Result<Vec<Option<Task>>> {
        let count = to_usize(places.end - places.start);
        let mut slots = vec![[0; SLOT]; count];
        self.file.read_at(slots.as_flattened_mut(), self.at_slot(places.start))?;
        Ok(slots.iter().map(Task::decode).collect())
    }

    /// All tasks in the order of claims, read in portions. `None`: damaged.
    fn walk(&self) -> impl Iterator<Item = Result<(u64, Option<Task>), ErrorKind>> + '_ {
        let tasks = self.header.tasks;
        (0..tasks.div_ceil(PORTION)).flat_map(move |portion| {
            let start = portion * PORTION;
            let end = (start + PORTION).min(tasks);
            let (slots, failure) = match self.slots(start..end) {
                Ok(slots) => (slots, None),
                Err(e) => (Vec::new(), Some(Err(e.into()))),
            };
            // It may have been in the middle of a write. A caller that overlooks a task ends too early.
            let whole =
                move |(place, task): (u64, Option<Task>)| Ok((place, task.or_else(|| self.look_at(place).ok())));
            (start..end).zip(slots).map(whole).chain(failure)
        })
    }

    /// Reads one task under the lock.
    fn task_locked(&self, place: u64) -> Result<Task, ErrorKind> {
        let mut slot = [0; SLOT];
        self.file.read_at(&mut slot, self.at_slot(place))?;
        Task::decode(&slot).ok_or(crate::ErrorKind::DamagedTask { task: place }.into())
    }

    /// Reads one task while others may change it.
    fn look_at(&self, place: u64) -> Result<Task, ErrorKind> {
        let mut slot = [0; SLOT];
        for _ in 0..READS {
            self.file.read_at(&mut slot, self.at_slot(place))?;
            if let Some(task) = Task::decode(&slot) {
                return Ok(task);
            }
        }
        let _held = self.lock.as_ref().map(|_| self.hold()).transpose()?;
        self.task_locked(place)
    }

    fn write(&self, place: u64, tasks: &[Task]) -> std::io::Result<()> {
        let slots: Vec<[u8; SLOT]> = tasks.iter().map(Task::encode).collect();
        self.file.write_at(slots.as_flattened(), self.at_slot(place))
    }
}

fn read_header(file: &dyn StorageFile) -> Result<Header, ErrorKind> {
    let len = file.identity()?.len;
    let mut bytes = [0; HEADER];
    let there = usize::try_from(len).unwrap_or(HEADER).min(HEADER);
    file.read_at(&mut bytes[..there], 0)?;
    if there < HEADER && there > 7 && bytes[..7] == header::MAGIC {
        return Err(ErrorKind::Cut { expected: HEADER as u64, found: len });
    }
    Header::decode(&bytes, len)
}
