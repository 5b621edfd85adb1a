//! Reading rows beside writers.

use super::cells::{read_cells, read_stamps};
use super::commit::is_fill;
use super::handle::Store;
use super::stamp::{Stamp, State};
use super::values::{Block, CellState};
use super::view::{Since, Stamped, View};
use crate::dataspace::{Column, Rows, Runs, Table};
use crate::error::{ErrorKind, Result};
use crate::h5::H5File;
use crate::lock::ReadGate;
use crate::storage::Mode;
use std::time::Duration;

/// Cells are read, and their stamps checked, in blocks of about this, in bytes.
const BLOCK_BYTES: u64 = 1 << 20;
/// A row that moves is looked at again this often before it counts as being written.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_micros(50);

/// Reads rows of one table.
///
/// **Concurrency.** May run beside any number of writers and readers. It takes no row lock and
/// never keeps a writer waiting: a row whose stamps move while it is read is read again. The gate
/// is shared for the moment in which the layout is loaded.
///
/// **Sees** each cell whole or not at all. Rows without a committed value come back as fill, and
/// as `false` in the mask. A reader sees what was committed when it reads, not when it was opened.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    name: String,
    view: View,
}

impl Reader {
    pub(super) fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        let view = load(store, table)?;
        Ok(Self { store: store.clone(), name: table.to_owned(), view })
    }

    /// The table as it lies in the file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.view.table
    }

    /// Values of `column` for `rows`, in the order of the selection; shape (rows, cell...).
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchColumn`], [`ErrorKind::ColumnIsGroup`], rows out of range or named
    /// twice, [`ErrorKind::Cut`], [`ErrorKind::Replaced`], I/O errors.
    pub fn read(&mut self, column: &str, rows: &Rows) -> Result<Block> {
        self.try_read(column, rows).map_err(|kind| kind.at("read", &self.store.paths.file))
    }

    fn try_read(&mut self, column: &str, rows: &Rows) -> Result<Block, ErrorKind> {
        self.refresh()?;
        let column = self.column(column)?;
        rows.check(self.view.table.rows)?;
        let runs = rows.runs()?;
        let (dtype, mut shape) = (column.dtype()?, vec![rows.len()]);
        shape.extend(&column.shape);
        let cell = cell_bytes(column)?;
        let count = usize::try_from(rows.len()).unwrap_or(usize::MAX);
        let mut block = Block { dtype, shape, bytes: Vec::new(), states: vec![CellState::Plain; count] };
        if column.layout.is_err() {
            let ordered = self.read_through_library(column, &runs)?;
            block.bytes = in_order_of_selection(&ordered, &runs, cell);
            return Ok(block);
        }
        block.bytes = vec![0; count.checked_mul(cell).ok_or_else(too_large)?];
        if column.stamp.is_none() || self.view.table.stamps.is_none() {
            read_cells(self.view.file.as_ref(), column.direct()?, &runs, &mut block.bytes)?;
            return Ok(block);
        }
        let target = self.view.stamped(column)?;
        let rows_a_block = (BLOCK_BYTES / cell.max(1) as u64).max(1);
        let mut from = 0;
        while from < rows.len() {
            let part = rows.slice(from, rows_a_block);
            let at = usize::try_from(from).unwrap_or(usize::MAX);
            let end = at + usize::try_from(part.len()).unwrap_or(usize::MAX);
            self.read_block(&target, &part, &mut block.bytes[at * cell..end * cell], &mut block.states[at..end])?;
            from += part.len();
        }
        Ok(block)
    }

    fn column(&self, name: &str) -> Result<&Column, ErrorKind> {
        self.view.table.column(name).or_else(|missing| {
            let group = self.store.look(|h5, _| Ok(h5.is_group(&self.name, name)))?;
            Err(if group { ErrorKind::ColumnIsGroup(name.to_owned()) } else { missing })
        })
    }

    /// Looks whether the file is still the one that was opened and lies as it did; if h5part or
    /// another program changed its structure, loads the layout again.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`], [`ErrorKind::Cut`].
    fn refresh(&mut self) -> Result<(), ErrorKind> {
        if self.view.since(self.store.storage.as_ref(), &self.store.paths)? == Since::Same {
            return Ok(());
        }
        let newer = load(&self.store, &self.name)?;
        if newer.uuid != self.view.uuid {
            return Err(ErrorKind::Replaced);
        }
        self.view = newer;
        Ok(())
    }

    fn read_through_library(&self, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        let _gate = ReadGate::enter(&self.store.paths, &self.store.patience)?;
        H5File::open(&self.view.file, &self.store.paths.file)?.read_rows(&self.name, column, runs)
    }

    /// Reads until every row stood still: stamps, bytes, stamps again, checksum.
    fn read_block(
        &self,
        target: &Stamped<'_>,
        rows: &Rows,
        out: &mut [u8],
        states: &mut [CellState],
    ) -> Result<(), ErrorKind> {
        let stamps = self.view.table.stamps.as_ref().ok_or_else(|| ErrorKind::Unstamped(self.name.clone()))?;
        let file = self.view.file.as_ref();
        let cell = cell_bytes(target.column)?;
        let (mut before, mut after, mut again) = (Vec::new(), Vec::new(), Vec::new());
        let mut pending = rows.clone();
        // Where the pending rows' values are among all of the block's.
        let mut places: Vec<usize> = (0..states.len()).collect();
        let mut bytes = Vec::new();
        for attempt in 0..TRIES {
            let runs = pending.runs()?;
            bytes.resize(places.len() * cell, 0);
            read_stamps(file, stamps, &runs, &mut before)?;
            read_cells(file, target.layout, &runs, &mut bytes)?;
            read_stamps(file, stamps, &runs, &mut after)?;
            again.clear();
            for (k, (row, index)) in runs.iter().enumerate() {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                let value = &bytes[index * cell..(index + 1) * cell];
                let word = k * stamps.width + target.place;
                let state = judge(target, row, value, Stamp(before[word]), Stamp(after[word]));
                let place = places[index];
                states[place] = state.unwrap_or(CellState::Writing);
                let slot = &mut out[place * cell..(place + 1) * cell];
                if states[place].is_present() {
                    slot.copy_from_slice(value);
                } else {
                    fill_with(slot, &target.column.fill);
                }
                // Damage stays; a row in motion comes to rest.
                if state.is_none() || (state == Some(CellState::Changed) && attempt < 3) {
                    again.push((row, place));
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
            pending = Rows::list(&again.iter().map(|(row, _)| *row).collect::<Vec<_>>());
            places = again.iter().map(|(_, place)| *place).collect();
        }
        Ok(())
    }
}

/// The state of a cell, or nothing while it moves.
fn judge(target: &Stamped<'_>, row: u64, value: &[u8], before: Stamp, after: Stamp) -> Option<CellState> {
    if before != after {
        return None;
    }
    Some(match after.state() {
        State::Unstamped if is_fill(value, &target.column.fill) => CellState::Missing,
        State::Unstamped => CellState::Plain,
        State::Committed if target.seed.matches(after, row, value) => CellState::Committed,
        State::Writing => CellState::Writing,
        State::Committed | State::Unknown(_) => CellState::Changed,
    })
}

fn load(store: &Store, table: &str) -> Result<View, ErrorKind> {
    let _gate = ReadGate::enter(&store.paths, &store.patience)?;
    View::load(store.storage.as_ref(), &store.paths, table, Mode::Read)
}

fn fill_with(cell: &mut [u8], fill: &[u8]) {
    for element in cell.chunks_exact_mut(fill.len().max(1)) {
        element.copy_from_slice(fill);
    }
}

fn in_order_of_selection(ordered: &[u8], runs: &Runs, cell: usize) -> Vec<u8> {
    let mut bytes = vec![0; ordered.len()];
    for (k, (_, index)) in runs.iter().enumerate() {
        let at = usize::try_from(index).unwrap_or(usize::MAX) * cell;
        bytes[at..at + cell].copy_from_slice(&ordered[k * cell..(k + 1) * cell]);
    }
    bytes
}

fn cell_bytes(column: &Column) -> Result<usize, ErrorKind> {
    let bytes = column.shape.iter().try_fold(column.dtype()?.size(), |n, &k| n.checked_mul(k));
    bytes.and_then(|n| usize::try_from(n).ok()).ok_or_else(too_large)
}

fn too_large() -> ErrorKind {
    ErrorKind::BadRequest("the selection is too large for this machine's memory".to_owned())
}
