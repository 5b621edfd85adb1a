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
#[cfg(hdf5_1_14)]
mod datatype;
mod driver;
mod evidence;
mod extend;
mod file;
mod filters;
mod groups;
mod guards;
mod limits;
mod load;
mod names;
mod published;
mod raw;
mod select;
mod stamps;
mod superblock;
mod texts;
mod walk;

pub use arrays::{NewArray, NextRows};
pub use attribute::Attribute;
pub use bundle::{Bundle, BundleSum, Content, Member, Named};
pub use change::H5Change;
pub use column::{Filters, chunk_rows};
pub use compound::{MemberType, Records};
pub use copy::{Allocation, Compression, Copied, Copying, Differing, LaidRows, Refusal, Refused, Shell, ShellLayout};
pub use create::{NewTable, planned_bytes};
pub use evidence::{Candidate, Evidence, Stored};
pub use file::{H5File, library_version};
pub use guards::GuardSpec;
pub use limits::limit;
pub use load::{Listing, Origin};
pub use published::Digest;
pub(crate) use stamps::TOO_MANY_COLUMNS;
pub use stamps::{MOST_COLUMNS, StampsSpec};
pub use superblock::{Superblock, check as check_superblock, stored_end};
pub use walk::{Oddity, Walk};

/// Whether the linked library takes a file driver of ours, so that the structure of a file is changed
/// in place. Else the file is copied, changed and renamed.
pub const CHANGES_IN_PLACE: bool = cfg!(hdf5_1_14);

use crate::error::ErrorKind;

impl From<hdf5::Error> for ErrorKind {
    fn from(e: hdf5::Error) -> Self {
        let text = e.to_string();
        Self::Hdf5(text.lines().next().unwrap_or_default().to_owned())
    }
}
