//! Verifies what is in a file: whether it is sound, and whether its values are those that were committed.

mod bundles;
mod cells;
mod remedy;
mod repair;
mod report;
mod sidecar;
mod structure;

pub use remedy::Remedy;
pub use report::{Finding, Kind, Repaired, Report, Severity, TableReport};

use crate::h5::Superblock;
use crate::store::{ForeignValues, Progress, Store};
use h5part_base::error::{At, ErrorKind, Result};
use std::num::NonZeroUsize;

/// How to verify a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verify {
    /// Number of threads. `None`: one per core.
    pub jobs: Option<NonZeroUsize>,
    /// Repair what can be repaired: see [`Store::verify`].
    pub repair: bool,
    /// With `repair`: count values that another program wrote as committed from now on.
    pub accept_foreign: bool,
    /// With `repair`: accept that columns and rows that another program removed are gone.
    pub accept_loss: bool,
}

impl Store {
    /// Checks everything: the file's structure, every value against its stamp, bundles against their checksums, guard
    /// columns, and the files beside it. Without `repair` nothing is written.
    ///
    /// A repair recovers what dead writers left ([`Store::recover`]). It resets half-written rows that are in no record
    /// to "not there". If asked to, it gives stamps to the values of other programs, and drops the stamps of columns
    /// and rows that are gone ([`Store::accept_loss`]). It never touches what it does not understand. The report
    /// describes the file after the repair.
    ///
    /// **Concurrency.** May run beside writers and readers. A row that changes is checked again, and one that is being
    /// written is a note. Structural changes wait while the structure is checked, and while a portion of a library
    /// column or of the bundles is read.
    ///
    /// # Errors
    /// Errors that say nothing of the file: [`ErrorKind::NotFound`], [`ErrorKind::LockTimeout`], I/O errors; in a
    /// repair those of [`super::store::Writer::commit`]. Faults of the file are in the report.
    pub fn verify(&self, how: &Verify, progress: Progress<'_>) -> Result<Report> {
        let threads = how.jobs.map_or(0, NonZeroUsize::get);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| ErrorKind::BadRequest(format!("threads for it: {e}"))).at("verify", self.path())?;
        let look = || pool.install(|| self.look_at_everything(progress)).at("verify", self.path());
        if !how.repair {
            return look();
        }
        let recovery =
            self.recover_by(if how.accept_foreign { ForeignValues::Always } else { ForeignValues::IfDurable })?;
        let found = look()?;
        let mut repaired = repair::run(self, &found, how)?;
        repaired.recovery = recovery;
        Ok(Report { repaired: Some(repaired), ..look()? })
    }

    fn look_at_everything(&self, progress: Progress<'_>) -> Result<Report, ErrorKind> {
        let mut report = Report::new(self.path().to_path_buf());
        report.bytes = self.storage.identity(self.path())?.len;
        sidecar::locks(self, &mut report)?;
        sidecar::records(self, &mut report)?;
        if sidecar::log(self, &mut report)? == sidecar::Structure::HalfChanged {
            return Ok(report.finish());
        }
        let looked = self.with_h5(|h5, file| Ok((h5.uuid(), h5.walk()?, Superblock::find(file)?)));
        match looked {
            Ok((uuid, walk, superblock)) => {
                if superblock.is_some_and(|found| found.is_marked()) {
                    report.add(structure::marked());
                }
                match uuid {
                    Ok(uuid) => report.uuid = uuid,
                    Err(e) => report.add(structure::of_error(e.into())?),
                }
                sidecar::identity(self, &mut report)?;
                structure::tell(&walk, &mut report);
                cells::check(self, &walk.tables, &mut report, progress)?;
                bundles::check(self, &walk.bundles, &mut report, progress)?;
            }
            Err(e) => report.add(structure::of_error(e)?),
        }
        Ok(report.finish())
    }
}
