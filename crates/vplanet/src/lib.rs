//! vspace, multiplanet and BigPlanet: each translates between the files of its original and the engine.
//!
//! Nothing in here locks files, syncs or schedules by itself: trials are tasks of a [ledger](h5part_tasks::ledger), and
//! what is kept goes through a [store](h5part_engine::store).
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::single_range_in_vec_init,
        reason = "small numbers and short lists of tests"
    )
)]

pub mod bigplanet;
pub mod checkpoint;
mod error;
pub mod multiplanet;
pub mod vplanet;
pub mod vspace;

pub use error::ErrorKind;
