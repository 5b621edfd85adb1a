//! What happens around a fork: see [`h5part::fork`].
#![expect(unsafe_code, reason = "the C library tells a child of a fork of any kind what it is")]

use crate::convert::lock;
use crate::errors::OrRaise;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Whether this process was forked after the module was loaded: then the threads of the global pool are not there.
static FORKED: AtomicBool = AtomicBool::new(false);
/// The pool of a forked process, made where it is first needed.
static POOL: Mutex<Option<&'static ThreadPool>> = Mutex::new(None);

/// How often a fork has led to this process since the module was loaded. A system call for the number of the process
/// would be a tenth of what a commit takes.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A number that is another one in the child of a fork than in its parent.
pub fn process() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Counts forks from now on, by whichever library they are made.
pub fn count_forks() -> std::io::Result<()> {
    // SAFETY: the function lives as long as the module, which Python never unloads, and does nothing but count.
    match unsafe { libc::pthread_atfork(None, None, Some(count_fork)) } {
        0 => Ok(()),
        errno => Err(std::io::Error::from_raw_os_error(errno)),
    }
}

/// Runs `work` where rayon has threads.
pub fn with_threads<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if !FORKED.load(Ordering::Relaxed) {
        return work();
    }
    let pool = {
        let mut pool = lock(&POOL);
        // It lives as long as the process, as the global one does.
        *pool = pool.or_else(|| ThreadPoolBuilder::new().build().ok().map(|pool| &*Box::leak(Box::new(pool))));
        *pool
    };
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Called by `os.register_at_fork`.
#[pyfunction]
pub fn before_fork(py: Python<'_>) {
    // A thread inside the library may want the GIL before it leaves. The locks are held by this thread.
    py.detach(h5part::fork::before);
}

/// Called by `os.register_at_fork`.
#[pyfunction]
pub fn after_fork_in_parent() {
    h5part::fork::after_in_parent();
}

/// Called by `os.register_at_fork`.
#[pyfunction]
pub fn after_fork_in_child(py: Python<'_>) -> PyResult<()> {
    FORKED.store(true, Ordering::Relaxed);
    if let Ok(mut pool) = POOL.try_lock() {
        *pool = None;
    }
    h5part::fork::after_in_child().or_raise(py)
}
