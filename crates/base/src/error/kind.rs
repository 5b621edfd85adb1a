//! Why the engine fails.

use super::Remedy;
use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why an operation failed. It is typed, so that a program can tell the cases apart.
///
/// These are the kinds of the engine. Those of other crates are in [`ErrorKind::Other`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The system refused a read, write, open, rename or lock call.
    #[error(transparent)]
    Io(io::Error),
    /// The HDF5 library reported an error.
    #[error("HDF5: {0}")]
    Hdf5(String),
    /// What was asked for does not exist.
    #[error("no such {what}{}", available(.known))]
    NotFound {
        /// What is missing.
        what: Item,
        /// The names that do exist, where they are known.
        known: Vec<String>,
    },
    /// What was to be made already exists.
    #[error("{}", already_exists(.0))]
    AlreadyExists(Item),
    /// The bytes are not an HDF5 file that can be opened.
    #[error("not a usable HDF5 file: {0}")]
    NotHdf5(String),
    /// The file ends before the data that its own metadata promises.
    #[error("the file is truncated: expected {expected} bytes, found {found}")]
    Cut {
        /// Length in bytes that the metadata needs.
        expected: u64,
        /// Length in bytes that was found.
        found: u64,
    },
    /// Another program, which does not use the locks of h5part, has the file open for writing.
    #[error("{}", open_for_writing(.by.as_deref(), *.swmr))]
    OpenForWriting {
        /// Its processes, as the system names them. `None`: a mark in the file says that a program writes to it. That
        /// program may also have ended without closing the file.
        by: Option<String>,
        /// Whether the mark allows others to read meanwhile.
        swmr: bool,
    },
    /// The file cannot hold what was to be added. Its addresses or lengths have too few bytes; their size is fixed when
    /// a file is made. The text says what is too large.
    #[error("{0}")]
    FormatLimit(String),
    /// A name that only h5part itself may give.
    #[error("the name '{0}' is reserved: '__h5part__' and names that begin with 'h5part_' belong to h5part")]
    ReservedName(String),
    /// A chunk of a column is damaged: it cannot be decoded, or a checksum says so.
    #[error("column '{column}': the chunk from row {row} on is damaged ({filter})")]
    DamagedChunk {
        /// The column.
        column: String,
        /// First row of the chunk.
        row: u64,
        /// The filter that says so.
        filter: String,
    },
    /// This user may not write the file or its folder, or may not create or write this sidecar folder.
    #[error("permission denied: {}", read_only(.0.as_deref()))]
    ReadOnly(Option<PathBuf>),
    /// The path names an object of another sort than is needed.
    #[error("'{name}' is {found}, not {expected}")]
    WrongObject {
        /// The path in the file.
        name: String,
        /// What was found there.
        found: &'static str,
        /// What was expected: a table, or a column.
        expected: &'static str,
    },
    /// A bundle has changed. A bundle is a group of small datasets that was written at once, under one checksum.
    #[error("'{path}' {how}")]
    BundleChanged {
        /// Its path in the file.
        path: String,
        /// In which way.
        how: String,
    },
    /// A row beyond the end of the table.
    #[error("row {row} is out of range: the table has {rows} rows")]
    RowOutOfRange {
        /// The row that was asked for (0-based).
        row: u64,
        /// Number of rows of the table.
        rows: u64,
    },
    /// A selection of rows, or of a part of each cell, that cannot be used.
    #[error("{0}")]
    BadRows(RowsFault),
    /// A `NAME:DTYPE[:SHAPE][=FILL]` that cannot be read.
    #[error("bad column '{text}': {reason}")]
    BadColumn {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A request (`--set`, `--attr`, a JSON line) that cannot be read.
    #[error("bad request: {0}")]
    BadRequest(String),
    /// Values of another type than the column's.
    #[error("column '{column}': expected values of type {expected}, found {found}")]
    DtypeMismatch {
        /// The column.
        column: String,
        /// Its element type.
        expected: String,
        /// The type of the values.
        found: String,
    },
    /// Values that do not fit, although their type does: they have another shape, are too few or too many, or one of
    /// them is not allowed.
    #[error("{0}")]
    BadValues(Misfit),
    /// The column cannot be written in place.
    #[error("column '{column}' cannot be written in place: {reason}")]
    LibraryColumn {
        /// The column.
        column: String,
        /// Why it is not direct.
        reason: String,
    },
    /// A column that h5part neither reads nor writes.
    #[error("{}", unsupported(.column, .dtype.as_deref()))]
    UnsupportedColumn {
        /// The column.
        column: String,
        /// Its type, if h5part does not know that type. `None`: its values are in other files, since the dataset is
        /// virtual or has external storage.
        dtype: Option<String>,
    },
    /// The table, or this column of it, has no stamps. A stamp is eight bytes per cell, which say whether the cell holds
    /// a committed value.
    #[error("{}", unstamped(.0))]
    Unstamped(Item),
    /// A file or record of a newer format.
    #[error("format {found} is newer than this program knows ({known})")]
    NewerFormat {
        /// The format found.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// There is no room for what was to be written.
    #[error("{0}")]
    NoSpace(Shortage),
    /// A lock was not released in time.
    #[error("{what} is still held after {waited_s:.1} s by {holder}")]
    LockTimeout {
        /// Which lock.
        what: &'static str,
        /// Who holds it, as far as the system tells.
        holder: String,
        /// How long it was waited for, in seconds.
        waited_s: f64,
    },
    /// The caller asked for the wait to end.
    #[error("interrupted while waiting for {0}")]
    Interrupted(&'static str),
    /// Advisory locks of this file system do not reach every process that may share the file.
    #[error("locks here are not visible to every host that may share the file ({what})")]
    UntrustedLocks {
        /// The file system, and what is wrong with it.
        what: String,
        /// What to do.
        remedy: Remedy,
    },
    /// The file has several names (hard links). Programs that open it by different names would have different locks.
    #[error("the file has {0} hard links: its locks would not be seen under its other names")]
    HardLinked(u64),
    /// Something that this process has opened is no longer there. Something else may have its name now.
    #[error("{0}")]
    Replaced(Gone),
    /// A stamped column was deleted, renamed, shortened or retyped by another program.
    #[error("another program changed table '{table}': column '{column}' {what}")]
    ColumnLost {
        /// Path of the table.
        table: String,
        /// Name that was stamped.
        column: String,
        /// What became of it.
        what: String,
    },
    /// A value that h5part did not write lies where this commit would write.
    #[error("row {row} of column '{column}' was changed by another program")]
    ForeignChange {
        /// The column.
        column: String,
        /// The row (0-based).
        row: u64,
    },
    /// A commit names the values that it expects to overwrite, and the column does not hold them.
    #[error("row {row} of column '{column}' has changed since it was read")]
    NotAsExpected {
        /// The column.
        column: String,
        /// The row (0-based).
        row: u64,
    },
    /// The table cannot have as many rows.
    #[error("'{column}' cannot grow: {reason}")]
    CannotGrow {
        /// The column, or the table.
        column: String,
        /// Why not.
        reason: String,
    },
    /// No dataset of the group can get stamps.
    #[error("none of its datasets can get stamps ({0})")]
    NothingToAdopt(String),
    /// Objects of the file are still in use where a structural change is to end.
    #[error("groups, datasets or attributes of the file are still open in the HDF5 library")]
    StillOpen,
    /// A structural change was interrupted while it was applied, and this user may not finish it.
    #[error("a structural change was interrupted half-way, and this user may not write to the file to finish it")]
    HalfApplied,
    /// The log of a structural change that does not belong to the file, or is damaged.
    #[error("the log of a structural change {why}; it was not applied, and was kept as {}", .kept.display())]
    LogAside {
        /// What is wrong with it.
        why: &'static str,
        /// Where it is now.
        kept: PathBuf,
    },
    /// An earlier write of this writer failed, so it accepts no more commits. A new writer of the table does.
    #[error("an earlier write of this writer failed; it accepts no more commits")]
    Poisoned,
    /// The commit was made together with others, as a group, and the group failed as a whole. The error of the first
    /// commit of the group says why.
    #[error("its group failed: {0}")]
    GroupFailed(String),
    /// A task of a ledger is not held by this claim any more. Nothing was written for it.
    #[error("task '{task}' is not held by this claim: {how}")]
    Fenced {
        /// Its name.
        task: String,
        /// What became of it.
        how: String,
    },
    /// The file was published. Readers rely on it as it is, so it is never changed.
    #[error("it is a published file; published files are never changed")]
    Published,
    /// A kind of another crate, which [`Error::kind_of`](super::Error::kind_of) gives back with its type.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl ErrorKind {
    /// This kind, if it is one of the type `K`: this type, or that of another crate.
    #[must_use]
    pub fn of<K: std::error::Error + 'static>(&self) -> Option<&K> {
        match self {
            Self::Other(other) => other.downcast_ref(),
            own => (own as &(dyn std::error::Error + 'static)).downcast_ref(),
        }
    }

    /// Something does not exist, and nothing else is there to be named.
    #[must_use]
    pub fn not_found(what: Item) -> Self {
        Self::NotFound { what, known: Vec::new() }
    }

    /// Values do not fit, and a text says why.
    #[must_use]
    pub fn bad_values(why: impl Into<String>) -> Self {
        Self::BadValues(Misfit::Other(why.into()))
    }

    /// As [`Error::name`](super::Error::name).
    pub(super) fn name(&self) -> String {
        let text = match self {
            Self::Other(other) => format!("{other:?}"),
            own => own.name_of_case().map_or_else(|| format!("{own:?}"), str::to_owned),
        };
        text.chars().take_while(|c| c.is_alphanumeric()).collect()
    }

    /// The name of the case, where a kind stands for several and this is not the one that has the name of the kind.
    fn name_of_case(&self) -> Option<&'static str> {
        Some(match self {
            Self::OpenForWriting { by: None, .. } => "MarkedOpen",
            Self::OpenForWriting { by: Some(_), .. } => "OpenElsewhere",
            Self::BadRows(RowsFault::Twice(_)) => "DuplicateRow",
            Self::BadRows(RowsFault::Empty) => "EmptySelection",
            Self::BadValues(Misfit::Shape { .. }) => "ShapeMismatch",
            Self::UnsupportedColumn { dtype: Some(_), .. } => "UnsupportedType",
            Self::UnsupportedColumn { dtype: None, .. } => "ValuesOutside",
            Self::Replaced(Gone::LockFiles) => "LockFileGone",
            Self::Replaced(Gone::Column(_)) => "ColumnMoved",
            _ => return None,
        })
    }
}

impl From<io::Error> for ErrorKind {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => Self::not_found(Item::File),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly(None),
            io::ErrorKind::StorageFull => Self::NoSpace(Shortage::Disk { needed: 0, available: 0 }),
            io::ErrorKind::QuotaExceeded => Self::NoSpace(Shortage::Quota),
            io::ErrorKind::FileTooLarge => Self::NoSpace(Shortage::FileSize { limit: size_limit().unwrap_or(0) }),
            _ => Self::Io(e),
        }
    }
}

