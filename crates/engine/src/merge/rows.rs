//! Merges the rows of one table into an existing file: block by block, compared and committed.

use super::cells::{Cells, Origins, block_rows};
use super::plan::{InputTable, Joined};
use super::{MergedTable, structure};
use crate::store::{Durability, Reader, Store, Unclaimed, Writer};
use h5part_base::dataspace::Rows;
use h5part_base::error::{ErrorKind, Result};
use h5part_base::num::to_usize;
use std::ops::Range;
use std::sync::Arc;

/// Most inputs open at once.
const MOST_OPEN: usize = 64;
/// How many times others may commit to the rows of a block between our look at it and our commit.
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
    let origins = Origins { out, inputs, joined };
    let mut merging = Merging { origins, target, taken: vec![0; inputs.len()], agreed: 0, moving: 0 };
    for sources in joined.sources.chunks(MOST_OPEN) {
        merging.batch(sources, progress)?;
    }
    let being_written = if merging.moving == 0 { 0 } else { joined.being_written(inputs)? };
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
    origins: Origins<'a>,
    target: Target,
    taken: Vec<u64>,
    agreed: u64,
    /// Cells whose stamps said "being written".
    moving: u64,
}

impl Merging<'_> {
    fn batch(&mut self, sources: &[InputTable], progress: &mut dyn FnMut(u64)) -> Result<()> {
        let Origins { inputs, joined, .. } = self.origins;
        let mut readers = Vec::new();
        for source in sources {
            readers.push(inputs[source.input].reader(&joined.path)?);
        }
        // The table may have grown since it was read. The new rows are left to the next merge.
        let rows = sources.iter().map(|source| source.rows).max().unwrap_or(0);
        let step = block_rows(self.target.reader.table());
        for first in (0..rows).step_by(to_usize(step)) {
            let block = first..(first + step).min(rows);
            self.block(&block, sources, &mut readers)?;
            for source in sources {
                let here = source.within(&block);
                progress((here.end - here.start) * joined.row_bytes);
            }
        }
        Ok(())
    }

    fn block(&mut self, rows: &Range<u64>, sources: &[InputTable], readers: &mut [Reader]) -> Result<()> {
        for _ in 0..TRIES {
            let mut cells = self.look(rows)?;
            let (mut taken, mut agreed, mut moving) = (vec![0; self.taken.len()], 0, 0);
            for (source, reader) in sources.iter().zip(&mut *readers) {
                let here = source.within(rows);
                if here.is_empty() {
                    continue;
                }
                let tally = cells.add(self.origins, source, &here, reader)?;
                taken[source.input] += tally.taken;
                agreed += tally.agreed;
                moving += tally.moving;
            }
            if self.commit(&cells)? {
                self.taken.iter_mut().zip(taken).for_each(|(sum, n)| *sum += n);
                self.agreed += agreed;
                self.moving += moving;
                return Ok(());
            }
        }
        let text = "other processes keep committing to the same rows".to_owned();
        Err(ErrorKind::BadRequest(text).at("merge into", self.origins.out.path()))
    }

    /// Reads what the file holds of the rows.
    fn look(&mut self, rows: &Range<u64>) -> Result<Cells> {
        let Origins { out, joined, .. } = self.origins;
        let names: Vec<&str> = joined.columns.iter().map(String::as_str).collect();
        let blocks = self.target.reader.read_columns(&names, &Rows::range(rows.clone()))?;
        let table = self.target.reader.table();
        let into = |kind: ErrorKind| kind.at("merge into", out.path());
        let columns = names.iter().map(|name| table.column(name).cloned().map_err(into)).collect::<Result<Vec<_>>>()?;
        Cells::held(columns, rows, blocks, joined).map_err(into)
    }

    /// Commits what is new in the block. `false`: someone else has committed to it since it was read.
    fn commit(&mut self, cells: &Cells) -> Result<bool> {
        let together = cells.together();
        if together.is_empty() {
            return Ok(true);
        }
        if let Some(fence) = &self.target.fence {
            fence.expect(together.iter().map(|part| (part.rows.clone(), cells.names(part))).collect());
        }
        let mut group = self.target.writer.group();
        for part in &together {
            let values = cells.values(part).map_err(|kind| kind.at("merge into", self.origins.out.path()))?;
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
}
