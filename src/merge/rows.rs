//! The rows of one table: block by block, from all inputs, compared and committed.

use super::plan::{Joined, Source};
use super::{MergedTable, of_input, structure};
use crate::dataspace::{Column, Rows, Table};
use crate::error::{Disagreement, Error, ErrorKind, Result};
use crate::store::{Block, CellState, Durability, Reader, Store, Unclaimed, Values, Writer};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows are merged in blocks of about this, in bytes.
const BLOCK_BYTES: u64 = 8 << 20;
/// Blocks are whole chunks of compressed columns where they need no more than this, in bytes.
const MOST_BLOCK_BYTES: u64 = 64 << 20;
/// So many inputs are open at once.
const MOST_OPEN: usize = 64;
/// Others may commit to the rows of a block so often, between a look at it and its commit.
const TRIES: usize = 100;

/// Merges the rows of a table from all inputs that have it.
pub(super) fn merge(
    out: &Store,
    inputs: &[Store],
    joined: &Joined,
    durability: Durability,
    progress: &mut dyn FnMut(u64),
) -> Result<MergedTable> {
    structure::extend(out, joined)?;
    let mut writer = out.writer(&joined.path)?;
    writer.set_durability(durability);
    let fence = out.unclaimed(&joined.path)?.map(Arc::new);
    if let Some(fence) = &fence {
        let fence: Arc<Unclaimed> = Arc::clone(fence);
        writer.set_fence(Some(fence));
    }
    let target = Target { reader: out.reader(&joined.path)?, writer, fence };
    let mut merging = Merging { out, inputs, joined, target, taken: vec![0; inputs.len()], agreed: 0, moving: 0 };
    for sources in joined.sources.chunks(MOST_OPEN) {
        merging.batch(sources, progress)?;
    }
    let being_written = if merging.moving == 0 { 0 } else { merging.being_written()? };
    let rows = merging.target.reader.table().rows;
    let (taken, agreed) = (merging.taken, merging.agreed);
    Ok(MergedTable { table: joined.path.clone(), rows, taken, agreed, being_written })
}

struct Target {
    reader: Reader,
    writer: Writer,
    /// `None`: the table has no stamps.
    fence: Option<Arc<Unclaimed>>,
}

struct Merging<'a> {
    out: &'a Store,
    inputs: &'a [Store],
    joined: &'a Joined,
    target: Target,
    taken: Vec<u64>,
    agreed: u64,
    /// Cells that said "being written".
    moving: u64,
}

/// The cells of a block of rows, as they are to be.
struct Cells {
    columns: Vec<Column>,
    /// A column's values, row after row.
    bytes: Vec<Vec<u8>>,
    /// Rows in the block.
    rows: usize,
    /// Of each column: whether its rows have a value.
    present: Vec<Vec<bool>>,
    /// Of each column: whether its rows are to be committed.
    new: Vec<Vec<bool>>,
}

/// Rows of which the same columns are new, in ascending order.
struct Together {
    /// Positions of the columns.
    columns: Vec<usize>,
    rows: Vec<u64>,
}

