//! Reads all values of an adopted table, and stamps those that count.

use super::plan::{Adoptee, Plan, Rule};
use super::{Adopted, Before, Decision, NOBODY};
use crate::h5::Stored;
use crate::store::cells::{for_each_cell, is_fill, read_stamps, write_pieces};
use crate::store::create::Progress;
use crate::store::handle::Store;
use crate::store::read::CellReader;
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Column, Rows, Runs, StampRows, Stamps, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Seed, Stamp, StampState};
use h5part_base::storage::StorageFile;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Cells are summed in blocks of about this many bytes, of values and stamps.
const BLOCK_BYTES: u64 = 16 << 20;

/// Where to write stamps.
pub(super) struct Sink<'a> {
    pub(super) file: &'a dyn StorageFile,
    pub(super) stamps: &'a Stamps,
}

pub(super) struct Summing<'a> {
    view: &'a TableView,
    plan: &'a Plan<'a>,
    seeds: Vec<Seed>,
    cells: CellReader,
    /// `None`: only count what would be done.
    sink: Option<Sink<'a>>,
    /// Whether nothing was written to the columns that were allocated at creation, so that their space proves nothing.
    blank: bool,
    counts: Vec<Count>,
}

/// Cells of one column.
#[derive(Debug, Default)]
struct Count {
    committed: AtomicU64,
    committed_before: AtomicU64,
    no_longer: AtomicU64,
    newly: AtomicU64,
    changed: AtomicU64,
}

impl<'a> Summing<'a> {
    pub(super) fn new(
        store: &Store,
        view: &'a TableView,
        plan: &'a Plan<'a>,
        mut seeds: Vec<Seed>,
        sink: Option<Sink<'a>>,
    ) -> Self {
        seeds.resize_with(plan.columns.len(), || Seed::new(&NOBODY, 0, 0));
        let counts = plan.columns.iter().map(|_| Count::default()).collect();
        Self { view, plan, seeds, cells: CellReader::new(store), sink, blank: false, counts }
    }

    pub(super) fn run(mut self, progress: Progress<'_>) -> Result<Adopted, ErrorKind> {
        let rows = self.view.table.rows;
        let row_bytes: u64 = self.plan.columns.iter().map(|c| c.column.cell_bytes()).sum();
        let block_rows = (BLOCK_BYTES / (row_bytes + self.plan.columns.len() as u64 * 8).max(1)).max(1);
        let blocks = rows.div_ceil(block_rows);
        let runs_of = |block: u64| Rows::range(block * block_rows..((block + 1) * block_rows).min(rows)).runs();
        self.blank = self.is_blank((0..blocks).map(runs_of))?;
        let done = AtomicU64::new(0);
        (0..blocks).into_par_iter().try_for_each(|block| {
            let here = runs_of(block)?;
            self.block(&here)?;
            let so_far = done.fetch_add(here.len(), Ordering::Relaxed) + here.len();
            progress(so_far * row_bytes, rows * row_bytes);
            Ok::<_, ErrorKind>(())
        })?;
        let decisions: Vec<Decision> =
            self.plan.columns.iter().zip(&self.counts).map(|(column, count)| self.decision(column, count)).collect();
        let (without_stamps, reasons) = self.plan.left_out.iter().cloned().unzip();
        Ok(Adopted {
            rows,
            columns: decisions.iter().map(|decision| decision.column.clone()).collect(),
            committed: decisions.iter().map(|decision| decision.committed).sum(),
            decisions,
            without_stamps,
            reasons,
            bytes: rows * row_bytes,
            dry_run: self.sink.is_none(),
        })
    }

