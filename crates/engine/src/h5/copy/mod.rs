//! Copies the structure of a file into another: everything except the values of some datasets.
//!
//! Groups and links are made anew, in their original order. The library copies datasets one by one, so that some can be
//! left out. References are pointed at the copies at the end, because the library does not carry those in compounds or
//! lists into another file. See `docs/design/publish.md`, "Copying a structure".
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

use crate::h5::Failed;
use crate::h5::change::open::{Alignment, NUMBERS, PAGES};
use crate::h5::library::raw::own;
use crate::h5::{H5Change, H5File};
use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;
use hdf5_sys::h5g::H5Gget_create_plist;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;

/// What to copy, and how.
#[derive(Clone, Debug, Default)]
pub struct Copying {
    /// Datasets to make anew, without values.
    pub shells: Vec<Shell>,
    /// Whether to copy what h5part itself has put into the file: stamps, the uuid, the numbers of tables.
    pub stamps: bool,
    /// Paths of datasets that get the attributes that they lack, if the datasets exist in the copy.
    pub completed: HashSet<String>,
    /// Datasets whose rows are laid over the existing ones, or over the shell. A row replaces fill; other existing
    /// values must be equal.
    pub rows: HashMap<String, LaidRows>,
    /// Copy only these groups with everything in them, and their parents. `None`: everything.
    pub only: Option<Vec<String>>,
    /// Paths to skip.
    pub skip: HashSet<String>,
}

/// How to lay the rows of a dataset over others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaidRows {
    /// Row of the copy that the first row is laid over.
    pub offset: u64,
    /// Why the rows must not be written, if so.
    pub frozen: Option<String>,
}

/// What was copied, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Number of groups, datasets and named types that were copied, including shells.
    pub objects: u64,
    /// What could not be copied: path and reason.
    pub left_out: Vec<(String, String)>,
    /// Datasets, named types and links that already existed, and were kept.
    pub already_there: Vec<String>,
    /// Attributes that already existed with another value, and were kept. References are not compared.
    pub differing: Vec<Differing>,
    /// Datasets whose rows could not be laid over the existing ones.
    pub refused: Vec<Refused>,
}

impl H5File {
    /// An attribute of any object as readable text. `None`: it does not exist.
    ///
    /// # Errors
    /// Library errors.
    pub fn shown_attribute(&self, object: &str, name: &str) -> Result<Option<String>, Failed> {
        let bad = |_| ErrorKind::BadRequest("a name must not contain NUL".to_owned());
        let (object, name) = (CString::new(object).map_err(bad)?, CString::new(name).map_err(bad)?);
        self.ask(|| match raw::open(&raw::open(&self.file, c"/")?, &object) {
            Ok(object) => compare::shown_attribute(&object, &name),
            Err(_) => Ok(None),
        })
    }

    /// The first element of a row of a dataset of any type as readable text. `None`: it does not exist.
    ///
    /// # Errors
    /// Library errors.
    pub fn shown_cell(&self, dataset: &str, row: u64) -> Result<Option<String>, Failed> {
        let dataset =
            CString::new(dataset).map_err(|_| ErrorKind::BadRequest("a name must not contain NUL".to_owned()))?;
        self.ask(|| match raw::open(&raw::open(&self.file, c"/")?, &dataset) {
            Ok(dataset) => rows::shown_cell(dataset, row),
            Err(_) => Ok(None),
        })
    }
}

impl H5Change {
    /// Makes a new file as [`H5Change::open`] does. Its root group tracks the order of links and attributes if that of
    /// `like` does.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn create_like(storage: &Arc<dyn StorageFile>, path: &Path, like: &H5File) -> Result<Self, Failed> {
        Self::create_aligned(storage, path, like, PAGES)
    }

    /// Makes such a file to be mapped into memory and never changed.
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
            // The file's own properties do not include it.
            let root = raw::open(&like.file, c"/")?;
            Ok(raw::set_creation_order(&own!(H5Gget_create_plist, root.id())?, plist.id())?)
        })?;
        Self::create(storage, path, &plist, alignment)
    }

    /// Copies what `from` holds and this file lacks. Existing objects are kept, but existing groups get the members
    /// that they lack. An empty file gets everything: groups and datasets with all attributes, named types, links of
    /// every kind, several names of one object, references, and the creation order of links and attributes.
    ///
    /// The library copies stored values as they are, and does not decompress them. Values of shells are not read, and
    /// `from` is not changed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a shell that is not a dataset; library and I/O errors. It is not an error if the
    /// library cannot copy something: see [`Copied::left_out`].
    pub fn copy_structure(&self, from: &H5File, what: &Copying) -> Result<Copied, Failed> {
        // What is read from here on is not part of any layout.
        drop(from.source.take_extents());
        from.ask(|| objects::copy(&from.file, &self.file, what))
    }
}
