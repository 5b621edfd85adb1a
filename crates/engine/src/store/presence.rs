//! Counts what rows hold, from their stamps alone.

use super::cells::read_stamps;
use super::read::Reader;
use h5part_base::dataspace::{Rows, StampRows};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, StampState};
use std::ops::Range;

/// Most rows whose stamps are read at once.
const STAMP_ROWS: u64 = 1 << 16;

/// Counts of rows by the state of all their stamped columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// Rows that were counted.
    pub rows: u64,
    /// Rows whose columns are all committed.
    pub committed: u64,
    /// Rows among them that survive a loss of power.
    pub durable: u64,
    /// Rows none of whose columns has a value.
    pub empty: u64,
}

/// Counts of one column's cells in some rows, by their stamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnPresence {
    /// Its name.
    pub column: String,
    /// Rows whose cell is committed.
    pub committed: u64,
    /// Rows among them that survive a loss of power.
    pub durable: u64,
    /// Rows whose cell has no value and is not being written.
    pub empty: u64,
}

impl Reader {
    /// Counts the cells of each stamped column by their stamps. Beside writers, each row counts as it was at some
    /// moment during the call.
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::Unstamped`].
    pub fn presence_by_column(&mut self, rows: Range<u64>) -> Result<Vec<ColumnPresence>> {
        let path = self.path().to_owned();
        self.try_by_column(rows).at("read the status of", path)
    }

    fn try_by_column(&mut self, rows: Range<u64>) -> Result<Vec<ColumnPresence>, ErrorKind> {
        let view = self.fresh_view()?;
        let table = &view.table;
        let stamps = table.expect_stamps()?;
        let stamped = table.columns.iter().filter_map(|column| Some((column.stamp?, column)));
        let (places, mut found): (Vec<usize>, Vec<ColumnPresence>) = stamped
            .map(|(place, column)| {
                let column = column.name.clone();
                (place, ColumnPresence { column, committed: 0, durable: 0, empty: 0 })
            })
            .unzip();
        let rows = Rows::range(rows);
        rows.check(table.rows)?;
        let mut words = StampRows::default();
        let block_rows = stamps.block_rows(STAMP_ROWS);
        for from in (0..rows.len()).step_by(to_usize(block_rows)) {
            read_stamps(view.file.as_ref(), stamps, &rows.slice(from, block_rows).runs()?, &mut words)?;
            for row in words.rows() {
                for (&place, counts) in places.iter().zip(&mut found) {
                    let stamp = Stamp(row[place]);
                    counts.committed += u64::from(stamp.state() == StampState::Committed);
                    counts.durable += u64::from(stamp.state() == StampState::Committed && stamp.is_durable());
                    counts.empty += u64::from(matches!(stamp.state(), StampState::Unstamped | StampState::Vacant));
                }
            }
        }
        Ok(found)
    }

    /// Counts rows by their stamps. Beside writers, each row counts as it was at some moment during the call.
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::Unstamped`].
    pub fn presence(&mut self, rows: Range<u64>) -> Result<Presence> {
        let path = self.path().to_owned();
        self.try_presence(rows).at("read the status of", path)
    }

    fn try_presence(&mut self, rows: Range<u64>) -> Result<Presence, ErrorKind> {
        let view = self.fresh_view()?;
        let table = &view.table;
        let stamps = table.expect_stamps()?;
        let places: Vec<usize> = table.columns.iter().filter_map(|column| column.stamp).collect();
        let rows = Rows::range(rows);
        rows.check(table.rows)?;
        let mut presence = Presence { rows: rows.len(), ..Presence::default() };
        let mut words = StampRows::default();
        let block_rows = stamps.block_rows(STAMP_ROWS);
        for from in (0..rows.len()).step_by(to_usize(block_rows)) {
            read_stamps(view.file.as_ref(), stamps, &rows.slice(from, block_rows).runs()?, &mut words)?;
            for row in words.rows() {
                let all = |is: fn(Stamp) -> bool| u64::from(places.iter().all(|&place| is(Stamp(row[place]))));
                presence.committed += all(|stamp| stamp.state() == StampState::Committed);
                presence.durable += all(|stamp| stamp.state() == StampState::Committed && stamp.is_durable());
                presence.empty += all(|stamp| matches!(stamp.state(), StampState::Unstamped | StampState::Vacant));
            }
        }
        Ok(presence)
    }
}
