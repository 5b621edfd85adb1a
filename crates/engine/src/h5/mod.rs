//! The only place that calls the HDF5 library.

mod arrays;
mod attribute;
mod bundle;
mod cells;
mod change;
mod chunks;
mod codecs;
mod column;
mod compound;
mod copy;
mod create;
mod datatype;
mod dimensions;
mod driver;
mod evidence;
mod extend;
mod file;
mod filters;
mod fingerprint;
mod fork;
mod format;
mod found_type;
mod groups;
mod guards;
mod limits;
mod load;
mod made_type;
mod published;
mod raw;
mod select;
mod stamps;
mod superblock;
mod texts;
mod tree;
mod walk;

pub use arrays::{NewArray, NextRows};
pub use attribute::Attribute;
pub use bundle::{Bundle, BundleSum, Content, Member, Named};
pub use change::H5Change;
pub use column::{Filters, chunk_rows};
pub use compound::{MemberType, Records};
pub use copy::{Allocation, Compression, Copied, Copying, Differing, LaidRows, Refusal, Refused, Shell, ShellLayout};
pub use create::{NewTable, planned_bytes};
pub use dimensions::{Coordinates, Dimensions, NewDimensions, ROWS};
pub use evidence::{Candidate, Evidence, Stored};
pub use file::{H5File, library_version};
pub use fingerprint::MetadataFingerprint;
pub use fork::{after_fork_in_child, after_fork_in_parent, before_fork};
pub use guards::GuardSpec;
pub use limits::limit;
pub use load::Listing;
pub use published::Digest;
pub(crate) use stamps::TOO_MANY_COLUMNS;
pub use stamps::{MOST_COLUMNS, StampsSpec};
pub use superblock::{Superblock, check as check_superblock, stored_end};
pub use tree::{TreeEntry, TreeObject};
pub use walk::{Anomaly, Walk};

use h5part_base::error::ErrorKind;

/// Why a call of this module failed: what HDF5 says, or what was found. By `?` it becomes an [`ErrorKind`], which
/// belongs to a crate that knows nothing of HDF5.
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
