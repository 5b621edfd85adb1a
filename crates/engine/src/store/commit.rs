//! Row commits in place, in the order of steps of `docs/design/row-commit.md`.
//!
//! The gate is held by the caller; everything here happens under it. Several commits may be made
//! together: they share the locks and the syncs, and each keeps its own outcome.

use super::cells::{for_each_cell, read_cells, read_window, write_pieces};
use super::recover::{Recorder, Rescue};
use super::view::{Direct, Held, View};
use h5part_base::dataspace::{Guard, Piece, Rows, Runs, Stamps, Window, cover, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::lock::Fence;
use h5part_base::lock::{MAX_RANGES, Patience, RowGuard, RowLocks};
use h5part_base::record::row::{Entry, PIECE, piece_sums};
use h5part_base::record::stamp::{Stamp, State};
use h5part_base::storage::StorageFile;
use std::ops::Range;

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: the commit is synced before it is acknowledged.
    #[default]
    Power,
    /// Death of any process (`kill -9`), not loss of power; no sync, except where a commit replaces
    /// what survives loss of power.
    Process,
}

/// Values of one column of a commit, checked against it.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) target: Direct<'a>,
    pub(super) bytes: &'a [u8],
}

/// One commit: all of its rows in all of its columns.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) runs: &'a Runs,
    pub(super) sets: Vec<Set<'a>>,
    /// What columns must still hold.
    pub(super) expected: Vec<Set<'a>>,
}

/// What the stamps of a commit become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// As if the rows had never been written; the values are fill.
    NotThere,
}

/// How a commit treats what it finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) durability: Durability,
    pub(super) accept_foreign: bool,
    /// Whether another program may have written into cells that have no stamp.
    pub(super) suspect: bool,
    pub(super) outcome: Outcome,
    /// Asked under the row locks.
    pub(super) fence: Option<&'a dyn Fence>,
}

/// What commits need beside their values; the buffers are kept from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    works: Vec<Work>,
    cells: Vec<u8>,
    plan: Vec<Piece>,
}

impl Job<'_> {
    /// The guard that speaks of its columns: all have the same.
    fn guard<'s>(&self, stamps: &'s Stamps) -> Option<&'s Guard> {
        stamps.guard_of(self.sets.first()?.target.place)
    }

    /// Whether it is to be made only where the guard says "undefined" of all of its rows.
    fn expects_nothing(&self, stamps: &Stamps) -> bool {
        let Some(guard) = self.guard(stamps) else { return false };
        let expected = self.expected.iter().find(|set| set.target.place == guard.place);
        expected.is_some_and(|set| set.bytes.chunks_exact(guard.undefined.len()).all(|cell| cell == guard.undefined))
    }

    /// The stamps of its rows that it reads and writes: its columns' and their guard's.
    fn window(&self, stamps: &Stamps) -> Window {
        let guard = self.guard(stamps).map(|guard| guard.place);
        stamps.window(self.sets.iter().map(|set| set.target.place).chain(guard))
    }

    fn sets_guard(&self, guard: &Guard) -> bool {
        self.sets.iter().any(|set| set.target.place == guard.place)
    }
}

/// What is known of one commit on its way.
#[derive(Debug, Default)]
struct Work {
    /// Which stamps of each row.
    window: Window,
    /// Those of its rows: as found, then as they become.
    stamps: Vec<u64>,
    stamp_plan: Vec<Piece>,
    /// Cells that have a value, set by set.
    entries: Vec<Entry>,
    /// Where the commit leaves the guard column out: its bytes, to be hidden and shown again.
    guard: Option<Hidden>,
    /// Whether guard cells say something now.
    guard_speaks: bool,
}

/// Guard cells that a commit does not set.
#[derive(Debug)]
struct Hidden {
    /// In the order of the selection.
    bytes: Vec<u8>,
    /// By position in order of rows: whether the cell is ours, so that its stamp moves, too.
    ours: Vec<bool>,
}

/// Whether bytes of the file may have changed when a commit failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing was written.
    Before(ErrorKind),
    /// Some of it was: nothing after it may be acknowledged.
    During(ErrorKind),
}

/// What a commit works on and with.
pub(super) struct Site<'a> {
    pub(super) view: &'a View,
    pub(super) locks: &'a RowLocks,
    pub(super) patience: &'a Patience,
    pub(super) recorder: &'a mut Recorder,
}

