//! The only module that calls the HDF5 library.

mod bundle;
mod cells;
mod change;
mod copy;
mod dimensions;
mod library;
mod marks;
mod read;
mod types;

pub use bundle::{Bundle, BundleSum, Content, Member, Named};
pub use change::arrays::{NewArray, NextRows};
pub use change::attribute::Attribute;
pub use change::column::{Filters, chunk_rows};
pub use change::create::{NewTable, planned_bytes};
pub use change::open::H5Change;
pub use copy::{Allocation, Compression, Copied, Copying, Differing, LaidRows, Refusal, Refused, Shell, ShellLayout};
pub use dimensions::{Coordinates, Dimensions, NewDimensions, ROWS};
pub use library::fork::{after_fork_in_child, after_fork_in_parent, before_fork};
pub use library::limits::limit;
pub use marks::guards::GuardSpec;
pub use marks::published::Digest;
pub(crate) use marks::stamps::TOO_MANY_COLUMNS;
pub use marks::stamps::{MOST_COLUMNS, StampsSpec};
pub use read::evidence::{Candidate, Evidence, Stored};
pub use read::file::{H5File, library_version};
pub use read::fingerprint::MetadataFingerprint;
pub use read::load::Listing;
pub use read::superblock::{Superblock, check as check_superblock, stored_end};
pub use read::tree::{TreeEntry, TreeObject};
pub use read::walk::{Anomaly, Walk};
pub use types::compound::{MemberType, Records};

use h5part_base::error::ErrorKind;

/// Why a call of this module failed: HDF5's message, or what this module found. `?` converts it into an [`ErrorKind`],
/// which belongs to a crate that knows nothing of HDF5.
#[derive(Debug)]
pub struct Failed(ErrorKind);

impl From<hdf5::Error> for Failed {
    fn from(e: hdf5::Error) -> Self {
        let text = e.to_string();
        Self(ErrorKind::Hdf5(text.lines().next().unwrap_or_default().to_owned()))
    }
}

impl From<ErrorKind> for Failed {
    fn from(kind: ErrorKind) -> Self {
        Self(kind)
    }
}

impl From<std::io::Error> for Failed {
    fn from(e: std::io::Error) -> Self {
        Self(e.into())
    }
}

impl From<Failed> for ErrorKind {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
