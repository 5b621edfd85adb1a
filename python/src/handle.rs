//! Something open that belongs to the process that opened it.

use crate::convert::lock;
use crate::fork::{process, with_threads};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::Mutex;

/// Used by one thread at a time, without the GIL.
#[derive(Debug)]
pub struct Handle<T> {
    process: u32,
    what: &'static str,
    inner: Mutex<Option<T>>,
}

impl<T> Handle<T> {
    /// Whether this process opened it.
    pub fn is_ours(&self) -> bool {
        self.process == process()
    }
}

impl<T: Send> Handle<T> {
    pub fn new(what: &'static str, inner: T) -> Self {
        Self { process: process(), what, inner: Mutex::new(Some(inner)) }
    }

    /// Works with what is open.
    pub fn with<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> R + Send) -> PyResult<R> {
        if !self.is_ours() {
            let text = format!("this {} belongs to the process that opened it; open another one here", self.what);
            return Err(PyRuntimeError::new_err(text));
        }
        let done = py.detach(|| {
            let mut inner = lock(&self.inner);
            inner.as_mut().map(|inner| with_threads(|| work(inner)))
        });
        done.ok_or_else(|| PyValueError::new_err(format!("this {} is closed", self.what)))
    }

    /// Takes out what is open, once.
    pub fn close(&self, py: Python<'_>) -> Option<T> {
        let ours = self.is_ours();
        py.detach(|| if ours { lock(&self.inner).take() } else { None })
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        if !self.is_ours()
            && let Ok(inner) = self.inner.get_mut()
        {
            // The threads and locks that it would let go of are its parent's.
            std::mem::forget(inner.take());
        }
    }
}
