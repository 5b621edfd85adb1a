//! Tasks: what is to be done, who does it, and where it runs. This crate does not know HDF5: it checks the results of
//! tasks through [`ledger::TaskData`].
#![cfg_attr(test, expect(clippy::cast_possible_truncation, reason = "small numbers of tests"))]

pub mod budget;
mod error;
pub mod ledger;
pub mod monitor;
pub mod pool;
pub mod program;
pub mod run;
pub mod slurm;

pub use error::ErrorKind;
