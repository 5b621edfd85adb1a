//! Front ends: each translates between the files of a community's tools and the engine.
//!
//! Nothing in here locks files, syncs or schedules by itself: trials are tasks of a [ledger](crate::ledger) that
//! the [executor](crate::executor) runs, and what is kept goes through a [store](crate::store).

pub mod bigplanet;
pub mod checkpoint;
pub mod mbe;
pub mod multiplanet;
pub mod vplanet;
pub mod vspace;
