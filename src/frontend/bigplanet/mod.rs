//! `BigPlanet`: archives of trials, and what is filtered out of them.

pub mod archive;
pub mod filter;
pub mod table;

mod bpl;
mod key;
mod run;
mod statistics;

pub use archive::{Archiver, Kept};
pub use bpl::{Bpl, checkpoint_of, trials};
pub use key::{Key, Kind};
pub use run::{Watcher, archive_all};
pub use statistics::Statistic;
