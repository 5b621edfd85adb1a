//! Copies attributes with their values.

use super::copier::{Copier, Late};
use super::raw::attribute_names;
use super::values::{contains_references, open_attribute, read_attribute, write_attribute};
use crate::h5::Failed;
use crate::h5::library::raw::{call, own};
use hdf5::{Location, Object};
use hdf5_sys::h5a::{H5Acreate2, H5Aexists, H5Aget_create_plist, H5Aget_space, H5Aget_type};
use hdf5_sys::h5p::H5P_DEFAULT;
use std::ffi::{CStr, CString};

impl Copier<'_> {
    /// Copies the attributes that the copy of an object lacks, except those that `keep_out` accepts. Records the
    /// attributes that the copy has with another value.
    pub(super) fn attributes(
        &mut self,
        source: &Location,
        creation: &Object,
        copy: &Location,
        path: &CStr,
        keep_out: impl Fn(&CStr) -> bool,
    ) -> Result<(), Failed> {
        for name in attribute_names(source, Some(creation))? {
            if keep_out(&name) {
                continue;
            }
            if call!(H5Aexists, copy.id(), name.as_ptr())? > 0 {
                self.compare_attribute(source, copy, path, &name)?;
                continue;
            }
            if let Err(e) = self.attribute(source, copy, path, &name) {
                self.left_out(path, Some(&name), &e.to_string());
            }
        }
        Ok(())
    }

    fn attribute(&mut self, source: &Location, copy: &Location, path: &CStr, name: &CString) -> Result<(), Failed> {
        let attribute = open_attribute(source, name)?;
        let datatype: Object = own!(H5Aget_type, attribute.id())?;
        let space: Object = own!(H5Aget_space, attribute.id())?;
        let creation: Object = own!(H5Aget_create_plist, attribute.id())?;
        let as_there = self.datatype(&datatype)?;
        let made: Object =
            own!(H5Acreate2, copy.id(), name.as_ptr(), as_there.id(), space.id(), creation.id(), H5P_DEFAULT)?;
        if contains_references(&datatype)? {
            self.late.push(Late::Attribute(path.to_owned(), name.clone()));
            return Ok(());
        }
        write_attribute(&made, &mut read_attribute(&attribute)?)
    }
}
