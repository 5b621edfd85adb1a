//! `h5part verify`

use super::common::LockArgs;
use super::exit::Exit;
use super::hints;
use super::output::{LateBar, bytes, json, line, table_name};
use h5part::Result;
use h5part_engine::verify::{Finding, Kind, Remedy, Repaired, Report, Verify};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Check the file's structure, every value against its stamp, guards, and the sidecar.
///
/// Prints one line per finding: severity, where, what, what to do. Notes do not make a file unsound.
/// It may run while others write. Exit code 0: sound; 1: not sound.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Repair what can be repaired: recover what dead writers left, make half-written rows "not there".
    #[arg(long)]
    repair: bool,
    /// With --repair: commit values that another program wrote, as they are.
    #[arg(long, requires = "repair")]
    accept_foreign: bool,
    /// With --repair: go on without columns and rows that another program removed.
    #[arg(long, requires = "repair")]
    accept_loss: bool,
    /// Number of threads [default: one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Print as JSON.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let start = Instant::now();
        let (accept_foreign, accept_loss) = (self.accept_foreign, self.accept_loss);
        let how = Verify { jobs: self.jobs, repair: self.repair, accept_foreign, accept_loss };
        let bar = LateBar::new("verifying");
        let report = self.lock.open(&self.file)?.verify(&how, &|done, total| bar.set(done, total))?;
        drop(bar);
        tell(&report, self.json)?;
        if !self.json {
            let (objects, tables) = (report.objects, report.tables.len());
            let seconds = start.elapsed().as_secs_f64();
            let bundles = if report.bundles == 0 { String::new() } else { format!(" {} bundles,", report.bundles) };
            line(format!(
                "{objects} objects, {tables} stamped tables,{bundles} {} looked at in {seconds:.3} s",
                bytes(report.bytes_read)
            ))?;
        }
        Ok(if report.sound { Exit::Success } else { Exit::Found })
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }

    /// For a file on which the process that read it died.
    fn tell_crash(&self, _: &Path, how: &str) -> Result<Exit> {
        let mut report = Report::new(self.file.clone());
        let what = format!("the HDF5 library {how}");
        report.add(Finding::fault(Kind::Crash, what, Remedy::RestoreFile));
        tell(&report, self.json)?;
        Ok(Exit::Found)
    }
}

fn tell(report: &Report, as_json: bool) -> Result<()> {
    if as_json {
        return json(report);
    }
    if let Some(Repaired { recovery, reset, stamped, dropped }) = &report.repaired {
        line(format!(
            "repaired: {} values put back, {} structural changes finished or undone, {reset} half-written values made \
             not there, {stamped} foreign values stamped",
            recovery.restored,
            recovery.changes_applied + recovery.changes_discarded
        ))?;
        if *dropped > 0 {
            line(format!("stamps of {dropped} lost columns dropped"))?;
        }
    }
    for finding in &report.findings {
        let remedy = hints::of_remedy(finding.remedy);
        line(if remedy.is_empty() { finding.to_string() } else { format!("{finding} ({remedy})") })?;
    }
    for t in &report.tables {
        line(format!(
            "table '{}': {} rows, {} of {} values committed, {} missing",
            table_name(&t.table),
            t.rows,
            t.committed,
            t.cells,
            t.missing
        ))?;
    }
    let word = if report.sound { "sound" } else { "UNSOUND" };
    line(format!("{}: {word}: {} faults, {} notes", report.file.display(), report.faults, report.notes))
}
