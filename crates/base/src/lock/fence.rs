//! Checks that a commit runs after locking its rows.

use crate::error::ErrorKind;
use std::fmt::Debug;

/// Decides whether a writer's work is still its own. A commit checks this after locking its rows and before writing a
/// byte. So whoever took over the work can commit to these rows only later.
pub trait Fence: Debug + Send + Sync {
    /// Checks. If this fails, nothing is written.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`], or why it could not be checked.
    fn check(&self) -> Result<(), ErrorKind>;
}
