//! Reads from its stamps how far a table has progressed.

use super::cells::read_stamps;
use super::handle::{Store, trim_slashes};
use super::table_view::TableView;
use h5part_base::dataspace::{Rows, StampRows, Stamps, push_range};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::RowLocks;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, StampState};
use rayon::prelude::*;
use serde::Serialize;

/// Most rows whose stamps are read at once.
const BLOCK_ROWS: u64 = 1 << 16;

/// Counts of a table's cells by state.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Path of the table in the file.
    pub table: String,
    /// Number of rows.
    pub rows: u64,
    /// One entry per stamped column.
    pub columns: Vec<ColumnStatus>,
    /// Stamped columns that another program has deleted, renamed, shortened or retyped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<LostStatus>,
    /// Other names of columns, each with the name of its column.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<(String, String)>,
}

/// A stamped column that is not as its stamps say.
#[derive(Clone, Debug, Serialize)]
pub struct LostStatus {
    /// Name that was stamped.
    pub name: String,
    /// What happened to it.
    pub what: String,
    /// The rows that are gone, as `[first, end)`.
    pub rows: (u64, u64),
}

/// Counts of one column's cells by state.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnStatus {
    /// Name of the column.
    pub name: String,
    /// Cells whose stamp says COMMITTED.
    pub committed: u64,
    /// Cells that no commit has begun.
    pub missing: u64,
    /// Cells of commits under way: their row is locked.
    pub writing: u64,
    /// Cells of commits whose writer died.
    pub interrupted: u64,
    /// Share of committed cells (0 to 1) in each part of the table, in order of rows.
    pub coverage: Vec<f32>,
}

/// Counts of one block of rows, for all columns.
#[derive(Clone, Debug)]
struct BlockCounts {
    first_row: u64,
    committed: Vec<u64>,
    writing: Vec<u64>,
    interrupted: Vec<u64>,
    /// Committed cells by part of the table; one list of parts per column.
    parts: Vec<Vec<u64>>,
}

impl Store {
    /// Counts the cells of a table by state, and the share of committed cells in each of `parts` equal parts of it.
    /// There are at most as many parts as rows. Reads only stamps, in parallel. Beside writers, each row counts as it
    /// was at some moment during the call.
    ///
    /// # Errors
    /// As [`Store::reader`], and [`ErrorKind::Unstamped`].
    pub fn status(&self, table: &str, parts: usize) -> Result<Status> {
        self.try_status(trim_slashes(table), parts.max(1)).at("read the status of", &self.paths.file)
    }

    /// The rows in which not every stamped column is committed, so they are still to be computed. Reads only stamps, in
    /// parallel.
    ///
    /// # Errors
    /// As [`Store::status`].
    pub fn missing(&self, table: &str) -> Result<Rows> {
        self.try_missing(trim_slashes(table)).at("read the status of", &self.paths.file)
    }

    fn try_missing(&self, table: &str) -> Result<Rows, ErrorKind> {
        let view = self.view_of(table)?;
        let stamps = view.table.expect_stamps()?;
        let places: Vec<usize> = view.table.columns.iter().filter_map(|c| c.stamp).collect();
        let block_rows = stamps.block_rows(BLOCK_ROWS);
        let ranges = (0..view.table.rows.div_ceil(block_rows))
            .into_par_iter()
            .map(|block| {
                let first = block * block_rows;
                missing_of(&view, stamps, &places, first..(first + block_rows).min(view.table.rows))
            })
            .collect::<Result<Vec<_>, ErrorKind>>()?;
        let mut joined = Vec::new();
        ranges.into_iter().flatten().for_each(|range| push_range(&mut joined, range));
        Ok(Rows::ranges(joined))
    }

    /// Counts the cells whose value a dead writer was overwriting, and that nobody has put back.
    pub(crate) fn left_by_dead(&self, table: &str) -> Result<u64> {
        self.try_abandoned(trim_slashes(table)).at("read the status of", &self.paths.file)
    }

    /// Counts the cells that had a value and say WRITING although nobody has locked their row.
    pub(super) fn try_abandoned(&self, table: &str) -> Result<u64, ErrorKind> {
        let view = self.view_of(table)?;
        let Some(stamps) = &view.table.stamps else { return Ok(0) };
        let locks = RowLocks::look(&self.paths)?;
        let had_value = |word: &&u64| Stamp(**word).had_value();
        let block_rows = stamps.block_rows(BLOCK_ROWS);
        let blocks = (0..view.table.rows.div_ceil(block_rows)).into_par_iter().map(|block| {
            let first = block * block_rows;
            let rows = first..(first + block_rows).min(view.table.rows);
            let mut found = StampRows::default();
            read_stamps(view.file.as_ref(), stamps, &Rows::range(rows.clone()).runs()?, &mut found)?;
            let mut count = 0;
            for (row, seen) in rows.zip(found.rows()).filter(|(_, seen)| seen.iter().any(|word| had_value(&word))) {
                if let Some(now) = view.row_without_writer(row, seen, locks.as_ref())? {
                    count += now.words().iter().filter(had_value).count() as u64;
                }
            }
            Ok(count)
        });
        blocks.sum()
    }

    pub(crate) fn view_of(&self, table: &str) -> Result<TableView, ErrorKind> {
        let _gate = self.enter_to_read()?;
        TableView::load(self, table)
    }

