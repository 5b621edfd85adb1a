//! What happens around a fork: see [`h5part::fork`].

use crate::convert::lock;
use crate::errors::OrRaise;
use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether this process was forked after the module was loaded: then the threads of the global pool are not there.
static FORKED: AtomicBool = AtomicBool::new(false);
/// The pool of a forked process, made where it is first needed.
static POOL: Mutex<Option<&'static ThreadPool>> = Mutex::new(None);

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
