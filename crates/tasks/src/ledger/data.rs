//! What a task produces, as far as a run has to know.

use super::{Claim, State};
use h5part_base::error::Result;

/// Where the results of tasks are, for runs that take a task for done only when they are there.
///
/// **Concurrency.** All methods may be called from several threads, and beside other runs of the ledger.
pub trait TaskData: Sync {
    /// To be called when a task was claimed, before anything is done for it.
    ///
    /// # Errors
    /// [`h5part_base::error::ErrorKind::Fenced`]; what keeps the results from being looked up.
    fn begin(&self, claim: &Claim) -> Result<()>;

    /// Tells the ledger that a task is done, if its results are there.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotCommitted`]: they are not, and the task is held still; as [`TaskData::begin`].
    fn done(&self, claim: &Claim) -> Result<State>;

    /// Whether a task that expired with its owner is done all the same; the ledger knows it then.
    ///
    /// # Errors
    /// As [`TaskData::begin`].
    fn settle(&self, place: u64) -> Result<bool>;
}
