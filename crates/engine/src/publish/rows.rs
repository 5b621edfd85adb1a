//! Reads the rows to publish. Rows are whole, and each cell is a committed value or empty.

use super::Publishing;
use super::plan::Planned;
use crate::store::{Block, CellState, Reader, Store};
use h5part_base::dataspace::{Column, Guard, Rows, StampRows};
use h5part_base::error::ErrorKind;
use h5part_base::record::stamp::Stamp;

/// Rows are read in blocks of about this many bytes.
const BLOCK_BYTES: u64 = 4 << 20;

/// Some rows of a table, as they will be published.
pub(super) struct RowBlock {
    /// Their cells, one column after the other.
    pub(super) cells: Vec<Vec<u8>>,
    /// Their stamps.
    pub(super) words: StampRows,
    /// First of them.
    pub(super) first: u64,
}

pub(super) struct RowSource<'a> {
    store: &'a Store,
    reader: Reader,
    table: &'a Planned,
    how: Publishing,
    /// Guards, each with the index of its column.
    guards: Vec<(Guard, usize)>,
    /// Index of the column of each stamp of a row.
    stamped: Vec<Option<usize>>,
    pub(super) cells: u64,
    pub(super) missing: u64,
    pub(super) left_out: u64,
}

impl<'a> RowSource<'a> {
    pub(super) fn open(store: &'a Store, table: &'a Planned, how: Publishing) -> Result<Self, ErrorKind> {
        let reader = store.reader(&table.table).map_err(h5part_base::error::Error::into_kind)?;
        let place_of = |guard: &Guard| table.columns.iter().position(|column| column.stamp == Some(guard.place));
        let stamps = reader.table().stamps.iter();
        let guards =
            stamps.flat_map(|stamps| &stamps.guards).filter_map(|guard| Some((guard.clone(), place_of(guard)?)));
        let guards = guards.collect();
        let width = table.stamps.map_or(0, |(_, width)| width);
        let column_of = |place| table.columns.iter().position(|column| column.stamp == Some(place));
        let stamped = (0..width).map(column_of).collect();
        Ok(Self { store, reader, table, how, guards, stamped, cells: 0, missing: 0, left_out: 0 })
    }

    /// Calls `take` for all rows, block by block.
    pub(super) fn each_block(
        &mut self,
        mut take: impl FnMut(RowBlock) -> Result<(), ErrorKind>,
    ) -> Result<(), ErrorKind> {
        let rows = (BLOCK_BYTES / self.table.row_bytes().max(1)).max(1);
        let mut first = 0;
        while first < self.table.rows {
            let end = (first + rows).min(self.table.rows);
            take(self.block(first, end)?)?;
            first = end;
        }
        Ok(())
    }

    fn block(&mut self, first: u64, end: u64) -> Result<RowBlock, ErrorKind> {
        let names: Vec<&str> = self.table.columns.iter().map(|column| column.name.as_str()).collect();
        let (mut blocks, mut words) = self.reader.read_stamped(&names, &Rows::range(first..end))?;
        self.wait(&names, first, &mut blocks, &mut words)?;
        self.judge(first, &mut blocks, &mut words)?;
        let cells = blocks.into_iter().map(Block::into_bytes).collect();
        Ok(RowBlock { cells, words, first })
    }

