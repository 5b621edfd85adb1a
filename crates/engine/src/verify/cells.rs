//! Checks every value against its stamp, in blocks of rows, in parallel.

use super::Remedy;
use super::report::{Finding, Kind, Report, TableReport};
use super::structure;
use crate::store::{CellReader, CellState, Progress, Stamped, Store, TableView, for_each_cell, is_fill, read_stamps};
use h5part_base::dataspace::{Column, Rows, Runs, StampRows, Stamps, push_range};
use h5part_base::error::ErrorKind;
use h5part_base::lock::RowLocks;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, StampState};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Rows are checked in blocks of about this many bytes.
const BLOCK_BYTES: u64 = 4 << 20;
/// Most rows per block.
const BLOCK_ROWS: u64 = 1 << 16;
/// How many times a changing row is checked again before it counts as being written.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_micros(50);

/// Findings in some rows of a table, by column (`None`: the row as a whole) and kind.
#[derive(Debug, Default)]
struct FoundRows {
    committed: u64,
    missing: u64,
    bytes: u64,
    found: BTreeMap<(Kind, Option<usize>), Vec<Range<u64>>>,
}

/// A table under verification.
struct Table<'a> {
    view: &'a TableView,
    stamps: &'a Stamps,
    columns: Vec<Stamped<'a>>,
    store: &'a Store,
    cells: CellReader,
    locks: Option<&'a RowLocks>,
}

/// Checks the cells of all tables with stamps.
pub(super) fn check(
    store: &Store,
    tables: &[String],
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), ErrorKind> {
    let locks = RowLocks::look(&store.paths)?;
    let (mut views, mut total) = (Vec::new(), 0);
    for table in tables {
        match store.view_of(table) {
            Ok(view) => {
                total += view.table.rows * bytes_a_row(&view);
                views.push(view);
            }
            Err(e) => report.add(structure::of_table(table, e)?),
        }
    }
    let done = AtomicU64::new(0);
    let advance = |bytes: u64| progress(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total);
    for view in &views {
        let Some(stamps) = &view.table.stamps else {
            let path = &view.table.path;
            // A file that h5part never wrote to has no stamps to lose.
            let is_copy = report.uuid.is_none() || store.with_h5(|h5, _| Ok(h5.has_number_of_stamps(path)?))?;
            report.add(without_stamps(is_copy).of_table(path));
            continue;
        };
        let stamped = view.table.columns.iter().filter(|c| c.stamp.is_some());
        let columns = stamped.map(|column| view.stamped(column)).collect::<Result<Vec<_>, _>>()?;
        let table = Table { view, stamps, columns, store, cells: CellReader::new(store), locks: locks.as_ref() };
        let tally = table.check(&advance)?;
        table.tell(tally, report);
    }
    Ok(())
}

/// The finding for a table that has the number of one with stamps, but has no stamps.
fn without_stamps(is_copy: bool) -> Finding {
    if is_copy {
        let what = "a copy of a table, without stamps of its own: its values were not looked at";
        Finding::note(Kind::NotRead, what, Remedy::Adopt)
    } else {
        let what = "its stamps are gone, or it is a copy from another file";
        Finding::fault(Kind::Table, what, Remedy::CompareOrAdopt)
    }
}

/// Bytes of values and stamps per row.
fn bytes_a_row(view: &TableView) -> u64 {
    view.table.row_bytes() + view.table.stamps.as_ref().map_or(0, |stamps| stamps.width as u64 * 8)
}

impl FoundRows {
    fn add(&mut self, kind: Kind, column: Option<usize>, row: u64) {
        push_range(self.found.entry((kind, column)).or_default(), row..row + 1);
    }

    /// Adds findings of later rows or other columns.
    fn join(&mut self, other: Self) {
        self.committed += other.committed;
        self.missing += other.missing;
        self.bytes += other.bytes;
        for (key, ranges) in other.found {
            let all = self.found.entry(key).or_default();
            for range in ranges {
                push_range(all, range);
            }
        }
    }
}

