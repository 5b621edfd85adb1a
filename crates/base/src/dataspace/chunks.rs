//! How a dataset is divided into chunks, and where they lie. Pure data, read once through the library.

use super::Filter;
use crate::num::to_usize;

/// A stored chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Byte address in the file.
    pub address: u64,
    /// Length in its stored form, in bytes.
    pub bytes: u64,
    /// Bit i is set if filter i was skipped.
    pub mask: u32,
}

/// Bytes that are contiguous in both source and destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte in the source.
    pub from: usize,
    /// First byte in the destination.
    pub to: usize,
    /// Number of bytes.
    pub len: usize,
}

/// A dataset of rows, divided into chunks along all axes. The chunks with the same rows form a **band**. The chunks of
/// a band have consecutive numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    rows: u64,
    /// Shape of a cell, and of the part of a cell that a chunk holds.
    cell: Vec<usize>,
    part: Vec<usize>,
    chunk_rows: u64,
    element: usize,
    cell_bytes: usize,
    part_bytes: usize,
    chunk_bytes: usize,
}

impl Grid {
    /// The grid of a dataset of shape `shape` with chunks of shape `chunk`, rows first, and elements of `element`
    /// bytes. `None`: these do not form a grid, or a chunk would not fit into memory.
    #[must_use]
    pub fn new(shape: &[u64], chunk: &[u64], element: u64) -> Option<Self> {
        let ((&rows, cell), (&chunk_rows, part)) = (shape.split_first()?, chunk.split_first()?);
        let sizes = |axes: &[u64]| axes.iter().map(|&n| usize::try_from(n).ok()).collect::<Option<Vec<_>>>();
        let (cell, part, element) = (sizes(cell)?, sizes(part)?, usize::try_from(element).ok()?);
        let bytes = |axes: &[usize]| axes.iter().try_fold(element, |n, &k| n.checked_mul(k));
        let (cell_bytes, part_bytes) = (bytes(&cell)?, bytes(&part)?);
        let chunk_bytes = usize::try_from(chunk_rows).ok()?.checked_mul(part_bytes)?;
        let fits = cell.len() == part.len() && chunk_bytes > 0 && isize::try_from(chunk_bytes).is_ok();
        fits.then_some(Self { rows, cell, part, chunk_rows, element, cell_bytes, part_bytes, chunk_bytes })
    }

    /// Rows per chunk.
    #[must_use]
    pub fn chunk_rows(&self) -> u64 {
        self.chunk_rows
    }

    /// Number of rows of the dataset.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of a cell.
    #[must_use]
    pub fn cell_bytes(&self) -> usize {
        self.cell_bytes
    }

    /// Bytes of a chunk before its filters, including those beyond the edge of the dataset.
    #[must_use]
    pub fn chunk_bytes(&self) -> usize {
        self.chunk_bytes
    }

    /// Bytes of one cell that a chunk holds.
    #[must_use]
    pub fn part_bytes(&self) -> usize {
        self.part_bytes
    }

    /// Bytes of an element.
    #[must_use]
    pub fn element(&self) -> usize {
        self.element
    }

    /// Number of bands.
    #[must_use]
    pub fn bands(&self) -> u64 {
        self.rows.div_ceil(self.chunk_rows)
    }

    /// The rows of a band.
    #[must_use]
    pub fn band(&self, band: u64) -> std::ops::Range<u64> {
        let start = band * self.chunk_rows;
        start..(start + self.chunk_rows).min(self.rows)
    }

    /// Chunks per band.
    #[must_use]
    pub fn across(&self) -> usize {
        self.cell.iter().zip(&self.part).map(|(n, k)| n.div_ceil(*k)).product()
    }

    /// Number of the chunk whose first element is at `offset`. Chunks are numbered band by band, in row-major order
    /// within a band.
    #[must_use]
    pub fn position(&self, offset: &[u64]) -> Option<usize> {
        let (&row, inner) = offset.split_first()?;
        let mut position = usize::try_from(row / self.chunk_rows).ok()?;
        for ((&at, &n), &k) in inner.iter().zip(&self.cell).zip(&self.part) {
            let at = usize::try_from(at).ok()? / k;
            position = (at < n.div_ceil(k)).then(|| position.checked_mul(n.div_ceil(k))?.checked_add(at))??;
        }
        (row < self.rows && inner.len() == self.cell.len()).then_some(position)
    }

    /// Offset of the first element of chunk `across` of band `band`.
    #[must_use]
    pub fn offset(&self, band: u64, across: usize) -> Vec<u64> {
        let inner = self.corner(across);
        [band * self.chunk_rows].into_iter().chain(inner.iter().map(|&n| n as u64)).collect()
    }

    fn corner(&self, mut across: usize) -> Vec<usize> {
        let mut corner = vec![0; self.cell.len()];
        for (axis, (n, k)) in self.cell.iter().zip(&self.part).enumerate().rev() {
            let count = n.div_ceil(*k).max(1);
            corner[axis] = across % count * k;
            across /= count;
        }
        corner
    }

