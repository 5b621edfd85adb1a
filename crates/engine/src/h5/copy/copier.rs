//! State that all steps of a copy share: the two files, what the copy holds already, and what is left for the end.

use super::raw::{Link, place, text, token};
use super::shells::Shell;
use super::{Copied, Copying};
use crate::h5::Failed;
use crate::h5::library::raw::{call, own};
use hdf5::{Location, Object};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5t::{H5Tcommitted, H5Tcopy, H5Topen2};
use std::collections::HashMap;
use std::ffi::{CStr, CString};

/// A copy under way.
pub(super) struct Copier<'a> {
    /// The two root groups.
    pub(super) from: Location,
    pub(super) into: Location,
    pub(super) what: &'a Copying,
    /// Bytes of an address in the source.
    pub(super) address_bytes: usize,
    /// What HDF5 reads in the source for an axis without limit, if lengths have few bytes there.
    pub(super) no_limit: Option<u64>,
    /// Whether addresses or lengths differ in size between source and copy.
    pub(super) other_sizes: bool,
    /// By token.
    pub(super) shells: HashMap<String, &'a Shell>,
    /// Objects of the source that are in the copy: token to path in the copy.
    pub(super) there: HashMap<String, CString>,
    /// How many named types were copied to the temporary group, where they lie until their links are made.
    pub(super) types: u64,
    pub(super) link_creation: [Object; 2],
    /// Values that can only be written once every object is in the copy.
    pub(super) late: Vec<Late>,
    pub(super) done: Copied,
}

/// An attribute or a dataset that is written at the end, by its path in both files.
#[derive(Debug)]
pub(super) enum Late {
    Attribute(CString, CString),
    Dataset(CString),
}

impl Copier<'_> {
    pub(super) fn left_out(&mut self, path: &CStr, attribute: Option<&CStr>, why: &str) {
        let of = attribute.map_or_else(String::new, |name| format!(", attribute '{}'", text(name)));
        self.done.left_out.push((format!("{}{of}", text(path)), why.to_owned()));
    }

    pub(super) fn creation_of(&self, link: &Link) -> &Object {
        &self.link_creation[usize::from(link.utf8)]
    }

    /// Path in the copy of a named type. `None`: the type has no name, or is not in the copy.
    pub(super) fn named(&self, datatype: &Object) -> Result<Option<CString>, Failed> {
        if call!(H5Tcommitted, datatype.id())? <= 0 {
            return Ok(None);
        }
        Ok(self.there.get(&token(&place(datatype)?)?).cloned())
    }

    /// The type for use in the copy: the named type there, or the same type without a name.
    pub(super) fn datatype(&self, datatype: &Object) -> Result<Object, Failed> {
        Ok(match self.named(datatype)? {
            Some(path) => own!(H5Topen2, self.into.id(), path.as_ptr(), H5P_DEFAULT)?,
            None => own!(H5Tcopy, datatype.id())?,
        })
    }
}

/// Copies the comment of an object, unless the copy has one.
pub(super) fn copy_comment(source: &Location, copy: &Location) -> Result<(), Failed> {
    if let Some(comment) = source.comment().filter(|_| copy.comment().is_none()) {
        #[expect(deprecated, reason = "files that have comments keep them")]
        copy.set_comment(&comment)?;
    }
    Ok(())
}