/// What exists already, or does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// The file or folder that the error's path names.
    File,
    /// The table of this path.
    Table(String),
    /// The group, or bundle, of this path.
    Group(String),
    /// The stamps of the table, or of the column, of this path.
    Stamps(String),
    /// A column. Another member of the table that has its name counts as one.
    Column {
        /// Path of the table.
        table: String,
        /// Name of the column.
        column: String,
    },
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Table(path) => write!(f, "table '{path}'"),
            Self::Group(path) => write!(f, "group '{path}'"),
            Self::Stamps(path) => write!(f, "stamps of '{path}'"),
            Self::Column { table, column } => write!(f, "column '{column}' of table '{table}'"),
        }
    }
}

/// What is wrong with a selection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowsFault {
    /// It cannot be read.
    #[error("bad selection '{text}': {reason}")]
    Unreadable {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It selects nothing.
    #[error("the selection is empty")]
    Empty,
    /// It names this row twice.
    #[error("row {0} is named twice")]
    Twice(u64),
}

/// In which way values do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// They have another shape or length than the rows and the cells of the column.
    #[error("column '{column}': expected values of shape {expected}, found {found}")]
    Shape {
        /// The column.
        column: String,
        /// The shape needed.
        expected: String,
        /// The shape given.
        found: String,
    },
    /// Another way, such as a value that a cast would change. The text says which.
    #[error("bad values: {0}")]
    Other(String),
}

