//! Attributes, with their values.

use super::raw::attribute_names;
use super::references::{Late, contains_references};
use crate::h5::Failed;
use crate::h5::raw::{call, own};
use h5part_base::error::ErrorKind;
use hdf5::{Location, Object};
use hdf5_sys::h5a::{
    H5Acreate2, H5Aexists, H5Aget_create_plist, H5Aget_space, H5Aget_type, H5Aopen, H5Aread, H5Awrite,
};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5Sget_simple_extent_npoints;
use hdf5_sys::h5t::{H5Tcopy, H5Tget_size};
use std::ffi::{CStr, CString};

use super::objects::Copier;

/// Values in memory as the library reads them, which may own more memory: that of texts and lists.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) datatype: Object,
    space: Object,
    bytes: Vec<u64>,
}

impl Values {
    /// Room for all values of a space.
    pub(super) fn new(datatype: &Object, space: Object) -> Result<Self, Failed> {
        // The type as it is in memory, and of nobody.
        let datatype: Object = own!(H5Tcopy, datatype.id())?;
        let count = usize::try_from(call!(H5Sget_simple_extent_npoints, space.id())?).unwrap_or(0);
        let size = hdf5::sync::sync(|| {
            // SAFETY: the type is alive. It has no negative to check for.
            unsafe { H5Tget_size(datatype.id()) }
        });
        let too_large = || ErrorKind::BadRequest("too large for this machine's memory".to_owned());
        let bytes = count.checked_mul(size).ok_or_else(too_large)?;
        // Whole words: what lies in it may be pointers.
        Ok(Self { datatype, space, bytes: vec![0; bytes.div_ceil(8)] })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn pointer(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr().cast()
    }

    pub(super) fn space(&self) -> &Object {
        &self.space
    }

    pub(super) fn count(&self) -> usize {
        let count = call!(H5Sget_simple_extent_npoints, self.space.id());
        count.ok().and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        let (datatype, space, bytes) = (self.datatype.id(), self.space.id(), self.pointer().cast());
        // What cannot be given back stays.
        let _ = call!(hdf5_sys::h5t::H5Treclaim, datatype, space, H5P_DEFAULT, bytes);
    }
}

/// Reads an attribute.
pub(super) fn read(attribute: &Object) -> Result<Values, Failed> {
    let datatype: Object = own!(H5Aget_type, attribute.id())?;
    let mut values = Values::new(&datatype, own!(H5Aget_space, attribute.id())?)?;
    if !values.is_empty() {
        call!(H5Aread, attribute.id(), values.datatype.id(), values.pointer().cast())?;
    }
    Ok(values)
}

/// Writes an attribute that is there.
pub(super) fn write(attribute: &Object, values: &mut Values) -> Result<(), Failed> {
    if !values.is_empty() {
        call!(H5Awrite, attribute.id(), values.datatype.id(), values.pointer().cast())?;
    }
    Ok(())
}

/// Opens an attribute of an object.
pub(super) fn open(object: &Location, name: &CStr) -> Result<Object, Failed> {
    Ok(own!(H5Aopen, object.id(), name.as_ptr(), H5P_DEFAULT)?)
}

impl Copier<'_> {
    /// Copies the attributes that the copy of an object lacks, but for those that `keep_out` knows, and notes those that
    /// it has with another value.
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
        let attribute = open(source, name)?;
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
        write(&made, &mut read(&attribute)?)
    }
}
