//! A task while it runs, and why it fails.

use super::inner::InnerPools;
use super::{Job, Payload, Pool};
use h5part_base::error::Result;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a task did not succeed. `?` converts any error to `Failed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskError {
    /// A retry would fail, too.
    Failed(String),
    /// A retry may succeed.
    Transient(String),
    /// It panicked. It is retried.
    Panicked(String),
    /// Its run was cancelled, and it noticed.
    Cancelled,
}

impl TaskError {
    /// Whether the task is worth a retry.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Transient(_) | Self::Panicked(_))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) | Self::Transient(why) => f.write_str(why),
            Self::Panicked(why) => write!(f, "panicked: {why}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

// This type is not an `Error` itself, so that `?` accepts any error.
impl<E: std::error::Error> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Where results of a job go. `false`: nobody wants them any more.
pub(super) type Sink<'a> = dyn FnMut(u64, Payload) -> bool + 'a;

/// A job while it runs.
pub(super) struct Task<'a> {
    pub(super) job: &'a Job,
    pub(super) inner: &'a InnerPools,
    pub(super) cancelled: &'a AtomicBool,
    pub(super) parts: &'a mut u64,
    pub(super) sink: &'a mut Sink<'a>,
    pub(super) pool: &'a mut Option<Arc<dyn Pool>>,
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("job", self.job).field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl Task<'_> {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn give(&mut self, bytes: Vec<u8>) -> Result<(), TaskError> {
        if self.is_cancelled() || !(self.sink)(*self.parts, bytes.into()) {
            return Err(TaskError::Cancelled);
        }
        *self.parts += 1;
        Ok(())
    }

    pub(super) fn inner_pool(&mut self) -> Result<Arc<dyn Pool>> {
        if let Some(pool) = self.pool {
            return Ok(Arc::clone(pool));
        }
        let pool = self.inner.take()?;
        Ok(Arc::clone(self.pool.insert(pool)))
    }
}
