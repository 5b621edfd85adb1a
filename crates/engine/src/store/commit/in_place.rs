//! Commits in place, in the order of steps of `docs/design/row-commit.md`.
//!
//! The caller holds the gate; everything here happens under it. Several commits may be made together: they share the
//! locks and the syncs, and each keeps its own outcome.

use super::inspect::{ColumnWrite, CommitPlan, CommitState, Found, HiddenGuard};
use super::joined::Joined;
use super::{Answers, CommitError, CommitOptions, Durability, Outcome};
use crate::store::cells::{cell_at, write_pieces};
use crate::store::handle::Store;
use crate::store::recover::{ForeignValues, Recorder, has_record, recover_table, settle_rows};
use crate::store::table_view::{Direct, TableView};
use h5part_base::dataspace::{Piece, Rows, Run, Runs, Stamps, cover, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{MAX_RANGES, RowGuard, RowLocks};
use h5part_base::num::to_usize;
use h5part_base::record::row::{Entry, piece_sums};
use h5part_base::record::stamp::Stamp;
use h5part_base::storage::StorageFile;
use std::ops::Range;

/// Rows of commits count as neighbours if at least one in this many between the first and the last is among them.
const SPREAD: u64 = 4;
/// Values are copied to join them. That pays up to this many bytes per commit.
const SMALL: usize = 16 << 10;

/// The store, table and settings that commits work with.
pub(super) struct CommitContext<'a> {
    pub(super) store: &'a Store,
    pub(super) view: &'a TableView,
    pub(super) locks: &'a RowLocks,
    pub(super) recorder: &'a mut Recorder,
}

/// Buffers that are kept from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    states: Vec<CommitState>,
    cells: Vec<u8>,
    pieces: Vec<Piece>,
}

