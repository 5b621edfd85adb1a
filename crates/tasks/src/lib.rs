//! Tasks: what is to be done, who does it, and where it runs. Nothing in here knows of HDF5: what a task has to leave
//! behind is asked through [`ledger::TaskData`].
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
