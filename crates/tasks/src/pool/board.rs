//! Waiting jobs and unread events of all runs of a pool, shared by its workers and its users.

use super::{Death, Event, EventKind, Job, RunId};
use h5part_base::error::{Kind, Result};
use h5part_base::sync;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// A job, and the flag that tells it to stop.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) job: Job,
    pub(super) stop: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<Runs>,
    /// Signals that there is a job.
    jobs: Condvar,
    /// Signals that there is an event, or that a run has ended.
    events: Condvar,
    /// Signals that there is room for a result, or that nobody wants it any more.
    room: Condvar,
    /// Number of workers that may wait for room.
    workers: usize,
    /// Most results of a run that may wait to be taken.
    parts: usize,
}

#[derive(Debug, Default)]
struct Runs {
    runs: BTreeMap<RunId, Run>,
    /// The run that was served last.
    last: Option<RunId>,
    /// Number of workers that wait for room.
    blocked: usize,
    closed: bool,
}

#[derive(Debug, Default)]
struct Run {
    waiting: VecDeque<Job>,
    running: usize,
    events: VecDeque<Event>,
    /// Number of results among the events.
    parts: usize,
    /// Tells its running jobs to stop.
    stop: Arc<AtomicBool>,
    /// Whether the run was cancelled. No more events are delivered.
    cancelled: bool,
    /// Whether someone waits for its events.
    awaited: bool,
}

impl Run {
    /// Whether someone waits for an event that only a free worker can produce.
    fn starves(&self) -> bool {
        self.awaited && self.events.is_empty() && !self.waiting.is_empty()
    }
}

impl Event {
    fn of(job: &Job, kind: EventKind) -> Self {
        Self { run: job.run, index: job.index, attempt: job.attempt, kind }
    }
}

impl Runs {
    /// The next job. Runs take turns.
    fn next_job(&mut self) -> Option<Taken> {
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let has_job = |(_, run): &(&RunId, &mut Run)| !run.waiting.is_empty();
        let id = match self.runs.range_mut((after, Bound::Unbounded)).find(has_job) {
            Some((&id, _)) => id,
            None => *self.runs.iter_mut().find(has_job)?.0,
        };
        let run = self.runs.get_mut(&id)?;
        let job = run.waiting.pop_front()?;
        run.running += 1;
        self.last = Some(id);
        Some(Taken { job, stop: Arc::clone(&run.stop) })
    }

    /// Whether there is room for a result. If all workers wait for room in runs that nobody reads, and someone waits
    /// for another run, the bound is lifted: otherwise that wait would never end.
    fn has_room(&self, id: RunId, bound: usize, workers: usize) -> bool {
        let Some(run) = self.runs.get(&id) else { return true };
        let starving = || self.runs.iter().any(|(other, run)| *other != id && run.starves());
        run.parts < bound || run.cancelled || (self.blocked + 1 >= workers && starving())
    }
}

impl Board {
    pub(super) fn new(workers: usize, parts: usize) -> Self {
        let (jobs, events, room) = Default::default();
        Self { state: Mutex::default(), jobs, events, room, workers, parts: parts.max(1) }
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        sync::lock(&self.state)
    }

    pub(super) fn submit(&self, job: Job) -> Result<()> {
        let mut state = self.lock();
        let closed = || crate::ErrorKind::PoolClosed.at("submit a task to", "the pool");
        if state.closed {
            return Err(closed());
        }
        let run = state.runs.entry(job.run).or_default();
        if run.cancelled {
            return Err(closed());
        }
        run.waiting.push_back(job);
        drop(state);
        self.jobs.notify_one();
        Ok(())
    }

