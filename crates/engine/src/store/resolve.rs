//! Finishes or undoes a change whose maker died.

use super::handle::Store;
use crate::h5::stored_end;
use h5part_base::error::ErrorKind;
use h5part_base::lock::ReadGate;
use h5part_base::num::to_usize;
use h5part_base::record::log::{Found, HEADER, LogHeader, Progress};
use h5part_base::record::{Fit, Sealed};
use h5part_base::storage::{Mode, StorageFile, replace};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What was found and done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// There was no change.
    Nothing,
    /// It was not sealed. The file is as it was before.
    Discarded,
    /// It was sealed, and is now applied.
    Applied,
    /// It cannot be applied, and was set aside.
    Aside { why: &'static str, kept: PathBuf },
}

impl Store {
    /// Whether a log exists. A caller inside the gate then knows that its maker is dead.
    pub(crate) fn change_waits(&self) -> Result<bool, ErrorKind> {
        match self.storage.identity(&self.paths.change) {
            Ok(log) => Ok(log.len > 0),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Enters the gate to load a layout. If a change was left half-applied, it is finished first.
    pub(crate) fn enter_to_read(&self) -> Result<ReadGate, ErrorKind> {
        loop {
            let gate = ReadGate::enter(&self.paths, &self.patience)?;
            if !self.change_waits()? || !self.is_half_applied()? {
                return Ok(gate);
            }
            drop(gate);
            match self.enter_exclusively() {
                Ok(_) => {}
                Err(ErrorKind::ReadOnly(_)) => return Err(ErrorKind::HalfApplied),
                Err(e) => return Err(e),
            }
        }
    }

    /// Whether a change was left half-applied. Before its seal the file is sound as it is, and readers need no help.
    fn is_half_applied(&self) -> Result<bool, ErrorKind> {
        let log = self.storage.open(&self.paths.change, Mode::Read)?;
        let inode = self.storage.identity(&self.paths.file)?.inode;
        let sealed = |header: LogHeader| header.progress == Progress::Sealed && header.inode == inode;
        Ok(matches!(header_of(log.as_ref())?, Found::Change(header) if sealed(header)))
    }

    /// Like [`Store::resolve`], but fails once if a log had to be set aside.
    pub(super) fn resolve_or_refuse(&self, file: &Arc<dyn StorageFile>) -> Result<(), ErrorKind> {
        match self.resolve(file)? {
            Resolved::Aside { why, kept } => Err(ErrorKind::LogAside { why, kept }),
            _ => Ok(()),
        }
    }

    /// Finishes or undoes the change of a dead process. The caller holds the gate exclusively; `base` is its file.
    pub(super) fn resolve(&self, base: &Arc<dyn StorageFile>) -> Result<Resolved, ErrorKind> {
        if !self.change_waits()? {
            return Ok(Resolved::Nothing);
        }
        let log = self.storage.open(&self.paths.change, Mode::Write)?;
        let header = match header_of(log.as_ref())? {
            Found::Nothing => {
                log.set_len(0)?;
                return Ok(Resolved::Nothing);
            }
            Found::Damaged => return self.aside("is damaged"),
            Found::Change(header) => header,
        };
        if base.identity()?.inode != header.inode {
            return self.aside("belongs to another file, of which this one may be a copy made during the change");
        }
        match header.progress {
            Progress::Begun => {
                undo(base.as_ref(), &header)?;
                log.set_len(0)?;
                Ok(Resolved::Discarded)
            }
            _ => self.finish(header, base.as_ref(), log.as_ref()),
        }
    }

    fn finish(&self, header: LogHeader, base: &dyn StorageFile, log: &dyn StorageFile) -> Result<Resolved, ErrorKind> {
        let Some(sealed) = Sealed::read(header, log)? else { return self.aside("is damaged") };
        match sealed.fit(base, log)? {
            Fit::Damaged => self.aside("is damaged"),
            Fit::Foreign => self.aside("does not fit the file: another program has changed it since"),
            Fit::Fits => {
                sealed.apply(base, log)?;
                sealed.spend(log)?;
                Ok(Resolved::Applied)
            }
        }
    }

    fn aside(&self, why: &'static str) -> Result<Resolved, ErrorKind> {
        let names = (1..).map(|n| self.paths.sidecar.join(format!("change-aside-{n}.log")));
        let free =
            |path: &PathBuf| matches!(self.storage.identity(path), Err(e) if e.kind() == io::ErrorKind::NotFound);
        let kept = names.into_iter().find(free).unwrap_or_else(|| self.paths.sidecar.join("change-aside.log"));
        replace(self.storage.as_ref(), &self.paths.change, &kept)?;
        Ok(Resolved::Aside { why, kept })
    }
}

/// Cuts off what was written beyond the old end, except what a stock program has written there since.
fn undo(base: &dyn StorageFile, header: &LogHeader) -> Result<(), ErrorKind> {
    let keep = header.old_end.max(stored_end(base)?.unwrap_or(u64::MAX));
    if base.identity()?.len > keep {
        base.set_len(keep)?;
        base.sync()?;
    }
    Ok(())
}

pub(crate) fn header_of(log: &dyn StorageFile) -> Result<Found, ErrorKind> {
    let len = to_usize(log.identity()?.len).min(HEADER);
    let mut sector = vec![0; len];
    log.read_at(&mut sector, 0)?;
    LogHeader::decode(&sector)
}
