//! Reading rows beside writers.

mod cells;
mod look;
mod memory;
mod part;
pub(super) mod still;
mod wanted;

use super::cells::read_stamps;
use super::handle::{Store, trim_slashes};
use super::recover::{ForeignValues, cells_of, has_record};
use super::table_view::{FileChange, TableView};
use super::values::{Block, CellState};
pub(crate) use cells::CellReader;
use cells::Chunks;
use h5part_base::dataspace::{ChunkTable, Column, Finder, Inner, Rows, Runs, Segment, StampRows, Stamps, Table};
use h5part_base::error::{At, ErrorKind, Gone, Result, RowsFault};
use h5part_base::lock::{ReadGate, RowLocks};
use h5part_base::num::to_usize;
use look::Look;
use memory::zeroed;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use wanted::{Cells, Wanted, Way};

/// Rows are read in portions of about this many bytes, cells and stamps together. One portion is consistent in itself,
/// and the gate, where it is needed, is held for one portion at a time.
const PORTION_BYTES: u64 = 64 << 20;

/// Reads rows of one table.
///
/// Direct columns are read by parallel `pread`, compressed ones by parallel reading and decompression. Only the others
/// go through the HDF5 library and its global lock; `h5part info` names them.
///
/// **Concurrency.** Any number of writers and readers may run beside it. It takes no row lock and never keeps a writer
/// of direct columns waiting: it reads a row again if the row's stamps change meanwhile. It shares the gate while it
/// loads the layout, and while it reads a portion of columns that are not direct.
///
/// **Sees** each cell whole or not at all, and with [`Reader::read_columns`] each row. Rows without a committed value
/// come back as fill, and as `false` in the mask. A reader sees what is committed when it reads, not when it was
/// opened.
#[derive(Debug)]
pub struct Reader {
    store: Store,
    name: String,
    view: TableView,
    chunks: Chunks,
    accept_foreign: bool,
    /// While this is held, the structure of the file does not change.
    inside: Option<Arc<ReadGate>>,
}

impl Store {
    /// Opens a table for reading. It makes no file and keeps no writer waiting.
    ///
    /// # Errors
    /// No such file or table, not an HDF5 file, cut, [`ErrorKind::LockTimeout`] while a stock program has the file open
    /// for writing.
    pub fn reader(&self, table: &str) -> Result<Reader> {
        Reader::open(self, trim_slashes(table)).at("read", &self.paths.file)
    }
}

