//! What a task does.

use super::Pool;
use super::config::PoolConfig;
use super::task::{Task, TaskError};
use h5part_base::error::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A kind of task: code with a name, so that another process can be told to run it.
///
/// If a task is run again because its worker died, input and seed are the same. It should then yield the same parts:
/// those that the caller already has are not delivered again.
pub trait Work: Send + Sync + 'static {
    /// Name in the registry.
    const NAME: &'static str;
    /// Input of a task.
    type Input: Serialize + DeserializeOwned + Send;
    /// What a task yields, once or several times.
    type Output: Serialize + DeserializeOwned + Send;

    /// Runs one task.
    ///
    /// # Errors
    /// Any error of the task; see [`TaskError`].
    fn run(&self, input: Self::Input, context: &mut Context<'_, Self::Output>) -> Result<(), TaskError>;
}

/// What a task knows of itself, and how it yields results.
#[derive(Debug)]
pub struct Context<'a, O> {
    task: &'a mut Task<'a>,
    output: PhantomData<fn(&O)>,
}

impl<'a, O: Serialize> Context<'a, O> {
    pub(super) fn new(task: &'a mut Task<'a>) -> Self {
        Self { task, output: PhantomData }
    }

    /// Delivers a result to the caller now. Waits while the run has as many untaken results as the pool allows. In the
    /// mode `serial` nothing can be taken before the task ends, so it does not wait.
    ///
    /// # Errors
    /// [`TaskError::Cancelled`]: nobody wants the result any more; [`TaskError::Failed`]: it cannot be encoded.
    pub fn yield_partial(&mut self, output: &O) -> Result<(), TaskError> {
        let bytes = rmp_serde::to_vec_named(output)?;
        self.task.give(bytes)
    }
}

impl<O> Context<'_, O> {
    /// Number of the task in its run, from 0.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.task.job.index
    }

    /// How many times it was tried before.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task.job.attempt
    }

    /// The seed of the task's random numbers; see [`super::task_seed`]. It is the same in every attempt, in every mode,
    /// and with any number of workers.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.task.job.seed
    }

    /// Whether the run was cancelled. A long task should check this from time to time, and return
    /// [`TaskError::Cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.task.is_cancelled()
    }

    /// Configuration of the pool for tasks of this task.
    #[must_use]
    pub fn inner(&self) -> &PoolConfig {
        self.task.inner.config()
    }

    /// The inner pool. It is created at the first call, and reused by later tasks of this worker.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn inner_pool(&mut self) -> Result<Arc<dyn Pool>> {
        self.task.inner_pool()
    }
}

/// A work whose types are hidden.
pub(super) trait AnyWork: Send + Sync {
    fn run_any<'a>(&self, task: &'a mut Task<'a>) -> Result<(), TaskError>;
}

impl<W: Work> AnyWork for W {
    fn run_any<'a>(&self, task: &'a mut Task<'a>) -> Result<(), TaskError> {
        let input = rmp_serde::from_slice(task.job.input.bytes())
            .map_err(|e| TaskError::Failed(format!("the input of '{}' cannot be read: {e}", W::NAME)))?;
        self.run(input, &mut Context::new(task))
    }
}

/// The works of a program, by name. It is cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    works: Arc<BTreeMap<&'static str, Arc<dyn AnyWork>>>,
}

impl Registry {
    /// A registry without any work.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a work. It replaces a work of the same name.
    #[must_use]
    pub fn with<W: Work>(mut self, work: W) -> Self {
        Arc::make_mut(&mut self.works).insert(W::NAME, Arc::new(work));
        self
    }

    /// Whether there is a work with this name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.works.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<dyn AnyWork>> {
        self.works.get(name)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.works.keys()).finish()
    }
}
