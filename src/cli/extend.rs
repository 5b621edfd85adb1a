//! `h5part extend`

use super::common::LockArgs;
use super::exit::Exit;
use super::output::line;
use h5part::Result;
use std::path::PathBuf;

/// Let a table grow: more rows, which hold fill until they are written.
///
/// Costs what it adds. Writers and readers of the table go on meanwhile, and see the new rows. Tables
/// of contiguous or fixed-size datasets cannot grow.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table in the file.
    table: String,
    /// Number of rows that it has afterwards.
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
