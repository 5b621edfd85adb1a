//! `h5part create`

use super::common::{LockArgs, request, split_first, split_last};
use super::dimensions::DimensionArgs;
use super::exit::Exit;
use super::output::{LateBar, bytes, line};
use h5part::ErrorKind;
use h5part::Result;
use h5part_base::dataspace::ColumnSpec;
use h5part_base::error::At;
use h5part_engine::h5::{Attribute, Filters, NewTable, planned_bytes};
use std::path::PathBuf;

/// Make a table, in a new file or in an existing one.
///
/// Allocates and fills all space at once, so that later commits write in place. Builds a new file
/// beside its name and renames it; adds the table to an existing file as a whole or not at all. Never
/// touches an existing table.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The HDF5 file.
    pub file: PathBuf,
    /// Path of the table (an HDF5 group) in the file.
    table: String,
    /// Number of rows.
    #[arg(long, value_name = "N")]
    rows: u64,
    /// Column as NAME:DTYPE[:SHAPE][=FILL]; repeat for each column. DTYPE: f16 f32 f64 i8 i16 i32 i64
    /// u8 u16 u32 u64 bool c64 c128, S20 (20 bytes), T20 (20 bytes of UTF-8), <U20 (20 characters),
    /// enum(u8){idle=0,busy=1}, {x:f64,y:f32:3}, or numpy's name, as in complex128 or <i8. SHAPE: shape
    /// of one cell, as in 100x3. FILL: value of rows that are not there [default: NaN for floats and
    /// complex numbers, empty for texts, else 0].
    #[arg(long = "column", value_name = "SPEC", required = true)]
    columns: Vec<String>,
    /// Rows per chunk [default: chunks of about 1 MiB].
    #[arg(long, value_name = "R", conflicts_with = "contiguous")]
    chunk_rows: Option<u64>,
    /// Store each column as one contiguous block, without chunks.
    #[arg(long)]
    contiguous: bool,
    /// Compress the columns with gzip at this level, 0 to 9. Compressed columns take one commit at a
    /// time.
    #[arg(long, value_name = "LEVEL", conflicts_with = "contiguous", value_parser = clap::value_parser!(u8).range(0..=9))]
    gzip: Option<u8>,
    /// Apply the shuffle filter before gzip.
    #[arg(long, conflicts_with = "contiguous")]
    shuffle: bool,
    /// Use this column to tell other programs whether a row is complete. It holds the undefined value while
    /// the row is being written, and where nothing was written.
    #[arg(long, value_name = "NAME=UNDEFINED_VALUE", value_parser = split_last)]
    guard: Option<(String, String)>,
    /// Value of the guard in complete rows; 'verify' checks that such rows have data.
    #[arg(long, value_name = "VALUE", requires = "guard")]
    complete: Option<String>,
    /// Set an attribute of the table. Numbers, true and false are stored as such, all else as text.
    #[arg(long = "attr", value_name = "NAME=VALUE", value_parser = split_first)]
    attributes: Vec<(String, String)>,
    #[command(flatten)]
    dimensions: DimensionArgs,
    #[command(flatten)]
    lock: LockArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let columns = self.columns.iter().map(|text| text.parse::<ColumnSpec>());
        let mut columns = columns.collect::<Result<Vec<_>, _>>().at("create a table in", &self.file)?;
        self.guard_fill(&mut columns).at("create a table in", &self.file)?;
        if self.table.trim_matches('/').is_empty() {
            return Err(request("create a table in", &self.file, "the table needs a name"));
        }
        let table = NewTable {
            path: self.table.clone(),
            rows: self.rows,
            columns,
            chunk_rows: self.chunk_rows,
            contiguous: self.contiguous,
            filters: Filters { gzip: self.gzip, shuffle: self.shuffle },
            guard: self.guard.as_ref().map(|(name, _)| name.clone()),
            guard_complete: self.complete.clone(),
            attributes: Attribute::list(&self.attributes),
            column_attributes: Vec::new(),
            dimensions: self.dimensions.parse().at("create a table in", &self.file)?,
        };
        let bar = LateBar::new("creating");
        self.lock.new_store(&self.file)?.create(&table, &|done, total| bar.set(done, total))?;
        drop(bar);
        let (rows, columns) = (table.rows, table.columns.len());
        line(format!(
            "created table '{}' in {}: {rows} rows, {columns} columns, {}{}",
            self.table.trim_matches('/'),
            self.file.display(),
            bytes(planned_bytes(&table)),
            if table.filters.any() { " and what the compressed values will take" } else { "" }
        ))?;
        Ok(Exit::Success)
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.file.clone()]
    }
}

impl Args {
    /// Gives the guard its undefined value as fill, so that rows that are not there hold it.
    fn guard_fill(&self, columns: &mut [ColumnSpec]) -> Result<(), ErrorKind> {
        let Some((name, undefined)) = &self.guard else { return Ok(()) };
        let bad = |reason: String| ErrorKind::BadColumn { text: name.clone(), reason };
        let column = columns.iter_mut().find(|c| c.name == *name);
        let column = column.ok_or_else(|| bad("the guard is not one of the columns".to_owned()))?;
        let dtype = column.dtype;
        let value = dtype.parse_element(undefined);
        let value = value.ok_or_else(|| bad(format!("the undefined value '{undefined}' is not a {dtype}")))?;
        if column.fill != dtype.default_fill() && column.fill != value {
            return Err(bad("its fill and the guard's undefined value must be the same".to_owned()));
        }
        column.fill = value;
        Ok(())
    }
}
