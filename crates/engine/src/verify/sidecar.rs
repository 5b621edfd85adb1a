//! Checks what lies beside the file: locks, notes, records, the log of a change, files under construction.

use super::Remedy;
use super::report::{Finding, Kind, Report};
use crate::store::{Store, UNFINISHED, header_of, unspent};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{self, Dead, Holder, ReadGate};
use h5part_base::record::log::{Found, Progress};
use h5part_base::storage::Mode;
use std::path::Path;

/// Whether the structure of the file can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structure {
    Whole,
    /// A structural change was interrupted while it was applied.
    HalfChanged,
}

/// Reports stopped processes that hold a lock.
pub(super) fn locks(store: &Store, report: &mut Report) -> Result<(), ErrorKind> {
    let locks = lock::report(&store.paths)?;
    let mut told: Vec<i32> = Vec::new();
    let all = [("the gate", &locks.gate), ("the HDF5 file", &locks.file), ("its rows, perhaps", &locks.writers)];
    for (what, holders) in all {
        for holder in holders.iter().filter(|holder| holder.stopped) {
            let Holder { pid, host, command, .. } = holder;
            if !told.contains(pid) {
                told.push(*pid);
                let what = format!("pid {pid} on {host} ({command}) is stopped, and holds a lock: {what}");
                report.add(Finding::note(Kind::StoppedHolder, what, Remedy::ContinueOrEnd));
            }
        }
    }
    Ok(())
}

/// Reports files of writers that have died.
pub(super) fn records(store: &Store, report: &mut Report) -> Result<(), ErrorKind> {
    let inode = store.storage.identity(&store.paths.file)?.inode;
    // They stay locked while we read them, so that nobody clears them.
    for dead in Dead::all(&store.paths)? {
        let finding = match unspent(store.storage.as_ref(), dead.path()) {
            Ok(None) => {
                Finding::note(Kind::StaleNote, "a writer that has died; nothing is left to do", Remedy::ClearsItself)
            }
            Ok(Some((header, _))) if header.id.inode == inode => {
                let what = format!("a writer died in the middle of a commit to table number {}", header.id.table);
                Finding::fault(Kind::Record, what, Remedy::Recover)
            }
            Ok(Some(_)) => Finding::note(
                Kind::Aside,
                "the record of a commit to another file, of which this one may be a copy",
                Remedy::RemoveLater,
            ),
            Err(e @ ErrorKind::NewerFormat { .. }) => Finding::fault(Kind::Newer, e.to_string(), Remedy::UseNewer),
            Err(e) => return Err(e),
        };
        report.add(finding.at(text(dead.path())));
    }
    Ok(())
}

/// Reports the log of a change whose maker is gone, logs that were set aside, and files under construction.
pub(super) fn log(store: &Store, report: &mut Report) -> Result<Structure, ErrorKind> {
    beside(store, report)?;
    // Inside the gate no structural change can be running.
    let gate = ReadGate::enter(&store.paths, &store.patience)?;
    if !store.change_waits()? {
        return Ok(Structure::Whole);
    }
    let log = store.storage.open(&store.paths.change, Mode::Read)?;
    let inode = store.storage.identity(&store.paths.file)?.inode;
    let found = match header_of(log.as_ref()) {
        Ok(found) => found,
        Err(e @ ErrorKind::NewerFormat { .. }) => {
            report.add(Finding::fault(Kind::Newer, e.to_string(), Remedy::UseNewer).at(text(&store.paths.change)));
            return Ok(Structure::HalfChanged);
        }
        Err(e) => return Err(e),
    };
    drop(gate);
    let (finding, structure) = match found {
        Found::Nothing => {
            let what = "the log of a completed structural change";
            (Finding::note(Kind::Log, what, Remedy::ClearsItself), Structure::Whole)
        }
        Found::Damaged => {
            let what = "the log of a structural change is damaged";
            (Finding::fault(Kind::Log, what, Remedy::SetAside), Structure::Whole)
        }
        Found::Change(header) if header.inode != inode => {
            let what = "the log of a structural change of another file, of which this one may be a copy made during the change";
            (Finding::fault(Kind::Log, what, Remedy::SetAside), Structure::Whole)
        }
        Found::Change(header) if header.progress == Progress::Sealed => {
            let what = "a structural change was interrupted while it was applied; the file was not looked at further";
            (Finding::fault(Kind::Log, what, Remedy::Recover), Structure::HalfChanged)
        }
        Found::Change(_) => {
            let what = "a structural change was begun, and its maker died; the file is as it was before";
            (Finding::fault(Kind::Log, what, Remedy::Recover), Structure::Whole)
        }
    };
    report.add(finding.at(text(&store.paths.change)));
    Ok(structure)
}

fn beside(store: &Store, report: &mut Report) -> Result<(), ErrorKind> {
    for path in names_in(&store.paths.sidecar)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("change-aside") {
            let what = "the log of a structural change that was not applied, kept aside";
            report.add(Finding::note(Kind::Aside, what, Remedy::RemoveLater).at(text(&path)));
        }
    }
    let (Some(folder), Some(name)) = (store.paths.file.parent(), store.paths.file.file_name()) else { return Ok(()) };
    let unfinished = format!(".{}.", name.to_string_lossy());
    for path in names_in(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(&unfinished) && name.ends_with(UNFINISHED) {
            let what = "a file under construction; its maker is working or has died";
            report.add(Finding::note(Kind::Unfinished, what, Remedy::ClearsItself).at(text(&path)));
        }
    }
    Ok(())
}

/// Checks that the sidecar belongs to the file with this name.
pub(super) fn identity(store: &Store, report: &mut Report) -> Result<(), ErrorKind> {
    let Some(noted) = lock::read_store_uuid(&store.paths)? else { return Ok(()) };
    if report.uuid != Some(noted) {
        let what = format!("another file is in its place: the sidecar belongs to the store {noted}");
        report.add(Finding::fault(Kind::OtherFile, what, Remedy::FileOrSidecar).at(text(&store.paths.sidecar)));
    }
    Ok(())
}

fn names_in(folder: &Path) -> Result<Vec<std::path::PathBuf>, ErrorKind> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Nothing is reported on a folder that we may not read.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort_unstable();
    Ok(paths)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
