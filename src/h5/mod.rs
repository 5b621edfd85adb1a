//! The only place that calls the HDF5 library.

mod create;
#[cfg(hdf5_1_14)]
mod driver;
mod file;
mod load;
mod read;
mod superblock;

pub use create::{Attribute, NewTable, build, chunk_rows, planned_bytes};
pub use file::{H5File, library_version};
pub use load::{Listing, Origin};

use crate::error::ErrorKind;

impl From<hdf5::Error> for ErrorKind {
    fn from(e: hdf5::Error) -> Self {
        let text = e.to_string();
        Self::Hdf5(text.lines().next().unwrap_or_default().to_owned())
    }
}
