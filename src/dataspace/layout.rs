//! Where the cells of a direct column lie in the file: pure data, read once through the library.

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
        /// Rows a chunk.
        chunk_rows: u64,
        /// Byte address of each chunk, in order of rows.
        addresses: Vec<u64>,
    },
}

impl ColumnLayout {
    /// Byte address of row `row`, and how many rows from it on lie in one piece.
    #[must_use]
    pub fn find(&self, row: u64) -> (u64, u64) {
        debug_assert!(row < self.rows, "row {row} of {}", self.rows);
        match &self.place {
            Place::Contiguous { address } => (address + row * self.cell_bytes, self.rows - row),
            Place::Chunked { chunk_rows, addresses } => {
                let (chunk, within) = (row / chunk_rows, row % chunk_rows);
                let index = usize::try_from(chunk).unwrap_or(usize::MAX);
                (addresses[index] + within * self.cell_bytes, (chunk_rows - within).min(self.rows - row))
            }
        }
    }

    /// Whether all of these cells are where they are in `longer`, which may have more.
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

    /// First byte after everything that belongs to the column's rows.
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
