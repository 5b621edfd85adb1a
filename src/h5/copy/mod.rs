//! The structure of a file, copied into another: all that the file holds, but for the values of some datasets.
//!
//! Groups and links are made anew, in the order in which they were made; datasets are copied by the library, one
//! by one, so that some can be left out; and references, which the library does not carry into another file where
//! they are in compounds or lists, are pointed at the copies at the end. See `docs/design.md`, "Copying a
//! structure".
#![expect(unsafe_code, reason = "the safe wrapper copies nothing between files")]

mod attributes;
mod objects;
mod raw;
mod references;
mod shells;
mod whole;

pub use shells::{Allocation, Compression, Shell, ShellLayout};

use super::{H5Change, H5File};
use crate::error::ErrorKind;
use crate::h5::raw::own;
use crate::storage::StorageFile;
use hdf5_sys::h5g::H5Gget_create_plist;
use std::path::Path;
use std::sync::Arc;

/// What is to be copied, and how.
#[derive(Clone, Debug, Default)]
pub struct Copying {
    /// Datasets that are made anew, without values.
    pub shells: Vec<Shell>,
    /// Whether what h5part itself has put into the file is copied: its stamps, the uuid, the numbers of tables.
    pub stamps: bool,
}

/// What was copied, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Groups, datasets and named types that were copied, shells among them.
    pub objects: u64,
    /// What could not be carried over: its path, and why.
    pub left_out: Vec<(String, String)>,
    /// Datasets, named types and links that were there already, and were left as they are.
    pub already_there: Vec<String>,
}

impl H5Change {
    /// As [`H5Change::open`] for a new file, which keeps account of the order of links and attributes in its root
    /// as `like` does.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn create_like(storage: &Arc<dyn StorageFile>, path: &Path, like: &H5File) -> Result<Self, ErrorKind> {
        let plist = hdf5::plist::FileCreate::build().obj_track_times(false).finish()?;
        like.ask(|| {
            // The file's own properties do not say it.
            let root = raw::open(&like.file, c"/")?;
            Ok(raw::set_creation_order(&own!(H5Gget_create_plist, root.id())?, plist.id())?)
        })?;
        Self::create(storage, path, &plist)
    }

    /// Copies what `from` holds and this file lacks. Objects that are there already stay as they are, but groups
    /// get what they lack. In an empty file everything is copied: groups and datasets with all their attributes,
    /// named types, links of every kind, several names of one object, references, the order in which links and
    /// attributes were made.
    ///
    /// Values of datasets are copied by the library as they are, compressed ones without a look into them. Reads
    /// nothing of the values of shells, and changes nothing in `from`.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchColumn`] for a shell that is no dataset; library and I/O errors. What the library cannot
    /// carry over is none: see [`Copied::left_out`].
    pub fn copy_structure(&self, from: &H5File, what: &Copying) -> Result<Copied, ErrorKind> {
        // What is read from here on is no part of any layout.
        #[cfg(hdf5_1_14)]
        drop(from.source.take_extents());
        from.ask(|| objects::copy(&from.file, &self.file, what))
    }
}
