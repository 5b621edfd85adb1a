//! Permission to write, asked for under the row locks.

use crate::error::ErrorKind;
use std::fmt::Debug;

/// Whether the work that a writer does is still its own. A commit asks under its row locks, before it
/// writes a byte: whoever took the work over since commits to these rows later, if at all.
pub trait Fence: Debug + Send + Sync {
    /// Nothing is written when this fails.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`], or what kept it from finding out.
    fn check(&self) -> Result<(), ErrorKind>;
}
