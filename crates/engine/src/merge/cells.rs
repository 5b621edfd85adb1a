//! The cells of a block of rows: the values known so far, and those that an input adds.

use super::error::{Disagreement, ErrorKind as MergeErrorKind};
use super::of_input;
use super::plan::{InputTable, Joined};
use crate::store::{Block, CellState, Reader, Store, Values};
use h5part_base::dataspace::{Column, Rows, Table};
use h5part_base::error::{Error, ErrorKind, Kind, Result};
use h5part_base::num::to_usize;
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

/// Rows are merged in blocks of about this many bytes.
pub(super) const BLOCK_BYTES: u64 = 8 << 20;
/// A block holds whole chunks of compressed columns, unless they need more bytes than this.
const MOST_BLOCK_BYTES: u64 = 64 << 20;

/// The cells of a block of rows, as they will be in the merged file.
pub(super) struct Cells {
    pub(super) columns: Vec<Column>,
    /// First row of the block.
    pub(super) first: u64,
    /// Rows in the block.
    pub(super) rows: usize,
    /// For each column its values, row after row.
    bytes: Vec<Vec<u8>>,
    /// For each column, whether each row has a value.
    present: Vec<Vec<bool>>,
    /// For each column, whether each row is to be committed.
    new: Vec<Vec<bool>>,
}

/// Rows, ascending, that have new values in the same columns.
pub(super) struct Together {
    /// Positions of the columns.
    columns: Vec<usize>,
    pub(super) rows: Vec<u64>,
}

/// What an input added to a block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Added {
    pub(super) taken: u64,
    pub(super) agreed: u64,
    /// Cells whose stamps said "being written".
    pub(super) moving: u64,
}

/// The files that cells come from.
#[derive(Clone, Copy)]
pub(super) struct Origins<'a> {
    pub(super) out: &'a Store,
    pub(super) inputs: &'a [Store],
    pub(super) joined: &'a Joined,
}

impl Cells {
    /// A block without any values.
    pub(super) fn empty(columns: Vec<Column>, rows: &Range<u64>) -> Self {
        let count = to_usize(rows.end - rows.start);
        let bytes = columns.iter().map(|column| column.fill_cell().repeat(count)).collect();
        let none = vec![vec![false; count]; columns.len()];
        Self { columns, first: rows.start, rows: count, bytes, present: none.clone(), new: none }
    }

    /// A block with the values that a file holds.
    pub(super) fn held(
        columns: Vec<Column>,
        rows: &Range<u64>,
        blocks: Vec<Block>,
        joined: &Joined,
    ) -> Result<Self, ErrorKind> {
        let mut cells = Self { bytes: Vec::new(), ..Self::empty(Vec::new(), rows) };
        let none = vec![false; cells.rows];
        for (block, column) in blocks.into_iter().zip(&columns) {
            let mut present = none.clone();
            for (k, present) in present.iter_mut().enumerate() {
                match state(&block, k, column) {
                    CellState::Changed => return Err(damaged(joined, column, rows.start + k as u64).into()),
                    state => *present = state.is_present(),
                }
            }
            cells.present.push(present);
            cells.new.push(none.clone());
            cells.bytes.push(block.into_bytes());
        }
        Ok(Self { columns, ..cells })
    }

    /// Adds the cells of an input to those that are known. `rows` are the rows of the block that the input has.
    pub(super) fn add(
        &mut self,
        origins: Origins<'_>,
        source: &InputTable,
        rows: &Range<u64>,
        reader: &mut Reader,
    ) -> Result<Added> {
        let joined = origins.joined;
        let names: Vec<&str> = source.whole.iter().map(|&c| joined.columns[c].as_str()).collect();
        let mut tally = Added::default();
        if !names.is_empty() {
            let blocks = reader.read_columns(&names, &Rows::range(source.rows_of(rows)))?;
            for (&c, block) in source.whole.iter().zip(&blocks) {
                self.lay(origins, (source, c), rows.start, block, reader.table(), &mut tally)?;
            }
        }
        for &(c, left) in &source.short {
            let end = (source.offset + left).clamp(rows.start, rows.end);
            if rows.start < end {
                let block = reader.read(&joined.columns[c], &Rows::range(source.rows_of(&(rows.start..end))))?;
                self.lay(origins, (source, c), rows.start, &block, reader.table(), &mut tally)?;
            }
        }
        Ok(tally)
    }

