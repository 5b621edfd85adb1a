//! Reads, patches and compresses, in parallel, the chunks that a commit changes, before anyone has to wait.
//!
//! Once the commit holds the gate exclusively, it compares what was read with what is stored then. A chunk that has
//! changed meanwhile is processed again. A chunk all of whose rows are replaced is not read at all.

use super::CommitRequest;
use crate::filter::{self, Encoded};
use crate::h5::H5Change;
use crate::store::cells::{cell_at, cell_at_mut, fill_with};
use crate::store::handle::Store;
use crate::store::packer::Packer;
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Column, Grid, Runs, Segment};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use rayon::prelude::*;

/// The new chunks of some commits.
pub(super) struct Repacked<'v> {
    chunks: Vec<Chunk<'v>>,
}

/// A chunk that commits change.
struct Chunk<'v> {
    column: Column,
    grid: Grid,
    band: u64,
    across: usize,
    /// Rows of the chunk with their values, in the order of the commits.
    patches: Vec<Patch<'v>>,
    before: Before,
    after: Option<Encoded>,
}

/// How a chunk was stored when it was read.
#[derive(PartialEq, Eq)]
enum Before {
    /// Not read, since the whole chunk is replaced.
    Unread,
    /// Not written yet.
    Absent,
    /// Stored as these bytes.
    Stored(Encoded),
}

impl From<Option<Encoded>> for Before {
    fn from(stored: Option<Encoded>) -> Self {
        stored.map_or(Self::Absent, Self::Stored)
    }
}

/// Some rows of a band. Their values in `bytes` begin at `index`.
#[derive(Clone)]
struct Patch<'v> {
    rows: Runs,
    indices: Vec<u64>,
    bytes: &'v [u8],
}

/// Whether commits to a column are made chunk by chunk.
pub(super) fn is_by_chunks(column: &Column) -> bool {
    column.layout.is_err() && column.filters.is_some()
}

/// Plans the chunks that the commits change.
pub(super) fn plan<'a, 'v: 'a>(
    view: &TableView,
    requests: &(impl Iterator<Item = &'a CommitRequest<'v>> + Clone),
) -> Result<Repacked<'v>, ErrorKind> {
    let mut chunks = Vec::new();
    for column in view.table.columns.iter().filter(|column| is_by_chunks(column)) {
        let patches = patches_of(column, view.table.rows, requests.clone())?;
        let Some((grid, bands)) = patches else { continue };
        for (band, patches) in bands {
            for across in 0..grid.across() {
                let (column, grid, patches) = (column.clone(), grid.clone(), patches.clone());
                chunks.push(Chunk { column, grid, band, across, patches, before: Before::Unread, after: None });
            }
        }
    }
    Ok(Repacked { chunks })
}

/// Reads, patches and compresses the chunks that the commits change.
pub(super) fn prepare<'v>(
    store: &Store,
    view: &TableView,
    requests: &[CommitRequest<'v>],
) -> Result<Repacked<'v>, ErrorKind> {
    let Repacked { mut chunks } = plan(view, &requests.iter())?;
    if chunks.is_empty() {
        return Ok(Repacked { chunks });
    }
    store.with_h5(|h5, _| {
        for chunk in chunks.iter_mut().filter(|chunk| !chunk.is_whole()) {
            chunk.before = h5.read_chunk(&view.table.path, &chunk.column, &chunk.offset())?.into();
        }
        Ok(())
    })?;
    chunks.par_iter_mut().try_for_each(Chunk::pack)?;
    Ok(Repacked { chunks })
}