    /// Waits for rows that are being overwritten: they had a value before, and will have one after.
    fn wait(
        &mut self,
        names: &[&str],
        first: u64,
        blocks: &mut [Block],
        words: &mut StampRows,
    ) -> Result<(), ErrorKind> {
        let moving = |words: &StampRows| -> Vec<usize> {
            let had_value = |word: &u64| Stamp(*word).had_value();
            words.rows().enumerate().filter(|(_, row)| row.iter().any(had_value)).map(|(k, _)| k).collect()
        };
        if self.table.stamps.is_none() {
            return Ok(());
        }
        let mut places = moving(words);
        if places.is_empty() {
            return Ok(());
        }
        let (store, patience) = (self.store, self.store.patience.clone());
        let (table, row) = (&self.table.table, first + places[0] as u64);
        let holder = || format!("a writer of row {row} of table '{table}'");
        let look = || {
            // Its writer may be dead.
            if let Err(e) = store.recover()
                && !matches!(e.kind(), ErrorKind::ReadOnly(_))
            {
                return Err(e.into_kind());
            }
            let rows: Vec<u64> = places.iter().map(|&place| first + place as u64).collect();
            let (now, now_words) = self.reader.read_stamped(names, &Rows::list(&rows))?;
            for (block, now) in blocks.iter_mut().zip(&now) {
                block.put(now, &places);
            }
            for (row, &place) in now_words.rows().zip(&places) {
                words.set_row(place, row);
            }
            places = moving(&now_words).into_iter().map(|k| places[k]).collect();
            Ok(places.is_empty().then_some(()))
        };
        patience.wait_for("a row that is being overwritten", look, holder)
    }

    /// Decides for each cell whether it is published, and with which stamp.
    fn judge(&mut self, first: u64, blocks: &mut [Block], words: &mut StampRows) -> Result<(), ErrorKind> {
        if self.how.accept_foreign {
            self.take_foreign(first, blocks)?;
        }
        let count = blocks.first().map_or(0, |block| block.states().len());
        for place in 0..count {
            let is_changed = |(block, _): &(&Block, &Column)| block.states()[place] == CellState::Changed;
            if let Some((_, column)) = blocks.iter().zip(&self.table.columns).find(is_changed) {
                return Err(ErrorKind::ForeignChange { column: column.name.clone(), row: first + place as u64 });
            }
            let left_out = self.how.only_complete && self.table.stamps.is_some() && !self.is_complete(blocks, place);
            self.left_out += u64::from(left_out);
            for (block, column) in blocks.iter_mut().zip(&self.table.columns) {
                let state = block.states()[place];
                if left_out && column.stamp.is_some() {
                    block.fill_cell(place, self.undefined(column));
                    self.missing += 1;
                } else {
                    self.cells += u64::from(state.is_present());
                    self.missing += u64::from(!state.is_present());
                }
            }
            if self.table.stamps.is_none() {
                continue;
            }
            for (word, column) in words.row_mut(place).iter_mut().zip(&self.stamped) {
                let committed = column.is_some_and(|c| blocks[c].states()[place] == CellState::Committed);
                if left_out || !committed {
                    *word = 0;
                }
            }
        }
        Ok(())
    }

    /// The bytes of a cell without a value.
    fn undefined<'c>(&'c self, column: &'c Column) -> &'c [u8] {
        let guard = self.guards.iter().find(|(guard, _)| column.stamp == Some(guard.place));
        guard.map_or(&column.fill, |(guard, _)| &guard.undefined)
    }

    fn is_complete(&self, blocks: &[Block], place: usize) -> bool {
        let stamped = blocks.iter().zip(&self.table.columns).filter(|(_, column)| column.stamp.is_some());
        let all = stamped.clone().all(|(block, _)| block.states()[place] == CellState::Committed);
        let says = |(guard, column): &(Guard, usize)| guard.says_complete(blocks[*column].cell(place));
        all && self.guards.iter().all(says)
    }

    /// Collects values that another program wrote in place of committed ones.
    fn take_foreign(&mut self, first: u64, blocks: &mut [Block]) -> Result<(), ErrorKind> {
        for (block, column) in blocks.iter_mut().zip(&self.table.columns) {
            let changed = |(_, state): &(usize, &CellState)| **state == CellState::Changed;
            let places: Vec<usize> =
                block.states().iter().enumerate().filter(changed).map(|(place, _)| place).collect();
            for place in places {
                let bytes = self.reader.as_it_lies(&column.name, first + place as u64)?;
                block.accept(place, &bytes);
            }
        }
        Ok(())
    }
}
