//! Keeps a parent's locks out of its child in programs that fork without exec, as Python's `multiprocessing` may.
//!
//! The thread that forks calls [`before`], then fork(2). After that the parent calls [`after_in_parent`], and the child
//! [`after_in_child`].
//!
//! In the child, every [`Store`](crate::Store) can be used as before. Writers, readers and ledgers of the parent must
//! be neither used nor dropped there: pass them to [`std::mem::forget`], and open others. The child has none of the
//! parent's threads. If the parent has used h5part, the child must call it within a rayon thread pool of its own.

use crate::Result;
use h5part_base::error::At;
use h5part_base::lock;

/// Waits until no other thread is inside the HDF5 library, or opens or closes a lock file. Keeps other threads out
/// until after the fork.
pub fn before() {
    h5part_engine::h5::before_fork();
    lock::before_fork();
}

/// Lets the other threads of the parent go on.
pub fn after_in_parent() {
    lock::after_fork_in_parent();
    h5part_engine::h5::after_fork_in_parent();
}

/// Replaces the child's descriptors of lock files by `/dev/null`, so that the child holds none of the parent's locks.
/// The parent keeps them.
///
/// # Errors
/// As open(2) of `/dev/null` and dup2(2).
pub fn after_in_child() -> Result<()> {
    let outcome = lock::after_fork_in_child().at("let go of the locks of the parent of", "this process");
    h5part_engine::h5::after_fork_in_child();
    h5part_tasks::monitor::after_fork_in_child();
    outcome
}
