//! Where the cells of a direct column lie in the file. Pure data, read once through the library.

use crate::num::to_usize;

/// Byte addresses of all cells of a column whose rows are whole and unfiltered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnLayout {
    /// Number of rows.
    pub rows: u64,
    /// Bytes of one cell.
    pub cell_bytes: u64,
    /// Where they are.
    pub place: Place,
}

/// How a dataset's raw data lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One block from this byte address.
    Contiguous {
        /// Byte address in the file.
        address: u64,
    },
    /// Chunks of whole rows.
    Chunked {
        /// Rows per chunk.
        chunk_rows: u64,
        /// Byte address of each chunk, in order of rows.
        addresses: Vec<u64>,
    },
}

impl ColumnLayout {
    /// Rows per chunk. `None`: the column is contiguous.
    #[must_use]
    pub fn chunk_rows(&self) -> Option<u64> {
        match &self.place {
            Place::Chunked { chunk_rows, .. } => Some(*chunk_rows),
            Place::Contiguous { .. } => None,
        }
    }

    /// Byte address of row `row`, and the number of rows, at least one, that lie contiguously from it on.
    ///
    /// # Panics
    /// If the row is beyond the column, which [`super::Rows::check`] excludes.
    #[must_use]
    pub fn find(&self, row: u64) -> (u64, u64) {
        assert!(row < self.rows, "row {row} of {}", self.rows);
        match &self.place {
            Place::Contiguous { address } => (address + row * self.cell_bytes, self.rows - row),
            Place::Chunked { chunk_rows, addresses } => {
                let (chunk, within) = (row / chunk_rows, row % chunk_rows);
                let index = to_usize(chunk);
                (addresses[index] + within * self.cell_bytes, (chunk_rows - within).min(self.rows - row))
            }
        }
    }

    /// Whether all of these cells have the same place in `longer`, which may have more cells.
    #[must_use]
    pub fn is_start_of(&self, longer: &Self) -> bool {
        let place = match (&self.place, &longer.place) {
            (Place::Chunked { chunk_rows, addresses }, Place::Chunked { chunk_rows: other, addresses: more }) => {
                chunk_rows == other && more.starts_with(addresses)
            }
            (here, there) => here == there || self.rows == 0,
        };
        place && self.cell_bytes == longer.cell_bytes && self.rows <= longer.rows
    }

    /// Whether every cell begins at a multiple of `bytes`.
    #[must_use]
    pub fn is_aligned(&self, bytes: u64) -> bool {
        let starts = match &self.place {
            Place::Contiguous { address } => std::slice::from_ref(address),
            Place::Chunked { addresses, .. } => addresses,
        };
        self.cell_bytes.is_multiple_of(bytes) && starts.iter().all(|start| start.is_multiple_of(bytes))
    }

    /// First byte after everything that belongs to the rows of the column.
    #[must_use]
    pub fn end(&self) -> u64 {
        if self.rows == 0 {
            return 0;
        }
        match &self.place {
            Place::Contiguous { address } => address + self.rows * self.cell_bytes,
            Place::Chunked { chunk_rows, addresses } => {
                addresses.iter().max().map_or(0, |last| last + chunk_rows * self.cell_bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contiguous(rows: u64) -> ColumnLayout {
        ColumnLayout { rows, cell_bytes: 10, place: Place::Contiguous { address: 100 } }
    }

    fn chunked(rows: u64, addresses: &[u64]) -> ColumnLayout {
        let place = Place::Chunked { chunk_rows: 4, addresses: addresses.to_vec() };
        ColumnLayout { rows, cell_bytes: 10, place }
    }

    #[test]
    fn rows_are_found_with_those_that_follow_them() {
        assert_eq!(contiguous(7).find(2), (120, 5));
        let layout = chunked(7, &[1000, 500]);
        assert_eq!([0, 3, 4, 6].map(|row| layout.find(row)), [(1000, 4), (1030, 1), (500, 3), (520, 1)]);
    }

    #[test]
    fn chunks_have_rows_and_one_block_has_no_chunks() {
        assert_eq!((chunked(7, &[1000, 500]).chunk_rows(), contiguous(7).chunk_rows()), (Some(4), None));
    }

    #[test]
    fn the_end_is_that_of_the_last_byte() {
        assert_eq!((contiguous(7).end(), contiguous(0).end()), (170, 0));
        assert_eq!(chunked(7, &[1000, 500]).end(), 1040);
        assert_eq!(chunked(0, &[]).end(), 0);
    }

    #[test]
    fn a_layout_is_the_start_of_one_that_has_grown_and_of_no_other() {
        let layout = chunked(7, &[1000, 500]);
        assert!(layout.is_start_of(&layout) && layout.is_start_of(&chunked(9, &[1000, 500, 2000])));
        assert!(!layout.is_start_of(&chunked(9, &[1000, 600, 2000])), "a chunk has moved");
        assert!(!layout.is_start_of(&chunked(6, &[1000, 500])), "it has shrunk");
        assert!(!layout.is_start_of(&ColumnLayout { cell_bytes: 11, ..layout.clone() }), "cells are longer");
        let other = Place::Chunked { chunk_rows: 5, addresses: vec![1000, 500] };
        assert!(!layout.is_start_of(&ColumnLayout { place: other, ..layout.clone() }), "chunks are longer");
        assert!(contiguous(7).is_start_of(&contiguous(7)) && !contiguous(7).is_start_of(&contiguous(6)));
        let moved = ColumnLayout { place: Place::Contiguous { address: 200 }, ..contiguous(7) };
        assert!(!contiguous(7).is_start_of(&moved) && !contiguous(7).is_start_of(&chunked(7, &[100, 140])));
        assert!(contiguous(0).is_start_of(&moved), "without rows there is nothing that could move");
        let longer = ColumnLayout { cell_bytes: 11, ..moved };
        assert!(!contiguous(0).is_start_of(&longer));
    }
}
