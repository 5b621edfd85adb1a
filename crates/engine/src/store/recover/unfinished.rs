//! Rows that a dead writer left unfinished although their guard is set. Either the writer had reached its last step, or
//! another program, which does not know stamps, has computed the row since.

use crate::store::cells::read_stamps;
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use crate::store::values::CellState;
use h5part_base::dataspace::{Guard, Rows, StampRows, Stamps, push_range};
use h5part_base::error::ErrorKind;
use h5part_base::lock::RowLocks;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, StampState};
use std::ops::Range;

/// When bytes that the dead writer did not write count as another program's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignValues {
    /// If the commit was made to survive loss of power: then a guard that is set was synced after the values.
    IfDurable,
    /// Always: a caller that accepts foreign values trusts the guard.
    Always,
}

/// A cell of such a row.
#[derive(Clone, Debug)]
pub(crate) struct UnfinishedCell {
    pub(crate) place: usize,
    pub(crate) state: CellState,
    pub(crate) bytes: Vec<u8>,
}

impl UnfinishedCell {
    /// Its final stamp.
    fn settled(&self, stamp: Stamp) -> u64 {
        if self.state == CellState::Committed { stamp.finished().0 } else { 0 }
    }
}

/// The cells of a row that say WRITING although their guard is set. `words` are the stamps of the row, which nobody has
/// locked.
pub(crate) fn cells_of(
    view: &TableView,
    row: u64,
    words: &[u64],
    foreign: ForeignValues,
) -> Result<Vec<UnfinishedCell>, ErrorKind> {
    let mut all = Vec::new();
    for guard in view.table.stamps.iter().flat_map(|stamps| &stamps.guards) {
        all.extend(of_guard(view, guard, row, words, foreign)?);
    }
    Ok(all)
}

fn is_writing(words: &[u64], place: usize) -> bool {
    words.get(place).is_some_and(|&word| Stamp(word).state() == StampState::Writing)
}

fn of_guard(
    view: &TableView,
    guard: &Guard,
    row: u64,
    words: &[u64],
    foreign: ForeignValues,
) -> Result<Vec<UnfinishedCell>, ErrorKind> {
    let speaks = |bytes: Vec<u8>| bytes != guard.undefined;
    if !is_writing(words, guard.place) || !cell(view, guard.place, row)?.is_some_and(speaks) {
        return Ok(Vec::new());
    }
    let mut cells = Vec::new();
    for column in &view.table.columns {
        let Some(place) = column.stamp.filter(|&place| guard.covers(place) && is_writing(words, place)) else {
            continue;
        };
        let Some(bytes) = cell(view, place, row)? else { return Ok(Vec::new()) };
        let state = view.stamped(column)?.unfinished_state(Stamp(words[place]), row, &bytes);
        cells.push(UnfinishedCell { place, state, bytes });
    }
    let finished = cells.iter().all(|cell| cell.state == CellState::Committed);
    let believed = foreign == ForeignValues::Always || Stamp(words[guard.place]).is_durable();
    Ok(if finished || believed { cells } else { Vec::new() })
}

/// The bytes of a cell of a direct column. A commit in place leaves nothing in other columns.
fn cell(view: &TableView, place: usize, row: u64) -> Result<Option<Vec<u8>>, ErrorKind> {
    let Ok(layout) = &view.table.column_at(place)?.layout else { return Ok(None) };
    let mut bytes = vec![0; to_usize(layout.cell_bytes)];
    view.file.read_at(&mut bytes, layout.find(row).0)?;
    Ok(Some(bytes))
}

fn settled(words: &[u64], cells: &[UnfinishedCell]) -> Vec<u64> {
    let mut words = words.to_vec();
    for cell in cells {
        words[cell.place] = cell.settled(Stamp(words[cell.place]));
    }
    words
}

/// Numbers of cells that were settled.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::store) struct Counts {
    /// Cells of commits that had reached their last step.
    pub(super) finished: u64,
    /// Cells of other programs.
    pub(super) foreign: u64,
}

impl Counts {
    /// Whether any cells were settled.
    pub(in crate::store) fn any(self) -> bool {
        self.finished + self.foreign > 0
    }
}

/// Gives final stamps to unfinished rows whose guard is set. The caller holds the locks of `rows`, and no record
/// explains them.
pub(in crate::store) fn settle_rows(
    view: &TableView,
    rows: &[Range<u64>],
    foreign: ForeignValues,
) -> Result<Counts, ErrorKind> {
    let mut counts = Counts::default();
    let Some(stamps) = &view.table.stamps else { return Ok(counts) };
    let (mut found, mut plan) = (StampRows::default(), Vec::new());
    for row in candidates(view, stamps, rows)?.into_iter().flatten() {
        read_stamps(view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut found)?;
        let words = found.words();
        let cells = cells_of(view, row, words, foreign)?;
        if !cells.is_empty() {
            let ours = cells.iter().filter(|cell| cell.state == CellState::Committed).count() as u64;
            counts.finished += ours;
            counts.foreign += cells.len() as u64 - ours;
            plan.push((stamps.layout.find(row).0, settled(words, &cells)));
        }
    }
    if !plan.is_empty() {
        // A stamp must never speak for bytes that a loss of power could take away.
        view.file.sync()?;
        for (address, words) in plan {
            view.file.write_at(bytemuck::cast_slice(&words), address)?;
        }
        view.file.sync()?;
    }
    Ok(counts)
}

/// Whether a record explains what is in some rows.
pub(super) type HasRecord<'a> = dyn Fn(&[Range<u64>]) -> Result<bool, ErrorKind> + 'a;

/// Settles the rows of a whole table. It locks them; the caller is inside the gate. Rows for which `has_record` is true
/// are skipped.
pub(super) fn settle_all(
    store: &Store,
    view: &TableView,
    locks: &RowLocks,
    foreign: ForeignValues,
    has_record: &HasRecord<'_>,
) -> Result<Counts, ErrorKind> {
    let mut counts = Counts::default();
    let Some(stamps) = view.table.stamps.as_ref().filter(|stamps| !stamps.guards.is_empty()) else {
        return Ok(counts);
    };
    let block_rows = stamps.block_rows(BLOCK_ROWS);
    for first in (0..view.table.rows).step_by(to_usize(block_rows)) {
        let block = first..view.table.rows.min(first + block_rows);
        for found in candidates(view, stamps, &[block])? {
            let _rows = locks.lock(stamps.table, std::slice::from_ref(&found), &store.patience)?;
            if !has_record(std::slice::from_ref(&found))? {
                let now = settle_rows(view, &[found], foreign)?;
                counts.finished += now.finished;
                counts.foreign += now.foreign;
            }
        }
    }
    Ok(counts)
}

/// Ranges of rows in which the stamp of a guard says WRITING.
fn candidates(view: &TableView, stamps: &Stamps, rows: &[Range<u64>]) -> Result<Vec<Range<u64>>, ErrorKind> {
    let (mut words, mut found) = (StampRows::default(), Vec::new());
    for range in rows {
        read_stamps(view.file.as_ref(), stamps, &Rows::range(range.clone()).runs()?, &mut words)?;
        let is = |words: &[u64]| stamps.guards.iter().any(|guard| is_writing(words, guard.place));
        for (row, _) in range.clone().zip(words.rows()).filter(|(_, words)| is(words)) {
            push_range(&mut found, row..row + 1);
        }
    }
    Ok(found)
}

const BLOCK_ROWS: u64 = 1 << 14;
