//! Reading rows beside writers.

use super::cells::{read_cells, read_stamps};
use super::handle::{Store, normal};
use super::stamp::Stamp;
use super::values::{Block, CellState};
use super::view::{Direct, Since, View};
use crate::dataspace::{Column, Rows, Runs, Table};
use crate::error::{At, ErrorKind, Result};
use crate::h5::H5File;
use crate::storage::Mode;
use std::path::Path;
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
/// **Sees** each cell, and with [`Reader::read_columns`] each row, whole or not at all. Rows without a committed value come back as fill, and
/// as `false` in the mask. A reader sees what was committed when it reads, not when it was opened.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    name: String,
    view: View,
}

impl Store {
    /// Opens a table for reading. Makes nothing, and keeps no writer waiting.
    ///
    /// # Errors
    /// No such file or table, not an HDF5 file, cut, [`ErrorKind::LockTimeout`] while a stock
    /// program has the file open for writing.
    pub fn reader(&self, table: &str) -> Result<Reader> {
        Reader::open(self, normal(table)).at("read", &self.paths.file)
    }
}

impl Reader {
    fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
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
        let mut blocks = self.read_columns(&[column], rows)?;
        // One block a column.
        Ok(blocks.swap_remove(0))
    }

    /// Values of several columns for `rows`: of each row all stamped columns as one commit left
    /// them, never one column of an older commit beside another of a newer one.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_columns(&mut self, columns: &[&str], rows: &Rows) -> Result<Vec<Block>> {
        self.try_read(columns, rows).map_err(|kind| kind.at("read", &self.store.paths.file))
    }

    fn try_read(&mut self, names: &[&str], rows: &Rows) -> Result<Vec<Block>, ErrorKind> {
        self.refresh(Self::load_again)?;
        rows.check(self.view.table.rows)?;
        let runs = rows.runs()?;
        // No library column changes while we are inside the gate; direct ones may.
        let through_library = |name: &&str| self.view.table.column(name).is_ok_and(|c| c.layout.is_err());
        let gate = if names.iter().any(through_library) { Some(self.store.enter_to_read()?) } else { None };
        if gate.is_some() {
            self.refresh(Self::load_inside)?;
        }
        let columns = names.iter().map(|name| self.column(name)).collect::<Result<Vec<_>, _>>()?;
        let mut blocks = columns.iter().map(|c| empty_block(c, rows)).collect::<Result<Vec<_>, _>>()?;
        let mut direct = Vec::new();
        for (column, block) in columns.into_iter().zip(&mut blocks) {
            if column.layout.is_err() {
                self.read_library_column(column, &runs, block)?;
            } else if column.stamp.is_none() || self.view.table.stamps.is_none() {
                read_cells(self.view.file.as_ref(), column.direct()?, &runs, &mut block.bytes)?;
            } else {
                direct.push((self.view.direct(column)?, block));
            }
        }
        self.read_stamped(rows, &mut direct)?;
        drop(gate);
        Ok(blocks)
    }

    /// Reads stamped columns together, block of rows by block of rows.
    fn read_stamped(&self, rows: &Rows, stamped: &mut [(Direct<'_>, &mut Block)]) -> Result<(), ErrorKind> {
        let row_bytes: u64 = stamped.iter().map(|(target, _)| target.layout.cell_bytes).sum();
        let rows_a_block = (BLOCK_BYTES / row_bytes.max(1)).max(1);
        let mut from = 0;
        while from < rows.len() && !stamped.is_empty() {
            let part = rows.slice(from, rows_a_block);
            let at = usize::try_from(from).unwrap_or(usize::MAX);
            self.read_block(&part, at, stamped)?;
            from += part.len();
        }
        Ok(())
    }

    fn column(&self, name: &str) -> Result<&Column, ErrorKind> {
        self.view.table.column(name).or_else(|missing| {
            let group = self.store.look(|h5, _| Ok(h5.is_group(&self.name, name)))?;
            Err(if group { ErrorKind::ColumnIsGroup(name.to_owned()) } else { missing })
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.store.paths.file
    }

    pub(super) fn fresh_view(&mut self) -> Result<&View, ErrorKind> {
        self.refresh(Self::load_again)?;
        Ok(&self.view)
    }

    /// Looks whether the file is still the one that was opened and lies as it did; if h5part or
    /// another program changed its structure, loads the layout again.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`], [`ErrorKind::Cut`].
    fn refresh(&mut self, load: fn(&Self) -> Result<View, ErrorKind>) -> Result<(), ErrorKind> {
        if self.view.since(self.store.storage.as_ref(), &self.store.paths)? == Since::Same {
            return Ok(());
        }
        let newer = load(self)?;
        if newer.uuid != self.view.uuid {
            return Err(ErrorKind::Replaced);
        }
        self.view = newer;
        Ok(())
    }

    fn load_again(&self) -> Result<View, ErrorKind> {
        load(&self.store, &self.name)
    }

    /// For one who is inside the gate already, and must not wait for it once more.
    fn load_inside(&self) -> Result<View, ErrorKind> {
        View::load(self.store.storage.as_ref(), &self.store.paths, &self.name, Mode::Read)
    }

    /// Inside the gate.
    fn read_library_column(&self, column: &Column, runs: &Runs, block: &mut Block) -> Result<(), ErrorKind> {
        let h5 = H5File::open(&self.view.file, &self.store.paths.file)?;
        let mut ordered = h5.read_rows(&self.name, column, runs)?;
        if let (Some(stamps), Some(_)) = (&self.view.table.stamps, column.stamp) {
            let target = self.view.stamped(column)?;
            let mut words = Vec::new();
            read_stamps(self.view.file.as_ref(), stamps, runs, &mut words)?;
            let cells = ordered.chunks_exact_mut(cell_bytes(column)?.max(1));
            for (k, ((row, index), cell)) in runs.iter().zip(cells).enumerate() {
                let state = target.state(Stamp(words[k * stamps.width + target.place]), row, cell);
                block.states[usize::try_from(index).unwrap_or(usize::MAX)] = state;
                if !state.is_present() {
                    fill_with(cell, &column.fill);
                }
            }
        }
        block.bytes = in_order_of_selection(&ordered, runs, cell_bytes(column)?);
        Ok(())
    }

    /// Reads until every row stood still: stamps, bytes, stamps again, checksums. `at`: position of
    /// the first row among those of the blocks.
    fn read_block(&self, rows: &Rows, at: usize, stamped: &mut [(Direct<'_>, &mut Block)]) -> Result<(), ErrorKind> {
        let stamps = self.view.table.stamps.as_ref().ok_or_else(|| ErrorKind::Unstamped(self.name.clone()))?;
        let file = self.view.file.as_ref();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut cells: Vec<Vec<u8>> = vec![Vec::new(); stamped.len()];
        let mut pending = rows.clone();
        // Where the pending rows' values are in the blocks.
        let mut places: Vec<usize> = (at..at + usize::try_from(rows.len()).unwrap_or(usize::MAX)).collect();
        for attempt in 0..TRIES {
            let runs = pending.runs()?;
            read_stamps(file, stamps, &runs, &mut before)?;
            for ((target, _), bytes) in stamped.iter().zip(&mut cells) {
                bytes.resize(places.len() * usize::try_from(target.layout.cell_bytes).unwrap_or(usize::MAX), 0);
                read_cells(file, target.layout, &runs, bytes)?;
            }
            read_stamps(file, stamps, &runs, &mut after)?;
            let mut again = Vec::new();
            for (k, (row, index)) in runs.iter().enumerate() {
                let index = usize::try_from(index).unwrap_or(usize::MAX);
                let words = k * stamps.width..(k + 1) * stamps.width;
                let seen = Seen { row, before: &before[words.clone()], after: &after[words] };
                if !settle(&seen, stamped, &cells, index, places[index], attempt) {
                    again.push((row, places[index]));
                }
            }
            if again.is_empty() {
                return Ok(());
            }
            (self.store.patience.sleep)(PAUSE);
            pending = Rows::list(&again.iter().map(|(row, _)| *row).collect::<Vec<_>>());
            places = again.iter().map(|(_, place)| *place).collect();
        }
        Ok(())
    }
}

/// The stamps of a row, before and after its cells were read.
struct Seen<'a> {
    row: u64,
    before: &'a [u64],
    after: &'a [u64],
}

/// Puts a row's cells into the blocks, as far as they stand. `false`: look again.
fn settle(
    seen: &Seen<'_>,
    stamped: &mut [(Direct<'_>, &mut Block)],
    cells: &[Vec<u8>],
    index: usize,
    place: usize,
    attempt: u32,
) -> bool {
    let moves = stamped.iter().any(|(target, _)| seen.before[target.place] != seen.after[target.place]);
    let mut settled = !moves;
    for ((target, block), bytes) in stamped.iter_mut().zip(cells) {
        let cell = usize::try_from(target.layout.cell_bytes).unwrap_or(usize::MAX);
        let value = &bytes[index * cell..(index + 1) * cell];
        let state =
            if moves { CellState::Writing } else { target.state(Stamp(seen.after[target.place]), seen.row, value) };
        // Damage stays; what was read in the middle of a commit does not.
        settled &= state != CellState::Changed || attempt >= 3;
        block.states[place] = state;
        let slot = &mut block.bytes[place * cell..(place + 1) * cell];
        if state.is_present() {
            slot.copy_from_slice(value);
        } else {
            fill_with(slot, &target.column.fill);
        }
    }
    settled
}

fn empty_block(column: &Column, rows: &Rows) -> Result<Block, ErrorKind> {
    let (dtype, mut shape) = (column.dtype()?, vec![rows.len()]);
    shape.extend(&column.shape);
    let count = usize::try_from(rows.len()).unwrap_or(usize::MAX);
    let bytes = if column.layout.is_ok() { count.checked_mul(cell_bytes(column)?).ok_or_else(too_large)? } else { 0 };
    Ok(Block { dtype, shape, bytes: vec![0; bytes], states: vec![CellState::Plain; count] })
}

fn load(store: &Store, table: &str) -> Result<View, ErrorKind> {
    let _gate = store.enter_to_read()?;
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
