//! `BigPlanet`: archives of trials, and what is filtered out of them.

pub mod archive;

pub use archive::{Archiver, Kept};