impl Merging<'_> {
    fn batch(&mut self, sources: &[Source], progress: &mut dyn FnMut(u64)) -> Result<()> {
        let mut readers = Vec::new();
        for source in sources {
            readers.push((source.input, self.inputs[source.input].reader(&self.joined.path)?));
        }
        // A table may have grown since it was looked at; its new rows are of the next merge.
        let rows = sources.iter().map(|source| source.rows).max().unwrap_or(0);
        let step = block_rows(self.target.reader.table());
        for first in (0..rows).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
            let block = first..(first + step).min(rows);
            self.block(&block, sources, &mut readers)?;
            for source in sources {
                let here = source.rows.clamp(block.start, block.end) - block.start;
                progress(here * self.joined.row_bytes);
            }
        }
        Ok(())
    }

    fn block(&mut self, rows: &Range<u64>, sources: &[Source], readers: &mut [(usize, Reader)]) -> Result<()> {
        for _ in 0..TRIES {
            let mut cells = self.look(rows)?;
            let (mut taken, mut agreed, mut moving) = (vec![0; self.inputs.len()], 0, 0);
            for (source, (input, reader)) in sources.iter().zip(&mut *readers) {
                let here = rows.start..source.rows.clamp(rows.start, rows.end);
                if here.is_empty() {
                    continue;
                }
                let tally = self.add(&mut cells, &here, *input, reader)?;
                taken[*input] += tally.taken;
                agreed += tally.agreed;
                moving += tally.moving;
            }
            if self.commit(rows.start, &cells)? {
                self.taken.iter_mut().zip(taken).for_each(|(sum, n)| *sum += n);
                self.agreed += agreed;
                self.moving += moving;
                return Ok(());
            }
        }
        let text = "other processes commit to the same rows again and again".to_owned();
        Err(ErrorKind::BadRequest(text).at("merge into", self.out.path()))
    }

    fn names(&self) -> Vec<&str> {
        self.joined.columns.iter().map(String::as_str).collect()
    }

    /// What the file holds of the rows.
    fn look(&mut self, rows: &Range<u64>) -> Result<Cells> {
        let names: Vec<&str> = self.joined.columns.iter().map(String::as_str).collect();
        let blocks = self.target.reader.read_columns(&names, &Rows::range(rows.clone()))?;
        let table = self.target.reader.table();
        let column = |name: &&str| table.column(name).cloned().map_err(|kind| kind.at("merge into", self.out.path()));
        let columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
        let count = usize::try_from(rows.end - rows.start).unwrap_or(usize::MAX);
        let none = vec![vec![false; count]; columns.len()];
        let mut cells = Cells { columns, bytes: Vec::new(), rows: count, present: none.clone(), new: none };
        for (c, block) in blocks.into_iter().enumerate() {
            for k in 0..count {
                match state(&block, k, &cells.columns[c]) {
                    CellState::Changed => {
                        return Err(
                            damaged(self.joined, &cells.columns[c], rows.start, k).at("merge into", self.out.path())
                        );
                    }
                    state => cells.present[c][k] = state.is_present(),
                }
            }
            cells.bytes.push(block.into_bytes());
        }
        Ok(cells)
    }

    /// Lays the cells of an input over those that are known, from the same first row on.
    fn add(&self, cells: &mut Cells, rows: &Range<u64>, input: usize, reader: &mut Reader) -> Result<Tally> {
        let blocks = reader.read_columns(&self.names(), &Rows::range(rows.clone()))?;
        let mut tally = Tally::default();
        for (c, block) in blocks.iter().enumerate() {
            let column = of_input(reader.table().column(&self.joined.columns[c]), &self.inputs[input])?;
            let cell = block.bytes().len() / block.states().len().max(1);
            for (k, value) in block.bytes().chunks_exact(cell.max(1)).enumerate() {
                match state(block, k, column) {
                    CellState::Changed => {
                        return of_input(Err(damaged(self.joined, column, rows.start, k)), &self.inputs[input]);
                    }
                    CellState::Writing => tally.moving += 1,
                    CellState::Missing => {}
                    CellState::Committed | CellState::Plain => {
                        let slot = &mut cells.bytes[c][k * cell..(k + 1) * cell];
                        if !cells.present[c][k] {
                            slot.copy_from_slice(value);
                            cells.present[c][k] = true;
                            cells.new[c][k] = true;
                            tally.taken += 1;
                        } else if slot == value {
                            tally.agreed += 1;
                        } else {
                            return Err(self.disagreement(rows.start + k as u64, column, input, value, slot));
                        }
                    }
                }
            }
        }
        Ok(tally)
    }

    /// Both files by name: the one that disagrees, and the one where the known value comes from.
    fn disagreement(&self, row: u64, column: &Column, input: usize, value: &[u8], known: &[u8]) -> Error {
        let earlier = self.joined.sources.iter().map(|source| source.input).take_while(|&other| other != input);
        let from = earlier.filter(|&other| self.holds(other, row, column, known)).map(|k| self.inputs[k].path()).next();
        let size = column.fill.len().max(1);
        let differs = value.chunks(size).zip(known.chunks(size)).position(|(a, b)| a != b).unwrap_or(0) * size;
        let text = |bytes: &[u8]| element(column, &bytes[differs..differs + size]);
        let (value, other_value) = match (text(value), text(known)) {
            // Two values that print alike: of NaN there are many.
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
        ErrorKind::Disagreement(Box::new(disagreement)).at("merge", self.inputs[input].path())
    }

    fn holds(&self, input: usize, row: u64, column: &Column, value: &[u8]) -> bool {
        let read = self.inputs[input]
            .reader(&self.joined.path)
            .and_then(|mut reader| reader.read(&column.name, &Rows::one(row)));
        read.is_ok_and(|block| state(&block, 0, column).is_present() && block.bytes() == value)
    }

    /// Commits what is new in the block. `false`: somebody else has committed to it since it was looked at.
    fn commit(&mut self, first: u64, cells: &Cells) -> Result<bool> {
        let together = cells.together(first);
        if together.is_empty() {
            return Ok(true);
        }
        if let Some(fence) = &self.target.fence {
            let names = |columns: &[usize]| columns.iter().map(|&c| cells.columns[c].name.clone()).collect();
            fence.expect(together.iter().map(|part| (part.rows.clone(), names(&part.columns))).collect());
        }
        let mut group = self.target.writer.group();
        for part in &together {
            let values = cells.values(part, first).map_err(|kind| kind.at("merge into", self.out.path()))?;
            group.commit(&Rows::list(&part.rows), &values)?;
        }
        for outcome in group.finish() {
            match outcome {
                Ok(_) => {}
                Err(_) if self.target.fence.as_ref().is_some_and(|fence| fence.was_met()) => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// Cells of the inputs that a living writer is at. What a dead one left in rows without a value is no value.
    fn being_written(&self) -> Result<u64> {
        let mut cells = 0;
        for source in self.joined.sources.iter().filter(|source| source.stamped) {
            let status = self.inputs[source.input].status(&self.joined.path, 1)?;
            cells += status.columns.iter().map(|column| column.writing).sum::<u64>();
        }
        Ok(cells)
    }
}

/// What an input added to a block.
#[derive(Debug, Default)]
struct Tally {
    taken: u64,
    agreed: u64,
    moving: u64,
}

impl Cells {
    /// The rows that have new values, those together of which the same columns are new.
    fn together(&self, first: u64) -> Vec<Together> {
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
            parts[part].rows.push(first + k as u64);
        }
        parts
    }

    /// The values of some columns of some rows.
    fn values(&self, part: &Together, first: u64) -> Result<Vec<(&str, Values<'_>)>, ErrorKind> {
        let mut values = Vec::new();
        for &c in &part.columns {
            let (column, bytes) = (&self.columns[c], self.bytes[c].as_slice());
            let cell = bytes.len() / self.rows.max(1);
            let shape: Vec<u64> = [part.rows.len() as u64].into_iter().chain(column.shape.iter().copied()).collect();
            let values_of = if part.rows.len() == self.rows {
                Values::new(column.dtype()?, &shape, bytes)?
            } else {
                let place = |row: &u64| usize::try_from(row - first).unwrap_or(usize::MAX) * cell;
                let picked: Vec<u8> =
                    part.rows.iter().map(place).flat_map(|at| &bytes[at..at + cell]).copied().collect();
                Values::new(column.dtype()?, &shape, picked)?
            };
            values.push((column.name.as_str(), values_of));
        }
        Ok(values)
    }
}

/// What a cell is to a merge: in tables without stamps, what is fill is no value.
fn state(block: &Block, k: usize, column: &Column) -> CellState {
    match block.states()[k] {
        CellState::Plain if crate::store::is_fill(block.cell(k), &column.fill) => CellState::Missing,
        state => state,
    }
}

fn damaged(joined: &Joined, column: &Column, first: u64, k: usize) -> ErrorKind {
    ErrorKind::Damaged { table: joined.path.clone(), column: column.name.clone(), row: first + k as u64 }
}

fn element(column: &Column, bytes: &[u8]) -> String {
    column.dtype.clone().map_or_else(|_| bits(bytes), |dtype| dtype.format_element(bytes))
}

/// Little-endian bytes as one hexadecimal number.
fn bits(bytes: &[u8]) -> String {
    bytes.iter().rev().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Rows a block: about 8 MB; whole chunks of compressed columns, where that takes no more than 64 MB.
fn block_rows(table: &Table) -> u64 {
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