impl Table<'_> {
    fn check(&self, advance: &(dyn Fn(u64) + Sync)) -> Result<FoundRows, ErrorKind> {
        let rows = self.view.table.rows;
        let block_rows = (BLOCK_BYTES / bytes_a_row(self.view).max(1)).clamp(1, BLOCK_ROWS);
        let blocks = (0..rows.div_ceil(block_rows)).into_par_iter().map(|block| {
            let first = block * block_rows;
            let tally = self.block(first..(first + block_rows).min(rows))?;
            advance(tally.bytes);
            Ok(tally)
        });
        let mut all = FoundRows::default();
        for tally in blocks.collect::<Result<Vec<_>, ErrorKind>>()? {
            all.join(tally);
        }
        Ok(all)
    }

    fn block(&self, rows: Range<u64>) -> Result<FoundRows, ErrorKind> {
        let runs = Rows::range(rows.clone()).runs()?;
        let mut tally = FoundRows::default();
        let mut words = StampRows::default();
        // A writer that changes several sectors of a row's stamps holds the gate exclusively meanwhile.
        let _gate = self.stamps.is_wide().then(|| self.store.enter_to_read()).transpose()?;
        read_stamps(self.view.file.as_ref(), self.stamps, &runs, &mut words)?;
        tally.bytes += words.words().len() as u64 * 8;
        // Rows in which something is wrong. They are checked again one by one.
        let mut again = vec![false; words.len()];
        self.padding(&words, &rows, &mut tally);
        // For each guard: whether a value that it covers is missing.
        let mut lacking = vec![vec![false; again.len()]; self.stamps.guards.len()];
        for (number, column) in self.columns.iter().enumerate() {
            let guard = self.guard_over(column.place);
            let damaged = self.each_cell(column.column, &runs, |k, row, bytes| {
                tally.bytes += bytes.len() as u64;
                let stamp = Stamp(words.get(k, column.place));
                match column.state(stamp, row, bytes) {
                    CellState::Committed => tally.committed += 1,
                    CellState::Missing => tally.missing += 1,
                    CellState::Plain => tally.add(Kind::Unstamped, Some(number), row),
                    CellState::Writing | CellState::Changed => again[k] = true,
                }
                if let Some(lacking) = guard.and_then(|guard| lacking.get_mut(guard)) {
                    lacking[k] |= is_lacking(column, stamp, row, bytes);
                }
            })?;
            damaged.into_iter().flatten().for_each(|row| tally.add(Kind::DamagedChunk, Some(number), row));
        }
        for (guard, lacking) in self.stamps.guards.iter().zip(&lacking) {
            let column = self.view.table.column_at(guard.place)?;
            let speaks = |bytes: &[u8]| guard.says_complete(bytes);
            self.each_cell(column, &runs, |k, _, bytes| again[k] |= lacking[k] && speaks(bytes))?;
        }
        for (k, row) in rows.enumerate().filter(|(k, _)| again[*k]) {
            self.look_again(row, words.row(k), &mut tally)?;
        }
        Ok(tally)
    }

    /// The guard that covers the column at a place, unless the column is that guard.
    fn guard_over(&self, place: usize) -> Option<usize> {
        self.stamps.guards.iter().position(|guard| guard.covers(place) && guard.place != place)
    }

    /// Checks that unused stamps are zero.
    fn padding(&self, words: &StampRows, rows: &Range<u64>, tally: &mut FoundRows) {
        let lost = self.view.table.lost.iter().map(|lost| lost.place + 1);
        let used = self.columns.iter().map(|c| c.place + 1).chain(lost).max().unwrap_or(0);
        for (row, words) in rows.clone().zip(words.rows()) {
            if words[used..].iter().any(|&word| word != 0) {
                tally.add(Kind::UnknownStamp, None, row);
            }
        }
    }

    /// Calls `look(position, row, bytes)` for every cell of a column. Returns the rows whose chunks are damaged.
    fn each_cell(
        &self,
        column: &Column,
        runs: &Runs,
        mut look: impl FnMut(usize, u64, &[u8]),
    ) -> Result<Vec<Range<u64>>, ErrorKind> {
        if let Ok(layout) = &column.layout {
            for_each_cell(self.view.file.as_ref(), layout, runs, &mut Vec::new(), |k, row, bytes| {
                look(k, row, bytes);
                Ok(())
            })?;
            return Ok(Vec::new());
        }
        // Band by band, so that a damaged chunk costs only its own rows.
        let band = column.filters.as_ref().and(column.chunk.as_ref()).map(|chunk| chunk[0]);
        let (mut damaged, mut position) = (Vec::new(), 0);
        for part in runs.parts(u64::MAX, band) {
            let count = to_usize(part.len());
            let inside = self.stamps.is_wide();
            let read = if inside { CellReader::read_inside } else { CellReader::read };
            match read(&self.cells, self.view, column, &part) {
                Ok(bytes) => {
                    let cell = (bytes.len() / count.max(1)).max(1);
                    for (k, ((row, _), bytes)) in part.iter().zip(bytes.chunks_exact(cell)).enumerate() {
                        look(position + k, row, bytes);
                    }
                }
                Err(ErrorKind::DamagedChunk { .. }) => {
                    damaged.extend(part.as_slice().iter().map(|run| run.row..run.end()));
                }
                Err(e) => return Err(e),
            }
            position += count;
        }
        Ok(damaged)
    }

    /// Checks one row until it stops changing. `first`: its stamps at the first look.
    fn look_again(&self, row: u64, first: &[u64], tally: &mut FoundRows) -> Result<(), ErrorKind> {
        let runs = Rows::one(row).runs()?;
        let (mut before, mut after) = (first.to_vec(), StampRows::default());
        for _ in 0..TRIES {
            let locked = self.locks.map_or(Ok(false), |locks| locks.is_locked(self.stamps.table, row))?;
            let cells = self.columns.iter().map(|column| {
                let mut cell = Vec::new();
                self.each_cell(column.column, &runs, |_, _, bytes| cell = bytes.to_vec()).map(|_| cell)
            });
            let cells = cells.collect::<Result<Vec<_>, _>>()?;
            read_stamps(self.view.file.as_ref(), self.stamps, &runs, &mut after)?;
            // The stamps are the same before and after, and no writer held the row in between, so it is not changing.
            if before == after.words() && !locked {
                self.judge(row, after.words(), &cells, tally);
                return Ok(());
            }
            before.copy_from_slice(after.words());
            std::thread::sleep(PAUSE);
        }
        tally.add(Kind::UnderWay, None, row);
        Ok(())
    }

    /// Judges a row that is not changing.
    fn judge(&self, row: u64, words: &[u64], cells: &[Vec<u8>], tally: &mut FoundRows) {
        // For each guard: whether a value that it covers is missing or half-written.
        let mut wrong = vec![false; self.stamps.guards.len()];
        for (number, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            // A cell in a damaged chunk was reported before.
            if cell.is_empty() && column.column.layout.is_err() {
                continue;
            }
            let stamp = Stamp(words[column.place]);
            let kind = match (column.state(stamp, row, cell), stamp.state()) {
                (CellState::Writing, _) => Kind::HalfWritten,
                (CellState::Changed, StampState::Unknown(_)) => Kind::UnknownStamp,
                (CellState::Changed, _) => Kind::Changed,
                _ => {
                    if let Some(wrong) = self.guard_over(column.place).and_then(|guard| wrong.get_mut(guard)) {
                        *wrong |= is_lacking(column, stamp, row, cell);
                    }
                    continue;
                }
            };
            for (guard, wrong) in self.stamps.guards.iter().zip(&mut wrong) {
                *wrong |= kind == Kind::HalfWritten && guard.covers(column.place);
            }
            tally.add(kind, Some(number), row);
        }
        for (guard, wrong) in self.stamps.guards.iter().zip(wrong) {
            let number = self.columns.iter().position(|c| c.place == guard.place);
            if let Some(number) = number.filter(|&number| wrong && guard.says_complete(&cells[number])) {
                tally.add(Kind::Guard, Some(number), row);
            }
        }
    }

    fn tell(&self, tally: FoundRows, report: &mut Report) {
        let table = &self.view.table;
        for ((kind, column), rows) in tally.found {
            let column = column.map(|number| self.columns[number].column.name.as_str());
            report.add(finding(kind).of_table(&table.path).of_rows(column, &rows));
        }
        for lost in &table.lost {
            let what = format!("a stamped column that {}", lost.loss);
            let rows = lost.first_row()..table.stamped_rows();
            report.add(
                Finding::fault(Kind::Lost, what, Remedy::RestoreOrAcceptLoss)
                    .of_table(&table.path)
                    .of_rows(Some(&lost.name), std::slice::from_ref(&rows)),
            );
        }
        for column in table.columns.iter().filter(|c| c.stamp.is_none()) {
            let what = "has no stamp: its values were not looked at";
            report.add(
                Finding::note(Kind::NotRead, what, Remedy::Nothing)
                    .of_table(&table.path)
                    .of_rows(Some(&column.name), &[]),
            );
        }
        report.bytes_read += tally.bytes;
        report.tables.push(TableReport {
            table: table.path.clone(),
            rows: table.rows,
            cells: table.rows * self.columns.len() as u64,
            committed: tally.committed,
            missing: tally.missing,
            bytes: tally.bytes,
        });
    }
}

