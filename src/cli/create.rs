//! `h5part create`

use super::common::{LockArgs, request, split_first};
use super::exit::Exit;
use super::output::{LateBar, bytes, line};
use h5part::Result;
use h5part::dataspace::ColumnSpec;
use h5part::error::At;
use h5part::h5::{Attribute, NewTable, planned_bytes};
use std::path::PathBuf;

/// Make a table, in a new file or in an existing one.
///
/// All space is allocated and filled at once, so that commits later write in place. A new file is
/// built beside and renamed; an existing one is copied, changed and renamed. An existing table is
/// never touched.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    file: PathBuf,
    /// Path of the table (an HDF5 group) in the file.
    table: String,
    /// Number of rows.
    #[arg(long, value_name = "N")]
    rows: u64,
    /// NAME:DTYPE[:SHAPE][=FILL], for each column. DTYPE: f32 f64 i8 i16 i32 i64 u8 u16 u32 u64
    /// bool. SHAPE of a cell: 100x3. FILL: what rows that are not there hold; NaN for floats, else 0.
    #[arg(long = "column", value_name = "SPEC", required = true)]
    columns: Vec<String>,
    /// Rows a chunk [default: chunks near 1 MiB].
    #[arg(long, value_name = "R", conflicts_with = "contiguous")]
    chunk_rows: Option<u64>,
    /// One contiguous block a column, without chunks.
    #[arg(long)]
    contiguous: bool,
    /// Attribute of the table; numbers, true and false are taken as such.
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = split_first)]
    attributes: Vec<(String, String)>,
    #[command(flatten)]
    lock: LockArgs,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let columns = self.columns.iter().map(|text| text.parse::<ColumnSpec>());
        let columns = columns.collect::<Result<Vec<_>, _>>().at("create a table in", &self.file)?;
        if self.table.trim_matches('/').is_empty() {
            return Err(request("create a table in", &self.file, "the table needs a name"));
        }
        let attributes = self.attributes.iter().map(|(name, value)| (name.clone(), Attribute::from(value.as_str())));
        let table = NewTable {
            path: self.table.clone(),
            rows: self.rows,
            columns,
            chunk_rows: self.chunk_rows,
            contiguous: self.contiguous,
            attributes: attributes.collect(),
        };
        let bar = LateBar::new("creating");
        self.lock.new_store(&self.file)?.create(&table, &|done, total| bar.set(done, total))?;
        drop(bar);
        let (rows, columns) = (table.rows, table.columns.len());
        line(format!(
            "created table '{}' in {}: {rows} rows, {columns} columns, {}",
            self.table.trim_matches('/'),
            self.file.display(),
            bytes(planned_bytes(&table))
        ))?;
        Ok(Exit::Success)
    }
}
