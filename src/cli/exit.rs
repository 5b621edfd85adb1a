//! Exit codes: one table for all subcommands, told in `docs/exit-codes.md`.

use super::outputs;
use h5part::{Error, ErrorKind, doctor, ledger, mbe, vplanet};
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
    /// What is to be made already exists.
    Exists = 11,
    /// The system refused a call.
    Io = 12,
    /// Another worker holds the task now.
    Fenced = 13,
}

/// The end of `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 something was found or failed in part, 2 usage, \
3 no such file, table, column, row or task, 4 values do not fit, 5 not a usable HDF5 file or ledger, 6 a lock was \
not released in time, 7 disk full, 8 read-only, 9 changed by another program, 10 cannot be written \
in place, 11 already exists, 12 I/O error, 13 another worker holds the task";

impl Exit {
    /// The code of an error.
    pub fn of(error: &Error) -> Self {
        Self::of_kind(error.kind())
    }

    fn of_kind(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound { .. }
            | ErrorKind::NotATable { .. }
            | ErrorKind::ColumnIsGroup(_)
            | ErrorKind::RowOutOfRange { .. } => Self::NotFound,
            ErrorKind::DuplicateRow(_)
            | ErrorKind::EmptySelection
            | ErrorKind::BadRows { .. }
            | ErrorKind::BadColumn { .. }
            | ErrorKind::SeveralGuards(..)
            | ErrorKind::BadRequest(_)
            | ErrorKind::ReservedName(_) => Self::Usage,
            ErrorKind::DtypeMismatch { .. }
            | ErrorKind::ShapeMismatch { .. }
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
            | ErrorKind::NewerFormat { .. } => Self::BadFile,
            ErrorKind::LockTimeout { .. } | ErrorKind::MarkedOpen { .. } | ErrorKind::OpenElsewhere(_) => Self::Locked,
            ErrorKind::DiskFull { .. } | ErrorKind::FileSizeLimit { .. } | ErrorKind::QuotaUsedUp => Self::Full,
            ErrorKind::ReadOnly | ErrorKind::ReadOnlySidecar(_) => Self::ReadOnly,
            ErrorKind::Replaced
            | ErrorKind::LockFileGone
            | ErrorKind::LogAside { .. }
            | ErrorKind::ColumnMoved(_)
            | ErrorKind::ColumnLost { .. }
            | ErrorKind::ForeignChange { .. }
            | ErrorKind::NotAsExpected { .. } => Self::Foreign,
            ErrorKind::LibraryColumn { .. }
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
            ErrorKind::AlreadyExists(_) | ErrorKind::Adopted(_) | ErrorKind::NotPublished => Self::Exists,
            ErrorKind::Fenced { .. } => Self::Fenced,
            ErrorKind::Io(_) | ErrorKind::Poisoned | ErrorKind::GroupFailed(_) | ErrorKind::StillOpen => Self::Io,
            ErrorKind::Other(_) => Self::of_other(kind),
        }
    }

    /// The code of a kind of another crate.
    fn of_other(kind: &ErrorKind) -> Self {
        None.or_else(|| kind.of().map(Self::of_tasks))
            .or_else(|| kind.of().map(Self::of_mbe))
            .or_else(|| kind.of().map(Self::of_vplanet))
            .or_else(|| kind.of().map(Self::of_input))
            .or_else(|| kind.of().map(Self::of_doctor))
            .or_else(|| kind.of().map(Self::of_output))
            .unwrap_or(Self::Io)
    }

    fn of_tasks(kind: &ledger::ErrorKind) -> Self {
        use ledger::ErrorKind as Kind;
        match kind {
            Kind::NotCommitted { .. } => Self::Found,
            Kind::DuplicateTask(_) | Kind::Oversubscribed { .. } | Kind::NoSuchWork(_) => Self::Usage,
            Kind::NoSuchTask(_) | Kind::NoSlurm(_) | Kind::NoProgram(_) | Kind::NothingMeasured => Self::NotFound,
            Kind::NotALedger(_) | Kind::DamagedTask { .. } | Kind::NotMeasurements(_) => Self::BadFile,
            Kind::NoStore | Kind::OtherStore(_) => Self::Foreign,
            Kind::Worker { .. } | Kind::PoolClosed | Kind::Slurm { .. } | Kind::NotServing => Self::Io,
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

    fn of_input(kind: &h5part_input::ErrorKind) -> Self {
        use h5part_input::ErrorKind as Kind;
        match kind {
            Kind::BadNpy(_) | Kind::NpyType(_) => Self::Mismatch,
        }
    }

    fn of_doctor(kind: &doctor::ErrorKind) -> Self {
        use doctor::ErrorKind as Kind;
        match kind {
            Kind::NoAnswer { .. } => Self::Locked,
        }
    }

    fn of_output(kind: &outputs::ErrorKind) -> Self {
        use outputs::ErrorKind as Kind;
        match kind {
            Kind::Exists | Kind::NotReplaced(_) | Kind::OtherKind(_) => Self::Exists,
        }
    }
}

/// Whether the reader of our output went away: nothing is wrong then.
pub fn is_closed_pipe(error: &Error) -> bool {
    let ours = error.path() == "standard output";
    ours && matches!(error.kind(), ErrorKind::Io(e) if e.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    const SOURCE: &str = include_str!("exit.rs");
    const PAGE: &str = include_str!("../../docs/exit-codes.md");

    /// The kinds that the match arms above name, each with the name of its code. The compiler sees to it that these are
    /// all kinds.
    fn kinds() -> Vec<(String, String)> {
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
        let (_, maps) = SOURCE.split_once("fn of_kind").expect("it is above");
        let (maps, _) = maps.split_once("/// Whether the reader").expect("it is above");
        let arms: Vec<&str> = maps.split("=> Self::").collect();
        let pairs = arms.windows(2).flat_map(|arm| {
            arm[0].split("Kind::").skip(1).map(move |kind| (name(kind), name(arm[1]))).collect::<Vec<_>>()
        });
        pairs.filter(|(kind, _)| kind != "Other").collect()
    }

    #[test]
    fn every_kind_is_on_the_page_with_its_code() {
        let (codes, _) = SOURCE.split_once("/// The end of `--help`.").expect("it is above");
        let (_, page) = PAGE.split_once("## Kinds of errors").expect("the section");
        let kinds = kinds();
        assert!(kinds.len() > 80, "{}", kinds.len());
        for (kind, code) in &kinds {
            let number = codes.split_once(&format!("    {code} = ")).and_then(|(_, rest)| rest.split_once(','));
            let (number, _) = number.unwrap_or_else(|| panic!("no code {code}"));
            let row = page.lines().find(|line| line.starts_with(&format!("| {number} |")));
            let is_there =
                |row: &str| [format!("`{kind}`"), format!("::{kind}`")].iter().any(|name| row.contains(name));
            assert!(row.is_some_and(is_there), "{kind} is not in the row of code {number}");
        }
        let listed =
            page.lines().filter(|line| line.starts_with("| ")).flat_map(|line| line.split('`').skip(1).step_by(2));
        assert_eq!(listed.count(), kinds.len(), "the page lists a kind that does not exist");
    }
}
