//! Why the engine fails.

use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an operation failed; typed, so that a program can tell the cases apart.
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
    #[error("{} already exists", .0.or_it())]
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
    /// The superblock says that a program writes to the file: it still does, or it ended without closing it.
    #[error(
        "it is marked as open for writing{}: a program writes to it, or ended without closing it",
        if *.swmr { " (SWMR)" } else { "" }
    )]
    MarkedOpen {
        /// Whether that program lets others read meanwhile.
        swmr: bool,
    },
    /// A program that does not take part in the locks has the file open for writing.
    #[error("{0} has it open for writing")]
    OpenElsewhere(String),
    /// The addresses, or lengths, of the file have too few bytes for what is to be added.
    #[error("its addresses have {bytes} bytes and end at {most}; this needs {needed}")]
    OffsetsTooSmall {
        /// Bytes per address or length.
        bytes: u8,
        /// What would have to be said with them.
        needed: u64,
        /// The most that can be said with them.
        most: u64,
    },
    /// In files whose lengths have few bytes HDF5 writes some attributes that it cannot read again.
    #[error("{what} would not read back as written: the lengths of the file have only {bytes} bytes")]
    NotReadBack {
        /// The object, or the attribute.
        what: String,
        /// Bytes per length.
        bytes: u8,
    },
    /// A name that h5part keeps for what it writes itself.
    #[error("the name '{0}' is reserved: '__h5part__' and names that begin with 'h5part_' belong to h5part")]
    ReservedName(String),
    /// A stored chunk is not what its filters make.
    #[error("column '{column}': the chunk from row {row} on is damaged ({filter})")]
    DamagedChunk {
        /// The column.
        column: String,
        /// First row of the chunk.
        row: u64,
        /// The filter that says so.
        filter: String,
    },
    /// File or folder may not be written by this user.
    #[error("permission denied: the file or its folder is read-only for this user")]
    ReadOnly,
    /// The sidecar folder, or something in it, may not be made or written by this user.
    #[error("permission denied: the sidecar {} is read-only for this user, or cannot be made", .0.display())]
    ReadOnlySidecar(PathBuf),
    /// The path exists but is not a group of datasets that share their first axis.
    #[error("'{name}' is {what}, not a table")]
    NotATable {
        /// The path in the file.
        name: String,
        /// What was found there.
        what: &'static str,
    },
    /// A bundle does not match its checksum, or what it was made of.
    #[error("'{path}' {how}")]
    BundleChanged {
        /// Its path in the file.
        path: String,
        /// In which way.
        how: String,
    },
    /// The name is a group, where a dataset is needed.
    #[error("'{0}' is a group, not a column")]
    ColumnIsGroup(String),
    /// A row beyond the end of the table.
    #[error("row {row} is out of range: the table has {rows} rows")]
    RowOutOfRange {
        /// The row that was asked for (0-based).
        row: u64,
        /// Number of rows of the table.
        rows: u64,
    },
    /// A commit of columns that have different guards.
    #[error("columns '{0}' and '{1}' have different guards; a commit may have only one")]
    SeveralGuards(String, String),
    /// One row was named twice.
    #[error("row {0} is named twice")]
    DuplicateRow(u64),
    /// A selection without rows.
    #[error("the selection is empty")]
    EmptySelection,
    /// A selection that cannot be read.
    #[error("bad selection '{text}': {reason}")]
    BadRows {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
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
    /// Values of another shape or length than rows x cell.
    #[error("column '{column}': expected values of shape {expected}, found {found}")]
    ShapeMismatch {
        /// The column.
        column: String,
        /// The shape needed.
        expected: String,
        /// The shape given.
        found: String,
    },
    /// Values that do not fit: too few, too many, or one that a cast would change. The text says what would.
    #[error("bad values: {0}")]
    BadValues(String),
    /// The column cannot be written in place.
    #[error("column '{column}' cannot be written in place: {reason}")]
    LibraryColumn {
        /// The column.
        column: String,
        /// Why it is not direct.
        reason: String,
    },
    /// The type of the column is not one that h5part reads or writes.
    #[error("column '{column}' has type {dtype}, which h5part does not read or write")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        dtype: String,
    },
    /// The dataset is virtual, or has external storage: it names other files.
    #[error("the values of column '{0}' are in other files, which h5part does not touch")]
    ValuesOutside(String),
    /// The table has no stamps.
    #[error("table '{0}' has no stamps: h5part did not make it")]
    Unstamped(String),
    /// The table has stamps, but not for this column.
    #[error("column '{0}' has no stamp: another program added it to the table, or its type is not supported")]
    UnstampedColumn(String),
    /// A file or record of a newer format.
    #[error("format {found} is newer than this program knows ({known})")]
    NewerFormat {
        /// The format found.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// Too little space.
    #[error("the disk is full{}", space(*.needed, *.available))]
    DiskFull {
        /// Bytes needed, 0 where unknown.
        needed: u64,
        /// Bytes available, 0 where unknown.
        available: u64,
    },
    /// The file would be longer than this process, or the file system, allows.
    #[error("the file-size limit is reached{}", size_text(*.limit))]
    FileSizeLimit {
        /// The limit of the process in bytes, 0 where it is not that.
        limit: u64,
    },
    /// The user's, group's or project's quota is used up.
    #[error("the disk quota is used up")]
    QuotaUsedUp,
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
    #[error("locks here are not visible to every host that may share the file ({0})")]
    UntrustedLocks(String),
    /// The file has several hard links, so two names would have two different locks.
    #[error("the file has {0} hard links: its locks would not be seen under its other names")]
    HardLinked(u64),
    /// Another file was put in the place of the one that was opened.
    #[error("another file has taken its place")]
    Replaced,
    /// `FILE.lock` or `rows.lock` was removed or replaced while the store was in use: those who
    /// come now would not meet those who were there before.
    #[error("its lock files were removed or replaced")]
    LockFileGone,
    /// A column of the table is no longer where it was, or is gone.
    #[error("another program moved or removed column '{0}'")]
    ColumnMoved(String),
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
    /// A column does not hold what the caller has seen there, which the commit was for.
    #[error("row {row} of column '{column}' has changed since it was read")]
    NotAsExpected {
        /// The column.
        column: String,
        /// The row (0-based).
        row: u64,
    },
    /// Two files have different values for one cell.
    #[error("{0}")]
    Disagreement(Box<Disagreement>),
    /// Two files have tables of one name with different columns.
    #[error("table '{table}' has {how}, unlike in {}", .other.display())]
    OtherColumns {
        /// Path of the table.
        table: String,
        /// What is different.
        how: String,
        /// The other file.
        other: PathBuf,
    },
    /// Two files have different values for one attribute.
    #[error("{0}")]
    AttributesDiffer(Box<AttributesDiffer>),
    /// Rows of a column that h5part does not read cannot be merged.
    #[error("column '{column}' of table '{table}' cannot be merged by rows: {why}")]
    NotMergeable {
        /// Path of the table.
        table: String,
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// A writer died while it overwrote values, and nobody has put them back.
    #[error("{cells} values of table '{table}' were left half-written by a writer that died")]
    LeftByDead {
        /// Path of the table.
        table: String,
        /// How many.
        cells: u64,
    },
    /// A committed value does not match its stamp.
    #[error(
        "row {row} of column '{column}' of table '{table}' does not match its stamp: damaged, or changed by another program"
    )]
    Damaged {
        /// Path of the table.
        table: String,
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
    /// The table has stamps already.
    #[error("table '{0}' already has stamps")]
    Adopted(String),
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
    /// An earlier write of this writer failed; nothing after it may be acknowledged.
    #[error("an earlier write of this writer failed; it accepts no more commits")]
    Poisoned,
    /// The group that a commit belonged to failed as a whole.
    #[error("its group failed: {0}")]
    GroupFailed(String),
    /// The claim does not hold any more.
    #[error("task '{task}' is not held by this claim: {how}")]
    Fenced {
        /// Its name.
        task: String,
        /// What became of it.
        how: String,
    },
    /// The file was published: readers rely on it as it is.
    #[error("it is a published file; published files are never changed")]
    Published,
    /// What has the name is no published file of this store.
    #[error("it exists but was not published from this store")]
    NotPublished,
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
}