/// What a process has opened, and does not find under its name any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The file. Another one has its name.
    #[error("another file has taken its place")]
    File,
    /// `FILE.lock` or `rows.lock`. A process that opens the store now would not meet the locks of those that opened it
    /// before.
    #[error("its lock files were removed or replaced")]
    LockFiles,
    /// This column of the table, or its stamps.
    #[error("another program moved or removed column '{0}'")]
    Column(String),
}

/// What there is no room in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The disk is full.
    #[error("the disk is full{}", disk_text(*.needed, *.available))]
    Disk {
        /// Bytes needed, 0 where unknown.
        needed: u64,
        /// Bytes available, 0 where unknown.
        available: u64,
    },
    /// The user's, group's or project's quota is used up.
    #[error("the disk quota is used up")]
    Quota,
    /// The file would be longer than this process, or the file system, allows.
    #[error("the file-size limit is reached{}", size_text(*.limit))]
    FileSize {
        /// The limit of the process in bytes, 0 where the file system sets it.
        limit: u64,
    },
}

/// The names that may be meant, as the end of a message.
#[must_use]
pub fn available(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; available: {}", names.join(", ")) }
}

fn already_exists(item: &Item) -> String {
    match item {
        Item::File => "it already exists".to_owned(),
        Item::Stamps(path) => format!("'{path}' already has stamps"),
        item => format!("{item} already exists"),
    }
}

