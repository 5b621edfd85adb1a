//! One side of a test, which executes requests on the files of a test.

use h5part_base::lock::{LockCall, ProcessId};
use h5part_base::storage::{Disk, replace};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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
    locks: Box<dyn Locks>,
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    gate: File,
    rows: File,
    data: File,
}

impl Files {
    fn of(&self, lock: Lock) -> &File {
        match lock {
            Lock::Gate => &self.gate,
            Lock::Data => &self.data,
            Lock::Row(_) => &self.rows,
        }
    }
}

impl Desk {
    /// A side that works on the files of a folder.
    #[must_use]
    pub fn new(folder: &Path, locks: Box<dyn Locks>) -> Self {
        Self { folder: folder.to_owned(), locks, files: None }
    }

    /// Executes a request.
    pub fn answer(&mut self, request: &Request) -> Answer {
        self.attempt(request).unwrap_or_else(|e| Answer::Failed(e.to_string()))
    }

    fn attempt(&mut self, request: &Request) -> io::Result<Answer> {
        let Self { folder, locks, files } = self;
        match request {
            Request::Who => return Ok(Answer::Is(ProcessId::this())),
            Request::Reset | Request::Die => *files = None,
            Request::Take(lock, alone) => {
                let files = opened(files, folder)?;
                if !locks.take(*lock, files.of(*lock), *alone)? {
                    return Ok(Answer::Refused);
                }
            }
            Request::Release(lock) => locks.release(*lock, opened(files, folder)?.of(*lock))?,
            Request::Write { at, text } => opened(files, folder)?.data.write_all_at(text.as_bytes(), *at)?,
            Request::Read { at, len } => {
                // A test's files are no longer than this.
                let mut bytes = vec![0; (*len).min(DATA_LEN)];
                opened(files, folder)?.data.read_exact_at(&mut bytes, *at)?;
                return Ok(Answer::Text(String::from_utf8_lossy(&bytes).into_owned()));
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

fn opened<'a>(files: &'a mut Option<Files>, folder: &Path) -> io::Result<&'a Files> {
    if files.is_none() {
        let open = |name| OpenOptions::new().read(true).write(true).open(folder.join(name));
        *files = Some(Files { gate: open(GATE)?, rows: open(ROWS)?, data: open(DATA)? });
    }
    files.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
}
