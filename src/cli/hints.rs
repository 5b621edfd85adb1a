//! Hints on what a user can do about an error. The library states facts; only the program knows its options.

use super::outputs;
use h5part::verify::Remedy;
use h5part::{Error, ErrorKind, Gone, Item, Misfit, RowsFault, Shortage, doctor, ledger, mbe, merge, publish, vplanet};

/// The hint for an error, if there is one.
pub fn of(error: &Error) -> Option<&'static str> {
    of_kind(error.kind())
}

/// What to do about a finding of `verify`, by the commands of this program where they differ from what the library says.
pub fn of_remedy(remedy: Remedy) -> String {
    match remedy {
        Remedy::CompareOrAccept => "compare with a copy; --repair --accept-foreign accepts them as they are".to_owned(),
        Remedy::Accept => "--repair --accept-foreign makes them count as committed".to_owned(),
        Remedy::RestoreOrAcceptLoss => "restore it from a copy; --repair --accept-loss accepts the loss".to_owned(),
        Remedy::Recover => "run 'h5part recover', or --repair".to_owned(),
        Remedy::RecoverOrReset => "'h5part recover' puts old values back, --repair makes the rest not there; with \
                                   --accept-foreign those that the guard calls complete are values"
            .to_owned(),
        Remedy::SetAside => "'h5part recover' keeps it aside".to_owned(),
        Remedy::CloseOrClearMark => {
            "close it in the program that writes to it; if that is dead, 'h5part recover --clear-marks'".to_owned()
        }
        Remedy::Adopt => "'h5part adopt' gives it stamps".to_owned(),
        Remedy::CompareOrAdopt => "compare with a copy; 'h5part adopt' gives it new ones".to_owned(),
        other => other.to_string(),
    }
}

/// What to do after a verdict of `doctor`. It names the commands of this program where the library only states facts.
pub fn of_doctor_remedy(remedy: doctor::Remedy) -> &'static str {
    use doctor::Remedy;
    match remedy {
        Remedy::ShareByNfs => {
            "let every host write with --shared nfs, let each worker write a file of its own and 'h5part merge' them, or \
             let one host alone write and say so with --trust-locks"
        }
        Remedy::WriteElsewhere => {
            "let each worker write a file of its own and 'h5part merge' them, write on the host's own disk, or let one \
             host alone write and say so with --trust-locks"
        }
        Remedy::OwnFilesOrOneHost => {
            "let each worker write a file of its own and 'h5part merge' them, or let one host alone write"
        }
        Remedy::OtherFileSystem => {
            "write on another file system, or let each worker write a file of its own and 'h5part merge' them"
        }
        Remedy::MountWithFlockOrOneHost => {
            "mount it with 'flock' on all hosts; until then let each worker write a file of its own and 'h5part merge' \
             them, or one host alone write, with --trust-locks"
        }
        Remedy::TestAndTrust => {
            "test it with 'h5part doctor --listen' and '--peer'; if all holds, write with --trust-locks; else let each \
             worker write a file of its own and 'h5part merge' them"
        }
        Remedy::TestBetweenHosts => {
            "before several hosts write, run 'h5part doctor FOLDER --listen' on one and 'h5part doctor FOLDER --peer' \
             on another"
        }
        other => other.as_str(),
    }
}

