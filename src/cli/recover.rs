//! `h5part recover`

use super::common::LockArgs;
use super::exit::Exit;
use super::output::{json, line};
use h5part::Result;
use std::path::PathBuf;

/// Roll back what dead writers left unfinished.
///
/// Restores the old values of rows that were being overwritten, and finishes or undoes a structural
/// change. Writers do this by themselves for the rows that they meet; this command does it for all
/// tables and reports what it did. It may run at any time. Exit code 1: something was left alone, since
/// another program has changed it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Clear the mark "open for writing" that a dead program left.
    ///
    /// HDF5 marks a file while a program writes to it in SWMR mode, or with the newest format, and refuses to open a
    /// marked file. A program that dies leaves the mark. This clears it, as 'h5clear -s -i' does. What that program had
    /// not written yet is lost, so verify the file afterwards. Refused while a process of this host has the file open
    /// for writing. Make sure that no process of another host or user has it open: clearing the mark while a writer
    /// lives destroys the file.
    #[arg(long)]
    clear_marks: bool,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let store = self.lock.open(&self.file)?;
        let cleared = self.clear_marks && store.clear_marks()?;
        let found = store.recover()?;
        if self.json {
            json(&found)?;
        } else {
            if self.clear_marks {
                line(if cleared {
                    "the mark 'open for writing' was cleared: verify the file"
                } else {
                    "there was no mark"
                })?;
            }
            line(format!(
                "{} dead writers, {} of them within a commit that overwrites",
                found.dead_writers, found.records
            ))?;
            line(format!("{} cells got their old value back, {} needed nothing", found.restored, found.settled))?;
            if found.reset > 0 {
                line(format!("{} cells were being written for the first time: they hold fill again", found.reset))?;
            }
            if found.changes_applied + found.changes_discarded > 0 {
                let what = if found.changes_applied > 0 { "finished" } else { "undone: it had not been complete" };
                line(format!("a structural change of a process that died was {what}"))?;
            }
            if found.logs_aside > 0 {
                line("the log of a structural change is damaged or does not fit the file: kept aside in the sidecar")?;
            }
            if found.without_record > 0 {
                line(format!(
                    "{} cells were being replaced, and no record here has their old values: was the file moved or \
                     copied without its sidecar?",
                    found.without_record
                ))?;
            }
            if found.foreign > 0 {
                line(format!("{} cells were changed by another program since: left as they are", found.foreign))?;
            }
            if found.other_file > 0 {
                line(format!("{} records of another file with this name: left as they are", found.other_file))?;
            }
        }
        Ok(if found.foreign + found.other_file + found.logs_aside + found.without_record > 0 {
            Exit::Found
        } else {
            Exit::Success
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}
