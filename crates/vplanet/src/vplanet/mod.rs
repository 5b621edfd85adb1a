//! What vplanet reads and writes: input files, logs, evolutions, the list of its options.
//!
//! A [`Gatherer`] knows what the trials of one ensemble share. It turns a folder into a [`Trial`]: its whole output as
//! a list of datasets.

mod columns;
mod dataset;
mod help;
mod input;
mod log;
mod number;
mod options;
mod system;
mod text;
mod trial;
mod units;

pub use dataset::{Dataset, Trial, UNITS};
pub use help::vplanet_options;
pub use input::{InputFile, OptionLine};
pub use log::{Log, Order, OrderedColumn, Property};
pub use options::{OptionHelp, Options};
pub use system::System;
pub use trial::Gatherer;
pub use units::UnitRule;
