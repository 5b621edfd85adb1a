//! Why work on ground truth of `mbe_automation` fails.

use h5part_base::error::available;

/// Why work on ground truth of `mbe_automation` fails. A program finds it by [`h5part_base::error::Error::kind_of`].
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// The group is none of `mbe_automation`'s structures.
    #[error("'{key}' is {what}, not a Structure{}", available(.known))]
    NotAStructure {
        /// The group.
        key: String,
        /// What it is.
        what: String,
        /// The structures that are there.
        known: Vec<String>,
    },
    /// There is no such ground truth.
    #[error("no {what} of '{method}' in '{key}'{}", available(.known))]
    NoGroundTruth {
        /// The structure.
        key: String,
        /// Level of theory.
        method: String,
        /// What is not there: ground truth at all, energies, forces, stamps.
        what: &'static str,
        /// The methods that are there.
        known: Vec<String>,
    },
    /// A dataset that another program made is not what its name says.
    #[error("dataset '{name}': expected {expected}, found {found}")]
    UnfitDataset {
        /// Its name.
        name: String,
        /// Type and shape that it has.
        found: String,
        /// Type and shape that it must have.
        expected: String,
    },
    /// A frame beyond the last one of a structure.
    #[error("frame {frame} is out of range: the structure has {frames} frames")]
    FrameOutOfRange {
        /// The frame that was asked for (0-based).
        frame: u64,
        /// Number of frames of the structure.
        frames: u64,
    },
    /// One frame was named twice.
    #[error("frame {0} is named twice")]
    DuplicateFrame(u64),
}

impl h5part_base::error::Kind for ErrorKind {}