impl From<io::Error> for ErrorKind {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => Self::not_found(Item::File),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::StorageFull => Self::DiskFull { needed: 0, available: 0 },
            io::ErrorKind::QuotaExceeded => Self::QuotaUsedUp,
            io::ErrorKind::FileTooLarge => Self::FileSizeLimit { limit: size_limit().unwrap_or(0) },
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
    /// A column. Another member of the table that has its name counts as one.
    Column {
        /// Path of the table.
        table: String,
        /// Name of the column.
        column: String,
    },
}

impl Item {
    /// As the subject of a sentence about the error's path.
    fn or_it(&self) -> String {
        if *self == Self::File { "it".to_owned() } else { self.to_string() }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Table(path) => write!(f, "table '{path}'"),
            Self::Group(path) => write!(f, "group '{path}'"),
            Self::Column { table, column } => write!(f, "column '{column}' of table '{table}'"),
        }
    }
}

/// A cell that has different values in two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of column '{column}' of table '{table}' is {value} here, and {other_value} in {}", .other.display())]
pub struct Disagreement {
    /// Path of the table.
    pub table: String,
    /// The column.
    pub column: String,
    /// The row (0-based).
    pub row: u64,
    /// The first element that differs, as it is in the file that the error names.
    pub value: String,
    /// The other file.
    pub other: PathBuf,
    /// The element as it is there.
    pub other_value: String,
}

/// An attribute that has different values in two files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("attribute '{attribute}' of {object} is {value} here, and {other_value} in {}", .other.display())]
pub struct AttributesDiffer {
    /// Path of the object.
    pub object: String,
    /// Name of the attribute.
    pub attribute: String,
    /// The value in the file that the error names.
    pub value: String,
    /// The other file.
    pub other: PathBuf,
    /// The value there.
    pub other_value: String,
}

/// The names that may be meant, as the end of a message.
#[must_use]
pub fn available(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; available: {}", names.join(", ")) }
}

fn space(needed: u64, available: u64) -> String {
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
