//! One side of a test, which executes requests on the files of a test.

use h5part_base::lock::{LockCall, ProcessId, Shared};
use h5part_base::storage::{Disk, Mode, Nfs, Storage, StorageFile, replace};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A request to a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Return its identity.
    Who,
    /// Close all files, which releases all locks.
    Reset,
    /// Take a lock without waiting, exclusively or shared.
    Take(Lock, bool),
    /// Release a lock.
    Release(Lock),
    /// Write text into the data file.
    Write {
        /// At this byte.
        at: u64,
        /// Plain ASCII.
        text: String,
    },
    /// Read text from the data file.
    Read {
        /// Starting at this byte.
        at: u64,
        /// Number of bytes.
        len: usize,
    },
    /// Give the data file this many bytes.
    SetLength(u64),
    /// Return the length of the data file.
    Length,
    /// Return the time of the clock.
    Clock,
    /// Replace the named file by a new one.
    Replace(String),
    /// Return the content of the named file.
    Named,
    /// End without an answer, and let a successor take over.
    Die,
}

/// An answer of a side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It is this process.
    Is(ProcessId),
    /// It is done, or the lock was taken.
    Done,
    /// Someone else holds the lock.
    Refused,
    /// The text.
    Text(String),
    /// Bytes, or milliseconds since 1970.
    Number(u64),
    /// The system's error message.
    Failed(String),
}

/// The locks of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// The gate: flock(2).
    Gate,
    /// The data file: flock(2).
    Data,
    /// A row: a byte-range lock.
    Row(u64),
}

impl Lock {
    pub(super) fn call(self) -> LockCall {
        match self {
            Self::Gate | Self::Data => LockCall::Whole,
            // Where the rows of a store's first table are locked.
            Self::Row(row) => LockCall::Bytes((1 << 40) + row..(1 << 40) + row + 1),
        }
    }
}

/// The name of the call, as in the manual.
impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate | Self::Data => "flock",
            Self::Row(_) => "byte-range lock",
        })
    }
}

/// The calls under test. Tests of the tests replace them.
pub trait Locks: fmt::Debug + Send {
    /// Takes a lock without waiting. `false`: someone else holds it.
    ///
    /// # Errors
    /// Those of the system.
    fn take(&mut self, lock: Lock, file: &File, alone: bool) -> io::Result<bool>;

    /// Releases a lock.
    ///
    /// # Errors
    /// Those of the system.
    fn release(&mut self, lock: Lock, file: &File) -> io::Result<()>;
}

/// The kernel's locks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl Locks for Kernel {
    fn take(&mut self, lock: Lock, file: &File, alone: bool) -> io::Result<bool> {
        lock.call().take(file, alone)
    }

    fn release(&mut self, lock: Lock, file: &File) -> io::Result<()> {
        lock.call().release(file)
    }
}

/// The files of a test.
pub(super) const GATE: &str = "gate";
pub(super) const ROWS: &str = "rows";
pub(super) const DATA: &str = "data";
const NAMED: &str = "named";
/// Length of the data file, in bytes.
pub(super) const DATA_LEN: usize = 512;

/// Creates the files.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    File::create_new(folder.join(GATE))?;
    File::create_new(folder.join(ROWS))?;
    std::fs::write(folder.join(DATA), [b'.'; DATA_LEN])
}

/// One side, with its own descriptors.
#[derive(Debug)]
pub struct Desk {
    folder: PathBuf,
    shared: Shared,
    locks: Box<dyn Locks>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    gate: File,
    rows: File,
    /// The lock of the data file, which is on the descriptor that reads and writes where a store has it there.
    data_lock: File,
    data: Box<dyn StorageFile>,
}

impl Files {
    fn of(&self, lock: Lock) -> &File {
        match lock {
            Lock::Gate => &self.gate,
            Lock::Data => &self.data_lock,
            Lock::Row(_) => &self.rows,
        }
    }
}

impl Desk {
    /// A side that works on the files of a folder.
    #[must_use]
    pub fn new(folder: &Path, locks: Box<dyn Locks>) -> Self {
        Self { folder: folder.to_owned(), shared: Shared::Local, locks, files: None }
    }

    /// Opens the files as those of a store that is shared in this way.
    #[must_use]
    pub fn sharing(self, shared: Shared) -> Self {
        Self { shared, ..self }
    }

    /// Executes a request.
    pub fn answer(&mut self, request: &Request) -> Answer {
        self.attempt(request).unwrap_or_else(|e| Answer::Failed(e.to_string()))
    }

    fn attempt(&mut self, request: &Request) -> io::Result<Answer> {
        let Self { folder, locks, files, shared } = self;
        match request {
            Request::Who => return Ok(Answer::Is(ProcessId::this())),
            Request::Reset | Request::Die => *files = None,
            Request::Take(lock, alone) => {
                if !locks.take(*lock, opened(files, folder, *shared)?.of(*lock), *alone)? {
                    return Ok(Answer::Refused);
                }
            }
            Request::Release(lock) => locks.release(*lock, opened(files, folder, *shared)?.of(*lock))?,
            Request::Write { at, text } => opened(files, folder, *shared)?.data.write_at(text.as_bytes(), *at)?,
            Request::Read { at, len } => {
                // A test's files are no longer than this.
                let mut bytes = vec![0; (*len).min(DATA_LEN)];
                opened(files, folder, *shared)?.data.read_at(&mut bytes, *at)?;
                return Ok(Answer::Text(String::from_utf8_lossy(&bytes).into_owned()));
            }
            Request::SetLength(len) => opened(files, folder, *shared)?.data.set_len(*len)?,
            Request::Length => return Ok(Answer::Number(opened(files, folder, *shared)?.data.identity()?.len)),
            Request::Clock => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                return Ok(Answer::Number(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)));
            }
            Request::Replace(text) => {
                let new = folder.join(format!("{NAMED}-{}", std::process::id()));
                std::fs::write(&new, text)?;
                replace(&Disk, &new, &folder.join(NAMED))?;
            }
            Request::Named => return std::fs::read_to_string(folder.join(NAMED)).map(Answer::Text),
        }
        Ok(Answer::Done)
    }
}

fn opened<'a>(files: &'a mut Option<Files>, folder: &Path, shared: Shared) -> io::Result<&'a Files> {
    if files.is_none() {
        let open = |name| OpenOptions::new().read(true).write(true).open(folder.join(name));
        let storage: &dyn Storage = match shared {
            Shared::Local => &Disk,
            Shared::Nfs => &Nfs::new(),
        };
        let data = storage.open(&folder.join(DATA), Mode::Write)?;
        let data_lock = data.lock_handle()?.map_or_else(|| open(DATA), Ok)?;
        *files = Some(Files { gate: open(GATE)?, rows: open(ROWS)?, data_lock, data });
    }
    files.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
}
