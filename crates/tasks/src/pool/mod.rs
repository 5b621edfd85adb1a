//! Where tasks run: in this thread, in threads, in processes, in a SLURM job array.
//!
//! A [`Work`] is what a task does, and a [`Registry`] names the works of a program. A [`Pool`] runs tasks of any of
//! them. A [`Starmap`] is one run: it submits inputs and iterates over the results. The [`budget`](crate::budget)
//! decides how many workers there should be.
//!
//! ```
//! use h5part_tasks::pool::{Context, Mode, Options, PoolConfig, Registry, Starmap, TaskError, What, Work, open};
//!
//! struct Square;
//!
//! impl Work for Square {
//!     const NAME: &'static str = "square";
//!     type Input = f64;
//!     type Output = f64;
//!
//!     fn run(&self, input: f64, context: &mut Context<'_, f64>) -> Result<(), TaskError> {
//!         context.yield_partial(&(input * input))
//!     }
//! }
//!
//! let registry = Registry::new().with(Square);
//! h5part_tasks::pool::serve(&registry); // first in `main`: a worker process stays in here
//! let pool = open(&PoolConfig::new(Mode::Threads, 2), &registry)?;
//! let mut run = Starmap::<Square>::new(&pool, Options::seeded(42))?;
//! run.submit_many([1.0, 2.0, f64::INFINITY])?;
//! let sum: f64 = run.by_ref().filter_map(|outcome| outcome.value()).sum();
//! assert_eq!(sum, f64::INFINITY);
//! assert!(run.shut_down().is_complete());
//! # Ok::<(), h5part_base::error::Error>(())
//! ```

mod board;
mod config;
mod host;
mod inner;
mod mode;
mod open;
mod outcome;
mod processes;
mod seed;
mod serial;
mod starmap;
mod task;
mod threads;
mod work;

#[cfg(test)]
mod tests;

pub use {
    crate::budget::Warn,
    config::{Kwargs, PoolConfig},
    mode::{Chosen, MODE_VARIABLE, Mode, choose},
    open::{open, open_with, resolve, serve},
    outcome::{Outcome, PoolSummary, Unfinished, What},
    processes::Processes,
    seed::task_seed,
    serial::Serial,
    starmap::{Options, Starmap},
    task::TaskError,
    threads::Threads,
    work::{Context, Registry, Work},
};

use h5part_base::error::Result;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A run: tasks that belong together. They are iterated over, and cancelled, together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(u64);

impl RunId {
    /// An id that no other run of this process has.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An input or a result as bytes: `MessagePack` with named fields, as `rmp_serde::to_vec_named` writes it. It is cheap
/// to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(serde_bytes::ByteBuf::deserialize(deserializer)?.into_vec().into())
    }
}

/// One attempt at one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The run that it belongs to.
    pub run: RunId,
    /// Number of the task in its run, from 0.
    pub index: u64,
    /// How many times it was tried before.
    pub attempt: u32,
    /// See [`crate::pool::task_seed`].
    pub seed: u64,
    /// Name of its work in the registry.
    pub work: Cow<'static, str>,
    /// The input of the work.
    pub input: Payload,
}

/// Something that happened to a job.
#[derive(Clone, Debug)]
pub struct Event {
    /// The job's run.
    pub run: RunId,
    /// The job's task.
    pub index: u64,
    /// Number of the attempt.
    pub attempt: u32,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a job. Every kind except `Partial` ends it.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// It yielded a result.
    Partial {
        /// Number of the result within the attempt, from 0.
        part: u64,
        /// The result.
        value: Payload,
    },
    /// It succeeded.
    Done {
        /// How many results it yielded.
        parts: u64,
    },
    /// It reported a failure, or panicked.
    Failed(TaskError),
    /// Its worker died, or could not be started.
    Lost(Death),
}

/// How a worker was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Death {
    /// It exited, with this code.
    Exit(i32),
    /// A signal ended it.
    Signal {
        /// Its signal number.
        number: i32,
        /// Whether the system's out-of-memory killer was active meanwhile.
        out_of_memory: bool,
    },
    /// No worker could be started.
    NotStarted(String),
    /// It sent an invalid message, or the pool lost the job.
    Vanished(String),
    /// The pool was shut down before.
    ShutDown,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "its worker exited with code {code}"),
            Self::Signal { number, out_of_memory } => {
                match nix::sys::signal::Signal::try_from(*number) {
                    Ok(signal) => write!(f, "its worker was ended by {signal}")?,
                    Err(_) => write!(f, "its worker was ended by signal {number}")?,
                }
                if *out_of_memory { f.write_str("; the system ran out of memory") } else { Ok(()) }
            }
            Self::NotStarted(why) => write!(f, "no worker could be started: {why}"),
            Self::Vanished(why) => f.write_str(why),
            Self::ShutDown => f.write_str("the pool was shut down"),
        }
    }
}

/// A place where tasks run. The trait is object-safe, so that others can add places.
///
/// **Concurrency.** Any number of runs, in any threads, may use a pool at the same time without disturbing each other.
/// Jobs of all runs take turns, and events are kept per run. Only one thread at a time may ask for the events of a run.
///
/// **Contract.** Each accepted job ends in exactly one event that is not `Partial`, unless its run is cancelled. A pool
/// never retries a job; the submitter may ([`crate::pool::Starmap`] does).
pub trait Pool: Send + Sync + fmt::Debug {
    /// Number of jobs that run at once.
    fn workers(&self) -> usize;

    /// Whether it can run a work with this name.
    fn knows(&self, work: &str) -> bool;

    /// Accepts a job, and returns before it has run.
    ///
    /// # Errors
    /// The pool is shut down, or the run was cancelled ([`crate::ErrorKind::PoolClosed`]).
    fn submit(&self, job: Job) -> Result<()>;

    /// The next event of a run, waiting for it if necessary. `None`: the run has no jobs here.
    fn next(&self, run: RunId) -> Option<Event>;

    /// Forgets a run, with its waiting jobs and its events. Its running jobs are told to stop, and their events are
    /// dropped. Does not wait.
    fn cancel(&self, run: RunId);

    /// Accepts no more jobs. Waiting jobs end as [`Death::ShutDown`], and running ones are told to stop. Returns when
    /// they have.
    fn shut_down(&self);
}
