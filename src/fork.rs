//! For programs that fork without exec, as `multiprocessing` of Python may: what is open in a process stays its own.
//!
//! [`before`] is called in the thread that forks, and one of the other two after it. In the child, every
//! [`Store`](crate::Store) can be used as before. Writers, readers and ledgers of the parent cannot: leave them alone,
//! with [`std::mem::forget`], and open others. The child has none of the parent's threads, so let it call h5part within a
//! thread pool of its own, if the parent has used h5part.

use crate::Result;
use h5part_base::error::At;
use h5part_base::lock;

/// Waits until no other thread is inside the HDF5 library, or opens or closes a lock file, and keeps them out.
pub fn before() {
    h5part_engine::h5::before_fork();
    lock::before_fork();
}

/// Lets the threads of the parent go on.
pub fn after_in_parent() {
    lock::after_fork_in_parent();
    h5part_engine::h5::after_fork_in_parent();
}

/// Lets go of the parent's locks, without unlocking them.
///
/// # Errors
/// As open(2) of `/dev/null` and dup2(2).
pub fn after_in_child() -> Result<()> {
    let outcome = lock::after_fork_in_child().at("let go of the locks of the parent of", "this process");
    h5part_engine::h5::after_fork_in_child();
    h5part_tasks::monitor::after_fork_in_child();
    outcome
}
