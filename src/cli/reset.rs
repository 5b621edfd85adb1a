//! `h5part reset`

use super::common::{DurabilityArg, LockArgs, portions, rows};
use super::exit::Exit;
use super::output::{LateBar, line};
use h5part::Result;
use h5part_base::error::At;
use std::path::PathBuf;

/// Make rows "not there" again in all columns, to compute them anew.
///
/// The rows hold the fill value afterwards and count as missing. Other rows are not touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table in the file.
    table: String,
    /// Rows: 7, -1, 0:100, 0:100:2, comma-separated lists, @indices.npy or @mask.npy.
    #[arg(long, allow_hyphen_values = true, value_name = "SPEC")]
    rows: String,
    /// Also remove values that another program wrote.
    #[arg(long)]
    accept_foreign: bool,
    /// What the reset survives once it is done.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityArg,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let mut writer = self.lock.open(&self.file)?.writer(&self.table)?;
        writer.set_durability(self.durability.into());
        writer.set_accept_foreign(self.accept_foreign);
        let rows = rows(&self.rows, writer.table().rows, &self.file)?;
        rows.runs().at("reset rows of", &self.file)?;
        let row_bytes = writer.table().row_bytes();
        let bar = LateBar::new("resetting");
        for (from, portion) in portions(&rows, row_bytes) {
            writer.reset(&portion)?;
            bar.set((from + portion.len()) * row_bytes, rows.len() * row_bytes);
        }
        drop(bar);
        line(format!("reset {} rows of table '{}'", rows.len(), self.table.trim_matches('/')))?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}
