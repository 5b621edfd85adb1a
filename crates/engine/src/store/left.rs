//! Rows that a dead writer left unfinished, and whose guard speaks nevertheless: it had come to its last step, or
//! another program, which knows nothing of stamps, has computed the row since.

use super::cells::read_stamps;
use super::values::CellState;
use super::view::View;
use h5part_base::dataspace::{Guard, Rows, Stamps};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{Patience, RowLocks};
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, State};
use std::ops::Range;

/// Which bytes count as another program's values, where they are not those of the dead writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of commits that were made to survive a loss of power: a guard that speaks was durable after its values.
    Durable,
    /// All: whoever accepts values of others takes the guard at its word.
    Guard,
}

/// A cell of such a row.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    pub(crate) place: usize,
    pub(crate) state: CellState,
    pub(crate) bytes: Vec<u8>,
}

impl Left {
    /// Its stamp, when nobody is at it any more.
    fn settled(&self, stamp: Stamp) -> u64 {
        if self.state == CellState::Committed { stamp.finished().0 } else { 0 }
    }
}

/// The cells of a row that say WRITING though their guard speaks, by its stamps. Nobody is at the row.
pub(crate) fn cells_of(view: &View, row: u64, words: &[u64], trust: Trust) -> Result<Vec<Left>, ErrorKind> {
    let mut all = Vec::new();
    for guard in view.table.stamps.iter().flat_map(|stamps| &stamps.guards) {
        all.extend(of_guard(view, guard, row, words, trust)?);
    }
    Ok(all)
}

fn is_writing(words: &[u64], place: usize) -> bool {
    words.get(place).is_some_and(|&word| Stamp(word).state() == State::Writing)
}

fn of_guard(view: &View, guard: &Guard, row: u64, words: &[u64], trust: Trust) -> Result<Vec<Left>, ErrorKind> {
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
        let state = view.stamped(column)?.state_left(Stamp(words[place]), row, &bytes);
        cells.push(Left { place, state, bytes });
    }
    let finished = cells.iter().all(|cell| cell.state == CellState::Committed);
    let believed = trust == Trust::Guard || Stamp(words[guard.place]).is_durable();
    Ok(if finished || believed { cells } else { Vec::new() })
}

/// The bytes of a cell in place. No commit in place leaves any in other columns.
fn cell(view: &View, place: usize, row: u64) -> Result<Option<Vec<u8>>, ErrorKind> {
    let Ok(layout) = &view.table.column_at(place)?.layout else { return Ok(None) };
    let mut bytes = vec![0; to_usize(layout.cell_bytes)];
    view.file.read_at(&mut bytes, layout.find(row).0)?;
    Ok(Some(bytes))
}

fn settled(words: &[u64], cells: &[Left]) -> Vec<u64> {
    let mut words = words.to_vec();
    for cell in cells {
        words[cell.place] = cell.settled(Stamp(words[cell.place]));
    }
    words
}

/// Cells that have final stamps again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Those of commits that had come to their last step.
    pub(super) finished: u64,
    /// Those of other programs.
    pub(super) foreign: u64,
}

/// Gives such rows among these their stamps. The caller holds their locks, and no record explains what is there.
pub(super) fn settle(view: &View, rows: &[Range<u64>], trust: Trust) -> Result<Counts, ErrorKind> {
    let mut counts = Counts::default();
    let Some(stamps) = &view.table.stamps else { return Ok(counts) };
    let mut plan = Vec::new();
    for row in candidates(view, stamps, rows)?.into_iter().flatten() {
        let mut words = Vec::new();
        read_stamps(view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut words)?;
        let cells = cells_of(view, row, &words, trust)?;
        if !cells.is_empty() {
            let ours = cells.iter().filter(|cell| cell.state == CellState::Committed).count() as u64;
            counts.finished += ours;
            counts.foreign += cells.len() as u64 - ours;
            plan.push((stamps.layout.find(row).0, settled(&words, &cells)));
        }
    }
    if !plan.is_empty() {
        // A stamp must never speak for bytes that a loss of power takes away.
        view.file.sync()?;
        for (address, words) in plan {
            view.file.write_at(bytemuck::cast_slice(&words), address)?;
        }
        view.file.sync()?;
    }
    Ok(counts)
}

/// Says whether a record explains what is in some rows.
pub(super) type HasRecord<'a> = dyn Fn(&[Range<u64>]) -> Result<bool, ErrorKind> + 'a;

/// The same for all rows, under their locks; inside the gate. `has_record` says whether a
/// record explains what is in some rows, whose locks are held then: these are left.
pub(super) fn settle_all(
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
    trust: Trust,
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
            let _rows = locks.lock(stamps.table, std::slice::from_ref(&found), patience)?;
            if !has_record(std::slice::from_ref(&found))? {
                let now = settle(view, &[found], trust)?;
                counts.finished += now.finished;
                counts.foreign += now.foreign;
            }
        }
    }
    Ok(counts)
}

/// Ranges of rows in which a guard says WRITING.
fn candidates(view: &View, stamps: &Stamps, rows: &[Range<u64>]) -> Result<Vec<Range<u64>>, ErrorKind> {
    let mut words = Vec::new();
    let mut found: Vec<Range<u64>> = Vec::new();
    for range in rows {
        read_stamps(view.file.as_ref(), stamps, &Rows::range(range.clone()).runs()?, &mut words)?;
        let is = |words: &[u64]| stamps.guards.iter().any(|guard| is_writing(words, guard.place));
        for (row, _) in range.clone().zip(words.chunks_exact(stamps.width)).filter(|(_, words)| is(words)) {
            match found.last_mut() {
                Some(last) if last.end == row => last.end = row + 1,
                _ => found.push(row..row + 1),
            }
        }
    }
    Ok(found)
}

const BLOCK_ROWS: u64 = 1 << 14;
