//! Plans which datasets are made anew in the published file, and their layout.

use super::Packing;
use crate::h5::{Allocation, Compression, Shell, ShellLayout, chunk_rows};
use h5part_base::dataspace::{Column, Table, path_below};
use h5part_base::error::ErrorKind;

/// Columns without stamps that hold fewer bytes than this are copied as they are.
const WORTH_BYTES: u64 = 64 << 10;

/// A table to be published.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    /// Path of the table.
    pub(super) table: String,
    /// Its rows when it was read. Rows added later are left to the next publication.
    pub(super) rows: u64,
    /// Columns whose values are written anew.
    pub(super) columns: Vec<Column>,
    /// Number of its stamps within the file, and stamps per row.
    pub(super) stamps: Option<(u64, usize)>,
    /// How to make those columns and the stamps.
    pub(super) shells: Vec<Shell>,
}

impl Planned {
    /// Bytes of values and stamps.
    pub(super) fn bytes(&self) -> u64 {
        let cells: u64 = self.columns.iter().map(|column| column.cell_bytes() * self.rows).sum();
        cells + self.stamps.map_or(0, |(_, width)| width as u64 * 8 * self.rows)
    }

    /// Bytes of a row, stamps included.
    pub(super) fn row_bytes(&self) -> u64 {
        self.bytes() / self.rows.max(1)
    }
}

pub(super) fn plan(table: &Table, packing: Packing) -> Result<Planned, ErrorKind> {
    table.refuse_lost()?;
    let worth = |column: &&Column| {
        let bytes = column.cell_bytes() * table.rows;
        column.dtype.is_ok() && column.frozen.is_none() && bytes > 0 && (column.stamp.is_some() || bytes >= WORTH_BYTES)
    };
    let columns: Vec<Column> = table.columns.iter().filter(worth).cloned().collect();
    if let Some(column) = table.columns.iter().find(|c| c.stamp.is_some() && c.dtype.is_err()) {
        column.dtype()?;
    }
    let mut shells: Vec<Shell> = columns.iter().map(|column| shell(&table.path, column, table.rows, packing)).collect();
    let stamps = table.stamps.as_ref().map(|stamps| (stamps.table, stamps.width));
    if let Some((number, _)) = stamps {
        shells.push(Shell {
            path: format!("__h5part__/{number}"),
            layout: ShellLayout::Same,
            compression: Compression::None,
            allocation: Some(Allocation::Direct),
            rows: None,
        });
    }
    Ok(Planned { table: table.path.clone(), rows: table.rows, columns, stamps, shells })
}

fn shell(table: &str, column: &Column, rows: u64, packing: Packing) -> Shell {
    let path = path_below(table, &column.name);
    let (layout, allocation) = if packing == Packing::Plain && !column.big_endian {
        (ShellLayout::Contiguous, Allocation::Early)
    } else {
        // Chunks of whole rows keep their shape: what was written together is read together.
        let whole = column.chunk.as_ref().filter(|chunk| chunk[1..] == column.shape);
        let first = whole.map_or_else(|| chunk_rows(rows, column.cell_bytes(), None), |chunk| chunk[0]);
        let chunk = [first].into_iter().chain(column.shape.iter().copied()).collect();
        (ShellLayout::Chunked(chunk), Allocation::Incremental)
    };
    Shell { path, layout, compression: packing.compression(), allocation: Some(allocation), rows: None }
}
