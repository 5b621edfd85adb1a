//! The structure of a file, copied into another: all that the file holds, but for the values of some datasets.
//!
//! Groups and links are made anew, in the order in which they were made; datasets are copied by the library, one
//! by one, so that some can be left out; and references, which the library does not carry into another file where
//! they are in compounds or lists, are pointed at the copies at the end. See `docs/design/publish.md`, "Copying a
//! structure".
#![expect(unsafe_code, reason = "the safe wrapper copies nothing between files")]

mod attributes;
mod compare;
mod copier;
mod objects;
mod raw;
mod references;
mod rows;
mod shells;
mod values;
mod whole;

pub use compare::Differing;
pub use rows::{Refusal, Refused};
pub use shells::{Allocation, Compression, Shell, ShellLayout};

use super::change::{Alignment, NUMBERS, PAGES};
use super::{H5Change, H5File};
use crate::h5::Failed;
use crate::h5::raw::own;
use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;
use hdf5_sys::h5g::H5Gget_create_plist;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

/// What is to be copied, and how.
#[derive(Clone, Debug, Default)]
pub struct Copying {
    /// Datasets that are made anew, without values.
    pub shells: Vec<Shell>,
    /// Whether what h5part itself has put into the file is copied: its stamps, the uuid, the numbers of tables.
    pub stamps: bool,
    /// Paths of datasets that get the attributes that they lack, where they are there already.
    pub completed: HashSet<String>,
    /// Datasets whose rows are laid over those that are there, or over the shell: where there is fill, the value is
    /// taken; else it must be the same.
    pub rows: HashMap<String, LaidRows>,
    /// Only these groups, with all that is in them, and those on the way to them.
    pub only: Option<Vec<String>>,
    /// Paths of what is not copied.
    pub skip: HashSet<String>,
}

/// How the rows of a dataset are laid over others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaidRows {
    /// Where the first row goes.
    pub offset: u64,
    /// Why none of them may be written.
    pub frozen: Option<String>,
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
    /// Attributes that are there already, with another value. They were left as they are. References are not compared.
    pub differing: Vec<Differing>,
    /// Datasets whose rows could not be laid over those that are there.
    pub refused: Vec<Refused>,
}

impl H5File {
    /// An attribute of any object as text for people, if it is there.
    ///
    /// # Errors
    /// Library errors.
    pub fn shown_attribute(&self, object: &str, name: &str) -> Result<Option<String>, Failed> {
        let bad = |_| ErrorKind::BadRequest("a zero in a name".to_owned());
        let (object, name) = (CString::new(object).map_err(bad)?, CString::new(name).map_err(bad)?);
        self.ask(|| match raw::open(&raw::open(&self.file, c"/")?, &object) {
            Ok(object) => compare::shown_attribute(&object, &name),
            Err(_) => Ok(None),
        })
    }

    /// The first element of a row of a dataset of any type as text for people, if it is there.
    ///
    /// # Errors
    /// Library errors.
    pub fn shown_cell(&self, dataset: &str, row: u64) -> Result<Option<String>, Failed> {
        let dataset = CString::new(dataset).map_err(|_| ErrorKind::BadRequest("a zero in a name".to_owned()))?;
        self.ask(|| match raw::open(&raw::open(&self.file, c"/")?, &dataset) {
            Ok(dataset) => rows::shown_cell(dataset, row),
            Err(_) => Ok(None),
        })
    }
}

impl H5Change {
    /// As [`H5Change::open`] for a new file, which keeps account of the order of links and attributes in its root
    /// as `like` does.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn create_like(storage: &Arc<dyn StorageFile>, path: &Path, like: &H5File) -> Result<Self, Failed> {
        Self::create_aligned(storage, path, like, PAGES)
    }

    /// The same for a file that is mapped into memory, and never changed.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn create_to_map(storage: &Arc<dyn StorageFile>, path: &Path, like: &H5File) -> Result<Self, Failed> {
        Self::create_aligned(storage, path, like, NUMBERS)
    }

    fn create_aligned(
        storage: &Arc<dyn StorageFile>,
        path: &Path,
        like: &H5File,
        alignment: Alignment,
    ) -> Result<Self, Failed> {
        let plist = hdf5::plist::FileCreate::build().obj_track_times(false).finish()?;
        like.ask(|| {
            // The file's own properties do not say it.
            let root = raw::open(&like.file, c"/")?;
            Ok(raw::set_creation_order(&own!(H5Gget_create_plist, root.id())?, plist.id())?)
        })?;
        Self::create(storage, path, &plist, alignment)
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
    /// [`ErrorKind::NotFound`] for a shell that is no dataset; library and I/O errors. What the library cannot
    /// carry over is none: see [`Copied::left_out`].
    pub fn copy_structure(&self, from: &H5File, what: &Copying) -> Result<Copied, Failed> {
        // What is read from here on is no part of any layout.
        drop(from.source.take_extents());
        from.ask(|| objects::copy(&from.file, &self.file, what))
    }
}
