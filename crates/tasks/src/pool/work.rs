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

/// A kind of task: code under a name, so that another process can be told to run it.
///
/// A task that is run again (its worker died) has the same input and the same seed. Let it then yield
/// the same parts: those that were already given to the caller are not given again.
pub trait Work: Send + Sync + 'static {
    /// Name in the registry.
    const NAME: &'static str;
    /// What a task is given.
    type Input: Serialize + DeserializeOwned + Send;
    /// What a task yields, once or many times.
    type Output: Serialize + DeserializeOwned + Send;

    /// Does one task.
    ///
    /// # Errors
    /// Whatever the task says; see [`TaskError`].
    fn run(&self, input: Self::Input, context: &mut Context<'_, Self::Output>) -> Result<(), TaskError>;
}

/// What a task knows of itself, and how it gives results.
#[derive(Debug)]
pub struct Context<'a, O> {
    task: &'a mut Task<'a>,
    output: PhantomData<fn(&O)>,
}

impl<'a, O: Serialize> Context<'a, O> {
    pub(super) fn new(task: &'a mut Task<'a>) -> Self {
        Self { task, output: PhantomData }
    }

    /// Gives a result to the caller, now. Waits while as many results of the run as the pool allows
    /// have not been taken yet. In the mode `serial` nothing can be taken before the task ends, and
    /// nothing waits.
    ///
    /// # Errors
    /// [`TaskError::Cancelled`]: nobody wants it any more; [`TaskError::Failed`]: it cannot be encoded.
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

    /// How often it was tried before.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.task.job.attempt
    }

    /// Where the task's random numbers start; see [`super::task_seed`]. The same in every attempt, in
    /// every mode, with any number of workers.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.task.job.seed
    }

    /// Whether the run was cancelled: a long task looks from time to time, and returns
    /// [`TaskError::Cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.task.is_cancelled()
    }

    /// Configuration of the pool that tasks of this task are to run in.
    #[must_use]
    pub fn inner(&self) -> &PoolConfig {
        self.task.inner.config()
    }

    /// The inner pool itself: made at the first call, and used again by the tasks that follow in this
    /// worker.
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

/// The works of a program, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    works: Arc<BTreeMap<&'static str, Arc<dyn AnyWork>>>,
}

impl Registry {
    /// One without any work.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a work. One of the same name takes the place of the former.
    #[must_use]
    pub fn with<W: Work>(mut self, work: W) -> Self {
        Arc::make_mut(&mut self.works).insert(W::NAME, Arc::new(work));
        self
    }

    /// Whether there is a work of this name.
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