/// Whether a cell looks empty to programs that know nothing of stamps. A committed cell of zeros has a value; one of
/// NaN does not.
fn is_lacking(column: &Stamped<'_>, stamp: Stamp, row: u64, bytes: &[u8]) -> bool {
    // A value that was declared empty at adoption has no value, whatever its bytes.
    if stamp.state() == StampState::Vacant {
        return column.state(stamp, row, bytes) == CellState::Missing;
    }
    let fill = &column.column.fill;
    let no_number = || column.column.dtype.as_ref().is_ok_and(|dtype| dtype.is_nan(fill));
    let committed = stamp.state() == StampState::Committed;
    // Most values differ from fill in their first element, so this test is cheap.
    bytes.starts_with(fill) && (!committed || no_number()) && is_fill(bytes, fill)
}

fn finding(kind: Kind) -> Finding {
    match kind {
        Kind::Changed => Finding::fault(
            kind,
            "values do not match their stamps: damaged, or changed by another program",
            Remedy::CompareOrAccept,
        ),
        Kind::DamagedChunk => Finding::fault(
            kind,
            "their stored chunk is damaged: it is not what its filters produce",
            Remedy::RestoreOrRecompute,
        ),
        Kind::HalfWritten => {
            Finding::fault(kind, "half-written by a writer that died; they count as not there", Remedy::RecoverOrReset)
        }
        Kind::UnknownStamp => Finding::fault(kind, "stamps that h5part does not write", Remedy::Compare),
        Kind::Guard => Finding::fault(
            kind,
            "the guard says complete, but a value of the row is missing",
            Remedy::RecomputeOrCorrectGuard,
        ),
        Kind::Unstamped => {
            Finding::note(kind, "values of another program, where nothing was committed", Remedy::Accept)
        }
        _ => Finding::note(Kind::UnderWay, "being written now", Remedy::Nothing),
    }
}
