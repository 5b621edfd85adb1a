//! vspace, multiplanet and BigPlanet: each translates between the files of its original and the engine.
//!
//! Nothing in this crate locks files, syncs or schedules: trials are tasks of a [ledger](h5part_tasks::ledger), and
//! results are kept in a [store](h5part_engine::store).

pub mod bigplanet;
pub mod checkpoint;
mod error;
pub mod multiplanet;
pub mod vplanet;
pub mod vspace;

pub use error::ErrorKind;
