//! Checks that a commit runs after locking its rows.

use crate::error::ErrorKind;
use std::fmt::Debug;

/// Decides whether the work that a writer does is still its own. A commit asks after locking its rows and before
/// writing a byte. Whoever has taken the work over can commit to these rows only later.
pub trait Fence: Debug + Send + Sync {
    /// Checks. If this fails, nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`], or why it could not be checked.
    fn check(&self) -> Result<(), ErrorKind>;
}
