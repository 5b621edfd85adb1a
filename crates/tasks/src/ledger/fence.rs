//! A fence that checks a claim before a store writes: once a task is taken over, its former owner cannot write.

use super::finish::fenced;
use super::{Claim, Ledger};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::Fence;
use std::sync::Arc;

/// Environment variable with the ledger, for programs that run for a task.
pub const LEDGER_VAR: &str = "H5PART_LEDGER";
/// Environment variable with the task, for programs that run for it.
pub const TASK_VAR: &str = "H5PART_TASK";
/// Environment variable with the fence, for programs that run for a task.
pub const FENCE_VAR: &str = "H5PART_FENCE";

/// The claim of a task, which a writer of a store checks under its row locks.
#[derive(Clone, Debug)]
pub struct TaskFence {
    ledger: Arc<Ledger>,
    claim: Claim,
}

impl TaskFence {
    /// A fence for a claim of this ledger.
    #[must_use]
    pub fn new(ledger: Arc<Ledger>, claim: Claim) -> Self {
        Self { ledger, claim }
    }

    /// The task that this program was started for, according to the environment that `h5part run` sets. `None`: the
    /// program was started by something else.
    ///
    /// # Errors
    /// As [`Ledger::open`] and [`Ledger::find`]; an error for a fence that is not a number.
    pub fn from_env() -> Result<Option<Self>> {
        let var = |name: &str| std::env::var(name).ok();
        let (Some(path), Some(task), Some(fence)) = (var(LEDGER_VAR), var(TASK_VAR), var(FENCE_VAR)) else {
            return Ok(None);
        };
        let bad = || ErrorKind::BadRequest(format!("{FENCE_VAR} is '{fence}', which is not a number"));
        let fence = fence.parse().map_err(|_| bad()).at("read the environment for", &path)?;
        Self::of(&path, &task, fence).map(Some)
    }

    /// A fence for a task of a ledger.
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
