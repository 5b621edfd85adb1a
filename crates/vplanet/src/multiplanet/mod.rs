//! multiplanet: runs a program for every trial of an ensemble, in the trial's own folder.

mod archive;
mod ensemble;
mod trial;

pub use archive::{CaughtUp, catch_up, set_aside};
pub use ensemble::{Ensemble, folder_of};
pub use trial::{Folders, Runner, TrialContext};
