//! A column to read: how to reach its cells, and where they go.

use crate::store::cells::fill_with;
use crate::store::table_view::Stamped;
use crate::store::values::CellState;
use h5part_base::dataspace::{ChunkTable, Column, ColumnLayout, Runs};
use h5part_base::record::stamp::Stamp;

/// How the cells of a column are reached.
pub(super) enum Way<'a> {
    /// In place.
    Direct(&'a ColumnLayout),
    /// In chunks that this crate decompresses.
    Chunks(&'a ChunkTable),
    /// Through the library.
    Library,
}

impl<'a> Way<'a> {
    /// The way to a column. `chunks`: its chunks, if it is read by them.
    pub(super) fn of(column: &'a Column, chunks: Option<&'a ChunkTable>) -> Self {
        match (&column.layout, chunks) {
            (Ok(layout), _) => Self::Direct(layout),
            (Err(_), Some(chunks)) => Self::Chunks(chunks),
            (Err(_), None) => Self::Library,
        }
    }
}

/// A column that is read.
pub(super) struct Wanted<'a> {
    pub(super) column: &'a Column,
    pub(super) way: Way<'a>,
    pub(super) stamped: Option<Stamped<'a>>,
    /// Index of its stamp among those that are read of a row.
    pub(super) at: usize,
    /// Whether cells that do not match their stamps keep their bytes.
    pub(super) keeps_foreign: bool,
}

/// Where to put the cells of a column and their states.
pub(super) struct Cells<'a> {
    /// Bytes of a cell.
    pub(super) cell: usize,
    pub(super) bytes: &'a mut [u8],
    pub(super) states: &'a mut [CellState],
}

impl Wanted<'_> {
    /// Classifies cells that were just read, by the stamps of their rows. Cells that are not there become fill.
    pub(super) fn judge(&self, rows: &Runs, words: &[u64], cells: &mut Cells<'_>) {
        let Some(target) = &self.stamped else { return };
        let width = words.len() / cells.states.len().max(1);
        let states = cells.states.iter_mut().zip(words.chunks_exact(width));
        for (k, ((row, _), (state, words))) in rows.iter().zip(states).enumerate() {
            // A cell may have no elements.
            let cell = &mut cells.bytes[k * cells.cell..(k + 1) * cells.cell];
            *state = target.state(Stamp(words[self.at]), row, cell);
            let keeps = state.is_present() || (self.keeps_foreign && *state == CellState::Changed);
            if !keeps {
                fill_with(cell, &self.column.fill);
            }
        }
    }
}
