//! The gate of a store, held.

use crate::handle::Handle;
use pyo3::prelude::*;

/// Released by `release`, or when nothing refers to it any more.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Gate {
    gate: Handle<h5part::Gate>,
}

impl Gate {
    pub fn new(gate: h5part::Gate) -> Self {
        Self { gate: Handle::new("gate", gate) }
    }
}

#[pymethods]
impl Gate {
    /// In a child process this does nothing: the gate is its parent's.
    fn release(&self, py: Python<'_>) {
        drop(self.gate.close(py));
    }
}