/// What the cells of a commit hold now.
enum Found {
    /// Empty, or values of ours; those are in the entries.
    Settled,
    /// Something that the record of a dead writer may explain; else this is to be said.
    Unsettled(Option<ErrorKind>),
}

impl Found {
    fn is_unsettled(&self) -> bool {
        matches!(self, Self::Unsettled(_))
    }
}

/// Makes the commits together. Those that cannot be made (a foreign value is in the way) have their
/// error in the answer; the others are made.
pub(super) fn run(
    site: &mut Site<'_>,
    jobs: &[Job<'_>],
    terms: Terms<'_>,
    scratch: &mut Scratch,
    rescue: &Rescue<'_>,
) -> Result<Vec<Result<(), ErrorKind>>, Failed> {
    let view = site.view;
    let unstamped = || ErrorKind::Unstamped(view.table.path.clone());
    let stamps = view.table.stamps.as_ref().ok_or_else(unstamped).map_err(Failed::Before)?;
    let file = view.file.as_ref();
    scratch.works.resize_with(scratch.works.len().max(jobs.len()), Work::default);
    let mut commits = Commits { file, view, stamps, terms, scratch };
    // 3. Row locks, kept until the stamps are final.
    let mut rows = lock(site, stamps.table, jobs).map_err(Failed::Before)?;
    // 4. What is there?
    let mut found = commits.inspect(jobs).map_err(Failed::Before)?;
    if found.iter().any(Found::is_unsettled) {
        // Recovery takes row locks of its own, in order.
        drop(rows);
        let again = || {
            rescue.recover()?;
            let rows = lock(site, stamps.table, jobs)?;
            let mut found = commits.inspect(jobs)?;
            if found.iter().any(Found::is_unsettled) {
                if rescue.is_needed(&ranges_of(jobs))? {
                    return Ok(None);
                }
                if rescue.settle_left(&ranges_of(jobs))? {
                    found = commits.inspect(jobs)?;
                }
            }
            Ok(Some((rows, found)))
        };
        let holder = || "a process that puts back a dead writer's rows".to_owned();
        (rows, found) = site.patience.wait_for("a recovery", again, holder).map_err(Failed::Before)?;
    }
    let answers: Vec<Result<(), ErrorKind>> = found
        .into_iter()
        .zip(jobs)
        .map(|(found, job)| match found {
            Found::Unsettled(Some(error)) => Err(error),
            // Without an error: a writer died in a row that had no value, and nothing is to be put back.
            Found::Settled | Found::Unsettled(None) => as_expected(file, job),
        })
        .collect();
    let made: Vec<usize> = (0..jobs.len()).filter(|&k| answers[k].is_ok()).collect();
    if !made.is_empty() {
        terms.fence.map_or(Ok(()), Fence::check).map_err(Failed::Before)?;
        commits.make(jobs, &made, site.recorder)?;
    }
    drop(rows);
    Ok(answers)
}

fn ranges_of(jobs: &[Job<'_>]) -> Vec<Range<u64>> {
    jobs.iter().flat_map(|job| job.runs.as_slice()).map(|run| run.row..run.end()).collect()
}

fn lock<'a>(site: &Site<'a>, table: u64, jobs: &[Job<'_>]) -> Result<RowGuard<'a>, ErrorKind> {
    let all;
    let runs = match jobs {
        [one] => one.runs,
        many => {
            let mut rows = ranges_of(many);
            rows.sort_unstable_by_key(|range| range.start);
            all = Rows::ranges(rows).runs()?;
            &all
        }
    };
    site.locks.lock(table, &cover(runs.as_slice(), MAX_RANGES), site.patience)
}

/// Commits under their locks.
struct Commits<'a> {
    file: &'a dyn StorageFile,
    view: &'a View,
    stamps: &'a Stamps,
    terms: Terms<'a>,
    scratch: &'a mut Scratch,
}

impl<'a> Commits<'a> {
    fn inspect(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Found>, ErrorKind> {
        let Self { file, view, stamps, terms, scratch } = self;
        let Scratch { works, cells, .. } = &mut **scratch;
        jobs.iter()
            .zip(works)
            .map(|(job, work)| {
                let found = inspect(*file, stamps, job, *terms, work, cells)?;
                if let Some(guard) = job.guard(stamps) {
                    look_at_guard(*file, view, guard, job, work)?;
                }
                Ok(found)
            })
            .collect()
    }

    /// Steps 5 to 7.
    fn make(mut self, jobs: &[Job<'_>], made: &[usize], recorder: &mut Recorder) -> Result<(), Failed> {
        let overwritten = |k: &usize| self.scratch.works[*k].entries.iter();
        let durable = made.iter().flat_map(overwritten).any(|e| Stamp(e.old_stamp).is_durable());
        let power = self.terms.durability == Durability::Power || durable;
        for &k in made {
            self.prepare_stamps(&jobs[k], k, power).map_err(Failed::Before)?;
            self.complete(&jobs[k], k).map_err(Failed::Before)?;
        }
        // 5. Nothing of value is overwritten before a copy of it exists.
        let entries: Vec<&Entry> = made.iter().flat_map(|k| &self.scratch.works[*k].entries).collect();
        let recorded = !entries.is_empty();
        if recorded {
            recorder.write(self.view, &entries, power).map_err(Failed::Before)?;
        }
        self.write(jobs, made, power).map_err(Failed::During)?;
        if recorded {
            recorder.spend().map_err(Failed::During)?;
        }
        Ok(())
    }

    /// Sets the stamps in memory to WRITING, with the new versions and checksums.
    fn prepare_stamps(&mut self, job: &Job<'_>, k: usize, durable: bool) -> Result<(), ErrorKind> {
        let hidden = self.hidden(job, k)?;
        let Work { window, stamps: words, stamp_plan, guard, .. } = &mut self.scratch.works[k];
        window.pieces(self.stamps, &job.runs.in_row_order(), stamp_plan);
        let mut stamp = |set: &Set<'_>, skip: &dyn Fn(usize) -> bool| {
            let cell = usize::try_from(set.target.layout.cell_bytes).unwrap_or(usize::MAX);
            for (k, (row, index)) in job.runs.iter().enumerate() {
                if skip(k) {
                    continue;
                }
                let word = &mut words[k * window.width + window.at(set.target.place)];
                let version = Stamp(*word).next_version();
                let start = usize::try_from(index).unwrap_or(usize::MAX) * cell;
                let stamp = Stamp::writing(version).with_durability(durable);
                *word = set.target.seed.seal(stamp, row, &set.bytes[start..start + cell]).0;
            }
        };
        for set in &job.sets {
            stamp(set, &|_| false);
        }
        if let (Some(target), Some(Hidden { bytes, ours })) = (hidden, &*guard) {
            stamp(&Set { target, bytes }, &|k| !ours[k]);
        }
        Ok(())
    }

    /// The guard column as a target, where the commit leaves it out and hides it.
    fn hidden(&self, job: &Job<'_>, k: usize) -> Result<Option<Direct<'a>>, ErrorKind> {
        let guard = job.guard(self.stamps).filter(|_| self.scratch.works[k].guard.is_some());
        guard.map(|guard| self.view.guard_target(guard)).transpose()
    }

    /// Adds to the entries what the commit will write. They are in the order of sets and rows.
    fn complete(&mut self, job: &Job<'_>, k: usize) -> Result<(), ErrorKind> {
        let hidden = self.hidden(job, k)?;
        let Work { window, stamps: words, entries, guard, .. } = &mut self.scratch.works[k];
        let mut entries = entries.iter_mut().peekable();
        let mut complete = |target: &Direct<'_>, bytes: &[u8]| {
            let cell = usize::try_from(target.layout.cell_bytes).unwrap_or(usize::MAX);
            for (k, (row, index)) in job.runs.iter().enumerate() {
                let is_this = |e: &&mut Entry| e.row == row && usize::from(e.place) == target.place;
                if let Some(entry) = entries.next_if(is_this) {
                    let start = usize::try_from(index).unwrap_or(usize::MAX) * cell;
                    entry.new_stamp = words[k * window.width + window.at(target.place)];
                    entry.new_pieces = piece_sums(&bytes[start..start + cell], entry.shift);
                }
            }
        };
        for Set { target, bytes } in &job.sets {
            complete(target, bytes);
        }
        if let (Some(target), Some(Hidden { bytes, .. })) = (hidden, guard) {
            complete(&target, bytes);
        }
        Ok(())
    }

    fn write(&mut self, jobs: &[Job<'_>], made: &[usize], power: bool) -> Result<(), ErrorKind> {
        let sync = || if power { self.file.sync() } else { Ok(()) };
        let (view, stamps_of) = (self.view, self.stamps);
        let Scratch { works, plan, .. } = &mut *self.scratch;
        for &k in made {
            let Work { stamps, stamp_plan, guard_speaks, .. } = &works[k];
            write_pieces(self.file, stamp_plan, bytemuck::cast_slice(stamps))?;
            if let (Some(guard), true) = (jobs[k].guard(stamps_of), guard_speaks) {
                let target = view.guard_target(guard)?;
                let undefined = guard.undefined.repeat(usize::try_from(jobs[k].runs.len()).unwrap_or(usize::MAX));
                pieces(target.layout, &jobs[k].runs.in_row_order(), plan);
                write_pieces(self.file, plan, &undefined)?;
            }
        }
        // Before any value lies there: after a loss of power a value without a stamp would pass for
        // another program's, and a guard would speak for values that are not there yet.
        sync()?;
        // 6. The values. Their checksums were just computed, so their pages are resident: a kill falls
        // between pages only.
        for &k in made {
            for Set { target, bytes } in &jobs[k].sets {
                if stamps_of.guard_at(target.place).is_none() {
                    pieces(target.layout, jobs[k].runs, plan);
                    write_pieces(self.file, plan, bytes)?;
                }
            }
        }
        sync()?;
        // 7. The guard, which is durable before a stamp says that it is there.
        let mut shown = false;
        for &k in made {
            let Some(guard) = jobs[k].guard(stamps_of) else { continue };
            let set = jobs[k].sets.iter().find(|set| set.target.place == guard.place).map(|set| set.bytes);
            if let Some(bytes) = set.or(works[k].guard.as_ref().map(|hidden| hidden.bytes.as_slice())) {
                pieces(view.guard_target(guard)?.layout, jobs[k].runs, plan);
                write_pieces(self.file, plan, bytes)?;
                shown = true;
            }
        }
        if shown {
            sync()?;
        }
        // The stamps: those of a row lie within one sector and become final together.
        for &k in made {
            let work = &mut works[k];
            finish(work, self.stamps, &jobs[k], self.terms.outcome);
            write_pieces(self.file, &work.stamp_plan, bytemuck::cast_slice(&work.stamps))?;
        }
        sync()?;
        Ok(())
    }
}

/// Makes the stamps in memory final.
fn finish(work: &mut Work, stamps: &Stamps, job: &Job<'_>, outcome: Outcome) {
    let Work { window, stamps: words, guard: hidden, .. } = work;
    for (k, row) in words.chunks_exact_mut(window.width).enumerate() {
        for Set { target, .. } in &job.sets {
            let word = &mut row[window.at(target.place)];
            *word = match outcome {
                Outcome::Committed => Stamp(*word).finished().0,
                Outcome::NotThere => 0,
            };
        }
        if let (Some(guard), Some(hidden)) = (job.guard(stamps), &*hidden)
            && hidden.ours[k]
        {
            let word = &mut row[window.at(guard.place)];
            *word = Stamp(*word).finished().0;
        }
    }
}

/// Reads stamps and cells under the row locks, and keeps the bytes of cells that have a value.
fn inspect(
    file: &dyn StorageFile,
    stamps: &Stamps,
    job: &Job<'_>,
    terms: Terms<'_>,
    work: &mut Work,
    cells: &mut Vec<u8>,
) -> Result<Found, ErrorKind> {
    let Work { window, stamps: words, entries, guard, guard_speaks, .. } = work;
    (*guard, *guard_speaks) = (None, false);
    entries.clear();
    *window = job.window(stamps);
    read_window(file, stamps, *window, job.runs, words)?;
    let (mut interrupted, mut foreign) = (false, None);
    // By the guard's word nothing of value is there, and whoever says so takes what is there for nothing.
    let empty = terms.accept_foreign && job.expects_nothing(stamps);
    for Set { target, .. } in &job.sets {
        let stamp_of = |k: usize| Stamp(words[k * window.width + window.at(target.place)]);
        let mut look = false;
        for k in 0..words.len() / window.width {
            match stamp_of(k).state() {
                State::Unstamped => look |= terms.suspect && !empty,
                State::Vacant => look |= !empty,
                State::Committed => look = true,
                State::Writing => interrupted = true,
                State::Unknown(state) => return Err(ErrorKind::NewerFormat { found: u64::from(state), known: 3 }),
            }
        }
        if !look {
            continue;
        }
        for_each_cell(file, target.layout, job.runs, cells, |k, row, bytes| {
            let stamp = stamp_of(k);
            let held = target.held(stamp, row, bytes);
            if held == Held::Foreign && !terms.accept_foreign {
                foreign.get_or_insert(ErrorKind::ForeignChange { column: target.column.name.clone(), row });
            }
            if held != Held::Nothing {
                entries.push(entry(target, row, stamp, bytes));
            }
            Ok(())
        })?;
    }
    Ok(if foreign.is_some() || interrupted { Found::Unsettled(foreign) } else { Found::Settled })
}

/// Whether what the caller has seen is still there.
fn as_expected(file: &dyn StorageFile, job: &Job<'_>) -> Result<(), ErrorKind> {
    for Set { target, bytes } in &job.expected {
        let mut now = vec![0; bytes.len()];
        read_cells(file, target.layout, job.runs, &mut now)?;
        if let Some(row) = first_difference(job.runs, &now, bytes) {
            return Err(ErrorKind::NotAsExpected { column: target.column.name.clone(), row });
        }
    }
    Ok(())
}

/// The first row whose cells differ; both are in the order of the selection.
pub(super) fn first_difference(runs: &Runs, one: &[u8], other: &[u8]) -> Option<u64> {
    let cell = one.len() / usize::try_from(runs.len()).unwrap_or(usize::MAX).max(1);
    let differs = |&(_, index): &(u64, u64)| {
        let at = usize::try_from(index).unwrap_or(usize::MAX) * cell;
        one[at..at + cell] != other[at..at + cell]
    };
    // Nearly always.
    if one == other { None } else { runs.iter().find(differs).map(|(row, _)| row) }
}

/// Whether guard cells of the rows say anything, which they must not while the rows are written.
fn look_at_guard(
    file: &dyn StorageFile,
    view: &View,
    guard: &Guard,
    job: &Job<'_>,
    work: &mut Work,
) -> Result<(), ErrorKind> {
    let target = view.guard_target(guard)?;
    let size = guard.undefined.len();
    let mut bytes = vec![0; usize::try_from(job.runs.len()).unwrap_or(usize::MAX).saturating_mul(size)];
    read_cells(file, target.layout, job.runs, &mut bytes)?;
    let speaks = |cell: &[u8]| cell != guard.undefined;
    work.guard_speaks = bytes.chunks_exact(size).any(speaks);
    if !work.guard_speaks || job.sets_guard(guard) {
        return Ok(());
    }
    let mut ours = Vec::with_capacity(bytes.len() / size);
    for (k, (row, index)) in job.runs.iter().enumerate() {
        let start = usize::try_from(index).unwrap_or(usize::MAX) * size;
        let cell = &bytes[start..start + size];
        let stamp = Stamp(work.stamps[k * work.window.width + work.window.at(guard.place)]);
        ours.push(target.held(stamp, row, cell) == Held::Ours);
        if stamp.state() == State::Writing {
            // Its writer died, and no value came back: it has nothing to say.
            bytes[start..start + size].copy_from_slice(&guard.undefined);
        } else if speaks(cell) {
            work.entries.push(entry(&target, row, stamp, cell));
        }
    }
    work.guard = Some(Hidden { bytes, ours });
    Ok(())
}

fn entry(target: &Direct<'_>, row: u64, stamp: Stamp, bytes: &[u8]) -> Entry {
    let place = u16::try_from(target.place).unwrap_or(u16::MAX);
    let shift = u16::try_from(target.layout.find(row).0 % PIECE as u64).unwrap_or(0);
    Entry { row, place, shift, old_stamp: stamp.0, new_stamp: stamp.0, old: bytes.to_vec(), new_pieces: Vec::new() }
}