/// Makes commits together. A commit that fails, say because it would overwrite a foreign value, returns its error in
/// the answers; the others are made.
pub(super) fn run(
    context: &mut CommitContext<'_>,
    plans: &[CommitPlan<'_>],
    options: &CommitOptions<'_>,
    scratch: &mut Scratch,
) -> Result<Answers, CommitError> {
    let view = context.view;
    let stamps = view.table.expect_stamps().map_err(CommitError::BeforeWrite)?;
    let joined = are_neighbours(plans).then(|| Joined::new(view.file.as_ref())).transpose();
    let joined = joined.map_err(|e| CommitError::BeforeWrite(e.into()))?;
    let file = joined.as_ref().map_or(view.file.as_ref(), |joined| joined as &dyn StorageFile);
    scratch.states.resize_with(scratch.states.len().max(plans.len()), CommitState::default);
    let mut commits = Commits { file, joined: joined.as_ref(), view, stamps, options, scratch };
    // 3. Row locks, kept until the stamps are final.
    let mut rows = lock(context, stamps.table, plans).map_err(CommitError::BeforeWrite)?;
    // 4. What do the cells hold?
    let mut found = commits.inspect(plans).map_err(CommitError::BeforeWrite)?;
    if found.iter().any(Found::is_unsettled) {
        // Recovery takes row locks of its own, in order.
        drop(rows);
        (rows, found) = commits.inspect_recovered(context, plans).map_err(CommitError::BeforeWrite)?;
    }
    let answers: Answers = found
        .into_iter()
        .zip(plans)
        .map(|(found, plan)| match found {
            Found::Unsettled(Some(error)) => Err(error),
            // No error means that a writer died in a row without a value, so there is nothing to put back.
            Found::Settled | Found::Unsettled(None) => plan.check_expected(file),
        })
        .collect();
    let made: Vec<usize> = (0..plans.len()).filter(|&k| answers[k].is_ok()).collect();
    if !made.is_empty() {
        options.check_fence().map_err(CommitError::BeforeWrite)?;
        commits.make(plans, &made, context.recorder)?;
    }
    drop(rows);
    Ok(answers)
}

/// Whether several commits of few bytes touch rows that lie close together, so that joining their reads and writes saves
/// calls.
fn are_neighbours(plans: &[CommitPlan<'_>]) -> bool {
    if plans.len() < 2 {
        return false;
    }
    let rows = || plans.iter().flat_map(|plan| plan.runs.as_slice());
    let (first, end) = (rows().map(|run| run.row).min(), rows().map(Run::end).max());
    let all: u64 = plans.iter().map(|plan| plan.runs.len()).sum();
    let bytes: usize = plans.iter().flat_map(|plan| &plan.writes).map(|write| write.bytes.len()).sum();
    let small = bytes <= plans.len().saturating_mul(SMALL);
    small && first.zip(end).is_some_and(|(first, end)| end - first <= all.saturating_mul(SPREAD))
}

fn ranges_of(plans: &[CommitPlan<'_>]) -> Vec<Range<u64>> {
    plans.iter().flat_map(|plan| plan.runs.as_slice()).map(|run| run.row..run.end()).collect()
}

fn lock<'a>(context: &CommitContext<'a>, table: u64, plans: &[CommitPlan<'_>]) -> Result<RowGuard<'a>, ErrorKind> {
    let all;
    let runs: &Runs = match plans {
        [one] => one.runs,
        many => {
            let mut rows = ranges_of(many);
            rows.sort_unstable_by_key(|range| range.start);
            all = Rows::ranges(rows).runs()?;
            &all
        }
    };
    context.locks.lock(table, &cover(runs.as_slice(), MAX_RANGES), &context.store.patience)
}

/// Commits under their locks.
struct Commits<'a> {
    file: &'a dyn StorageFile,
    /// The same, if several commits are made that lie together.
    joined: Option<&'a Joined<'a>>,
    view: &'a TableView,
    stamps: &'a Stamps,
    options: &'a CommitOptions<'a>,
    scratch: &'a mut Scratch,
}

impl<'a> Commits<'a> {
    fn inspect(&mut self, plans: &[CommitPlan<'_>]) -> Result<Vec<Found>, ErrorKind> {
        let Self { file, joined, view, stamps, options, scratch } = self;
        if let Some(joined) = joined {
            joined.forget();
        }
        let Scratch { states, cells, .. } = &mut **scratch;
        plans.iter().zip(states).map(|(plan, state)| plan.inspect(*file, view, stamps, options, state, cells)).collect()
    }

    /// Recovers what dead writers left, and inspects again, until no record explains what is still unsettled.
    fn inspect_recovered<'c>(
        &mut self,
        context: &CommitContext<'c>,
        plans: &[CommitPlan<'_>],
    ) -> Result<(RowGuard<'c>, Vec<Found>), ErrorKind> {
        let CommitContext { store, view, locks, .. } = *context;
        let foreign = if self.options.accept_foreign { ForeignValues::Always } else { ForeignValues::IfDurable };
        let attempt = || {
            recover_table(store, view, locks)?;
            let rows = lock(context, self.stamps.table, plans)?;
            let mut found = self.inspect(plans)?;
            if found.iter().any(Found::is_unsettled) {
                // Another process is about to put these rows back, or their writer died only now. Until they are put
                // back, their cells must not be taken for empty.
                if has_record(store, view, &ranges_of(plans))? {
                    return Ok(None);
                }
                if settle_rows(view, &ranges_of(plans), foreign)?.any() {
                    found = self.inspect(plans)?;
                }
            }
            Ok(Some((rows, found)))
        };
        let holder = || "a process that is recovering a dead writer's rows".to_owned();
        store.patience.wait_for("a recovery", attempt, holder)
    }

    /// Steps 5 to 7.
    fn make(mut self, plans: &[CommitPlan<'_>], made: &[usize], recorder: &mut Recorder) -> Result<(), CommitError> {
        let overwritten = |k: &usize| self.scratch.states[*k].entries.iter();
        let durable = made.iter().flat_map(overwritten).any(|e| Stamp(e.old_stamp).is_durable());
        let power = self.options.durability == Durability::Power || durable;
        for &k in made {
            self.prepare_stamps(&plans[k], k, power).map_err(CommitError::BeforeWrite)?;
            self.complete_entries(&plans[k], k).map_err(CommitError::BeforeWrite)?;
        }
        // 5. Nothing of value is overwritten before a copy of it exists.
        let entries: Vec<&Entry> = made.iter().flat_map(|k| &self.scratch.states[*k].entries).collect();
        let recorded = !entries.is_empty();
        if recorded {
            recorder.write(self.view, &entries, power).map_err(CommitError::BeforeWrite)?;
        }
        self.write(plans, made, power).map_err(CommitError::DuringWrite)?;
        if recorded {
            recorder.spend().map_err(CommitError::DuringWrite)?;
        }
        Ok(())
    }

    /// Sets the stamps in memory to WRITING, with the new versions and checksums.
    fn prepare_stamps(&mut self, plan: &CommitPlan<'_>, k: usize, durable: bool) -> Result<(), ErrorKind> {
        let guard = self.hidden_guard(plan, k)?;
        let CommitState { stamps, stamp_plan, hidden_guard, .. } = &mut self.scratch.states[k];
        stamps.window().pieces(self.stamps, &plan.runs.in_row_order(), stamp_plan);
        let mut stamp = |write: &ColumnWrite<'_>, skip: &dyn Fn(usize) -> bool| {
            let cell = to_usize(write.target.layout.cell_bytes);
            for (k, (row, index)) in plan.runs.iter().enumerate().filter(|(k, _)| !skip(*k)) {
                let word = stamps.get_mut(k, write.target.place);
                let stamp = Stamp::writing(Stamp(*word).next_version()).with_durability(durable);
                *word = write.target.seed.seal(stamp, row, cell_at(write.bytes, index, cell)).0;
            }
        };
        for write in &plan.writes {
            stamp(write, &|_| false);
        }
        if let (Some(target), Some(HiddenGuard { bytes, ours })) = (guard, &*hidden_guard) {
            stamp(&ColumnWrite { target, bytes }, &|k| !ours[k]);
        }
        Ok(())
    }

    /// The guard column as a target, if the commit hides it without setting it.
    fn hidden_guard(&self, plan: &CommitPlan<'_>, k: usize) -> Result<Option<Direct<'a>>, ErrorKind> {
        let guard = plan.guard(self.stamps).filter(|_| self.scratch.states[k].hidden_guard.is_some());
        guard.map(|guard| self.view.guard_target(guard)).transpose()
    }

    /// Adds the checksums of the new bytes to the entries, which are sorted by column and row.
    fn complete_entries(&mut self, plan: &CommitPlan<'_>, k: usize) -> Result<(), ErrorKind> {
        let guard = self.hidden_guard(plan, k)?;
        let CommitState { stamps, entries, hidden_guard, .. } = &mut self.scratch.states[k];
        let mut entries = entries.iter_mut().peekable();
        let mut complete = |target: &Direct<'_>, bytes: &[u8]| {
            let cell = to_usize(target.layout.cell_bytes);
            for (k, (row, index)) in plan.runs.iter().enumerate() {
                let is_this = |e: &&mut Entry| e.row == row && usize::from(e.place) == target.place;
                if let Some(entry) = entries.next_if(is_this) {
                    entry.new_stamp = stamps.get(k, target.place);
                    entry.new_pieces = piece_sums(cell_at(bytes, index, cell), entry.shift);
                }
            }
        };
        for ColumnWrite { target, bytes } in &plan.writes {
            complete(target, bytes);
        }
        if let (Some(target), Some(HiddenGuard { bytes, .. })) = (guard, hidden_guard) {
            complete(&target, bytes);
        }
        Ok(())
    }

    fn write(&mut self, plans: &[CommitPlan<'_>], made: &[usize], power: bool) -> Result<(), ErrorKind> {
        // Each step is written before the next one begins.
        let (file, joined) = (self.file, self.joined);
        let sync = || match joined {
            _ if power => file.sync(),
            Some(joined) => joined.write_out(),
            None => Ok(()),
        };
        for &k in made {
            self.begin_rows(&plans[k], k)?;
        }
        // This comes before the values: after a loss of power, a value without a stamp would pass for another
        // program's, and a guard would speak for values that do not exist yet.
        sync()?;
        // 6. The values. Their checksums were just computed, so their pages are resident. A kill therefore falls
        //    between pages only.
        let is_guard = |write: &&ColumnWrite<'_>| self.stamps.guard_at(write.target.place).is_some();
        for &k in made {
            for ColumnWrite { target, bytes } in plans[k].writes.iter().filter(|write| !is_guard(write)) {
                pieces(target.layout, plans[k].runs, &mut self.scratch.pieces);
                write_pieces(self.file, &self.scratch.pieces, bytes)?;
            }
        }
        sync()?;
        // 7. The guard. It must be durable before a stamp says that its row is committed.
        let mut shown = false;
        for &k in made {
            shown |= self.show_guard(&plans[k], k)?;
        }
        if shown {
            sync()?;
        }
        // The stamps. Those of a row lie within one sector and become final together.
        for &k in made {
            let state = &mut self.scratch.states[k];
            finish(state, self.stamps, &plans[k], self.options.outcome);
            write_pieces(self.file, &state.stamp_plan, bytemuck::cast_slice(state.stamps.words()))?;
        }
        sync()?;
        Ok(())
    }

    /// Writes WRITING stamps, and hides the guard.
    fn begin_rows(&mut self, plan: &CommitPlan<'_>, k: usize) -> Result<(), ErrorKind> {
        let Scratch { states, pieces: buffer, .. } = &mut *self.scratch;
        let CommitState { stamps, stamp_plan, guard_speaks, .. } = &states[k];
        write_pieces(self.file, stamp_plan, bytemuck::cast_slice(stamps.words()))?;
        if let (Some(guard), true) = (plan.guard(self.stamps), guard_speaks) {
            let target = self.view.guard_target(guard)?;
            let undefined = guard.undefined.repeat(to_usize(plan.runs.len()));
            pieces(target.layout, &plan.runs.in_row_order(), buffer);
            write_pieces(self.file, buffer, &undefined)?;
        }
        Ok(())
    }

    /// Writes guard cells: those that the commit sets, or those that it hid. Returns whether there were any.
    fn show_guard(&mut self, plan: &CommitPlan<'_>, k: usize) -> Result<bool, ErrorKind> {
        let Scratch { states, pieces: buffer, .. } = &mut *self.scratch;
        let Some(guard) = plan.guard(self.stamps) else { return Ok(false) };
        let set = plan.guard_write(guard).map(|write| write.bytes);
        let hidden = states[k].hidden_guard.as_ref().map(|hidden| hidden.bytes.as_slice());
        let Some(bytes) = set.or(hidden) else { return Ok(false) };
        pieces(self.view.guard_target(guard)?.layout, plan.runs, buffer);
        write_pieces(self.file, buffer, bytes)?;
        Ok(true)
    }
}

/// Makes the stamps in memory final.
fn finish(state: &mut CommitState, stamps: &Stamps, plan: &CommitPlan<'_>, outcome: Outcome) {
    let CommitState { stamps: words, hidden_guard, .. } = state;
    for k in 0..words.len() {
        for ColumnWrite { target, .. } in &plan.writes {
            let word = words.get_mut(k, target.place);
            *word = match outcome {
                Outcome::Committed => Stamp(*word).finished().0,
                Outcome::NotThere => 0,
            };
        }
        if let (Some(guard), Some(hidden)) = (plan.guard(stamps), &*hidden_guard)
            && hidden.ours[k]
        {
            let word = words.get_mut(k, guard.place);
            *word = Stamp(*word).finished().0;
        }
    }
}
