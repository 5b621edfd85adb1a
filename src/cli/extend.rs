//! `h5part extend`

use super::common::LockArgs;
use super::exit::Exit;
use super::output::line;
use h5part::Result;
use std::path::PathBuf;

/// Add rows to a table; they hold the fill value until written.
///
/// The cost depends on the rows added, not on the table. Writers and readers of the table go on, and
/// see the new rows. Tables of contiguous or fixed-size datasets cannot grow.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table in the file.
    table: String,
    /// Number of rows of the table afterwards.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    rows: u64,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let had = self.lock.open(&self.file)?.extend(&self.table, self.rows)?;
        line(format!("extended table '{}' from {had} to {} rows", self.table.trim_matches('/'), self.rows))?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}
