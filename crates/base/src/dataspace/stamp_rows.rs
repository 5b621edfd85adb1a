//! Stamps of some rows in memory.

use super::Window;
use std::slice::{ChunksExact, ChunksExactMut};

/// Stamps of some rows, row by row. It holds those stamps of each row that lie in one [`Window`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StampRows {
    window: Window,
    words: Vec<u64>,
}

impl StampRows {
    /// Resizes it to this many rows and sets all stamps to zero. Reuses its memory.
    pub fn reset(&mut self, window: Window, rows: usize) {
        self.window = window;
        self.words.clear();
        self.words.resize(rows.saturating_mul(window.width), 0);
    }

    /// Which stamps of each row it holds.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len() / self.window.width.max(1)
    }

    /// Whether it holds no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The stamp of the column at `place` in row number `k`.
    ///
    /// # Panics
    /// If there is no such row, or the place is outside the window.
    #[must_use]
    pub fn get(&self, k: usize, place: usize) -> u64 {
        self.words[k * self.window.width + self.window.at(place)]
    }

    /// The same stamp for writing.
    ///
    /// # Panics
    /// As [`StampRows::get`].
    pub fn get_mut(&mut self, k: usize, place: usize) -> &mut u64 {
        &mut self.words[k * self.window.width + self.window.at(place)]
    }

    /// The stamps of row number `k`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, k: usize) -> &[u64] {
        self.rows_from(k, 1)
    }

    /// The stamps of `count` rows from row number `k` on.
    ///
    /// # Panics
    /// If there are not that many rows.
    #[must_use]
    pub fn rows_from(&self, k: usize, count: usize) -> &[u64] {
        &self.words[k * self.window.width..(k + count) * self.window.width]
    }

    /// The stamps of row number `k` for writing.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_mut(&mut self, k: usize) -> &mut [u64] {
        &mut self.words[k * self.window.width..(k + 1) * self.window.width]
    }

    /// Replaces the stamps of row number `k`.
    ///
    /// # Panics
    /// If there is no such row, or `stamps` has another length.
    pub fn set_row(&mut self, k: usize, stamps: &[u64]) {
        self.row_mut(k).copy_from_slice(stamps);
    }

    /// The stamps of each row.
    pub fn rows(&self) -> ChunksExact<'_, u64> {
        self.words.chunks_exact(self.window.width.max(1))
    }

    /// The stamps of each row for writing.
    pub fn rows_mut(&mut self) -> ChunksExactMut<'_, u64> {
        self.words.chunks_exact_mut(self.window.width.max(1))
    }

    /// The stamps of all rows.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The stamps of all rows for writing.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_by_row_and_place() {
        let mut stamps = StampRows::default();
        assert!(stamps.is_empty() && stamps.rows().next().is_none());
        stamps.reset(Window { first: 64, width: 2 }, 3);
        *stamps.get_mut(1, 65) = 7;
        stamps.set_row(2, &[8, 9]);
        assert_eq!((stamps.len(), stamps.get(1, 65), stamps.get(2, 64)), (3, 7, 8));
        assert_eq!((stamps.row(1), stamps.rows_from(1, 2)), (&[0, 7][..], &[0, 7, 8, 9][..]));
        stamps.reset(Window { first: 0, width: 1 }, 2);
        assert_eq!(stamps.words(), [0, 0]);
    }
}