    /// Takes a job, and waits for one if necessary. `None`: the pool is shut down.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(taken) = state.next_job() {
                return Some(taken);
            }
            state = sync::wait(&self.jobs, state);
        }
    }

    /// Takes a job without waiting.
    pub(super) fn try_take(&self) -> Option<Taken> {
        let mut state = self.lock();
        if state.closed { None } else { state.next_job() }
    }

    /// Delivers a result, and waits for room if necessary. `false`: nobody wants it any more.
    pub(super) fn part(&self, taken: &Taken, event: EventKind) -> bool {
        self.put_part(taken, event, self.parts)
    }

    /// Delivers a result without waiting for room.
    pub(super) fn part_at_once(&self, taken: &Taken, event: EventKind) -> bool {
        self.put_part(taken, event, usize::MAX)
    }

    fn put_part(&self, taken: &Taken, kind: EventKind, bound: usize) -> bool {
        let id = taken.job.run;
        let mut state = self.lock();
        while !state.closed && !state.has_room(id, bound, self.workers) {
            state.blocked += 1;
            state = sync::wait(&self.room, state);
            state.blocked -= 1;
        }
        if state.closed || taken.stop.load(Ordering::Relaxed) {
            return false;
        }
        let Some(run) = state.runs.get_mut(&id) else { return false };
        run.parts += 1;
        run.events.push_back(Event::of(&taken.job, kind));
        drop(state);
        self.events.notify_all();
        true
    }

    /// Delivers the end of a job that was taken.
    pub(super) fn end(&self, taken: &Taken, kind: EventKind) {
        let mut state = self.lock();
        let id = taken.job.run;
        if let Some(run) = state.runs.get_mut(&id) {
            run.running = run.running.saturating_sub(1);
            if !run.cancelled {
                run.events.push_back(Event::of(&taken.job, kind));
            } else if run.running == 0 {
                state.runs.remove(&id);
            }
        }
        drop(state);
        self.events.notify_all();
    }

    /// The next event of a run, waiting for it if necessary. `None`: it has no jobs here. Before waiting it calls
    /// `help`, which may run a job in this thread and returns whether it did.
    pub(super) fn next(&self, id: RunId, help: &dyn Fn() -> bool) -> Option<Event> {
        let mut state = self.lock();
        loop {
            let run = state.runs.get_mut(&id)?;
            run.awaited = false;
            if run.cancelled {
                return None;
            }
            if let Some(event) = run.events.pop_front() {
                let is_part = matches!(event.kind, EventKind::Partial { .. });
                run.parts -= usize::from(is_part);
                if is_part && state.blocked > 0 {
                    self.room.notify_all();
                }
                return Some(event);
            }
            if run.waiting.is_empty() && run.running == 0 {
                state.runs.remove(&id);
                return None;
            }
            drop(state);
            if help() {
                state = self.lock();
                continue;
            }
            state = self.lock();
            let Some(run) = state.runs.get_mut(&id).filter(|run| !run.cancelled) else { continue };
            let settled = run.waiting.is_empty() && run.running == 0;
            if !run.events.is_empty() || settled {
                continue;
            }
            run.awaited = true;
            if state.blocked > 0 {
                self.room.notify_all();
            }
            state = sync::wait(&self.events, state);
        }
    }

    pub(super) fn cancel(&self, id: RunId) {
        let mut state = self.lock();
        if let Some(run) = state.runs.get_mut(&id) {
            run.cancelled = true;
            run.stop.store(true, Ordering::Relaxed);
            run.waiting.clear();
            run.events.clear();
            run.parts = 0;
            if run.running == 0 {
                state.runs.remove(&id);
            }
        }
        drop(state);
        self.room.notify_all();
        self.events.notify_all();
    }

    /// Accepts no more jobs. Waiting jobs are lost, and running ones are told to stop.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for run in state.runs.values_mut() {
            // The runs are not cancelled, so the ends of their jobs are still delivered.
            run.stop.store(true, Ordering::Relaxed);
            let lost = |job: Job| Event::of(&job, EventKind::Lost(Death::ShutDown));
            run.events.extend(run.waiting.drain(..).map(lost));
        }
        drop(state);
        self.jobs.notify_all();
        self.room.notify_all();
        self.events.notify_all();
    }

    /// Waits until no job runs.
    pub(super) fn settle(&self) {
        let mut state = self.lock();
        while state.runs.values().any(|run| run.running > 0) {
            state = sync::wait(&self.events, state);
        }
    }
}
