//! A claim that a store asks about before it writes: whose task was taken over writes no more.

use super::finish::fenced;
use super::{Claim, Ledger};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::Fence;
use std::sync::Arc;

/// Names the ledger to programs that run for a task.
pub const LEDGER_VAR: &str = "H5PART_LEDGER";
/// Names the task to programs that run for it.
pub const TASK_VAR: &str = "H5PART_TASK";
/// Gives the fence to programs that run for a task.
pub const FENCE_VAR: &str = "H5PART_FENCE";

/// The claim of a task, as a writer of a store asks about it under its row locks.
#[derive(Clone, Debug)]
pub struct TaskFence {
    ledger: Arc<Ledger>,
    claim: Claim,
}

impl TaskFence {
    /// For a claim of this ledger.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, claim: Claim) -> Self {
        Self { ledger, claim }
    }

    /// The task that this program was started for, as `h5part run` tells in its environment. `None`: it
    /// was started by somebody else.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::find`]; a fence that is no number.
    pub fn from_env() -> Result<Option<Self>> {
        let var = |name: &str| std::env::var(name).ok();
        let (Some(path), Some(task), Some(fence)) = (var(LEDGER_VAR), var(TASK_VAR), var(FENCE_VAR)) else {
            return Ok(None);
        };
        let bad = || ErrorKind::BadRequest(format!("{FENCE_VAR} is '{fence}', which is no number"));
        let fence = fence.parse().map_err(|_| bad()).at("read the environment for", &path)?;
        Self::of(&path, &task, fence).map(Some)
    }

    /// The claim of a task of a ledger.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::find`].
    pub fn of(ledger: &str, task: &str, fence: u64) -> Result<Self> {
        let ledger = Ledger::open(ledger)?;
        let claim = ledger.claim_named(task, fence)?;
        Ok(Self::new(Arc::new(ledger), claim))
    }

    /// The claim.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }
}

impl Fence for TaskFence {
    fn check(&self) -> Result<(), ErrorKind> {
        if self.ledger.held_by(self.claim.place)? == Some(self.claim.fence) {
            return Ok(());
        }
        Err(fenced(&self.claim, &self.ledger.look_at(self.claim.place)?))
    }
}
