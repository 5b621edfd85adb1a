//! Results of a run.

use super::Death;
use super::task::TaskError;
use serde::Serialize;
use std::fmt;

/// One result or end of a task.
#[derive(Clone, Debug)]
pub struct Outcome<O> {
    /// Number of the task in its run, from 0.
    pub index: u64,
    /// The seed of its random numbers.
    pub seed: u64,
    /// How many times it had been tried before.
    pub attempt: u32,
    /// The result or end.
    pub what: What<O>,
}

/// A result, or the end of a task. Each task ends once.
#[derive(Clone, Debug)]
pub enum What<O> {
    /// A result.
    Part {
        /// Number of the result within the task, from 0.
        part: u64,
        /// The result.
        value: O,
    },
    /// The task is done, and all its results were delivered.
    Done {
        /// Number of its results.
        parts: u64,
    },
    /// The task failed, and is not retried.
    Failed(TaskError),
    /// The task's worker died in every attempt.
    Lost(Death),
}

impl<O> Outcome<O> {
    /// The result, unless it is an end.
    #[must_use]
    pub fn value(self) -> Option<O> {
        match self.what {
            What::Part { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Whether it is the end of the task.
    #[must_use]
    pub fn is_end(&self) -> bool {
        !matches!(self.what, What::Part { .. })
    }
}

/// A task that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// Number of the task.
    pub index: u64,
    /// How many times it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub why: String,
}

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolSummary {
    /// Tasks that were submitted.
    pub submitted: u64,
    /// Tasks that are done.
    pub done: u64,
    /// Tasks that failed.
    pub failed: Vec<Unfinished>,
    /// Tasks whose workers died.
    pub lost: Vec<Unfinished>,
    /// Tasks that were dropped when the run was cancelled.
    pub cancelled: u64,
    /// Attempts that were retries.
    pub retried: u64,
}

impl PoolSummary {
    /// Whether all tasks are done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done == self.submitted
    }
}

impl fmt::Display for PoolSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { submitted, done, failed, lost, cancelled, retried } = self;
        let (bad, gone) = (failed.len(), lost.len());
        write!(f, "{submitted} tasks: {done} done, {bad} failed, {gone} lost, {cancelled} cancelled")?;
        if *retried > 0 {
            write!(f, "; {retried} attempts were retries")?;
        }
        for (word, tasks) in [("failed", failed), ("was lost", lost)] {
            for task in tasks {
                write!(f, "\ntask {} {word} after {} attempts: {}", task.index, task.attempts, task.why)?;
            }
        }
        Ok(())
    }
}
