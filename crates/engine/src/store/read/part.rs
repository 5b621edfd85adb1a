//! Parts of a read, which can run in parallel.

use super::wanted::{Cells, Wanted, Way};
use crate::filter;
use crate::store::cells::{fill_with, read_cells};
use crate::store::packer::Packer;
use h5part_base::dataspace::{Chunk, ChunkTable, Runs, Segment, StampRows};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;

/// Some rows of one column.
pub(super) struct Part<'a> {
    wanted: &'a Wanted<'a>,
    rows: Runs,
    words: &'a [u64],
    cells: Cells<'a>,
}

impl<'a> Part<'a> {
    /// Divides a column's rows into parts of about `bytes`. Where they lie in compressed chunks, each part is one band,
    /// so that no chunk is decompressed twice.
    pub(super) fn divide(
        wanted: &'a Wanted<'a>,
        rows: &Runs,
        bytes: usize,
        words: &'a StampRows,
        cells: &'a mut Cells<'_>,
    ) -> Vec<Self> {
        let most = (bytes / cells.cell.max(1)).max(1) as u64;
        let parts = match &wanted.way {
            Way::Chunks(table) => rows.parts(u64::MAX, Some(table.grid.chunk_rows())),
            _ => rows.parts(most, None),
        };
        let cell = cells.cell;
        let (mut bytes, mut states, mut first) = (&mut *cells.bytes, &mut *cells.states, 0);
        let mut divided = Vec::with_capacity(parts.len());
        for rows in parts {
            let count = to_usize(rows.len());
            let (here, rest) = bytes.split_at_mut(count * cell);
            let (states_here, states_rest) = states.split_at_mut(count);
            let cells = Cells { cell, bytes: here, states: states_here };
            divided.push(Self { wanted, rows, words: words.rows_from(first, count), cells });
            (bytes, states, first) = (rest, states_rest, first + count);
        }
        divided
    }

    /// Reads its cells and classifies them.
    pub(super) fn read(mut self, file: &dyn StorageFile) -> Result<(), ErrorKind> {
        match &self.wanted.way {
            Way::Direct(layout) => read_cells(file, layout, &self.rows, self.cells.bytes)?,
            Way::Chunks(table) => self.decode(table, file)?,
            Way::Library => {}
        }
        self.wanted.judge(&self.rows, self.words, &mut self.cells);
        Ok(())
    }

    /// Decodes chunks. All rows must be of one band.
    fn decode(&mut self, table: &ChunkTable, file: &dyn StorageFile) -> Result<(), ErrorKind> {
        let Some(first) = self.rows.as_slice().first() else { return Ok(()) };
        let grid = &table.grid;
        let band = first.row / grid.chunk_rows();
        let start = grid.band(band).start;
        let packer = Packer::new(self.wanted.column)?;
        let chunks = table.of_band(band);
        if chunks.iter().all(Option::is_none) {
            fill_with(self.cells.bytes, &self.wanted.column.fill);
            return Ok(());
        }
        filter::with_codecs(|codecs| {
            let mut stored = Vec::new();
            let mut read = |chunk: &Chunk, out: &mut [u8]| {
                stored.resize(to_usize(chunk.bytes), 0);
                file.read_at(&mut stored, chunk.address)?;
                packer.decode(start, (chunk.mask, &stored), out, codecs)
            };
            // A whole chunk of whole rows is decompressed straight into its place.
            if let ([Some(chunk)], true) = (chunks, self.cells.bytes.len() == grid.chunk_bytes()) {
                return read(chunk, self.cells.bytes);
            }
            let mut whole = vec![0; grid.chunk_bytes()];
            for (across, chunk) in chunks.iter().enumerate() {
                let segments = grid.segments(across);
                let Some(chunk) = chunk else {
                    fill_segments(&segments, &self.wanted.column.fill, self.cells.bytes, self.cells.cell);
                    continue;
                };
                read(chunk, &mut whole)?;
                let cells = self.cells.bytes.chunks_exact_mut(self.cells.cell.max(1));
                for ((row, _), cell) in self.rows.iter().zip(cells) {
                    let at = to_usize(row - start) * grid.part_bytes();
                    let part = &whole[at..at + grid.part_bytes()];
                    for &Segment { from, to, len } in &segments {
                        cell[to..to + len].copy_from_slice(&part[from..from + len]);
                    }
                }
            }
            Ok(())
        })
    }
}

fn fill_segments(segments: &[Segment], fill: &[u8], bytes: &mut [u8], cell: usize) {
    for cell in bytes.chunks_exact_mut(cell.max(1)) {
        for &Segment { to, len, .. } in segments {
            fill_with(&mut cell[to..to + len], fill);
        }
    }
}
