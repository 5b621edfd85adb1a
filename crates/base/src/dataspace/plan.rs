//! Converts runs of rows to runs of bytes.

use super::{ColumnLayout, Runs};
use crate::num::to_usize;

/// Bytes that are contiguous both in the file and among the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Byte address in the file.
    pub address: u64,
    /// Byte position among the column's values.
    pub value: usize,
    /// Number of bytes.
    pub len: usize,
}

/// Fills `out` with the pieces of `runs` in one column, in order of rows. Neighbouring pieces are merged.
///
/// # Panics
/// If a row is beyond the column, which [`super::Rows::check`] excludes.
pub fn pieces(layout: &ColumnLayout, runs: &Runs, out: &mut Vec<Piece>) {
    out.clear();
    let bytes = |rows: u64| to_usize(rows * layout.cell_bytes);
    for run in runs.as_slice() {
        let mut done = 0;
        while done < run.count {
            let (address, here) = layout.find(run.row + done);
            let count = here.min(run.count - done);
            let piece = Piece { address, value: bytes(run.index + done), len: bytes(count) };
            match out.last_mut() {
                Some(last) if last.joins(&piece) => last.len += piece.len,
                _ => out.push(piece),
            }
            done += count;
        }
    }
}

impl Piece {
    fn joins(&self, next: &Self) -> bool {
        self.address + self.len as u64 == next.address && self.value + self.len == next.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataspace::{Place, Rows};
    use proptest::prelude::*;

    fn plan(layout: &ColumnLayout, rows: &[u64]) -> Vec<Piece> {
        let mut out = Vec::new();
        pieces(layout, &Rows::list(rows).runs().expect("runs"), &mut out);
        out
    }

    #[test]
    fn neighbouring_chunks_are_merged() {
        let place = Place::Chunked { chunk_rows: 4, addresses: vec![1000, 1040, 5000] };
        let layout = ColumnLayout { rows: 12, cell_bytes: 10, place };
        assert_eq!(plan(&layout, &[2, 3, 4, 5]), [Piece { address: 1020, value: 0, len: 40 }]);
        let split = [Piece { address: 1070, value: 0, len: 10 }, Piece { address: 5000, value: 10, len: 10 }];
        assert_eq!(plan(&layout, &[7, 8]), split);
    }

    proptest! {
        /// Against the obvious model: one address per row, one copy per byte.
        #[test]
        fn every_byte_lands_where_its_row_is(
            list in prop::collection::hash_set(0u64..40, 1..40), cell in 1u64..9, chunk_rows in 1u64..12, gap in 0u64..7, contiguous: bool,
        ) {
            let list: Vec<u64> = list.into_iter().collect();
            let addresses: Vec<u64> = (0..40u64.div_ceil(chunk_rows)).map(|c| 64 + c * (chunk_rows * cell + gap)).collect();
            let place = if contiguous { Place::Contiguous { address: 64 } } else { Place::Chunked { chunk_rows, addresses } };
            let layout = ColumnLayout { rows: 40, cell_bytes: cell, place };
            let mut file = vec![u16::MAX; 1000];
            for piece in plan(&layout, &list) {
                for k in 0..piece.len {
                    let at = piece.address as usize + k;
                    prop_assert_eq!(file[at], u16::MAX, "written twice");
                    file[at] = (piece.value + k) as u16;
                }
            }
            for (index, &row) in list.iter().enumerate() {
                let (address, _) = layout.find(row);
                for k in 0..cell {
                    prop_assert_eq!(u64::from(file[(address + k) as usize]), index as u64 * cell + k);
                }
            }
            prop_assert_eq!(file.iter().filter(|&&b| b != u16::MAX).count() as u64, list.len() as u64 * cell);
        }
    }
}
