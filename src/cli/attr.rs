//! `h5part attr`

use super::common::{LockArgs, split_first};
use super::exit::Exit;
use super::output::line;
use h5part::Result;
use h5part_engine::h5::Attribute;
use std::path::PathBuf;

/// Set attributes of a table or a column, replacing those that exist.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table (an HDF5 group) in the file, or of a column: TABLE/COLUMN.
    #[arg(value_name = "TABLE[/COLUMN]")]
    table: String,
    /// Attributes to set. Numbers, true and false are stored as such, all else as text.
    #[arg(value_name = "NAME=VALUE", required = true, value_parser = split_first)]
    attributes: Vec<(String, String)>,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        self.lock.open(&self.file)?.set_attributes(&self.table, &Attribute::list(&self.attributes))?;
        line(format!("set {} attributes of '{}'", self.attributes.len(), self.table.trim_matches('/')))?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}
