//! Configuration of a pool, as text from which another process can rebuild it.

use crate::pool::mode::Mode;
use serde::{Deserialize, Serialize};

/// Configuration of a pool: `{"type": "threads", "kwargs": {"max_workers": 2}}`, the form of `pyTransC`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// Where tasks run.
    #[serde(rename = "type")]
    pub mode: Mode,
    /// Settings.
    #[serde(default)]
    pub kwargs: Kwargs,
}

/// Settings of a pool. The [`budget`](crate::budget) chooses those that are not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kwargs {
    /// Number of tasks that run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_workers: Option<usize>,
    /// The pool that each worker has for tasks within its tasks. Default: serial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inner: Option<Box<PoolConfig>>,
    /// Memory that a worker needs, in bytes. Automatic choices start no more workers than fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_per_worker: Option<u64>,
    /// Most address space of a worker process, in bytes (`RLIMIT_AS`). A worker that wants more ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
    /// Most results of a run that may wait to be taken. Default: 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts_in_flight: Option<usize>,
    /// Pin each worker to cores of its own.
    #[serde(skip_serializing_if = "is_false")]
    pub pin: bool,
    /// Accept nested workers that together exceed the cores.
    #[serde(skip_serializing_if = "is_false")]
    pub oversubscribe: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

const PARTS_IN_FLIGHT: usize = 64;

impl Kwargs {
    pub(super) fn parts(&self) -> usize {
        self.parts_in_flight.unwrap_or(PARTS_IN_FLIGHT)
    }
}

impl PoolConfig {
    /// A pool of this many workers.
    #[must_use]
    pub fn new(mode: Mode, workers: usize) -> Self {
        Self { mode, kwargs: Kwargs { max_workers: Some(workers), ..Kwargs::default() } }
    }

    /// A pool of as many workers as fit.
    #[must_use]
    pub fn automatic(mode: Mode) -> Self {
        Self { mode, kwargs: Kwargs::default() }
    }

    /// The same pool, where each worker has a pool of its own.
    #[must_use]
    pub fn with_inner(mut self, inner: Self) -> Self {
        self.kwargs.inner = Some(Box::new(inner));
        self
    }

    /// Configuration of the inner pool. Default: one worker, serial.
    #[must_use]
    pub fn inner(&self) -> Self {
        self.kwargs.inner.as_deref().cloned().unwrap_or_else(|| Self::new(Mode::Serial, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_that_of_pytransc() {
        let config = PoolConfig::new(Mode::Threads, 2);
        let text = r#"{"type":"threads","kwargs":{"max_workers":2}}"#;
        assert_eq!(serde_json::to_string(&config).expect("json"), text);
        assert_eq!(serde_json::from_str::<PoolConfig>(text).expect("reads"), config);
        let automatic: PoolConfig = serde_json::from_str(r#"{"type": "serial"}"#).expect("reads");
        assert_eq!(automatic, PoolConfig::automatic(Mode::Serial));
        let nested = PoolConfig::new(Mode::Processes, 2).with_inner(config);
        let bytes = rmp_serde::to_vec_named(&nested).expect("writes");
        assert_eq!(rmp_serde::from_slice::<PoolConfig>(&bytes).expect("reads"), nested);
        let wrong = r#"{"type": "threads", "kwargs": {"max_worker": 2}}"#;
        assert!(serde_json::from_str::<PoolConfig>(wrong).is_err());
    }
}