fn of_kind(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NotFound { what, .. } => match what {
            Item::File => "check the path",
            Item::Table(_) => "list the tables with 'h5part info FILE'",
            Item::Group(_) => "list the groups with 'h5ls FILE'",
            Item::Column { .. } | Item::Stamps(_) => "list the columns with 'h5part info FILE'",
        },
        ErrorKind::AlreadyExists(what) => match what {
            Item::File => "choose another name; existing files are never overwritten",
            Item::Table(_) => "choose another name; an existing table is never overwritten",
            Item::Group(_) => "choose another name, or ask for it to be replaced",
            Item::Column { .. } => "choose another name; an existing column is never overwritten",
            Item::Stamps(_) => {
                "update it as it is; --column adopts further columns, and --again adopts everything again"
            }
        },
        ErrorKind::NotHdf5(_) => "check that the path names an HDF5 file that was written to its end",
        ErrorKind::OpenForWriting { by: None, .. } => {
            "wait until that program has closed it; if it is dead, clear the mark with 'h5part recover --clear-marks FILE'"
        }
        ErrorKind::OpenForWriting { by: Some(_), .. } => "wait until that program has closed it, or end it",
        ErrorKind::FormatLimit(_) => {
            "use another file; the size of addresses and lengths is fixed when a file is created"
        }
        ErrorKind::ReservedName(_) => "choose another name",
        ErrorKind::NoSpace(shortage) => match shortage {
            Shortage::FileSize { .. } => "raise the limit ('ulimit -f', or that of the job), and run the command again",
            Shortage::Quota => "free some of the quota (see 'quota'), and run the command again",
            Shortage::Disk { .. } => "free some space, and run the command again",
        },
        ErrorKind::Hdf5(_) => "check the file with 'h5part verify FILE'; if it is damaged, restore it from a copy",
        ErrorKind::DamagedChunk { .. } => "restore the file from a copy, or recompute these rows",
        ErrorKind::Cut { .. } => "restore the file from a copy; nothing was written to it",
        ErrorKind::ReadOnly(Some(_)) => "change the permissions of that folder and its contents",
        ErrorKind::ReadOnly(None) => "change the permissions, or work on a copy",
        ErrorKind::WrongObject { .. } => "list the tables and their columns with 'h5part info FILE'",
        ErrorKind::BundleChanged { .. } => "restore the file from a copy, or add it again from its source",
        ErrorKind::RowOutOfRange { .. } => "rows are counted from 0",
        ErrorKind::BadRows(fault) => match fault {
            RowsFault::Twice(_) => "name each row once",
            RowsFault::Empty => "select at least one row, e.g. 0:10",
            RowsFault::Unreadable { .. } => "use 7, -1, 0:100, 0:100:2, a list with commas, @indices.npy or @mask.npy",
        },
        ErrorKind::BadColumn { .. } => "use NAME:DTYPE[:SHAPE][=FILL], e.g. forces:f64:100x3",
        ErrorKind::DtypeMismatch { .. } => "convert the values, or allow the conversion with --cast",
        ErrorKind::BadValues(Misfit::Shape { .. }) => "the first axis of the values counts the selected rows",
        ErrorKind::LibraryColumn { .. } => "see 'h5part info FILE'; columns made by 'h5part create' can be written",
        ErrorKind::UnsupportedColumn { dtype: Some(_), .. } => {
            "use little-endian elements of fixed size: for texts S20 or <U20, for lists of different lengths a ragged pair of columns, \
             offsets and values"
        }
        ErrorKind::UnsupportedColumn { dtype: None, .. } => "copy them into the file, e.g. with h5repack",
        ErrorKind::Unstamped(Item::Column { .. }) => "add stamps with 'h5part adopt FILE TABLE --column NAME'",
        ErrorKind::Unstamped(_) => "add stamps with 'h5part adopt FILE TABLE'",
        ErrorKind::NewerFormat { .. } => "use a newer h5part; nothing was changed",
        ErrorKind::LockTimeout { .. } => "end that process, or wait longer with --timeout",
        ErrorKind::UntrustedLocks { remedy, .. } => of_doctor_remedy(*remedy),
        ErrorKind::HardLinked(_) => "keep one name, e.g. by making a copy; symbolic links are fine",
        ErrorKind::Replaced(Gone::File | Gone::Column(_)) => "open the file again",
        ErrorKind::Replaced(Gone::LockFiles) => "end all programs that use the file, then start them again",
        ErrorKind::ColumnLost { .. } => {
            "restore it from a copy, or accept the loss with 'h5part verify FILE --repair --accept-loss'"
        }
        ErrorKind::ForeignChange { .. } => "read it first, or overwrite it with --accept-foreign",
        ErrorKind::NotAsExpected { .. } => "read it again; nothing was written",
        ErrorKind::CannotGrow { .. } => {
            "create a larger table; tables made by 'h5part create' can grow unless they are --contiguous"
        }
        ErrorKind::NothingToAdopt(_) => "see 'h5part info FILE'; they can be read, published and merged as they are",
        ErrorKind::StillOpen => "drop them before the change ends; nothing was changed",
        ErrorKind::HalfApplied => "let a user who may write to it run 'h5part recover FILE'",
        ErrorKind::LogAside { .. } => "run the command again to go on without it, if the file is as it should be",
        ErrorKind::Fenced { .. } => "claim a task again; nothing was written",
        ErrorKind::Published => "change the working file and publish it again, or work on a copy made with h5repack",
        ErrorKind::Poisoned => "open a new writer; acknowledged commits are safe",
        ErrorKind::Io(_)
        | ErrorKind::Interrupted(_)
        | ErrorKind::BadRequest(_)
        | ErrorKind::BadValues(Misfit::Other(_))
        | ErrorKind::GroupFailed(_) => {
            return None;
        }
        ErrorKind::Other(_) => return of_other(kind),
    })
}

/// Hints for kinds of the other crates.
fn of_other(kind: &ErrorKind) -> Option<&'static str> {
    None.or_else(|| kind.of().map(of_merge))
        .or_else(|| kind.of().map(of_publish))
        .or_else(|| kind.of().and_then(of_tasks))
        .or_else(|| kind.of().map(of_mbe))
        .or_else(|| kind.of().map(of_vplanet))
        .or_else(|| kind.of().map(of_input))
        .or_else(|| kind.of().map(of_doctor))
        .or_else(|| kind.of().map(of_output))
}

