//! Writes the rows of all tables into a file that is being built. Small tables are merged in batches, so that each
//! input is opened once per batch.

use super::cells::{Added, BLOCK_BYTES, Cells, Origins, block_rows};
use super::plan::{InputTable, Joined, Plan};
use super::{MergedTable, check_dead_writer};
use crate::store::{Building, BuildingTable, Reader};
use h5part_base::dataspace::{Column, Rows};
use h5part_base::error::{At, Error, ErrorKind, Result};
use h5part_base::num::to_usize;
use std::collections::HashMap;
use std::ops::Range;

/// Tables whose values in all inputs have fewer bytes than this are merged in batches.
const SMALL_BYTES: u64 = 256 << 10;
/// Most tables per batch.
const MOST_TABLES: usize = 512;
/// Most inputs open at once.
const MOST_OPEN: usize = 64;

/// Merges the rows of the tables. The file has the tables already, but no values.
pub(super) fn fill(building: &Building<'_>, plan: Plan<'_>, progress: &mut dyn FnMut(u64)) -> Result<Vec<MergedTable>> {
    let filling = Filling { building, plan };
    let mut merged = Vec::with_capacity(plan.tables.len());
    let mut rest = plan.tables;
    while let Some(first) = rest.first() {
        let mut bytes = 0;
        let small = rest.iter().take(MOST_TABLES).take_while(|joined| {
            bytes += joined.bytes();
            joined.bytes() < SMALL_BYTES && bytes <= BLOCK_BYTES
        });
        let count = small.count();
        if count == 0 {
            merged.push(filling.large(first, progress)?);
            rest = &rest[1..];
        } else {
            let (batch, more) = rest.split_at(count);
            merged.extend(filling.small(batch)?);
            progress(batch.iter().map(Joined::bytes).sum());
            rest = more;
        }
    }
    Ok(merged)
}

struct Filling<'a> {
    building: &'a Building<'a>,
    plan: Plan<'a>,
}

/// A table that is being merged.
struct Growing<'a> {
    joined: &'a Joined,
    table: BuildingTable<'a>,
    taken: Vec<u64>,
    agreed: u64,
    moving: u64,
}

impl<'a> Filling<'a> {
    /// Merges a batch of tables whose rows fit into memory together.
    fn small(&self, batch: &'a [Joined]) -> Result<Vec<MergedTable>> {
        let mut growing = batch.iter().map(|joined| self.begin(joined)).collect::<Result<Vec<_>>>()?;
        let mut cells = Vec::with_capacity(batch.len());
        let mut by_input: Vec<Vec<(usize, &InputTable)>> = vec![Vec::new(); self.plan.inputs.len()];
        for (t, growing) in growing.iter().enumerate() {
            cells.push(Cells::empty(growing.columns().at("create", self.plan.out.path())?, &(0..growing.joined.rows)));
            growing.joined.sources.iter().for_each(|source| by_input[source.input].push((t, source)));
        }
        for (input, sources) in by_input.iter().enumerate().filter(|(_, sources)| !sources.is_empty()) {
            let mut suspects = Vec::new();
            let still = self.plan.inputs[input].still(self.plan.found_in(input).map(|found| &found.known))?;
            for &(t, source) in sources {
                let growing = &mut growing[t];
                let mut reader = still.reader(&growing.joined.path)?;
                let tally = self.add(&mut cells[t], growing, source, &(0..growing.joined.rows), &mut reader)?;
                if tally.moving > 0 {
                    suspects.push(growing.joined);
                }
            }
            // Whether their writers live is checked without holding the gate, so that nobody waits.
            drop(still);
            suspects.iter().try_for_each(|joined| check_dead_writer(joined, &self.plan.inputs[input]))?;
        }
        growing.iter().zip(&cells).try_for_each(|(growing, cells)| self.write(growing, cells))?;
        growing.into_iter().map(|growing| self.finish(growing)).collect()
    }

    /// Merges one table, block by block.
    fn large(&self, joined: &'a Joined, progress: &mut dyn FnMut(u64)) -> Result<MergedTable> {
        let mut growing = self.begin(joined)?;
        let columns = growing.columns().at("create", self.plan.out.path())?;
        let mut open: HashMap<usize, Reader> = HashMap::new();
        let step = block_rows(growing.table.table());
        for first in (0..joined.rows).step_by(to_usize(step)) {
            let block = first..(first + step).min(joined.rows);
            let mut cells = Cells::empty(columns.clone(), &block);
            for (k, source) in joined.sources.iter().enumerate().filter(|(_, source)| !source.within(&block).is_empty())
            {
                let input = &self.plan.inputs[source.input];
                let mut reader = open.remove(&k).map_or_else(|| input.reader(&joined.path), Ok)?;
                let tally = self.add(&mut cells, &mut growing, source, &block, &mut reader)?;
                if tally.moving > 0 {
                    check_dead_writer(joined, input)?;
                }
                if open.len() < MOST_OPEN {
                    open.insert(k, reader);
                }
                let here = source.within(&block);
                progress((here.end - here.start) * joined.row_bytes);
            }
            self.write(&growing, &cells)?;
        }
        self.finish(growing)
    }

    fn begin(&self, joined: &'a Joined) -> Result<Growing<'a>> {
        let table = self.building.table(&joined.path, &joined.columns).at("create", self.plan.out.path())?;
        Ok(Growing { joined, table, taken: vec![0; self.plan.inputs.len()], agreed: 0, moving: 0 })
    }

    fn add(
        &self,
        cells: &mut Cells,
        growing: &mut Growing<'_>,
        source: &InputTable,
        block: &Range<u64>,
        reader: &mut Reader,
    ) -> Result<Added> {
        let origins = Origins { out: self.plan.out, inputs: self.plan.inputs, joined: growing.joined };
        let tally = cells.add(origins, source, &source.within(block), reader)?;
        growing.taken[source.input] += tally.taken;
        growing.agreed += tally.agreed;
        growing.moving += tally.moving;
        Ok(tally)
    }

    fn write(&self, growing: &Growing<'_>, cells: &Cells) -> Result<()> {
        let parts = cells.together();
        let commits = parts.iter().map(|part| Ok((Rows::list(&part.rows), cells.values(part)?)));
        let written = commits.collect::<Result<Vec<_>, ErrorKind>>().and_then(|commits| growing.table.commit(&commits));
        written.at("create", self.plan.out.path())
    }

    fn finish(&self, growing: Growing<'_>) -> Result<MergedTable, Error> {
        let Growing { joined, taken, agreed, moving, .. } = growing;
        let being_written = if moving == 0 { 0 } else { joined.being_written(self.plan.inputs)? };
        Ok(MergedTable { table: joined.path.clone(), rows: joined.rows, taken, agreed, being_written })
    }
}

impl Growing<'_> {
    /// The columns that are merged, as they lie in the new file.
    fn columns(&self) -> Result<Vec<Column>, ErrorKind> {
        self.joined.columns.iter().map(|name| self.table.table().column(name).cloned()).collect()
    }
}
