//! What a task produces, as far as a run must know.

use super::{Claim, TaskState};
use h5part_base::error::Result;

/// Where the results of tasks are, for runs that count a task as done only if its results exist.
///
/// **Concurrency.** All methods may be called from several threads, and beside other runs of the ledger.
pub trait TaskData: Sync {
    /// Call this after a task was claimed, before any work on it.
    ///
    /// # Errors
    /// [`h5part_base::error::ErrorKind::Fenced`]; errors in looking up the results.
    fn begin(&self, claim: &Claim) -> Result<()>;

    /// Records in the ledger that a task is done, if its results exist.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotCommitted`]: they do not exist, and the task is still held; as [`TaskData::begin`].
    fn done(&self, claim: &Claim) -> Result<TaskState>;

    /// Checks whether a task that expired with its owner is done, and records this in the ledger.
    ///
    /// # Errors
    /// As [`TaskData::begin`].
    fn settle(&self, place: u64) -> Result<bool>;
}
