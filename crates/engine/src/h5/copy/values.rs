//! Values in memory, as the library reads them from attributes and datasets.

use crate::h5::Failed;
use crate::h5::library::raw::{call, own};
use h5part_base::error::ErrorKind;
use hdf5::{Location, Object};
use hdf5_sys::h5a::{H5Aget_space, H5Aget_type, H5Aopen, H5Aread, H5Awrite};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5Sget_simple_extent_npoints;
use hdf5_sys::h5t::{H5T_class_t, H5Tcopy, H5Tdetect_class, H5Tget_size};
use std::ffi::CStr;

/// Whether values of a type hold references.
pub(super) fn contains_references(datatype: &Object) -> Result<bool, Failed> {
    Ok(call!(H5Tdetect_class, datatype.id(), H5T_class_t::H5T_REFERENCE)? > 0)
}

/// Values in memory as the library reads them. They may own more memory, that of texts and lists.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) datatype: Object,
    space: Object,
    bytes: Vec<u64>,
}

impl Values {
    /// Makes room for all values of a space.
    pub(super) fn new(datatype: &Object, space: Object) -> Result<Self, Failed> {
        // A copy of the type, which belongs to no file.
        let datatype: Object = own!(H5Tcopy, datatype.id())?;
        let count = usize::try_from(call!(H5Sget_simple_extent_npoints, space.id())?).unwrap_or(0);
        let size = hdf5::sync::sync(|| {
            // SAFETY: the type is alive. The call cannot fail.
            unsafe { H5Tget_size(datatype.id()) }
        });
        let too_large = || ErrorKind::BadRequest("too large for this machine's memory".to_owned());
        let bytes = count.checked_mul(size).ok_or_else(too_large)?;
        // Words, for alignment: the values may be pointers.
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
        // What cannot be reclaimed is leaked.
        let _ = call!(hdf5_sys::h5t::H5Treclaim, datatype, space, H5P_DEFAULT, bytes);
    }
}

/// Reads an attribute.
pub(super) fn read_attribute(attribute: &Object) -> Result<Values, Failed> {
    let datatype: Object = own!(H5Aget_type, attribute.id())?;
    let mut values = Values::new(&datatype, own!(H5Aget_space, attribute.id())?)?;
    if !values.is_empty() {
        call!(H5Aread, attribute.id(), values.datatype.id(), values.pointer().cast())?;
    }
    Ok(values)
}

/// Writes an existing attribute.
pub(super) fn write_attribute(attribute: &Object, values: &mut Values) -> Result<(), Failed> {
    if !values.is_empty() {
        call!(H5Awrite, attribute.id(), values.datatype.id(), values.pointer().cast())?;
    }
    Ok(())
}

/// Opens an attribute of an object.
pub(super) fn open_attribute(object: &Location, name: &CStr) -> Result<Object, Failed> {
    Ok(own!(H5Aopen, object.id(), name.as_ptr(), H5P_DEFAULT)?)
}