    fn try_status(&self, table: &str, parts: usize) -> Result<Status, ErrorKind> {
        let view = self.view_of(table)?;
        let stamps = view.table.expect_stamps()?;
        let locks = RowLocks::look(&self.paths)?;
        let places: Vec<usize> = view.table.columns.iter().filter_map(|c| c.stamp).collect();
        let parts = parts.min(to_usize(view.table.rows)).max(1);
        let block_rows = stamps.block_rows(BLOCK_ROWS);
        let blocks = view.table.rows.div_ceil(block_rows);
        let tallies = (0..blocks)
            .into_par_iter()
            .map(|block| {
                let first_row = block * block_rows;
                let rows = first_row..(first_row + block_rows).min(view.table.rows);
                tally(&view, stamps, &places, rows, parts, locks.as_ref())
            })
            .collect::<Result<Vec<_>, ErrorKind>>()?;
        Ok(summary(&view, parts, &tallies))
    }
}

/// Ranges of rows that are not committed in all columns.
fn missing_of(
    view: &TableView,
    stamps: &Stamps,
    places: &[usize],
    rows: std::ops::Range<u64>,
) -> Result<Vec<std::ops::Range<u64>>, ErrorKind> {
    let mut words = StampRows::default();
    read_stamps(view.file.as_ref(), stamps, &Rows::range(rows.clone()).runs()?, &mut words)?;
    let mut ranges = Vec::new();
    for (row, row_stamps) in rows.zip(words.rows()) {
        if places.iter().all(|&place| Stamp(row_stamps[place]).state() == StampState::Committed) {
            continue;
        }
        push_range(&mut ranges, row..row + 1);
    }
    Ok(ranges)
}

fn tally(
    view: &TableView,
    stamps: &Stamps,
    places: &[usize],
    rows: std::ops::Range<u64>,
    parts: usize,
    locks: Option<&RowLocks>,
) -> Result<BlockCounts, ErrorKind> {
    let zeros = || vec![0; places.len()];
    let first_part = part_of(rows.start, view.table.rows, parts);
    let count = part_of(rows.end - 1, view.table.rows, parts) - first_part + 1;
    let mut tally = BlockCounts {
        first_row: rows.start,
        committed: zeros(),
        writing: zeros(),
        interrupted: zeros(),
        parts: vec![vec![0; count]; places.len()],
    };
    let mut words = StampRows::default();
    read_stamps(view.file.as_ref(), stamps, &Rows::range(rows.clone()).runs()?, &mut words)?;
    for (row, seen) in rows.zip(words.rows()) {
        let writing = places.iter().any(|&place| Stamp(seen[place]).state() == StampState::Writing);
        let now = if writing { view.row_without_writer(row, seen, locks)? } else { None };
        let locked = writing && now.is_none();
        let row_stamps = now.as_ref().map_or(seen, StampRows::words);
        let part = part_of(row, view.table.rows, parts) - first_part;
        for (column, &place) in places.iter().enumerate() {
            match Stamp(row_stamps[place]).state() {
                StampState::Unstamped | StampState::Vacant => {}
                StampState::Committed => {
                    tally.committed[column] += 1;
                    tally.parts[column][part] += 1;
                }
                StampState::Writing if locked => tally.writing[column] += 1,
                StampState::Writing | StampState::Unknown(_) => tally.interrupted[column] += 1,
            }
        }
    }
    Ok(tally)
}

fn summary(view: &TableView, parts: usize, tallies: &[BlockCounts]) -> Status {
    let rows = view.table.rows;
    let stamped = view.table.columns.iter().filter(|c| c.stamp.is_some());
    let columns = stamped.enumerate().map(|(k, column)| {
        let sum = |of: fn(&BlockCounts) -> &Vec<u64>| tallies.iter().map(|t| of(t)[k]).sum::<u64>();
        let (committed, writing, interrupted) = (sum(|t| &t.committed), sum(|t| &t.writing), sum(|t| &t.interrupted));
        let mut counts = vec![0u64; parts];
        for tally in tallies {
            let first = part_of(tally.first_row, rows, parts);
            for (count, n) in counts[first..].iter_mut().zip(&tally.parts[k]) {
                *count += n;
            }
        }
        ColumnStatus {
            name: column.name.clone(),
            committed,
            writing,
            interrupted,
            missing: rows - committed - writing - interrupted,
            coverage: counts.iter().enumerate().map(|(part, &n)| share(n, part, rows, parts)).collect(),
        }
    });
    let lost = view.table.lost.iter().map(|lost| LostStatus {
        name: lost.name.clone(),
        what: lost.loss.to_string(),
        rows: (lost.first_row(), view.table.stamped_rows()),
    });
    Status {
        table: view.table.path.clone(),
        rows,
        columns: columns.collect(),
        lost: lost.collect(),
        aliases: view.table.aliases.clone(),
    }
}

/// Which of `parts` equal parts of the table holds the row.
fn part_of(row: u64, rows: u64, parts: usize) -> usize {
    usize::try_from(u128::from(row) * parts as u128 / u128::from(rows.max(1))).unwrap_or(0)
}

/// The share of a part's rows. There are never more parts than rows.
#[expect(clippy::cast_precision_loss, reason = "a share for display")]
fn share(count: u64, part: usize, rows: u64, parts: usize) -> f32 {
    let first = (part as u128 * u128::from(rows)).div_ceil(parts as u128);
    let end = ((part as u128 + 1) * u128::from(rows)).div_ceil(parts as u128);
    count as f32 / (end - first) as f32
}
