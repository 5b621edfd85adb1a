//! Ground truth of `mbe_automation`: energies and forces of the frames of a structure, computed by many processes,
//! in one HDF5 file that Python goes on reading and writing.
//!
//! A [`Structure`] is a group of the file; its [`GroundTruth`] at a level of theory are some columns of the table
//! `ground_truth` in it. Frames are rows of that table. The layout, and how both sides share the file, are
//! told in `docs/mbe.md`.

mod names;
mod select;
mod status;

pub use names::{ANGSTROM, Method, Quantity, SLASH};
pub use select::{Chunk, frames_to_compute, selected_frames};
pub use status::FrameStatus;
