//! Texts, enums and compounds of other programs: which of them can be read and written byte by byte.
#![expect(unsafe_code, reason = "the safe wrapper drops offsets, order of bytes and kinds of text")]

use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use h5part_base::dataspace::{Dtype, Field};
use h5part_base::num::to_usize;
use hdf5::Datatype;
use hdf5_sys::h5::H5free_memory;
use hdf5_sys::h5t::{
    H5T_class_t, H5T_cset_t, H5T_str_t, H5Tget_array_dims2, H5Tget_array_ndims, H5Tget_class, H5Tget_cset,
    H5Tget_member_name, H5Tget_member_offset, H5Tget_member_type, H5Tget_member_value, H5Tget_nmembers, H5Tget_size,
    H5Tget_strpad, H5Tget_super, H5Tis_variable_str,
};
use std::ffi::{CStr, c_uint};
use std::ops::Range;

/// Columns with larger elements are copied but not read: the fill of each column is kept in memory.
const LARGEST: usize = 1 << 20;

/// Queries of an open type, which cannot fail.
macro_rules! ask {
    ($function:path, $($argument:expr),*) => {
        hdf5::sync::sync(|| {
            // SAFETY: the id is that of a type that outlives the call.
            unsafe { $function($($argument),*) }
        })
    };
}

/// What members and bases are, and whether their bytes are in the other order. It leads back here for compounds in
/// compounds.
pub(in crate::h5) type TypeOf = fn(&Datatype) -> Result<(Dtype, bool), String>;

/// The type, if its elements can be read and written byte by byte.
pub(in crate::h5) fn found_type(datatype: Hid, type_of: TypeOf) -> Result<Option<Dtype>, Failed> {
    let size = ask!(H5Tget_size, datatype);
    if size == 0 || size > LARGEST {
        return Ok(None);
    }
    Ok(match ask!(H5Tget_class, datatype) {
        H5T_class_t::H5T_STRING => text(datatype, size),
        H5T_class_t::H5T_ENUM => enumeration(datatype, type_of)?,
        H5T_class_t::H5T_COMPOUND => compound(datatype, size, type_of)?,
        _ => None,
    })
}

/// The bytes of an element that are texts which end at their first zero.
pub(in crate::h5) fn terminated_texts(datatype: &Datatype) -> Result<Vec<Range<usize>>, Failed> {
    let id = datatype.id();
    let size = ask!(H5Tget_size, id);
    Ok(match ask!(H5Tget_class, id) {
        // Nothing can follow the end of a text of one byte.
        H5T_class_t::H5T_STRING
            if size > 1
                && ask!(H5Tis_variable_str, id) == 0
                && ask!(H5Tget_strpad, id) == H5T_str_t::H5T_STR_NULLTERM =>
        {
            std::iter::once(0..size).collect()
        }
        H5T_class_t::H5T_ARRAY => {
            let element: Datatype = own!(H5Tget_super, id)?;
            let step = ask!(H5Tget_size, element.id()).max(1);
            let texts = terminated_texts(&element)?;
            (0..size / step).flat_map(|k| texts.iter().map(move |text| moved(text, k * step))).collect()
        }
        H5T_class_t::H5T_COMPOUND => {
            let mut all = Vec::new();
            for index in 0..count(id) {
                let offset = ask!(H5Tget_member_offset, id, index);
                let member: Datatype = own!(H5Tget_member_type, id, index)?;
                all.extend(terminated_texts(&member)?.iter().map(|text| moved(text, offset)));
            }
            all
        }
        _ => Vec::new(),
    })
}

fn moved(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// Accepts texts that are padded with zeros, or end in one as netCDF's do. Fortran pads texts with spaces, which are
/// not part of them.
fn text(datatype: Hid, size: usize) -> Option<Dtype> {
    let bytes = u32::try_from(size).ok()?;
    let padding = ask!(H5Tget_strpad, datatype);
    let is_kept = matches!(padding, H5T_str_t::H5T_STR_NULLPAD | H5T_str_t::H5T_STR_NULLTERM);
    if !is_kept || ask!(H5Tis_variable_str, datatype) > 0 {
        return None;
    }
    match ask!(H5Tget_cset, datatype) {
        H5T_cset_t::H5T_CSET_ASCII => Some(Dtype::Bytes(bytes)),
        H5T_cset_t::H5T_CSET_UTF8 => Some(Dtype::Text(bytes)),
        _ => None,
    }
}

fn enumeration(datatype: Hid, type_of: TypeOf) -> Result<Option<Dtype>, Failed> {
    let base: Datatype = own!(H5Tget_super, datatype)?;
    let Ok((base, false)) = type_of(&base) else { return Ok(None) };
    if !base.is_whole() {
        return Ok(None);
    }
    let mut members = Vec::new();
    for index in 0..count(datatype) {
        let mut value = [0u8; 8];
        call!(H5Tget_member_value, datatype, index, value.as_mut_ptr().cast())?;
        let value = base.format_element(&value).parse();
        let (Some(name), Ok(value)) = (member_name(datatype, index), value) else { return Ok(None) };
        members.push((name, value));
    }
    Ok(Dtype::enumeration(base, members).ok())
}

fn compound(datatype: Hid, size: usize, type_of: TypeOf) -> Result<Option<Dtype>, Failed> {
    let mut fields = Vec::new();
    for index in 0..count(datatype) {
        let Some(name) = member_name(datatype, index) else { return Ok(None) };
        let offset = ask!(H5Tget_member_offset, datatype, index) as u64;
        let kind: Datatype = own!(H5Tget_member_type, datatype, index)?;
        let Some((dtype, shape)) = field(&kind, type_of)? else { return Ok(None) };
        fields.push(Field { name, offset, dtype, shape });
    }
    Ok(Dtype::compound(size as u64, fields).ok())
}

/// Element type and shape of a field.
fn field(kind: &Datatype, type_of: TypeOf) -> Result<Option<(Dtype, Vec<u64>)>, Failed> {
    let id = kind.id();
    if ask!(H5Tget_class, id) != H5T_class_t::H5T_ARRAY {
        return Ok(type_of(kind).ok().filter(|(_, big_endian)| !big_endian).map(|(dtype, _)| (dtype, Vec::new())));
    }
    let axes = to_usize(u64::try_from(ask!(H5Tget_array_ndims, id)).unwrap_or(0));
    let mut shape = vec![0u64; axes];
    call!(H5Tget_array_dims2, id, shape.as_mut_ptr())?;
    let element: Datatype = own!(H5Tget_super, id)?;
    Ok(type_of(&element).ok().filter(|(_, big_endian)| !big_endian).map(|(dtype, _)| (dtype, shape)))
}

fn count(datatype: Hid) -> c_uint {
    c_uint::try_from(ask!(H5Tget_nmembers, datatype)).unwrap_or(0)
}

/// The name of a member, if it is UTF-8.
fn member_name(datatype: Hid, index: c_uint) -> Option<String> {
    let label = ask!(H5Tget_member_name, datatype, index);
    if label.is_null() {
        return None;
    }
    let name = hdf5::sync::sync(|| {
        // SAFETY: the library returns a text that ends in zero and that we must free.
        unsafe { CStr::from_ptr(label) }.to_str().ok().map(str::to_owned)
    });
    ask!(H5free_memory, label.cast());
    name
}