impl Reader {
    fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        let view = load(store, table)?;
        Ok(Self {
            store: store.clone(),
            name: table.to_owned(),
            view,
            chunks: Chunks::default(),
            accept_foreign: false,
            inside: None,
        })
    }

    /// Sets whether values that another program wrote over committed ones count as values, [`CellState::Plain`], rather
    /// than as [`CellState::Changed`]. The same holds for values in rows that a dead writer left and whose guard is
    /// set. Default: they do not count. Reads that accept them hold the gate, and so wait for programs that hold it
    /// while they write.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.accept_foreign = accept;
    }

    /// The table as it was when its layout was last loaded.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.view.table
    }

    /// Checks whether the file is still the one that was opened and whether its structure has changed, and loads the
    /// layout again if so. Rows may have been added, or another file of the same store may have taken the name. Every
    /// read does this first. Returns whether anything changed.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`], [`ErrorKind::Cut`], I/O errors.
    pub fn refresh(&mut self) -> Result<bool> {
        self.follow(Self::load_again).map_err(|kind| self.at(kind))
    }

    /// Values of `column` for `rows`, in the order of the selection. The shape is (rows, cell...). Rows may be named
    /// more than once.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::WrongObject`], rows out of range, [`ErrorKind::Cut`],
    /// [`ErrorKind::Replaced`], [`ErrorKind::DamagedChunk`], I/O errors.
    pub fn read(&mut self, column: &str, rows: &Rows) -> Result<Block> {
        // There is one block per column.
        self.read_columns(&[column], rows).map(|mut blocks| blocks.swap_remove(0))
    }

    /// Values of several columns for `rows`. The stamped columns of each row are as one commit left them: never one
    /// column of an older commit beside another of a newer one.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_columns(&mut self, columns: &[&str], rows: &Rows) -> Result<Vec<Block>> {
        self.try_read(columns, rows, None).map_err(|kind| self.at(kind))
    }

    /// Reads only what `inner` selects of each cell. The shape is (rows, selected...). Whole cells are read, since
    /// their checksums cover them, but only one portion of them is in memory at a time.
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::BadRequest`] if `inner` was made for cells of another shape.
    pub fn read_inner(&mut self, column: &str, rows: &Rows, inner: &Inner) -> Result<Block> {
        let read = self.try_read(&[column], rows, Some(inner)).map(|mut blocks| blocks.swap_remove(0));
        read.map_err(|kind| self.at(kind))
    }

    /// As [`Reader::read_columns`], for rows that are read in one portion. Also returns all stamps of each row, as they
    /// were when its cells were read.
    pub(crate) fn read_stamped(&mut self, columns: &[&str], rows: &Rows) -> Result<(Vec<Block>, StampRows), ErrorKind> {
        self.follow(Self::load_again)?;
        self.check(columns, rows)?;
        let mut blocks = self.empty_blocks(columns, rows, None)?;
        let count = to_usize(rows.len());
        let mut cells: Vec<Cells<'_>> = blocks.iter_mut().map(|block| block.cells(0, count)).collect();
        let words = self.read_portion(columns, &rows.runs()?.in_row_order(), &mut cells, true)?;
        Ok((blocks.into_iter().map(|block| block.block).collect(), words))
    }

    /// The bytes of a cell, whatever its stamp says.
    pub(crate) fn as_it_lies(&mut self, column: &str, row: u64) -> Result<Vec<u8>, ErrorKind> {
        self.follow(Self::load_again)?;
        self.check(&[column], &Rows::one(row))?;
        let column = self.column(&self.view.table.finder(1), column)?;
        CellReader::new(&self.store).read(&self.view, column, &Rows::one(row).runs()?)
    }

    /// Checks that the rows exist in all these columns.
    fn check(&self, names: &[&str], rows: &Rows) -> Result<(), ErrorKind> {
        rows.check(self.view.table.rows)?;
        self.view.table.refuse_cut_off(names, rows)
    }

    fn at(&self, kind: ErrorKind) -> h5part_base::error::Error {
        kind.at("read", &self.store.paths.file)
    }

    fn try_read(&mut self, names: &[&str], rows: &Rows, inner: Option<&Inner>) -> Result<Vec<Block>, ErrorKind> {
        self.follow(Self::load_again)?;
        self.check(names, rows)?;
        let runs = match rows.runs() {
            Err(ErrorKind::BadRows(RowsFault::Twice(_))) => return self.read_repeated(names, rows, inner),
            other => other?,
        };
        let mut blocks = self.empty_blocks(names, rows, inner)?;
        let stamps = self.stamps_read(names)? * 8;
        let row_bytes = stamps + blocks.iter().map(|block| block.cell as u64).sum::<u64>();
        let in_order = runs == runs.in_row_order();
        let mut places = runs.iter().map(|(_, place)| place);
        let mut done = 0;
        for portion in runs.parts((PORTION_BYTES / row_bytes.max(1)).max(1), None) {
            let count = to_usize(portion.len());
            if in_order && inner.is_none() {
                let mut cells: Vec<Cells<'_>> = blocks.iter_mut().map(|block| block.cells(done, count)).collect();
                self.read_portion(names, &portion, &mut cells, false)?;
            } else {
                let mut whole: Vec<CellBuffer> =
                    blocks.iter().map(|block| CellBuffer::new(block.cell, count)).collect();
                let mut cells: Vec<Cells<'_>> = whole.iter_mut().map(CellBuffer::cells).collect();
                self.read_portion(names, &portion, &mut cells, false)?;
                let here: Vec<usize> = places.by_ref().take(count).map(to_usize).collect();
                blocks.iter_mut().zip(&whole).for_each(|(block, whole)| block.place(whole, &here));
            }
            done += count;
        }
        // Only now: stamps are about the bytes as they lie.
        let finder = self.view.table.finder(names.len());
        for (name, block) in names.iter().zip(&mut blocks) {
            finder.readable(name)?.end_texts(&mut block.block.bytes);
        }
        Ok(blocks.into_iter().map(|block| block.block).collect())
    }

    /// Reads rows of which some are named several times. Each is read once.
    fn read_repeated(&mut self, names: &[&str], rows: &Rows, inner: Option<&Inner>) -> Result<Vec<Block>, ErrorKind> {
        let (distinct, positions) = rows.distinct();
        let once = self.try_read(names, &distinct, inner)?;
        Ok(once.iter().map(|block| block.repeat(&positions)).collect())
    }

    fn empty_blocks(&self, names: &[&str], rows: &Rows, inner: Option<&Inner>) -> Result<Vec<OutputBlock>, ErrorKind> {
        let finder = self.view.table.finder(names.len());
        names.iter().map(|name| OutputBlock::new(self.column(&finder, name)?, rows.len(), inner)).collect()
    }

    /// The number of stamps that are read per row for these columns.
    fn stamps_read(&self, names: &[&str]) -> Result<u64, ErrorKind> {
        let Some(stamps) = &self.view.table.stamps else { return Ok(0) };
        if self.accept_foreign || !stamps.is_wide() {
            return Ok(stamps.width as u64);
        }
        let finder = self.view.table.finder(names.len());
        let columns = names.iter().map(|name| finder.readable(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(stamps.window(columns.iter().filter_map(|column| column.stamp)).width as u64)
    }

    /// Whether these columns must be read inside the gate. Library columns change only while nobody else is inside. So
    /// do rows of a wide table, unless all of the stamps that change lie in one sector.
    fn needs_gate(&self, names: &[&str], finder: &Finder<'_>) -> bool {
        let by_gate = |name: &&str| finder.readable(name).is_ok_and(|c| c.layout.is_err());
        let wide = self.view.table.stamps.as_ref().is_some_and(Stamps::is_wide);
        self.inside.is_none() && (self.accept_foreign || wide || names.iter().any(by_gate))
    }

    /// Reads rows, numbered from 0, into their places, and returns their stamps; with `all`, all stamps of each row.
    fn read_portion(
        &mut self,
        names: &[&str],
        rows: &Runs,
        out: &mut [Cells<'_>],
        all: bool,
    ) -> Result<StampRows, ErrorKind> {
        let needs_gate = self.needs_gate(names, &self.view.table.finder(names.len()));
        let gate = if needs_gate { Some(self.store.enter_to_read()?) } else { None };
        if gate.is_some() {
            self.follow(Self::load_inside)?;
        }
        let finder = self.view.table.finder(names.len());
        let columns = names.iter().map(|name| finder.readable(name)).collect::<Result<Vec<_>, _>>()?;
        let chunks_of = |column: &&Column| self.chunks.of(&self.store, &self.view, column);
        let chunks = columns.iter().map(chunks_of).collect::<Result<Vec<_>, ErrorKind>>()?;
        let wanted = columns.iter().zip(&chunks).map(|(column, chunks)| self.wanted(column, chunks.as_deref()));
        let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
        let words = Look::new(&self.store, &self.view, wanted, all || self.accept_foreign)?.settle(rows, out)?;
        if self.accept_foreign {
            let changed = |state: &&mut CellState| **state == CellState::Changed;
            out.iter_mut()
                .flat_map(|cells| cells.states.iter_mut().filter(changed))
                .for_each(|s| *s = CellState::Plain);
            self.take_what_was_left(names, rows, out, &words)?;
        }
        Ok(words)
    }

    /// Accepts values in rows that a dead writer left and whose guard is set: its own, or those of another program.
    fn take_what_was_left(
        &self,
        names: &[&str],
        rows: &Runs,
        out: &mut [Cells<'_>],
        words: &StampRows,
    ) -> Result<(), ErrorKind> {
        let Some(stamps) = &self.view.table.stamps else { return Ok(()) };
        if !out.iter().any(|cells| cells.states.contains(&CellState::Writing)) {
            return Ok(());
        }
        let places = names.iter().map(|name| Ok(self.view.table.readable(name)?.stamp));
        let places = places.collect::<Result<Vec<_>, ErrorKind>>()?;
        let locks = RowLocks::look(&self.store.paths)?;
        let locked = |row| locks.as_ref().map_or(Ok(false), |locks| locks.is_locked(stamps.table, row));
        // Rows that a record explains will soon get their old values back. Usually there is no record, so this is
        // checked once for all rows.
        let has_record = |rows: &[Range<u64>]| has_record(&self.store, &self.view, rows);
        let all: Vec<Range<u64>> = rows.as_slice().iter().map(|run| run.row..run.end()).collect();
        let recorded = has_record(&all)?;
        let mut now = StampRows::default();
        for (k, ((row, _), words)) in rows.iter().zip(words.rows()).enumerate() {
            if !out.iter().any(|cells| cells.states[k] == CellState::Writing) || locked(row)? {
                continue;
            }
            let left = cells_of(&self.view, row, words, ForeignValues::Always)?;
            let here = row..row + 1;
            if left.is_empty() || (recorded && has_record(std::slice::from_ref(&here))?) {
                continue;
            }
            read_stamps(self.view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut now)?;
            // A writer has begun with the row meanwhile.
            if now.words() != words || locked(row)? {
                continue;
            }
            for (cells, place) in out.iter_mut().zip(&places) {
                let Some(cell) = left.iter().find(|cell| Some(cell.place) == *place) else { continue };
                cells.states[k] = cell.state;
                if cell.state.is_present() {
                    cells.bytes[k * cells.cell..(k + 1) * cells.cell].copy_from_slice(&cell.bytes);
                }
            }
        }
        Ok(())
    }

    fn wanted<'a>(&'a self, column: &'a Column, chunks: Option<&'a ChunkTable>) -> Result<Wanted<'a>, ErrorKind> {
        let has_stamp = column.stamp.is_some() && self.view.table.stamps.is_some();
        let stamped = has_stamp.then(|| self.view.stamped(column)).transpose()?;
        Ok(Wanted { column, way: Way::of(column, chunks), stamped, at: 0, keeps_foreign: self.accept_foreign })
    }

    fn column<'a>(&self, finder: &Finder<'a>, name: &str) -> Result<&'a Column, ErrorKind> {
        finder.readable(name).or_else(|missing| {
            let group = self.store.with_h5(|h5, _| Ok(h5.is_group(&self.name, name)))?;
            let wrong = || ErrorKind::WrongObject { name: name.to_owned(), found: "a group", expected: "a column" };
            Err(if group { wrong() } else { missing })
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.store.paths.file
    }

    pub(super) fn fresh_view(&mut self) -> Result<&TableView, ErrorKind> {
        self.follow(Self::load_again)?;
        Ok(&self.view)
    }

    /// Checks whether the file is still the one that was opened and has the same layout. If h5part or another program
    /// changed its structure, loads the layout again. Returns whether it did.
    fn follow(&mut self, load: fn(&Self) -> Result<TableView, ErrorKind>) -> Result<bool, ErrorKind> {
        if self.inside.is_some() || self.view.change_since(&self.store)? == FileChange::Unchanged {
            return Ok(false);
        }
        let newer = load(self)?;
        if !self.view.is_of_store(&newer) {
            return Err(ErrorKind::Replaced(Gone::File));
        }
        self.view = newer;
        self.chunks.forget();
        Ok(true)
    }

    fn load_again(&self) -> Result<TableView, ErrorKind> {
        load(&self.store, &self.name)
    }

    /// The same for a caller inside the gate, who must not wait for it again.
    fn load_inside(&self) -> Result<TableView, ErrorKind> {
        TableView::load(&self.store, &self.name)
    }
}

/// A block under construction.
struct OutputBlock {
    block: Block,
    /// Bytes of a whole cell.
    cell: usize,
    /// The parts of a cell that go into the block. `None`: the whole cell.
    segments: Option<Vec<Segment>>,
    /// Bytes of these parts.
    kept: usize,
}

impl OutputBlock {
    fn new(column: &Column, rows: u64, inner: Option<&Inner>) -> Result<Self, ErrorKind> {
        let (dtype, cell) = (column.dtype()?, cell_bytes(column)?);
        if let Some(inner) = inner.filter(|inner| inner.cell() != column.shape) {
            let (made, is) = (inner.cell(), &column.shape);
            let text = format!("the selection is for cells of shape {made:?}, not {is:?}");
            return Err(ErrorKind::BadRequest(text));
        }
        let element = to_usize(dtype.size());
        let segments = inner.map(|inner| inner.segments(element));
        let kept = segments.as_ref().map_or(cell, |segments| segments.iter().map(|s| s.len).sum());
        let cell_shape = inner.map_or_else(|| column.shape.clone(), Inner::shape);
        let shape = [rows].into_iter().chain(cell_shape).collect();
        let count = to_usize(rows);
        let bytes = count.checked_mul(kept).filter(|&n| isize::try_from(n).is_ok()).ok_or_else(too_large)?;
        let block = Block { dtype, shape, bytes: zeroed(bytes), states: vec![CellState::Plain; count] };
        Ok(Self { block, cell, segments, kept })
    }

    fn cells(&mut self, from: usize, count: usize) -> Cells<'_> {
        let Block { bytes, states, .. } = &mut self.block;
        let bytes = &mut bytes[from * self.cell..(from + count) * self.cell];
        Cells { cell: self.cell, bytes, states: &mut states[from..from + count] }
    }

    /// Copies whole cells, or the parts that are kept, to their places in the block.
    fn place(&mut self, whole: &CellBuffer, places: &[usize]) {
        for ((cell, &state), &place) in whole.bytes.chunks_exact(self.cell.max(1)).zip(&whole.states).zip(places) {
            let out = &mut self.block.bytes[place * self.kept..(place + 1) * self.kept];
            match &self.segments {
                None => out.copy_from_slice(cell),
                Some(segments) => {
                    for &Segment { from, to, len } in segments {
                        out[to..to + len].copy_from_slice(&cell[from..from + len]);
                    }
                }
            }
            self.block.states[place] = state;
        }
    }
}

/// Whole cells, from which the parts that are kept are copied to a block.
struct CellBuffer {
    cell: usize,
    bytes: Vec<u8>,
    states: Vec<CellState>,
}

impl CellBuffer {
    fn new(cell: usize, count: usize) -> Self {
        Self { cell, bytes: zeroed(cell * count), states: vec![CellState::Plain; count] }
    }

    fn cells(&mut self) -> Cells<'_> {
        Cells { cell: self.cell, bytes: &mut self.bytes, states: &mut self.states }
    }
}

fn load(store: &Store, table: &str) -> Result<TableView, ErrorKind> {
    let _gate = store.enter_to_read()?;
    TableView::load(store, table)
}

fn cell_bytes(column: &Column) -> Result<usize, ErrorKind> {
    let bytes = column.shape.iter().try_fold(column.dtype()?.size(), |n, &k| n.checked_mul(k));
    bytes.and_then(|n| usize::try_from(n).ok()).ok_or_else(too_large)
}

fn too_large() -> ErrorKind {
    ErrorKind::BadRequest("the selection is too large for this machine's memory".to_owned())
}
