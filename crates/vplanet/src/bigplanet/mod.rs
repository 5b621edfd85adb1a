//! `BigPlanet`: archives of trials, and filters for them.

pub mod archive;
pub mod filter;
pub mod table;

mod bpl;
mod changed;
mod key;
mod project;
mod replace;
mod run;
mod statistics;

pub use archive::{Archiver, Kept};
pub use bpl::{Bpl, checkpoint_of, trials};
pub use changed::changed_wait_again;
pub use key::{Key, Kind};
pub use project::{Compared, Project};
pub use replace::{check_apart, check_filtered, check_hdf5};
pub use run::{Watcher, archive_all};
pub use statistics::Statistic;
