//! Checks the file as HDF5: objects, names, links, tables.

use super::Remedy;
use super::report::{Finding, Kind, Report};
use crate::h5::{Anomaly, Walk};
use h5part_base::error::{ErrorKind, Gone};
use std::collections::HashSet;

/// Reports what the walk over all objects found.
pub(super) fn tell(walk: &Walk, report: &mut Report) {
    report.objects = walk.objects;
    for (path, oddity) in &walk.oddities {
        report.add(finding(oddity).at(path));
    }
    // The group of a table may have several names.
    let numbers: HashSet<u64> = walk.numbers.iter().copied().collect();
    for (number, table) in &walk.stamps {
        if !numbers.contains(number) {
            let table = table.as_deref().unwrap_or("without a name");
            let what = format!("stamps number {number} belong to a table that does not exist");
            report.add(Finding::note(Kind::StampsLeft, what, Remedy::NotNeeded).of_table(table));
        }
    }
}

fn finding(oddity: &Anomaly) -> Finding {
    match oddity {
        Anomaly::Unopenable(why) => {
            Finding::fault(Kind::Unopenable, format!("cannot be opened: {why}"), Remedy::Compare)
        }
        Anomaly::UnopenableAttribute(name) => {
            Finding::fault(Kind::Unopenable, format!("its attribute '{name}' cannot be opened"), Remedy::Compare)
        }
        Anomaly::SharedName { names, count } => {
            let what = format!("{names} names lead to this object, but its link count says {count}");
            Finding::fault(Kind::SharedName, what, Remedy::KeepNames)
        }
        Anomaly::BeyondEnd { end, len } => {
            let what = format!("its data ends at byte {end}, the file at {len}");
            Finding::fault(Kind::BeyondEnd, what, Remedy::RestoreFile)
        }
        Anomaly::FreedChunk => {
            let what = "it has no rows, but names a chunk that HDF5 has freed: a program that makes it longer writes over \
                        other data";
            Finding::note(Kind::FreedChunk, what, Remedy::CopyAnew)
        }
        Anomaly::LeadsOutside => {
            Finding::note(Kind::Outside, "a link into another file, which is not followed", Remedy::Nothing)
        }
        Anomaly::ValuesOutside => {
            Finding::note(Kind::Outside, "its values are in other files, which are not read", Remedy::Nothing)
        }
        Anomaly::NotUtf8 => {
            Finding::note(Kind::NotRead, "its name is not UTF-8; it was not looked at", Remedy::Nothing)
        }
    }
}

/// The finding for a mark in the superblock.
pub(super) fn marked() -> Finding {
    let what = "marked as open for writing: stock programs refuse to open it";
    Finding::fault(Kind::MarkedOpen, what.to_owned(), Remedy::CloseOrClearMark)
}

/// Turns an error that describes a fault of the file into a finding. Other errors are returned as `Err`.
pub(super) fn of_error(error: ErrorKind) -> Result<Finding, ErrorKind> {
    match error {
        ErrorKind::Cut { .. } => Ok(Finding::fault(Kind::Cut, error.to_string(), Remedy::RestoreFile)),
        ErrorKind::NotHdf5(_) | ErrorKind::Hdf5(_) => {
            Ok(Finding::fault(Kind::NotHdf5, error.to_string(), Remedy::RestoreFile))
        }
        ErrorKind::OpenForWriting { by: None, .. } => Ok(marked()),
        ErrorKind::NewerFormat { .. } => Ok(Finding::fault(Kind::Newer, error.to_string(), Remedy::UseNewer)),
        other => Err(other),
    }
}

/// Turns an error in opening a table with stamps into a finding, if it describes a fault of the table.
pub(super) fn of_table(table: &str, error: ErrorKind) -> Result<Finding, ErrorKind> {
    let gone = matches!(
        error,
        ErrorKind::Replaced(Gone::Column(_))
            | ErrorKind::Unstamped(_)
            | ErrorKind::WrongObject { .. }
            | ErrorKind::Hdf5(_)
            | ErrorKind::LibraryColumn { .. }
    );
    let finding = if gone {
        let what = match error {
            ErrorKind::Replaced(Gone::Column(column)) => {
                format!("its column '{column}' is missing, or not as its stamps say")
            }
            other => format!("its columns or stamps are missing: {other}"),
        };
        Finding::fault(Kind::Table, what, Remedy::RestoreObjects)
    } else {
        of_error(error)?
    };
    Ok(finding.of_table(table))
}