    /// Adds cells of one column to those that are known, from a row on.
    fn lay(
        &mut self,
        origins: Origins<'_>,
        (source, c): (&InputTable, usize),
        first: u64,
        block: &Block,
        table: &Table,
        tally: &mut Added,
    ) -> Result<()> {
        let input = &origins.inputs[source.input];
        let column = of_input(table.readable(&origins.joined.columns[c]), input)?;
        let cell = block.bytes().len() / block.states().len().max(1);
        let start = to_usize(first - self.first);
        for (here, value) in block.bytes().chunks_exact(cell.max(1)).enumerate() {
            let k = start + here;
            match state(block, here, column) {
                CellState::Changed => {
                    let row = first - source.offset + here as u64;
                    return of_input(Err(damaged(origins.joined, column, row).into()), input);
                }
                CellState::Writing => tally.moving += 1,
                CellState::Missing => {}
                CellState::Committed | CellState::Plain => {
                    let slot = &mut self.bytes[c][k * cell..(k + 1) * cell];
                    if !self.present[c][k] {
                        slot.copy_from_slice(value);
                        self.present[c][k] = true;
                        self.new[c][k] = true;
                        tally.taken += 1;
                    } else if slot == value {
                        tally.agreed += 1;
                    } else {
                        return Err(origins.disagreement(self.first + k as u64, column, source.input, value, slot));
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows that have new values, grouped by which columns are new.
    pub(super) fn together(&self) -> Vec<Together> {
        let mut parts: Vec<Together> = Vec::new();
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        for k in 0..self.rows {
            let columns: Vec<usize> = (0..self.columns.len()).filter(|&c| self.new[c][k]).collect();
            if columns.is_empty() {
                continue;
            }
            let part = *known.entry(columns).or_insert_with_key(|columns| {
                parts.push(Together { columns: columns.clone(), rows: Vec::new() });
                parts.len() - 1
            });
            parts[part].rows.push(self.first + k as u64);
        }
        parts
    }

    /// The names of the columns of a group.
    pub(super) fn names(&self, part: &Together) -> Vec<String> {
        part.columns.iter().map(|&c| self.columns[c].name.clone()).collect()
    }

    /// The values of a group of rows in its columns.
    pub(super) fn values(&self, part: &Together) -> Result<Vec<(&str, Values<'_>)>, ErrorKind> {
        let mut values = Vec::new();
        for &c in &part.columns {
            let (column, bytes) = (&self.columns[c], self.bytes[c].as_slice());
            let cell = bytes.len() / self.rows.max(1);
            let shape: Vec<u64> = [part.rows.len() as u64].into_iter().chain(column.shape.iter().copied()).collect();
            let values_of = if part.rows.len() == self.rows {
                Values::as_stored(column.dtype()?, &shape, bytes)?
            } else {
                let place = |row: &u64| to_usize(row - self.first) * cell;
                let picked: Vec<u8> =
                    part.rows.iter().map(place).flat_map(|at| &bytes[at..at + cell]).copied().collect();
                Values::as_stored(column.dtype()?, &shape, picked)?
            };
            values.push((column.name.as_str(), values_of));
        }
        Ok(values)
    }
}

impl Origins<'_> {
    /// Names both files: the one that disagrees, and the one that the known value comes from.
    fn disagreement(self, row: u64, column: &Column, input: usize, value: &[u8], known: &[u8]) -> Error {
        let earlier = self.joined.sources.iter().map(|source| source.input).take_while(|&other| other != input);
        let from = earlier.filter(|&other| self.holds(other, row, column, known)).map(|k| self.inputs[k].path()).next();
        let size = column.fill.len().max(1);
        let differs = value.chunks(size).zip(known.chunks(size)).position(|(a, b)| a != b).unwrap_or(0) * size;
        let text = |bytes: &[u8]| element(column, &bytes[differs..differs + size]);
        let (value, other_value) = match (text(value), text(known)) {
            // Two values that print alike, such as different NaNs.
            (a, b) if a == b => (bits(&value[differs..differs + size]), bits(&known[differs..differs + size])),
            texts => texts,
        };
        let disagreement = Disagreement {
            table: self.joined.path.clone(),
            column: column.name.clone(),
            row,
            value,
            other: from.map_or_else(|| self.out.path().to_owned(), PathBuf::from),
            other_value,
        };
        MergeErrorKind::Disagreement(Box::new(disagreement)).at("merge", self.inputs[input].path())
    }

    fn holds(self, input: usize, row: u64, column: &Column, value: &[u8]) -> bool {
        let read = self.inputs[input]
            .reader(&self.joined.path)
            .and_then(|mut reader| reader.read(&column.name, &Rows::one(row)));
        read.is_ok_and(|block| state(&block, 0, column).is_present() && block.bytes() == value)
    }
}

/// The state of a cell for a merge. In tables without stamps, fill counts as no value.
fn state(block: &Block, k: usize, column: &Column) -> CellState {
    match block.states()[k] {
        CellState::Plain if crate::store::is_fill(block.cell(k), &column.fill) => CellState::Missing,
        state => state,
    }
}

fn damaged(joined: &Joined, column: &Column, row: u64) -> MergeErrorKind {
    MergeErrorKind::Damaged { table: joined.path.clone(), column: column.name.clone(), row }
}

fn element(column: &Column, bytes: &[u8]) -> String {
    column.dtype.clone().map_or_else(|_| bits(bytes), |dtype| dtype.format_element(bytes))
}

/// Little-endian bytes as one hexadecimal number.
fn bits(bytes: &[u8]) -> String {
    bytes.iter().rev().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Rows per block: about 8 MB, or whole chunks of compressed columns if those take at most 64 MB.
pub(super) fn block_rows(table: &Table) -> u64 {
    let row = table.row_bytes().max(1);
    let rows = (BLOCK_BYTES / row).max(1);
    let compressed = table.columns.iter().filter(|column| column.layout.is_err());
    let chunks = compressed.filter_map(|column| column.chunk.as_ref()?.first().copied());
    let largest = chunks.filter(|&chunk| chunk.saturating_mul(row) <= MOST_BLOCK_BYTES).max();
    match largest {
        Some(chunk) => chunk * (rows / chunk.max(1)).max(1),
        None => rows,
    }
}