    /// Maps bytes of a row in chunk `across` to bytes of the row's cell.
    #[must_use]
    pub fn segments(&self, across: usize) -> Vec<Segment> {
        let corner = self.corner(across);
        let here: Vec<usize> =
            self.cell.iter().zip(&self.part).zip(&corner).map(|((n, k), at)| (*k).min(n - at)).collect();
        // The last axes that chunk and cell hold completely form one piece.
        let whole = |axis: usize| self.part[axis] == self.cell[axis];
        let tail = (0..self.cell.len()).rev().take_while(|&axis| whole(axis)).count();
        let turning = self.cell.len() - tail;
        let piece = |axes: &[usize]| axes.iter().product::<usize>() * self.element;
        let (last, len) = match turning.checked_sub(1) {
            Some(last) => (last, here[last] * piece(&self.cell[turning..])),
            None => return vec![Segment { from: 0, to: 0, len: self.cell_bytes }],
        };
        let mut segments = Vec::new();
        let mut index = vec![0; last];
        loop {
            let at = |shape: &[usize], first: &dyn Fn(usize) -> usize| {
                (0..=last).fold(0, |sum, axis| sum * shape[axis] + first(axis)) * piece(&shape[turning..])
            };
            let inside = |axis: usize| index.get(axis).copied().unwrap_or(0);
            let from = at(&self.part, &inside);
            let to = at(&self.cell, &|axis| corner[axis] + inside(axis));
            segments.push(Segment { from, to, len });
            let Some(axis) = (0..last).rev().find(|&axis| index[axis] + 1 < here[axis]) else { return segments };
            index[axis] += 1;
            index[axis + 1..].fill(0);
        }
    }
}

/// Where the chunks of a dataset lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkTable {
    /// How the dataset is divided.
    pub grid: Grid,
    /// Filters, in the order in which they are applied when writing.
    pub filters: Vec<Filter>,
    /// All chunks by number. `None`: not written yet.
    pub chunks: Vec<Option<Chunk>>,
}

impl ChunkTable {
    /// The chunks of a band, in order.
    #[must_use]
    pub fn of_band(&self, band: u64) -> &[Option<Chunk>] {
        let across = self.grid.across();
        let start = to_usize(band).saturating_mul(across);
        self.chunks.get(start..start.saturating_add(across)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chunks_of_whole_rows_are_one_segment() {
        let grid = Grid::new(&[10, 4, 3], &[4, 4, 3], 8).expect("a grid");
        assert_eq!((grid.bands(), grid.across(), grid.chunk_bytes(), grid.cell_bytes()), (3, 1, 384, 96));
        assert_eq!(grid.segments(0), [Segment { from: 0, to: 0, len: 96 }]);
        assert_eq!((grid.band(2), grid.position(&[8, 0, 0])), (8..10, Some(2)));
        let scalars = Grid::new(&[10], &[3], 4).expect("a grid");
        assert_eq!((scalars.across(), scalars.segments(0)), (1, vec![Segment { from: 0, to: 0, len: 4 }]));
    }

    #[test]
    fn what_is_no_grid() {
        assert!(Grid::new(&[], &[], 8).is_none() && Grid::new(&[3], &[0], 8).is_none());
        assert!(Grid::new(&[3, 4], &[3], 8).is_none() && Grid::new(&[3, 4], &[1, 0], 8).is_none());
        assert!(Grid::new(&[u64::MAX, 4], &[u64::MAX, 4], 8).is_none());
        let grid = Grid::new(&[3, 4], &[2, 3], 8).expect("a grid");
        assert_eq!(grid.position(&[4, 0]), None, "beyond the rows");
        assert_eq!((grid.position(&[0, 6]), grid.position(&[0])), (None, None));
    }

    proptest! {
        /// Against the obvious model: each byte of each cell lies in exactly one chunk.
        #[test]
        fn every_byte_of_a_cell_is_in_one_segment(
            axes in prop::collection::vec((1usize..6, 1usize..6), 0..4), rows in 1u64..9, chunk_rows in 1u64..5, element in 1u64..4,
        ) {
            let shape: Vec<u64> = [rows].into_iter().chain(axes.iter().map(|a| a.0 as u64)).collect();
            let chunk: Vec<u64> = [chunk_rows].into_iter().chain(axes.iter().map(|a| a.1 as u64)).collect();
            let grid = Grid::new(&shape, &chunk, element).expect("a grid");
            let mut seen = vec![None; grid.cell_bytes()];
            for across in 0..grid.across() {
                let offset = grid.offset(0, across);
                prop_assert_eq!(grid.position(&offset), Some(across));
                for Segment { from, to, len } in grid.segments(across) {
                    prop_assert!(from + len <= grid.part_bytes());
                    for k in 0..len {
                        prop_assert_eq!(seen[to + k].replace((across, from + k)), None);
                    }
                }
            }
            let index = |mut flat: usize, shape: &[u64]| {
                let mut index = vec![0; shape.len()];
                for (axis, n) in shape.iter().enumerate().rev() {
                    (index[axis], flat) = (flat as u64 % n, flat / *n as usize);
                }
                index
            };
            for (byte, place) in seen.iter().enumerate() {
                let (across, from) = place.expect("in a chunk");
                let of_cell = index(byte / element as usize, &shape[1..]);
                let of_part = index(from / element as usize, &chunk[1..]);
                let corner = grid.offset(0, across);
                let sum: Vec<u64> = of_part.iter().zip(&corner[1..]).map(|(a, b)| a + b).collect();
                prop_assert_eq!(of_cell, sum);
                prop_assert_eq!(byte % element as usize, from % element as usize);
            }
        }
    }
}
