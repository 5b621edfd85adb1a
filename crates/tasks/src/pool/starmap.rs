//! A run of tasks of one work.

use super::outcome::{Outcome, PoolSummary, Unfinished, What};
use super::seed::task_seed;
use super::task::TaskError;
use super::work::Work;
use super::{Death, Event, EventKind, Job, Payload, Pool, RunId};
use h5part_base::error::{ErrorKind, Kind, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

/// Options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The seed of all random numbers of the run.
    pub seed: u64,
    /// How many times a task is tried if its worker dies, or if it panics or fails with [`TaskError::Transient`]. At
    /// least once. Default: 3.
    pub max_attempts: u32,
}

impl Options {
    /// The default options with this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { seed, max_attempts: 3 }
    }
}

/// A run: submits inputs, and iterates over the results in the order in which they arrive.
///
/// Tasks may be submitted while results are taken. The iterator ends when every submitted task has ended, and goes on
/// when more are submitted. Each result of a task is delivered once, even if the task had to be run again, and each
/// task ends once. Dropping a run cancels it; the pool remains usable.
///
/// **Concurrency.** Any number of runs may share a pool, from one thread or many.
#[derive(Debug)]
pub struct Starmap<W> {
    pool: Arc<dyn Pool>,
    run: RunId,
    options: Options,
    open: BTreeMap<u64, Open>,
    summary: PoolSummary,
    cancelled: bool,
    work: PhantomData<fn(&W)>,
}

/// A task that has not ended.
#[derive(Debug)]
struct Open {
    input: Payload,
    /// Number of results delivered.
    given: u64,
}

impl<W: Work> Starmap<W> {
    /// A run of tasks of the work `W`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSuchWork`]: the pool was opened without it.
    pub fn new(pool: &Arc<dyn Pool>, options: Options) -> Result<Self> {
        if !pool.knows(W::NAME) {
            return Err(crate::ErrorKind::NoSuchWork(W::NAME.to_owned()).at("begin a run in", "the pool"));
        }
        Ok(Self {
            pool: Arc::clone(pool),
            run: RunId::next(),
            options,
            open: BTreeMap::new(),
            summary: PoolSummary::default(),
            cancelled: false,
            work: PhantomData,
        })
    }

    /// Submits a task. Returns its number, counted from 0.
    ///
    /// # Errors
    /// The input cannot be encoded ([`ErrorKind::BadRequest`]); [`crate::ErrorKind::PoolClosed`].
    pub fn submit(&mut self, input: &W::Input) -> Result<u64> {
        let index = self.summary.submitted;
        let input = rmp_serde::to_vec_named(input).map_err(|e| {
            ErrorKind::BadRequest(format!("the input cannot be encoded: {e}")).at("submit a task to", "the pool")
        })?;
        let input = Payload::from(input);
        self.try_at(index, 0, &input)?;
        self.open.insert(index, Open { input, given: 0 });
        self.summary.submitted += 1;
        Ok(index)
    }

    /// Submits a task for each input. Returns their numbers.
    ///
    /// # Errors
    /// As [`Starmap::submit`]. Earlier inputs were submitted.
    pub fn submit_many(&mut self, inputs: impl IntoIterator<Item = W::Input>) -> Result<Range<u64>> {
        let first = self.summary.submitted;
        for input in inputs {
            self.submit(&input)?;
        }
        Ok(first..self.summary.submitted)
    }

    /// Drops all tasks that have not ended. Running tasks are told to stop, and their results are dropped.
    pub fn cancel(&mut self) {
        self.pool.cancel(self.run);
        self.summary.cancelled += self.open.len() as u64;
        self.open.clear();
        self.cancelled = true;
    }

    /// Ends the run, and returns how it went. Tasks that have not ended are dropped.
    #[must_use]
    pub fn shut_down(mut self) -> PoolSummary {
        self.cancel();
        std::mem::take(&mut self.summary)
    }

    /// How the run is going.
    #[must_use]
    pub fn summary(&self) -> &PoolSummary {
        &self.summary
    }

    fn try_at(&self, index: u64, attempt: u32, input: &Payload) -> Result<()> {
        if self.cancelled {
            return Err(crate::ErrorKind::PoolClosed.at("submit a task to", "the pool"));
        }
        let seed = task_seed(self.options.seed, index);
        let work = Cow::Borrowed(W::NAME);
        self.pool.submit(Job { run: self.run, index, attempt, seed, work, input: input.clone() })
    }

    /// The meaning of an event for the caller. `None`: it has none.
    fn outcome(&mut self, event: Event) -> Option<What<W::Output>> {
        let Event { index, attempt, kind, .. } = event;
        let open = self.open.get_mut(&index)?;
        match kind {
            EventKind::Partial { part, value } => {
                // A retried task starts again from its first result.
                if part < open.given {
                    return None;
                }
                open.given = part + 1;
                match rmp_serde::from_slice(value.bytes()) {
                    Ok(value) => Some(What::Part { part, value }),
                    Err(e) => {
                        let why = format!("a result of '{}' cannot be read: {e}", W::NAME);
                        Some(self.fail(index, attempt, TaskError::Failed(why)))
                    }
                }
            }
            EventKind::Done { parts } => {
                self.open.remove(&index);
                self.summary.done += 1;
                Some(What::Done { parts })
            }
            EventKind::Failed(error) if error.may_pass() && self.again(index, attempt) => None,
            EventKind::Failed(error) => Some(self.fail(index, attempt, error)),
            EventKind::Lost(death) if death != Death::ShutDown && self.again(index, attempt) => None,
            EventKind::Lost(death) => Some(self.lose(index, attempt, death)),
        }
    }

    /// Retries a task if it may be retried. Returns whether it did.
    fn again(&mut self, index: u64, attempt: u32) -> bool {
        let Some(open) = self.open.get(&index).filter(|_| attempt + 1 < self.options.max_attempts) else {
            return false;
        };
        let taken = self.try_at(index, attempt + 1, &open.input).is_ok();
        self.summary.retried += u64::from(taken);
        taken
    }

    fn fail(&mut self, index: u64, attempt: u32, error: TaskError) -> What<W::Output> {
        self.open.remove(&index);
        self.summary.failed.push(Unfinished { index, attempts: attempt + 1, why: error.to_string() });
        What::Failed(error)
    }

    fn lose(&mut self, index: u64, attempt: u32, death: Death) -> What<W::Output> {
        self.open.remove(&index);
        self.summary.lost.push(Unfinished { index, attempts: attempt + 1, why: death.to_string() });
        What::Lost(death)
    }
}

impl<W: Work> Iterator for Starmap<W> {
    type Item = Outcome<W::Output>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&first, _) = self.open.first_key_value()?;
            let (index, attempt, what) = match self.pool.next(self.run) {
                Some(event) => {
                    let (index, attempt) = (event.index, event.attempt);
                    let Some(what) = self.outcome(event) else { continue };
                    (index, attempt, what)
                }
                // The pool lost its jobs. This is reported instead of waiting for ever.
                None => (first, 0, self.lose(first, 0, Death::Vanished("the pool lost it".to_owned()))),
            };
            return Some(Outcome { index, seed: task_seed(self.options.seed, index), attempt, what });
        }
    }
}

impl<W> Drop for Starmap<W> {
    fn drop(&mut self) {
        self.pool.cancel(self.run);
    }
}
