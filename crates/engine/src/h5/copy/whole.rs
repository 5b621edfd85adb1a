//! Makes datasets anew with their values, for those that the library would copy wrongly. It copies the fill value of
//! lists and texts as a mere pointer, and addresses in the size that they have in the source.

use super::copier::{Copier, Late, copy_comment};
use super::raw::Link;
use super::shells::{forget_element_size, layout_of, space_of};
use crate::h5::Failed;
use crate::h5::library::raw::{call, own};
use hdf5::{Location, Object};
use hdf5_sys::h5d::{H5D_fill_value_t, H5D_layout_t, H5D_space_status_t, H5Dcreate2, H5Dget_space_status};
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pfill_value_defined, H5Pget_external_count};
use hdf5_sys::h5t::{H5T_class_t, H5Tdetect_class, H5Tis_variable_str};
use std::ffi::CStr;

/// Whether the fill value of a dataset is, or holds, a list or a text of variable length.
pub(super) fn has_pointers(datatype: &Object, creation: &Object) -> Result<bool, Failed> {
    let mut fill = H5D_fill_value_t::H5D_FILL_VALUE_DEFAULT;
    call!(H5Pfill_value_defined, creation.id(), &raw mut fill)?;
    if fill != H5D_fill_value_t::H5D_FILL_VALUE_USER_DEFINED {
        return Ok(false);
    }
    // Inside members, the library reports texts of variable length as texts, like those of fixed length. So any text in
    // a member counts.
    let lists = call!(H5Tdetect_class, datatype.id(), H5T_class_t::H5T_VLEN)? > 0;
    let texts = call!(H5Tdetect_class, datatype.id(), H5T_class_t::H5T_STRING)? > 0;
    let compound = call!(H5Tis_variable_str, datatype.id()).unwrap_or(0) > 0;
    let members = call!(H5Tdetect_class, datatype.id(), H5T_class_t::H5T_COMPOUND)? > 0
        || call!(H5Tdetect_class, datatype.id(), H5T_class_t::H5T_ARRAY)? > 0;
    Ok(lists || compound || (texts && members))
}

/// Whether a dataset has values, and they lie in this file. Those in other files must not be written.
pub(super) fn holds_values(object: &Location, creation: &Object) -> Result<bool, Failed> {
    if is_outside(creation) {
        return Ok(false);
    }
    let mut status = H5D_space_status_t::H5D_SPACE_STATUS_NOT_ALLOCATED;
    call!(H5Dget_space_status, object.id(), &raw mut status)?;
    Ok(status != H5D_space_status_t::H5D_SPACE_STATUS_NOT_ALLOCATED)
}

/// Whether values lie in other files.
pub(super) fn is_outside(creation: &Object) -> bool {
    layout_of(creation.id()) == H5D_layout_t::H5D_VIRTUAL
        || call!(H5Pget_external_count, creation.id()).unwrap_or(0) > 0
}

impl Copier<'_> {
    /// Makes the dataset with its attributes. Its values follow at the end, with those that hold references.
    pub(super) fn whole(
        &mut self,
        object: &Location,
        (datatype, creation): (&Object, &Object),
        copy: &Location,
        link: &Link,
        path: &CStr,
    ) -> Result<(), Failed> {
        let as_there = self.datatype(datatype)?;
        let space = space_of(object, self.no_limit)?;
        let (name, plain, default) = (link.name.as_ptr(), self.creation_of(link).id(), H5P_DEFAULT);
        forget_element_size(creation)?;
        let made: Location =
            own!(H5Dcreate2, copy.id(), name, as_there.id(), space.id(), plain, creation.id(), default)?;
        if holds_values(object, creation)? {
            self.late.push(Late::Dataset(path.to_owned()));
        }
        copy_comment(object, &made)?;
        self.attributes(object, creation, &made, path, |_| false)
    }
}
