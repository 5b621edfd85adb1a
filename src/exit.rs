//! How an operation ended, as a number: exit codes of the program, `code` of exceptions in Python. `docs/exit-codes.md`
//! tells them.

use crate::{Error, ErrorKind, doctor, ledger, mbe, merge, publish, vplanet};

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It is done.
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
    /// What is to be made already exists.
    Exists = 11,
    /// The system refused a call.
    Io = 12,
    /// Another worker holds the task now.
    Fenced = 13,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Success,
        Self::Found,
        Self::Usage,
        Self::NotFound,
        Self::Mismatch,
        Self::BadFile,
        Self::Locked,
        Self::Full,
        Self::ReadOnly,
        Self::Foreign,
        Self::Unsupported,
        Self::Exists,
        Self::Io,
        Self::Fenced,
    ];

    /// The code of an error.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        Self::of_kind(error.kind())
    }

    fn of_kind(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound { .. }
            | ErrorKind::WrongObject { .. }
            | ErrorKind::RowOutOfRange { .. } => Self::NotFound,
            ErrorKind::BadRows(_)
            | ErrorKind::BadColumn { .. }
            | ErrorKind::BadRequest(_)
            | ErrorKind::ReservedName(_) => Self::Usage,
            ErrorKind::DtypeMismatch { .. }
            | ErrorKind::BadValues(_) => Self::Mismatch,
            ErrorKind::NotHdf5(_)
            // What the system refused is told as such: this is what the library makes of the bytes.
            | ErrorKind::Hdf5(_)
            | ErrorKind::Cut { .. }
            | ErrorKind::DamagedChunk { .. }
            | ErrorKind::HalfApplied
            | ErrorKind::BundleChanged { .. }
            | ErrorKind::NewerFormat { .. } => Self::BadFile,
            ErrorKind::LockTimeout { .. }
            | ErrorKind::Interrupted(_)
            | ErrorKind::OpenForWriting { .. } => Self::Locked,
            ErrorKind::NoSpace(_) => Self::Full,
            ErrorKind::ReadOnly(_) => Self::ReadOnly,
            ErrorKind::Replaced(_)
            | ErrorKind::LogAside { .. }
            | ErrorKind::ColumnLost { .. }
            | ErrorKind::ForeignChange { .. }
            | ErrorKind::NotAsExpected { .. } => Self::Foreign,
            ErrorKind::LibraryColumn { .. }
            | ErrorKind::UnsupportedColumn { .. }
            | ErrorKind::FormatLimit(_)
            | ErrorKind::CannotGrow { .. }
            | ErrorKind::NothingToAdopt(_)
            | ErrorKind::Unstamped(_)
            | ErrorKind::UntrustedLocks { .. }
            | ErrorKind::Published
            | ErrorKind::HardLinked(_) => Self::Unsupported,
            ErrorKind::AlreadyExists(_) => Self::Exists,
            ErrorKind::Fenced { .. } => Self::Fenced,
            ErrorKind::Io(_) | ErrorKind::Poisoned | ErrorKind::GroupFailed(_) | ErrorKind::StillOpen => Self::Io,
            ErrorKind::Other(_) => Self::of_other(kind),
        }
    }

    /// The code of a kind of another crate.
    fn of_other(kind: &ErrorKind) -> Self {
        None.or_else(|| kind.of().map(Self::of_merge))
            .or_else(|| kind.of().map(Self::of_publish))
            .or_else(|| kind.of().map(Self::of_tasks))
            .or_else(|| kind.of().map(Self::of_mbe))
            .or_else(|| kind.of().map(Self::of_vplanet))
            .or_else(|| kind.of().map(Self::of_doctor))
            .unwrap_or(Self::Io)
    }

    fn of_merge(kind: &merge::ErrorKind) -> Self {
        use merge::ErrorKind as Kind;
        match kind {
            Kind::Disagreement(_) | Kind::OtherColumns { .. } | Kind::AttributesDiffer(_) => Self::Mismatch,
            Kind::LeftByDead { .. } | Kind::Damaged { .. } => Self::BadFile,
            Kind::NotMergeable { .. } => Self::Unsupported,
        }
    }

    fn of_publish(kind: &publish::ErrorKind) -> Self {
        use publish::ErrorKind as Kind;
        match kind {
            Kind::NotPublished => Self::Exists,
        }
    }

    fn of_tasks(kind: &ledger::ErrorKind) -> Self {
        use ledger::ErrorKind as Kind;
        match kind {
            Kind::NotCommitted { .. } => Self::Found,
            Kind::DuplicateTask(_) | Kind::Oversubscribed { .. } | Kind::NoSuchWork(_) => Self::Usage,
            Kind::NoSuchTask(_) | Kind::NoSlurm(_) | Kind::NoProgram(_) | Kind::NothingMeasured => Self::NotFound,
            Kind::NotALedger(_) | Kind::DamagedTask { .. } | Kind::NotMeasurements(_) => Self::BadFile,
            Kind::NoStore | Kind::OtherStore(_) => Self::Foreign,
            Kind::Worker { .. } | Kind::PoolClosed | Kind::Slurm { .. } | Kind::NoShard(_) | Kind::NotServing => {
                Self::Io
            }
        }
    }

    fn of_mbe(kind: &mbe::ErrorKind) -> Self {
        use mbe::ErrorKind as Kind;
        match kind {
            Kind::DuplicateFrame(_) => Self::Usage,
            Kind::NotAStructure { .. } | Kind::NoGroundTruth { .. } | Kind::FrameOutOfRange { .. } => Self::NotFound,
            Kind::UnfitDataset { .. } => Self::Unsupported,
        }
    }

    fn of_vplanet(kind: &vplanet::ErrorKind) -> Self {
        use vplanet::ErrorKind as Kind;
        match kind {
            Kind::BadText { .. } | Kind::DamagedArchive(_) => Self::BadFile,
            Kind::NoRawData { .. } => Self::Exists,
        }
    }

    fn of_doctor(kind: &doctor::ErrorKind) -> Self {
        use doctor::ErrorKind as Kind;
        match kind {
            Kind::NoAnswer { .. } => Self::Locked,
        }
    }
}