fn unstamped(item: &Item) -> String {
    let reason = match item {
        Item::Column { .. } => "another program added it to the table, or its type is not supported",
        _ => "h5part did not make it",
    };
    format!("{item} has no stamps: {reason}")
}

fn open_for_writing(by: Option<&str>, swmr: bool) -> String {
    if let Some(processes) = by {
        return format!("{processes} has it open for writing");
    }
    let swmr = if swmr { " (SWMR)" } else { "" };
    format!("it is marked as open for writing{swmr}: a program writes to it, or ended without closing it")
}

fn unsupported(column: &str, dtype: Option<&str>) -> String {
    match dtype {
        Some(dtype) => format!("column '{column}' has type {dtype}, which h5part does not read or write"),
        None => format!("the values of column '{column}' are in other files, which h5part does not touch"),
    }
}

fn read_only(sidecar: Option<&Path>) -> String {
    match sidecar {
        None => "the file or its folder is read-only for this user".to_owned(),
        Some(sidecar) => format!("the sidecar {} is read-only for this user, or cannot be made", sidecar.display()),
    }
}

fn disk_text(needed: u64, available: u64) -> String {
    match (needed, available) {
        (0, _) => String::new(),
        (n, a) => format!(": {n} bytes are needed, {a} are free"),
    }
}

fn size_text(limit: u64) -> String {
    if limit == 0 { String::new() } else { format!(": this process may write at most {limit} bytes per file") }
}

/// How long the files are that this process may write, in bytes, where that is limited.
#[must_use]
pub fn size_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}