    fn decision(&self, column: &Adoptee<'_>, count: &Count) -> Decision {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let before = Before {
            committed: of(&count.committed_before),
            no_longer: of(&count.no_longer),
            newly: of(&count.newly),
            changed: of(&count.changed),
        };
        let blank = "allocated when it was made, and all zero like every other column of that kind: nothing of it was \
                     ever written";
        let because = if self.is_blanked(column) { blank.to_owned() } else { column.because(&self.plan.rule) };
        Decision {
            column: column.column.name.clone(),
            committed: of(&count.committed),
            not_there: self.view.table.rows - of(&count.committed),
            because,
            before: column.column.stamp.map(|_| before),
        }
    }

    /// Whether neither its space nor a fill value tells what was written.
    fn is_unclear(column: &Adoptee<'_>) -> bool {
        column.evidence.early && column.evidence.marks.is_empty() && column.evidence.stored == Stored::All
    }

    fn is_blanked(&self, column: &Adoptee<'_>) -> bool {
        self.blank && matches!(self.plan.rule, Rule::Evidence) && column.undefined.is_none() && Self::is_unclear(column)
    }

    /// Whether every cell of the unclear columns is zero. Stops at the first that is not.
    fn is_blank(&self, blocks: impl Iterator<Item = Result<Runs, ErrorKind>>) -> Result<bool, ErrorKind> {
        let unclear: Vec<&Column> =
            self.plan.columns.iter().filter(|column| Self::is_unclear(column)).map(|column| column.column).collect();
        if unclear.is_empty() || !matches!(self.plan.rule, Rule::Evidence) {
            return Ok(false);
        }
        for runs in blocks {
            let runs = runs?;
            for column in &unclear {
                let found = AtomicBool::new(false);
                self.each_cell(column, &runs, |_, _, bytes| {
                    if bytes.iter().any(|&byte| byte != 0) {
                        found.store(true, Ordering::Relaxed);
                    }
                })?;
                if found.into_inner() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Stamps a block of rows.
    fn block(&self, runs: &Runs) -> Result<(), ErrorKind> {
        let rows = to_usize(runs.len());
        let (mut words, mut old) = (StampRows::default(), StampRows::default());
        // Columns that had stamps before and get none now keep them.
        if let Some(sink) = &self.sink {
            read_stamps(sink.file, sink.stamps, runs, &mut words)?;
        }
        if let Some(stamps) = &self.view.table.stamps {
            read_stamps(self.view.file.as_ref(), stamps, runs, &mut old)?;
        }
        let mut listed = vec![true; rows];
        if let Rule::Where { column, value } = &self.plan.rule {
            self.each_cell(column, runs, |k, _, bytes| listed[k] = bytes == value)?;
        }
        for ((adoptee, seed), count) in self.plan.columns.iter().zip(&self.seeds).zip(&self.counts) {
            let before =
                adoptee.column.stamp.map(|place| Ok::<_, ErrorKind>((place, self.view.stamped(adoptee.column)?)));
            let before = before.transpose()?;
            let mut committed = 0;
            self.each_cell(adoptee.column, runs, |k, row, bytes| {
                let mut counts = self.counts_as_value(adoptee, listed[k], row, bytes);
                if let Some((place, target)) = &before {
                    let stamp = Stamp(old.get(k, *place));
                    // A writer died in this cell, so its bytes may be anything.
                    counts &= stamp.state() != StampState::Writing;
                    count.compare(counts, stamp, || target.seed.matches(stamp, row, bytes));
                }
                committed += u64::from(counts);
                if self.sink.is_some() {
                    *words.get_mut(k, adoptee.place) = stamp_for(adoptee, *seed, counts, row, bytes).0;
                }
            })?;
            count.committed.fetch_add(committed, Ordering::Relaxed);
        }
        if let Some(sink) = &self.sink {
            let mut plan = Vec::new();
            pieces(&sink.stamps.layout, &runs.in_row_order(), &mut plan);
            write_pieces(sink.file, &plan, bytemuck::cast_slice(words.words()))?;
        }
        Ok(())
    }

    fn counts_as_value(&self, adoptee: &Adoptee<'_>, listed: bool, row: u64, bytes: &[u8]) -> bool {
        let undefined = adoptee.undefined.as_deref();
        match &self.plan.rule {
            Rule::All => true,
            Rule::NonFill => !adoptee.is_empty(bytes) && !adoptee.is_chosen_fill(bytes),
            // What a guard says of a row is a value, even if it is not "complete".
            Rule::Where { .. } => listed || undefined.is_some_and(|undefined| undefined != bytes),
            Rule::Evidence => match undefined {
                Some(undefined) => undefined != bytes,
                None => !self.is_blanked(adoptee) && adoptee.was_written(row, bytes),
            },
        }
    }

    /// Calls `look(position, row, bytes)` for every cell.
    fn each_cell(
        &self,
        column: &Column,
        runs: &Runs,
        mut look: impl FnMut(usize, u64, &[u8]),
    ) -> Result<(), ErrorKind> {
        let file: &dyn StorageFile = self.view.file.as_ref();
        if let Ok(layout) = &column.layout {
            return for_each_cell(file, layout, runs, &mut Vec::new(), |k, row, bytes| {
                look(k, row, bytes);
                Ok(())
            });
        }
        let bytes = self.cells.read_inside(self.view, column, runs)?;
        let cell = to_usize(column.cell_bytes());
        for (k, (row, _)) in runs.iter().enumerate() {
            // A cell may have no elements.
            look(k, row, &bytes[k * cell..(k + 1) * cell]);
        }
        Ok(())
    }
}

impl Count {
    /// Counts how a new stamp differs from the earlier one.
    fn compare(&self, counts: bool, before: Stamp, matches: impl Fn() -> bool) {
        let add = |counter: &AtomicU64| {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        match (before.state() == StampState::Committed, counts) {
            (true, now) => {
                add(&self.committed_before);
                if !now {
                    add(&self.no_longer);
                } else if !matches() {
                    add(&self.changed);
                }
            }
            (false, true) => add(&self.newly),
            (false, false) => {}
        }
    }
}

impl Adoptee<'_> {
    /// Whether a cell holds the fill value that the dataset was given, whoever wrote it.
    fn is_chosen_fill(&self, bytes: &[u8]) -> bool {
        self.undefined.is_none() && self.evidence.chosen.as_ref().is_some_and(|fill| is_fill(bytes, fill))
    }

    /// Whether a cell holds what readers take for "not there" without a stamp.
    fn is_empty(&self, bytes: &[u8]) -> bool {
        self.undefined.as_deref().map_or_else(|| is_fill(bytes, &self.column.fill), |undefined| undefined == bytes)
    }
}

fn stamp_for(adoptee: &Adoptee<'_>, seed: Seed, counts: bool, row: u64, bytes: &[u8]) -> Stamp {
    match (counts, adoptee.is_empty(bytes)) {
        (true, _) => seed.seal(Stamp::committed(1).with_durability(true), row, bytes),
        (false, true) => Stamp::default(),
        (false, false) => seed.seal(Stamp::vacant(), row, bytes),
    }
}