fn of_merge(kind: &merge::ErrorKind) -> &'static str {
    use merge::ErrorKind as Kind;
    match kind {
        Kind::Disagreement(_) => {
            "find out which value is right, and reset the row in the other file; nothing of it was written"
        }
        Kind::AttributesDiffer(_) => {
            "make them equal with 'h5part attr', or keep those of the first file with --attrs first"
        }
        Kind::NotMergeable { .. } => "make its values equal in all files, or merge other tables with --tables",
        Kind::OtherColumns { .. } => "merge files with the same tables; see 'h5part info' of both",
        Kind::LeftByDead { .. } => "restore them with 'h5part recover FILE'",
        Kind::Damaged { .. } => "check it with 'h5part verify FILE'; nothing of it was merged",
    }
}

fn of_publish(kind: &publish::ErrorKind) -> &'static str {
    use publish::ErrorKind as Kind;
    match kind {
        Kind::NotPublished => "choose another name; only what 'h5part publish' has made from this store is replaced",
    }
}

fn of_tasks(kind: &ledger::ErrorKind) -> Option<&'static str> {
    use ledger::ErrorKind as Kind;
    Some(match kind {
        Kind::NotALedger(_) => "create a ledger with 'h5part ledger init'",
        Kind::DamagedTask { .. } => {
            "create a new ledger; 'h5part ledger reconcile' finds the tasks whose results are in the store"
        }
        Kind::NoSuchTask(_) => "list the tasks with 'h5part ledger list LEDGER'",
        Kind::DuplicateTask(_) => "give each task its own name",
        Kind::NotCommitted { .. } => {
            "commit them, or name the columns that make a task done with 'h5part ledger init --columns'"
        }
        Kind::NoStore => "create the ledger with 'h5part ledger init --store FILE --table TABLE'",
        Kind::OtherStore(_) => "name the store that the ledger was made for, or create a new ledger",
        Kind::NotMeasurements(_) => "pass the folder of a run's measurements, a file in it, or the run's ledger",
        Kind::NothingMeasured => "check the path; each worker creates its file when it opens its monitor",
        Kind::Oversubscribed { .. } => "ask for fewer, or leave one of the numbers out",
        Kind::PoolClosed => "open another pool, or begin another run",
        Kind::NoSuchWork(_) => "add it to the registry that the pool is opened with",
        Kind::NoProgram(_) => "install it, or name it with its path",
        Kind::NoSlurm(_) => "run it on a host of a SLURM cluster, or choose another --mode",
        Kind::NoShard(_) => "pass the number of elements of the whole array",
        Kind::Worker { .. } | Kind::Slurm { .. } | Kind::NotServing => return None,
    })
}

fn of_mbe(kind: &mbe::ErrorKind) -> &'static str {
    use mbe::ErrorKind as Kind;
    match kind {
        Kind::NotAStructure { .. } => "list the structures with 'h5part mbe status FILE'",
        Kind::NoGroundTruth { .. } => "prepare it with 'h5part mbe init'",
        Kind::UnfitDataset { .. } => "convert it with the program that made it; nothing was changed",
        Kind::FrameOutOfRange { .. } => "frames are counted from 0",
        Kind::DuplicateFrame(_) => "name each frame once",
    }
}

fn of_vplanet(kind: &vplanet::ErrorKind) -> &'static str {
    use vplanet::ErrorKind as Kind;
    match kind {
        Kind::DamagedArchive(_) => {
            "archive the raw data again with -o: a new file is built beside the old one and then replaces it"
        }
        Kind::NoRawData { .. } => "archive without -o, which adds to it; or move the file away if they may be lost",
        Kind::BadText { .. } => "correct the file, or create it again",
    }
}

fn of_input(kind: &h5part_input::ErrorKind) -> &'static str {
    use h5part_input::ErrorKind as Kind;
    match kind {
        Kind::NpyType(_) => "convert it with astype to f2 to f8, i1 to i8, u1 to u8, bool, c8, c16, S20 or U20",
        Kind::BadNpy(_) => "write it with numpy.save",
    }
}

fn of_doctor(kind: &doctor::ErrorKind) -> &'static str {
    use doctor::ErrorKind as Kind;
    match kind {
        Kind::NoAnswer { .. } => "check that it runs and sees the same folder, or wait longer with --timeout",
    }
}

fn of_output(kind: &outputs::ErrorKind) -> &'static str {
    use outputs::ErrorKind as Kind;
    match kind {
        Kind::Exists => "choose another name, or pass -o to rebuild it",
        Kind::NotReplaced(_) => "choose another name",
        Kind::OtherKind(_) => "choose another name, or pass --force to overwrite it",
    }
}
