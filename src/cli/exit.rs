//! Exit codes: one table for all subcommands, told in `docs/exit-codes.md`.

use h5part::{Error, ErrorKind};
use std::io;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Success = 0,
    /// A check found something wrong, or some requests of a stream failed.
    Found = 1,
    /// The command line, or a text on it, cannot be read.
    Usage = 2,
    /// No such file, table, column, row or task.
    NotFound = 3,
    /// Values of the wrong type, shape or length.
    Mismatch = 4,
    /// Not an HDF5 file or ledger, empty, cut, damaged, or of a newer format.
    BadFile = 5,
    /// A lock was not released in time, another program writes to the file, or another host was not met.
    Locked = 6,
    /// The disk is full, or a quota or a limit on the size of files is reached.
    Full = 7,
    /// File or folder is read-only.
    ReadOnly = 8,
    /// Another program changed, replaced or moved something.
    Foreign = 9,
    /// Column or file system cannot be written in place.
    Unsupported = 10,
    /// The table is there already.
    Exists = 11,
    /// The system refused a call.
    Io = 12,
    /// A task belongs to somebody else now.
    Fenced = 13,
}

/// The end of `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 something was found or failed in part, 2 usage, \
3 no such file, table, column, row or task, 4 values do not fit, 5 not a usable HDF5 file or ledger, 6 a lock was \
not released in time, 7 disk full, 8 read-only, 9 changed by another program, 10 cannot be written \
in place, 11 exists already, 12 I/O error, 13 the task belongs to somebody else";

impl Exit {
    /// The code of an error.
    pub fn of(error: &Error) -> Self {
        Self::of_kind(error.kind())
    }

    /// The code of an error's kind.
    pub fn of_kind(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::NoSuchFile
            | ErrorKind::NoSuchTask(_)
            | ErrorKind::NoSlurm(_)
            | ErrorKind::NoProgram(_)
            | ErrorKind::NothingMeasured
            | ErrorKind::NoSuchTable { .. }
            | ErrorKind::NotATable { .. }
            | ErrorKind::NotAStructure { .. }
            | ErrorKind::NoGroundTruth { .. }
            | ErrorKind::NoSuchGroup(_)
            | ErrorKind::NoSuchColumn { .. }
            | ErrorKind::ColumnIsGroup(_)
            | ErrorKind::RowOutOfRange { .. }
            | ErrorKind::FrameOutOfRange { .. } => Self::NotFound,
            ErrorKind::DuplicateRow(_)
            | ErrorKind::DuplicateFrame(_)
            | ErrorKind::DuplicateTask(_)
            | ErrorKind::EmptySelection
            | ErrorKind::BadRows { .. }
            | ErrorKind::BadColumn { .. }
            | ErrorKind::SeveralGuards(..)
            | ErrorKind::BadRequest(_)
            | ErrorKind::ReservedName(_)
            | ErrorKind::Oversubscribed { .. }
            | ErrorKind::NoSuchWork(_) => Self::Usage,
            ErrorKind::DtypeMismatch { .. }
            | ErrorKind::ShapeMismatch { .. }
            | ErrorKind::BadNpy(_)
            | ErrorKind::NpyType(_)
            | ErrorKind::Disagreement(_)
            | ErrorKind::OtherColumns { .. }
            | ErrorKind::AttributesDiffer(_)
            | ErrorKind::BadValues(_) => Self::Mismatch,
            ErrorKind::NotHdf5(_)
            // What the system refused is told as such: this is what the library makes of the bytes.
            | ErrorKind::Hdf5(_)
            | ErrorKind::Cut { .. }
            | ErrorKind::DamagedChunk { .. }
            | ErrorKind::HalfApplied
            | ErrorKind::LeftByDead { .. }
            | ErrorKind::Damaged { .. }
            | ErrorKind::BundleChanged { .. }
            | ErrorKind::NotALedger(_)
            | ErrorKind::BadText { .. }
            | ErrorKind::DamagedArchive(_)
            | ErrorKind::DamagedTask { .. }
            | ErrorKind::NotMeasurements(_)
            | ErrorKind::NewerFormat { .. } => Self::BadFile,
            ErrorKind::LockTimeout { .. }
            | ErrorKind::NoAnswer { .. }
            | ErrorKind::MarkedOpen { .. }
            | ErrorKind::OpenElsewhere(_) => Self::Locked,
            ErrorKind::DiskFull { .. } | ErrorKind::FileSizeLimit { .. } | ErrorKind::QuotaUsedUp => Self::Full,
            ErrorKind::ReadOnly | ErrorKind::ReadOnlySidecar(_) => Self::ReadOnly,
            ErrorKind::Replaced
            | ErrorKind::LockFileGone
            | ErrorKind::LogAside { .. }
            | ErrorKind::ColumnMoved(_)
            | ErrorKind::ColumnLost { .. }
            | ErrorKind::OtherStore(_)
            | ErrorKind::ForeignChange { .. }
            | ErrorKind::NotAsExpected { .. } => Self::Foreign,
            ErrorKind::LibraryColumn { .. }
            | ErrorKind::UnfitDataset { .. }
            | ErrorKind::NotMergeable { .. }
            | ErrorKind::UnsupportedType { .. }
            | ErrorKind::OffsetsTooSmall { .. }
            | ErrorKind::NotReadBack { .. }
            | ErrorKind::CannotGrow { .. }
            | ErrorKind::NothingToAdopt(_)
            | ErrorKind::ValuesOutside(_)
            | ErrorKind::Unstamped(_)
            | ErrorKind::UnstampedColumn(_)
            | ErrorKind::UntrustedLocks(_)
            | ErrorKind::Published
            | ErrorKind::HardLinked(_) => Self::Unsupported,
            ErrorKind::NoRawData { .. }
            | ErrorKind::TableExists(_)
            | ErrorKind::ColumnExists(_)
            | ErrorKind::BundleExists(_)
            | ErrorKind::Adopted(_)
            | ErrorKind::AlreadyThere
            | ErrorKind::OutputThere
            | ErrorKind::NotReplaced(_)
            | ErrorKind::NotThisKind(_)
            | ErrorKind::NotPublished => Self::Exists,
            ErrorKind::NotCommitted { .. } => Self::Found,
            ErrorKind::Fenced { .. } => Self::Fenced,
            _ => Self::Io,
        }
    }
}

/// Whether the reader of our output went away: nothing is wrong then.
pub fn is_closed_pipe(error: &Error) -> bool {
    let ours = error.path() == "standard output";
    ours && matches!(error.kind(), ErrorKind::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
}
