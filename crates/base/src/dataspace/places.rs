//! Sets of places among the stamps of a row, and the stamps that are written together.

use super::{Piece, Runs, Stamps, pieces};
use crate::num::to_usize;

/// Stamps per sector of 512 bytes. A sector is written as a whole or not at all.
pub const SECTOR_STAMPS: usize = 64;
const SECTOR_BYTES: u64 = 512;
/// Stamps are held in memory in blocks of about this many bytes.
const BLOCK_BYTES: u64 = 32 << 20;

/// A set of places, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Vec<u64>);

impl Places {
    /// Whether the set contains a place.
    #[must_use]
    pub fn contains(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// Adds a place.
    pub fn insert(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    /// Whether all of its places are in another set.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(k, word)| word & !other.0.get(k).copied().unwrap_or(0) == 0)
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<T: IntoIterator<Item = usize>>(places: T) -> Self {
        let mut set = Self::default();
        places.into_iter().for_each(|place| set.insert(place));
        set
    }
}

/// Neighbouring stamps of a row that are read and written together. In a table of up to 64 columns these are all; in a
/// wider one the sectors that hold the stamps of some columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Place of the first one.
    pub first: usize,
    /// Number of them.
    pub width: usize,
}

impl Window {
    /// Index of a place within the window.
    #[must_use]
    pub fn at(&self, place: usize) -> usize {
        place - self.first
    }

    /// Fills `out` with the places of these stamps for the rows of the runs. The values are in the order of the runs'
    /// rows.
    ///
    /// # Panics
    /// As [`pieces`].
    pub fn pieces(&self, stamps: &Stamps, runs: &Runs, out: &mut Vec<Piece>) {
        if self.width == stamps.width {
            return pieces(&stamps.layout, runs, out);
        }
        let bytes = self.width * 8;
        let of_row = |(row, index): (u64, u64)| Piece {
            address: stamps.layout.find(row).0 + self.first as u64 * 8,
            value: to_usize(index).saturating_mul(bytes),
            len: bytes,
        };
        out.clear();
        out.extend(runs.iter().map(of_row));
    }
}

impl Stamps {
    /// Whether the stamps of a row lie in more than one sector.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.width > SECTOR_STAMPS
    }

    /// All stamps of a row.
    #[must_use]
    pub fn all(&self) -> Window {
        Window { first: 0, width: self.width }
    }

    /// The window for columns at these places.
    #[must_use]
    pub fn window(&self, places: impl IntoIterator<Item = usize>) -> Window {
        if !self.is_wide() {
            return self.all();
        }
        let ends = |(low, high): (usize, usize), place: usize| (low.min(place), high.max(place));
        let (low, high) = places.into_iter().fold((usize::MAX, 0), ends);
        let first = low.min(high) / SECTOR_STAMPS * SECTOR_STAMPS;
        let end = ((high / SECTOR_STAMPS + 1) * SECTOR_STAMPS).min(self.width);
        Window { first, width: end.saturating_sub(first) }
    }

    /// Whether one write of one sector makes the stamps of a row at these places final together.
    #[must_use]
    pub fn are_together(&self, places: impl IntoIterator<Item = usize>) -> bool {
        !self.is_wide() || (self.window(places).width <= SECTOR_STAMPS && self.layout.is_aligned(SECTOR_BYTES))
    }

    /// Rows per block of stamps in memory, at most `most`.
    #[must_use]
    pub fn block_rows(&self, most: u64) -> u64 {
        (BLOCK_BYTES / (self.width as u64 * 8).max(1)).clamp(1, most.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataspace::{ColumnLayout, Place, Rows};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn stamps(width: usize, addresses: &[u64]) -> Stamps {
        let place = Place::Chunked { chunk_rows: 2, addresses: addresses.to_vec() };
        let layout = ColumnLayout { rows: 2 * addresses.len() as u64, cell_bytes: width as u64 * 8, place };
        Stamps { table: 1, layout, width, guards: Vec::new() }
    }

    #[test]
    fn of_a_narrow_table_all_stamps_are_together_wherever_they_lie() {
        let narrow = stamps(64, &[1000]);
        assert_eq!(narrow.window([63, 2]), narrow.all());
        assert!(narrow.are_together([0, 63]) && !narrow.is_wide() && narrow.block_rows(1 << 16) == 1 << 16);
    }

    #[test]
    fn of_a_wide_table_those_of_a_sector_are() {
        let wide = stamps(256, &[4096, 12288]);
        assert!(wide.are_together([64, 127]) && !wide.are_together([63, 64]) && wide.are_together([255]));
        assert_eq!(wide.window([70, 66]), Window { first: 64, width: 64 });
        assert_eq!(wide.window([255, 66]), Window { first: 64, width: 192 });
        assert!(!stamps(256, &[4096, 12289]).are_together([1]), "not aligned");
        assert!(!stamps(100, &[4096]).are_together([1]), "rows begin within sectors");
        assert_eq!(stamps(4096, &[4096]).block_rows(1 << 16), 1024);
    }

    #[test]
    fn pieces_of_a_window_are_those_of_each_row() {
        let wide = stamps(256, &[4096, 12288]);
        let (mut out, runs) = (Vec::new(), Rows::list(&[1, 2]).runs().expect("runs"));
        wide.window([130]).pieces(&wide, &runs, &mut out);
        let piece = |address, value| Piece { address, value, len: 512 };
        assert_eq!(out, [piece(4096 + 2048 + 1024, 0), piece(12288 + 1024, 512)]);
        wide.all().pieces(&wide, &runs, &mut out);
        assert_eq!(out.iter().map(|piece| piece.len).sum::<usize>(), 2 * 2048);
    }

    proptest! {
        #[test]
        fn is_a_set(one in prop::collection::btree_set(0usize..300, 0..20), other in prop::collection::btree_set(0usize..300, 0..20)) {
            let set = |of: &BTreeSet<usize>| of.iter().copied().collect::<Places>();
            let all = set(&one.union(&other).copied().collect());
            prop_assert!(set(&one).is_within(&all) && set(&other).is_within(&all));
            prop_assert_eq!(set(&one).is_within(&set(&other)), one.is_subset(&other));
            prop_assert_eq!(set(&one) == set(&other), one == other);
            for place in 0..320 {
                prop_assert_eq!(set(&one).contains(place), one.contains(&place));
            }
        }
    }
}
