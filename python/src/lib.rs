//! The Python package `h5part`, its part in Rust: what the crate does, for objects with the buffer protocol.
//!
//! This module knows bytes, shapes and the names of element types. What numpy users expect beyond that is written in
//! Python, in `python/h5part/`.

#![expect(clippy::needless_pass_by_value, reason = "Python hands arguments over by value")]

mod bytes;
mod columns;
mod convert;
mod errors;
mod fork;
mod gate;
mod handle;
mod ledger;
mod mbe;
mod monitor;
mod reader;
mod rows;
mod slurm;
mod store;
mod values;
mod writer;

#[pyo3::pymodule]
mod _h5part {
    #[pymodule_export]
    use crate::bytes::Bytes;
    #[pymodule_export]
    use crate::errors::exit_codes;
    #[pymodule_export]
    use crate::fork::{after_fork_in_child, after_fork_in_parent, before_fork};
    #[pymodule_export]
    use crate::gate::Gate;
    #[pymodule_export]
    use crate::ledger::{Claim, Ledger, create_ledger};
    #[pymodule_export]
    use crate::mbe::{GroundTruth, Saver};
    #[pymodule_export]
    use crate::monitor::{Clock, Measurements, own_peak};
    #[pymodule_export]
    use crate::reader::Reader;
    #[pymodule_export]
    use crate::slurm::{
        slurm_cancel, slurm_is_worker, slurm_minutes, slurm_parts, slurm_script, slurm_shard, slurm_submit,
    };
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::writer::{Group, Writer};

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        crate::fork::count_forks()?;
        pyo3::types::PyModuleMethods::add(module, "__version__", env!("CARGO_PKG_VERSION"))
    }
}
