//! Rows that a dead writer had begun. A cell that had no value before gets its fill back, and no stamp. A cell that had
//! a value gets it back from a record; those that no record explains are counted.

use super::unfinished::HasRecord;
use crate::store::cells::read_stamps;
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Guard, Rows, StampRows, Stamps, push_range};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{Patience, RowLocks};
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, StampState};
use std::ops::Range;

const BLOCK_ROWS: u64 = 1 << 14;

/// The rows of one table that dead writers had begun.
pub(super) struct Begun<'a> {
    view: &'a TableView,
    stamps: &'a Stamps,
    locks: &'a RowLocks,
    has_record: &'a HasRecord<'a>,
}

fn is_fresh(word: u64) -> bool {
    Stamp(word).state() == StampState::Writing && !had_value(word)
}

fn had_value(word: u64) -> bool {
    Stamp(word).had_value()
}

impl<'a> Begun<'a> {
    /// `None`: the table has no stamps.
    pub(super) fn new(view: &'a TableView, locks: &'a RowLocks, has_record: &'a HasRecord<'a>) -> Option<Self> {
        let stamps = view.table.stamps.as_ref()?;
        Some(Self { view, stamps, locks, has_record })
    }

    /// Makes fresh cells "never written", under their locks. The caller is inside the gate. Returns the number of
    /// cells.
    ///
    /// A kill at any instant leaves WRITING, or no stamp over fill.
    pub(super) fn reset(&self, patience: &Patience) -> Result<u64, ErrorKind> {
        let mut cells = 0;
        for range in self.find(is_fresh)? {
            let _rows = self.locks.lock(self.stamps.table, std::slice::from_ref(&range), patience)?;
            // A record that explains the row is handled first.
            if !(self.has_record)(std::slice::from_ref(&range))? {
                cells += self.reset_range(range)?;
            }
        }
        Ok(cells)
    }

    fn reset_range(&self, range: Range<u64>) -> Result<u64, ErrorKind> {
        let file = self.view.file.as_ref();
        let (mut words, mut cells) = (StampRows::default(), 0);
        read_stamps(file, self.stamps, &Rows::range(range.clone()).runs()?, &mut words)?;
        let mut final_words = Vec::new();
        for (row, found) in range.zip(words.rows()) {
            let mut now = found.to_vec();
            for place in (0..found.len()).filter(|&place| is_fresh(found[place])) {
                if !self.is_spoken_for(row, place, found)? {
                    self.fill(row, place)?;
                    now[place] = 0;
                    cells += 1;
                }
            }
            if now != found {
                final_words.push((self.stamps.layout.find(row).0, now));
            }
        }
        if final_words.is_empty() {
            return Ok(0);
        }
        // A cell that has no stamp and is not fill would pass for another program's value.
        file.sync()?;
        for (address, words) in final_words {
            file.write_at(bytemuck::cast_slice(&words), address)?;
        }
        file.sync()?;
        Ok(cells)
    }

    /// Whether a guard says that the cell has a value. Another program may have written it since, or the guard of the
    /// dead writer was durable before a loss of power took the value.
    fn is_spoken_for(&self, row: u64, place: usize, words: &[u64]) -> Result<bool, ErrorKind> {
        let Some(guard) = self.stamps.guard_of(place) else { return Ok(false) };
        let mut bytes = vec![0; guard.undefined.len()];
        self.view.file.read_at(&mut bytes, self.view.guard_target(guard)?.layout.find(row).0)?;
        let unsettled =
            |guard: &Guard| words.get(guard.place).is_some_and(|&w| Stamp(w).state() == StampState::Writing);
        let complete = guard.complete.as_ref().is_none_or(|complete| *complete == bytes);
        Ok(bytes != guard.undefined && (unsettled(guard) || complete))
    }

    fn fill(&self, row: u64, place: usize) -> Result<(), ErrorKind> {
        let column = self.view.table.column_at(place)?;
        // A commit in place leaves nothing in columns that are not direct.
        let Ok(layout) = &column.layout else { return Ok(()) };
        let element = match self.stamps.guard_at(place) {
            Some(guard) => &guard.undefined,
            None => &column.fill,
        };
        let count = to_usize(layout.cell_bytes) / element.len().max(1);
        Ok(self.view.file.write_at(&element.repeat(count), layout.find(row).0)?)
    }

    /// Counts the cells that had a value which is in no record. `None`: a record explains some of them, so its writer,
    /// which may be exiting, must be waited for.
    pub(super) fn without_record(&self) -> Result<Option<u64>, ErrorKind> {
        let ranges = self.find(had_value)?;
        if ranges.is_empty() {
            return Ok(Some(0));
        }
        if (self.has_record)(&ranges)? {
            return Ok(None);
        }
        // A record that is gone was spent. Its cells no longer say WRITING, so they are read again.
        let (mut words, mut cells) = (StampRows::default(), 0);
        for range in ranges {
            read_stamps(self.view.file.as_ref(), self.stamps, &Rows::range(range.clone()).runs()?, &mut words)?;
            for (row, seen) in range.zip(words.rows()) {
                if let Some(now) = self.view.row_without_writer(row, seen, Some(self.locks))? {
                    cells += now.words().iter().filter(|&&word| had_value(word)).count() as u64;
                }
            }
        }
        Ok(Some(cells))
    }

    /// Ranges of rows that hold a stamp for which `is` is true, and that nobody has locked.
    fn find(&self, is: fn(u64) -> bool) -> Result<Vec<Range<u64>>, ErrorKind> {
        let (mut words, mut found) = (StampRows::default(), Vec::new());
        let any = |words: &[u64]| words.iter().any(|&word| is(word));
        let block_rows = self.stamps.block_rows(BLOCK_ROWS);
        for first in (0..self.view.table.rows).step_by(to_usize(block_rows)) {
            let block = first..self.view.table.rows.min(first + block_rows);
            read_stamps(self.view.file.as_ref(), self.stamps, &Rows::range(block.clone()).runs()?, &mut words)?;
            for (row, seen) in block.zip(words.rows()).filter(|(_, seen)| any(seen)) {
                let now = self.view.row_without_writer(row, seen, Some(self.locks))?;
                if now.is_some_and(|now| any(now.words())) {
                    push_range(&mut found, row..row + 1);
                }
            }
        }
        Ok(found)
    }
}
