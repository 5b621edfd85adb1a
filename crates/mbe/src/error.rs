//! Why work on ground truth of `mbe_automation` fails.

use h5part_base::error::available;

/// Why work on ground truth of `mbe_automation` fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The group is not one of `mbe_automation`'s structures.
    #[error("'{key}' is {what}, not a Structure{}", available(.known))]
    NotAStructure {
        /// The group.
        key: String,
        /// What it is.
        what: String,
        /// The structures that exist.
        known: Vec<String>,
    },
    /// This ground truth does not exist.
    #[error("no {what} of '{method}' in '{key}'{}", available(.known))]
    NoGroundTruth {
        /// The structure.
        key: String,
        /// Level of theory.
        method: String,
        /// What is missing: the ground truth itself, energies, forces, or stamps.
        what: &'static str,
        /// The methods that exist.
        known: Vec<String>,
    },
    /// A dataset of another program is not what its name says.
    #[error("dataset '{name}': expected {expected}, found {found}")]
    UnfitDataset {
        /// Its name.
        name: String,
        /// Its type and shape.
        found: String,
        /// The type and shape that it must have.
        expected: String,
    },
    /// A frame number beyond the last frame of a structure.
    #[error("frame {frame} is out of range: the structure has {frames} frames")]
    FrameOutOfRange {
        /// The requested frame (0-based).
        frame: u64,
        /// Number of frames of the structure.
        frames: u64,
    },
    /// One frame was named twice.
    #[error("frame {0} is named twice")]
    DuplicateFrame(u64),
}

impl h5part_base::error::Kind for ErrorKind {}
