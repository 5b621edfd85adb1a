//! `h5part recover`

use super::common::LockArgs;
use super::exit::Exit;
use super::output::{json, line};
use h5part::Result;
use std::path::PathBuf;

/// Put back rows that dead writers left half-written.
///
/// Writers do this by themselves for the rows of their table; this looks after all tables, and says
/// what it found and did. It may run beside anything else. Exit code 1 when something was left alone
/// because another program has changed it since.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    lock: LockArgs,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let found = self.lock.open(&self.file)?.recover()?;
        if self.json {
            json(&found)?;
        } else {
            line(format!(
                "{} dead writers, {} of them within a commit that overwrites",
                found.dead_writers, found.records
            ))?;
            line(format!("{} cells got their old value back, {} needed nothing", found.restored, found.settled))?;
            if found.foreign > 0 {
                line(format!("{} cells were changed by another program since: left alone", found.foreign))?;
            }
            if found.other_file > 0 {
                line(format!("{} records of another file in this one's place: left alone", found.other_file))?;
            }
        }
        Ok(if found.foreign + found.other_file > 0 { Exit::Found } else { Exit::Success })
    }
}
