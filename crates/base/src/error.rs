//! One error type for the whole crate: what failed, on which path, why, and what to do.
//!
//! Pure modules return an [`ErrorKind`]; whoever knows the file attaches operation and path with
//! [`At::at`]. The binary maps every kind to an exit code (`docs/exit-codes.md`).

use nix::libc::RLIM_INFINITY;
use nix::sys::resource::{Resource, getrlimit};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Result of the crate's fallible operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What failed (`operation`), on which `path`, and why ([`ErrorKind`]).
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: &'static str,
    path: PathBuf,
    kind: ErrorKind,
}

/// Why an operation failed; typed, so that a program can tell the cases apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system refused a read, write, open, rename or lock call.
    #[error("{0}")]
    Io(#[source] io::Error),
    /// The HDF5 library reported an error.
    #[error("HDF5: {0}")]
    Hdf5(String),
    /// There is no such file.
    #[error("no such file")]
    NoSuchFile,
    /// The bytes are not an HDF5 file that can be opened.
    #[error("not a usable HDF5 file: {0}")]
    NotHdf5(String),
    /// The file ends before the data that its own metadata promises.
    #[error("the file is cut: it has {found} bytes where its metadata needs {expected}")]
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
    #[error("its addresses have {bytes} bytes and end at {most}, and {needed} would be needed")]
    OffsetsTooSmall {
        /// Bytes per address or length.
        bytes: u8,
        /// What would have to be said with them.
        needed: u64,
        /// The most that can be said with them.
        most: u64,
    },
    /// In files whose lengths have few bytes HDF5 writes some attributes that it cannot read again.
    #[error("HDF5 could not read {what} again: the lengths of the file have only {bytes} bytes")]
    NotReadBack {
        /// The object, or the attribute.
        what: String,
        /// Bytes per length.
        bytes: u8,
    },
    /// A name that h5part keeps for what it writes itself.
    #[error("the name '{0}' is reserved: names that begin with 'h5part_', and '__h5part__', are h5part's own")]
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
    /// The table's path names nothing in the file.
    #[error("no table '{table}'{}", list(.known))]
    NoSuchTable {
        /// The name that was asked for.
        table: String,
        /// The tables that are there.
        known: Vec<String>,
    },
    /// The path exists but is not a group of datasets that share their first axis.
    #[error("'{name}' is {what}, not a table")]
    NotATable {
        /// The path in the file.
        name: String,
        /// What was found there.
        what: &'static str,
    },
    /// The group is none of `mbe_automation`'s structures.
    #[error("'{key}' is {what}, not a Structure{}", list(.known))]
    NotAStructure {
        /// The group.
        key: String,
        /// What it is.
        what: String,
        /// The structures that are there.
        known: Vec<String>,
    },
    /// There is no such ground truth.
    #[error("no {what} of '{method}' in '{key}'{}", list(.known))]
    NoGroundTruth {
        /// The structure.
        key: String,
        /// Level of theory.
        method: String,
        /// What is not there: ground truth at all, energies, forces, stamps.
        what: &'static str,
        /// The methods that are there.
        known: Vec<String>,
    },
    /// A dataset that another program made is not what its name says.
    #[error("dataset '{name}' is {found}, and must be {expected}")]
    UnfitDataset {
        /// Its name.
        name: String,
        /// Type and shape that it has.
        found: String,
        /// Type and shape that it must have.
        expected: String,
    },
    /// The table to be made is there already.
    #[error("table '{0}' exists already")]
    TableExists(String),
    /// The path names nothing in the file.
    #[error("no group '{0}'")]
    NoSuchGroup(String),
    /// The bundle to be added is there already.
    #[error("'{0}' is there already")]
    BundleExists(String),
    /// A bundle does not match its checksum, or what it was made of.
    #[error("'{path}' {how}")]
    BundleChanged {
        /// Its path in the file.
        path: String,
        /// In which way.
        how: String,
    },
    /// The table has a column, or something else, of this name.
    #[error("'{0}' exists already in the table")]
    ColumnExists(String),
    /// The table has no such column.
    #[error("table '{table}' has no column '{column}'{}", list(.known))]
    NoSuchColumn {
        /// Path of the table in the file.
        table: String,
        /// The name that was asked for.
        column: String,
        /// The columns that are there.
        known: Vec<String>,
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
    /// A frame beyond the last one of a structure.
    #[error("frame {frame} is out of range: the structure has {frames} frames")]
    FrameOutOfRange {
        /// The frame that was asked for (0-based).
        frame: u64,
        /// Number of frames of the structure.
        frames: u64,
    },
    /// One frame was named twice.
    #[error("frame {0} is named twice")]
    DuplicateFrame(u64),
    /// A commit of columns that have different guards.
    #[error("columns '{0}' and '{1}' have different guards, and a commit has one")]
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
    #[error("column '{column}' is {expected}, the values are {found}")]
    DtypeMismatch {
        /// The column.
        column: String,
        /// Its element type.
        expected: String,
        /// The type of the values.
        found: String,
    },
    /// Values of another shape or length than rows x cell.
    #[error("column '{column}' takes values of shape {expected}, got {found}")]
    ShapeMismatch {
        /// The column.
        column: String,
        /// The shape needed.
        expected: String,
        /// The shape given.
        found: String,
    },
    /// A `.npy` file of a type that tables do not hold.
    #[error("its type '{0}' is not supported")]
    NpyType(String),
    /// A `.npy` file that cannot be read.
    #[error("not a usable .npy file: {0}")]
    BadNpy(String),
    /// Names in an archive that lead astray: a program was killed while it wrote it.
    #[error("the archive is damaged: {0}")]
    DamagedArchive(String),
    /// An archive has trials whose raw data are gone.
    #[error("it has trials that are not in {}: {}", .folder.display(), .trials.join(", "))]
    NoRawData {
        /// Where the others are.
        folder: PathBuf,
        /// Their names.
        trials: Vec<String>,
    },
    /// A text file of another program that cannot be read.
    #[error("{}{what}", of_line(*.line))]
    BadText {
        /// Number of the line, from 1; 0: it is about the whole.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// A program that is needed is not there.
    #[error("there is no program '{0}' on the PATH")]
    NoProgram(String),
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
    #[error("the values of column '{0}' are in other files, which are not touched")]
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
    #[error("a limit on the size of files is reached{}", size_text(*.limit))]
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
    /// Somebody who was asked, or awaited, said nothing.
    #[error("nothing came after {waited_s:.1} s from {what}")]
    NoAnswer {
        /// From whom.
        what: String,
        /// How long it was waited for, in seconds.
        waited_s: f64,
    },
    /// Advisory locks of this file system do not reach every process that may share the file.
    #[error("its locks do not reach all who may share the file ({0})")]
    UntrustedLocks(String),
    /// The file has several hard links, so two names would have two different locks.
    #[error("the file has {0} hard links: its locks would not be seen under its other names")]
    HardLinked(u64),
    /// Another file was put in the place of the one that was opened.
    #[error("another file was put in its place")]
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
    #[error("row {row} of column '{column}' was written meanwhile")]
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
    #[error("table '{table}' has {how}, other than in {}", .other.display())]
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
    #[error("table '{0}' has stamps already")]
    Adopted(String),
    /// Objects of the file are still in use where a structural change is to end.
    #[error("groups, datasets or attributes of the file are still open in the library")]
    StillOpen,
    /// A structural change was interrupted while it was applied, and this user may not finish it.
    #[error("a structural change of it was interrupted half-way, and this user may not write to it")]
    HalfApplied,
    /// The log of a structural change that does not belong to the file, or is damaged.
    #[error("the log of a structural change {why}; it was not applied, and is kept as {}", .kept.display())]
    LogAside {
        /// What is wrong with it.
        why: &'static str,
        /// Where it is now.
        kept: PathBuf,
    },
    /// An earlier write of this writer failed; nothing after it may be acknowledged.
    #[error("an earlier write of this writer failed; it takes no more commits")]
    Poisoned,
    /// The group that a commit belonged to failed as a whole.
    #[error("its group failed: {0}")]
    GroupFailed(String),
    /// The file is no ledger, or its header is damaged.
    #[error("not a usable ledger: {0}")]
    NotALedger(String),
    /// A slot, or a name, of a ledger does not fit its checksum.
    #[error("the ledger is damaged where it has task {task}")]
    DamagedTask {
        /// Its position in the order of claims.
        task: u64,
    },
    /// The ledger has no such task.
    #[error("no task '{0}'")]
    NoSuchTask(String),
    /// Two tasks have this name.
    #[error("two tasks have the name '{0}'")]
    DuplicateTask(String),
    /// The claim does not hold any more.
    #[error("task '{task}' is not held by this claim: {how}")]
    Fenced {
        /// Its name.
        task: String,
        /// What became of it.
        how: String,
    },
    /// A task's rows are not in the store.
    #[error("{}", not_committed(.rows, .missing, .present))]
    NotCommitted {
        /// Its name.
        task: String,
        /// Its rows.
        rows: std::ops::Range<u64>,
        /// The columns that some of its rows lack.
        missing: Vec<String>,
        /// The columns that all of its rows have.
        present: Vec<String>,
    },
    /// The ledger was made for another store.
    #[error("the ledger belongs to another store: {0}")]
    OtherStore(String),
    /// The file holds no measurements.
    #[error("not a file of measurements: {0}")]
    NotMeasurements(&'static str),
    /// The folder holds no files of measurements.
    #[error("nothing was measured: it holds no *.jsonl")]
    NothingMeasured,
    /// The file was published: readers rely on it as it is.
    #[error("the file is a published one, which is never changed")]
    Published,
    /// What has the name is no published file of this store.
    #[error("it is there, and is no published file of this store")]
    NotPublished,
    /// There is a file of that name.
    #[error("it exists already")]
    AlreadyThere,
    /// An output that is there, which is made anew only when that is asked for.
    #[error("there is one already")]
    OutputThere,
    /// A file that is never replaced has the name of an output.
    #[error("it is {0}, which is not replaced")]
    NotReplaced(&'static str),
    /// What has the name of an output is of another kind.
    #[error("it already exists and is not {0}")]
    NotThisKind(&'static str),
    /// A worker process ended in a way it should not.
    #[error("worker {worker} {how}")]
    Worker {
        /// Number of the worker.
        worker: usize,
        /// How it ended.
        how: String,
    },
    /// More workers, with their own, than there are cores.
    #[error("{workers} workers of {threads} threads each would share {cores} cores")]
    Oversubscribed {
        /// Workers that were asked for.
        workers: usize,
        /// Threads in each.
        threads: usize,
        /// Cores that may be used.
        cores: usize,
    },
    /// The pool takes no more tasks, or none of this run.
    #[error("it was shut down, or the run was cancelled")]
    PoolClosed,
    /// The works of the program do not include this one.
    #[error("no work '{0}' is registered")]
    NoSuchWork(String),
    /// SLURM's programs are not here.
    #[error("there is no '{0}' on the PATH")]
    NoSlurm(String),
    /// A program of SLURM refused.
    #[error("'{program}' refused: {message}")]
    Slurm {
        /// Its name.
        program: String,
        /// Its own words.
        message: String,
    },
    /// Worker processes would run the whole program again.
    #[error("this program has not called 'h5part::pool::serve'")]
    NotServing,
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

fn list(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; there is: {}", names.join(", ")) }
}

/// The first columns of many.
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

fn not_committed(rows: &std::ops::Range<u64>, missing: &[String], present: &[String]) -> String {
    let (s, are) = if missing.len() == 1 { ("", "is") } else { ("s", "are") };
    let (start, end) = (rows.start, rows.end);
    let text = format!("column{s} {} of rows {start}:{end} {are} not committed", some_of(missing));
    match present {
        [] => text,
        [one] => format!("{text} ('{one}' is)"),
        several => format!("{text} ({} are)", some_of(several)),
    }
}

fn of_line(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

fn space(needed: u64, available: u64) -> String {
    match (needed, available) {
        (0, _) => String::new(),
        (n, a) => format!(": {n} bytes are needed, {a} are free"),
    }
}

fn size_text(limit: u64) -> String {
    if limit == 0 { String::new() } else { format!(": this process may write files of {limit} bytes at most") }
}

/// How long the files are that this process may write, in bytes, where that is limited.
pub fn size_limit() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_FSIZE).ok()?;
    (soft != RLIM_INFINITY).then_some(soft)
}

impl ErrorKind {
    /// What the user can do about it, where there is something.
    #[must_use]
    #[expect(clippy::too_many_lines, reason = "a line for each kind")]
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoSuchFile => "check the path",
            Self::NotHdf5(_) => "check that the path names an HDF5 file that was written to its end",
            Self::MarkedOpen { .. } => {
                "wait until that program has closed it; if it is dead, clear the mark with 'h5part recover --clear-marks FILE'"
            }
            Self::OpenElsewhere(_) => "wait until that program has closed it, or end it",
            Self::OffsetsTooSmall { .. } | Self::NotReadBack { .. } => {
                "use another file: the size of addresses and lengths is fixed when a file is made"
            }
            Self::ReservedName(_) | Self::NotReplaced(_) => "choose another name",
            Self::FileSizeLimit { .. } => {
                "raise the limit ('ulimit -f', or that of the job), and run the command again"
            }
            Self::QuotaUsedUp => "free some of it (see 'quota'), and run the command again",
            Self::Hdf5(_) => "look at the file with 'h5part verify FILE'; if it is damaged, restore it from a copy",
            Self::DamagedChunk { .. } => "restore the file from a copy, or compute these rows again",
            Self::Cut { .. } => "restore the file from a copy; nothing was written to it",
            Self::ReadOnlySidecar(_) => "change the permissions of that folder and of what is in it",
            Self::ReadOnly => "change the permissions, or work on a copy",
            Self::NoSuchGroup(_) => "list what is there with 'h5ls FILE'",
            Self::NoSuchTable { .. } | Self::NotATable { .. } => "list the tables with 'h5part info FILE'",
            Self::NotAStructure { .. } => "list them with 'h5part mbe status FILE'",
            Self::NoGroundTruth { .. } => "prepare it with 'h5part mbe init'",
            Self::UnfitDataset { .. } => "convert it with the program that made it; nothing was changed",
            Self::TableExists(_) => "choose another name; an existing table is never overwritten",
            Self::BundleExists(_) => "choose another name, or replace it knowingly",
            Self::ColumnExists(_) => "choose another name; an existing column is never overwritten",
            Self::BundleChanged { .. } => "restore the file from a copy, or add it again from what it was made of",
            Self::NoSuchColumn { .. } | Self::ColumnIsGroup(_) => "list the columns with 'h5part info FILE'",
            Self::RowOutOfRange { .. } => "rows are counted from 0",
            Self::DuplicateRow(_) => "name each row once",
            Self::SeveralGuards(..) => "commit the columns of each guard by themselves; see 'h5part info FILE'",
            Self::FrameOutOfRange { .. } => "frames are counted from 0",
            Self::DuplicateFrame(_) => "name each frame once",
            Self::EmptySelection => "name at least one, e.g. 0:10",
            Self::BadRows { .. } => "use 7, -1, 0:100, 0:100:2, a list with commas, @indices.npy or @mask.npy",
            Self::BadColumn { .. } => "use NAME:DTYPE[:SHAPE][=FILL], e.g. forces:f64:100x3",
            Self::DtypeMismatch { .. } => "convert the values, or allow the conversion with --cast",
            Self::ShapeMismatch { .. } => "the first axis of the values counts the rows selected",
            Self::DamagedArchive(_) => {
                "archive the raw data again with -o: a new file is built beside and takes the name"
            }
            Self::NoRawData { .. } => {
                "archive without -o, which adds to it; or move the file away, if they may be lost"
            }
            Self::BadText { .. } => "correct it, or make it again",
            Self::NoProgram(_) => "install it, or name it with its path",
            Self::NpyType(_) => "f4, f8, i1 to i8, u1 to u8 and bool are: convert it with astype",
            Self::BadNpy(_) => "write it with numpy.save",
            Self::LibraryColumn { .. } => "see 'h5part info FILE'; columns made by 'h5part create' can be written",
            Self::UnsupportedType { .. } => "numbers of 8 to 64 bits and bool are supported",
            Self::ValuesOutside(_) => "copy them into the file, e.g. with h5repack",
            Self::Unstamped(_) => "give it some with 'h5part adopt'",
            Self::UnstampedColumn(_) => "give it some with 'h5part adopt FILE TABLE --column NAME'",
            Self::NewerFormat { .. } => "use a newer h5part; nothing was touched",
            Self::DiskFull { .. } => "free some space and run the command again",
            Self::LockTimeout { .. } => "end that process, or wait longer with --timeout",
            Self::NoAnswer { .. } => "see that it runs and sees the same folder, or wait longer with --timeout",
            Self::UntrustedLocks(_) => {
                "see 'h5part doctor'; let each worker write a file of its own and 'h5part merge' them, or overrule with --trust-locks if one host \
                 alone writes"
            }
            Self::HardLinked(_) => "keep one name, e.g. by a copy; a symbolic link is fine",
            Self::Replaced | Self::ColumnMoved(_) => "open the file again",
            Self::ColumnLost { .. } => {
                "restore it from a copy, or acknowledge the loss with 'h5part verify FILE --repair --accept-loss'"
            }
            Self::LockFileGone => "end all programs that use the file, then start them again",
            Self::ForeignChange { .. } => "overwrite it knowingly with --accept-foreign, or read it first",
            Self::NotAsExpected { .. } => "read it again; nothing was written",
            Self::CannotGrow { .. } => {
                "make a larger table; those of 'h5part create' grow unless they are --contiguous"
            }
            Self::Disagreement(_) => {
                "find out which is right, and reset the row in the other; nothing of it was written"
            }
            Self::AttributesDiffer(_) => {
                "make them the same with 'h5part attr', or keep those of the first file with --attrs first"
            }
            Self::NotMergeable { .. } => "give it the same values in all files, or merge other tables with --tables",
            Self::OtherColumns { .. } => "merge files of the same tables; see 'h5part info' of both",
            Self::LeftByDead { .. } => "put them back with 'h5part recover'",
            Self::Damaged { .. } => "look at it with 'h5part verify'; nothing of it was merged",
            Self::NothingToAdopt(_) => "see 'h5part info FILE'; they can be read, published and merged as they are",
            Self::Adopted(_) => {
                "it can be updated as it is; --column adopts further columns, --again does all of it anew"
            }
            Self::StillOpen => "drop them before the change ends; nothing was changed",
            Self::HalfApplied => "let a user who may write to it run 'h5part recover FILE'",
            Self::LogAside { .. } => "run the command again to go on without it, if the file is as it should be",
            Self::NotALedger(_) => "make one with 'h5part ledger init'",
            Self::DamagedTask { .. } => "make a new ledger; 'h5part ledger reconcile' finds what is done in the store",
            Self::NoSuchTask(_) => "list the tasks with 'h5part ledger list LEDGER'",
            Self::DuplicateTask(_) => "give each task a name of its own",
            Self::Fenced { .. } => "claim a task again; nothing was written",
            Self::NotCommitted { .. } => {
                "commit them, or name the columns that make a task done with 'h5part ledger init --columns'"
            }
            Self::OtherStore(_) => "name the store that the ledger was made for, or make a new ledger",
            Self::NotMeasurements(_) => "give the folder of a run's measurements, a file of it, or the run's ledger",
            Self::NothingMeasured => "check the path: each worker's file is made when its monitor is opened",
            Self::Published => "change the working file and publish it again, or work on a copy made with h5repack",
            Self::NotPublished => "choose another name; only what 'h5part publish' has made of this store is replaced",
            Self::OutputThere => "choose another name, or -o makes it anew",
            Self::NotThisKind(_) => "choose another name, or pass --force to replace it",
            Self::AlreadyThere => "choose another name; nothing is overwritten",
            Self::Poisoned => "open a new writer; what was acknowledged is safe",
            Self::Oversubscribed { .. } => {
                "ask for fewer, or leave one of the numbers out; 'oversubscribe' in the configuration overrules this"
            }
            Self::PoolClosed => "open another pool, or begin another run",
            Self::NoSuchWork(_) => "add it to the registry that the pool is opened with",
            Self::NoSlurm(_) => "run it on a host of a SLURM cluster, or choose another --mode",
            Self::NotServing => "call it at the start of main: worker processes are the same program, and stay in it",
            Self::Io(_)
            | Self::BadRequest(_)
            | Self::BadValues(_)
            | Self::GroupFailed(_)
            | Self::Worker { .. }
            | Self::Slurm { .. } => return None,
        })
    }

    /// Attach the operation and the path it was working on.
    #[must_use]
    pub fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Error {
        Error(Box::new(Inner { operation, path: path.as_ref().to_path_buf(), kind: self }))
    }
}

impl From<io::Error> for ErrorKind {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::NotFound => Self::NoSuchFile,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::StorageFull => Self::DiskFull { needed: 0, available: 0 },
            io::ErrorKind::QuotaExceeded => Self::QuotaUsedUp,
            io::ErrorKind::FileTooLarge => Self::FileSizeLimit { limit: size_limit().unwrap_or(0) },
            _ => Self::Io(e),
        }
    }
}

impl From<ErrorKind> for Error {
    /// For what fails without a file: a text that cannot be read, values of another type. Where there is a file,
    /// [`At::at`] says which one.
    fn from(kind: ErrorKind) -> Self {
        kind.at("", "")
    }
}

impl Error {
    /// Why it failed.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The path it failed on. Empty where no file was involved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// What was being done. Empty where no file was involved.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The same operation and path, for another reason.
    #[must_use]
    pub fn map_kind(mut self, map: impl FnOnce(ErrorKind) -> ErrorKind) -> Self {
        self.0.kind = map(self.0.kind);
        self
    }

    /// The kind alone, to be attached elsewhere.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.0.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "cannot {} {}: ", self.0.operation, self.0.path.display())?;
        }
        write!(f, "{}", self.0.kind)?;
        match self.0.kind.remedy() {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.0.kind)
    }
}

/// Attaches operation and path to anything that can become an [`ErrorKind`].
pub trait At<T> {
    /// `read(..).at("read", path)?`
    ///
    /// # Errors
    /// The same failure, with its context.
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<ErrorKind>> At<T> for Result<T, E> {
    fn at(self, operation: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| e.into().at(operation, path))
    }
}
