//! Ground truth of `mbe_automation`: energies and forces of the frames of a structure. Many processes compute them and
//! write one HDF5 file, which Python keeps reading and writing.
//!
//! A [`Structure`] is a group of the file. Its [`GroundTruth`] at a level of theory consists of some columns of the
//! table `ground_truth` in that group. Frames are rows of that table. `docs/mbe.md` describes the layout, and how both
//! sides share the file.

mod comment;
mod create;
mod elements;
mod error;
mod ground_truth;
mod names;
mod read;
mod save;
mod select;
mod status;
mod structure;
mod xyz;

pub use create::{Array, NewStructure};
pub use error::ErrorKind;
pub use ground_truth::{GroundTruth, Prepared, Present};
pub use names::{ANGSTROM, Method, Quantity, SLASH};
pub use read::{Frames, TruthReader, TruthSummary};
pub use save::{Results, Saved, Saver};
pub use select::{Chunk, check_frames, frames_to_compute, of_frames, selected_frames};
pub use status::{FrameStatus, check_statuses};
pub use structure::Structure;
pub use xyz::{Xyz, XyzKeys};