impl Repacked<'_> {
    /// Writes the chunks to the file. The caller holds the gate exclusively; `view` is the current layout.
    pub(super) fn write(&mut self, h5: &H5Change, view: &TableView) -> Result<(), ErrorKind> {
        let table = &view.table.path;
        let mut stale = Vec::new();
        for chunk in &mut self.chunks {
            let grown = view.table.rows != chunk.grid.rows();
            if chunk.before == Before::Unread && chunk.is_whole() && !grown && chunk.after.is_some() {
                continue;
            }
            let now = h5.read_chunk(table, &chunk.column, &chunk.offset())?.into();
            if chunk.after.is_none() || chunk.before != now {
                chunk.before = now;
                stale.push(chunk);
            }
        }
        stale.into_par_iter().try_for_each(Chunk::pack)?;
        for chunk in &self.chunks {
            if let Some(after) = &chunk.after {
                h5.write_chunk(table, &chunk.column, &chunk.offset(), after)?;
            }
        }
        Ok(())
    }
}

impl Chunk<'_> {
    fn offset(&self) -> Vec<u64> {
        self.grid.offset(self.band, self.across)
    }

    /// Whether all of its rows are replaced.
    fn is_whole(&self) -> bool {
        let rows = self.grid.band(self.band);
        let set: u64 = self.patches.iter().map(|patch| patch.rows.len()).max().unwrap_or(0);
        set == rows.end - rows.start
    }

    fn pack(&mut self) -> Result<(), ErrorKind> {
        let packer = Packer::new(&self.column)?;
        let after = filter::with_codecs(|codecs| {
            let mut values = vec![0; self.grid.chunk_bytes()];
            if let Before::Stored(stored) = &self.before {
                let row = self.grid.band(self.band).start;
                packer.decode(row, (stored.mask, &stored.bytes), &mut values, codecs)?;
            } else {
                fill_with(&mut values, &self.column.fill);
            }
            self.patch(&mut values);
            packer.turn(&mut values);
            Ok::<_, ErrorKind>(packer.encode(&values, codecs))
        })?;
        self.after = Some(after);
        Ok(())
    }

    /// Writes the new values into the cells of a decompressed chunk.
    fn patch(&self, values: &mut [u8]) {
        let (segments, start) = (self.grid.segments(self.across), self.grid.band(self.band).start);
        let (cell, part) = (self.grid.cell_bytes(), self.grid.part_bytes());
        for patch in &self.patches {
            for ((row, _), &index) in patch.rows.iter().zip(&patch.indices) {
                let from = cell_at(patch.bytes, index, cell);
                let to = cell_at_mut(values, row - start, part);
                // Offsets into a chunk count from the first byte of the cell's part.
                for &Segment { from: in_part, to: in_cell, len } in &segments {
                    to[in_part..in_part + len].copy_from_slice(&from[in_cell..in_cell + len]);
                }
            }
        }
    }
}

/// Which rows of which band get which values. `None`: the commits do not set the column.
type Bands<'v> = Option<(Grid, Vec<(u64, Vec<Patch<'v>>)>)>;

fn patches_of<'a, 'v: 'a>(
    column: &Column,
    rows: u64,
    requests: impl Iterator<Item = &'a CommitRequest<'v>>,
) -> Result<Bands<'v>, ErrorKind> {
    let shape: Vec<u64> = [rows].into_iter().chain(column.shape.iter().copied()).collect();
    let chunk = column.chunk.clone().unwrap_or_default();
    let grid = Grid::new(&shape, &chunk, column.dtype()?.size());
    let grid = grid.ok_or_else(|| ErrorKind::Hdf5(format!("unusable chunks of column '{}'", column.name)))?;
    let mut bands = std::collections::BTreeMap::<u64, Vec<Patch<'v>>>::new();
    for request in requests {
        let Some(&(_, bytes)) = request.values.iter().find(|(name, _)| *name == column.name) else { continue };
        let mut indices = request.runs.iter().map(|(_, index)| index);
        for part in request.runs.parts(u64::MAX, Some(grid.chunk_rows())) {
            let Some(first) = part.as_slice().first() else { continue };
            let band = first.row / grid.chunk_rows();
            let count = to_usize(part.len());
            let indices = indices.by_ref().take(count).collect();
            bands.entry(band).or_default().push(Patch { rows: part, indices, bytes });
        }
    }
    Ok((!bands.is_empty()).then(|| (grid, bands.into_iter().collect())))
}
