//! Element types in the library's form, for new datasets and for values in memory.
#![expect(unsafe_code, reason = "the safe wrapper does not know f16, nor compounds and enums as they lie in files")]

use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use h5part_base::dataspace::{CompoundType, Dtype, EnumType};
use h5part_base::error::ErrorKind;
use hdf5::Datatype;
use hdf5::globals::{H5T_IEEE_F32BE, H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_IEEE_F64LE};
use hdf5::types::TypeDescriptor;
use hdf5_sys::h5t::{
    H5T_class_t, H5Tarray_create2, H5Tcopy, H5Tcreate, H5Tenum_create, H5Tenum_insert, H5Tinsert, H5Tset_ebias,
    H5Tset_fields, H5Tset_size,
};
use std::ffi::{CString, c_uint};

/// The type for new datasets and for values in memory: little-endian, as h5py makes it.
pub(in crate::h5) fn made_type(dtype: Dtype) -> Result<Datatype, Failed> {
    let length = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(match dtype {
        Dtype::F32 => Datatype::from_type::<f32>()?,
        Dtype::F64 => Datatype::from_type::<f64>()?,
        Dtype::I8 => Datatype::from_type::<i8>()?,
        Dtype::I16 => Datatype::from_type::<i16>()?,
        Dtype::I32 => Datatype::from_type::<i32>()?,
        Dtype::I64 => Datatype::from_type::<i64>()?,
        Dtype::U8 => Datatype::from_type::<u8>()?,
        Dtype::U16 => Datatype::from_type::<u16>()?,
        Dtype::U32 => Datatype::from_type::<u32>()?,
        Dtype::U64 => Datatype::from_type::<u64>()?,
        Dtype::Bool => Datatype::from_type::<bool>()?,
        Dtype::F16 => half(false)?,
        Dtype::C64 | Dtype::C128 => complex(dtype, false)?,
        Dtype::Bytes(n) => Datatype::from_descriptor(&TypeDescriptor::FixedAscii(length(n)))?,
        Dtype::Text(n) => Datatype::from_descriptor(&TypeDescriptor::FixedUnicode(length(n)))?,
        Dtype::Enum(kind) => enumeration(kind)?,
        Dtype::Compound(kind) => compound(kind)?,
    })
}

/// The IEEE float of 16 bits.
pub(in crate::h5) fn half(big_endian: bool) -> Result<Datatype, Failed> {
    let like = if big_endian { *H5T_IEEE_F32BE } else { *H5T_IEEE_F32LE };
    let datatype: Datatype = own!(H5Tcopy, like)?;
    call!(H5Tset_fields, datatype.id(), 15, 10, 5, 0, 10)?;
    call!(H5Tset_size, datatype.id(), 2)?;
    call!(H5Tset_ebias, datatype.id(), 15)?;
    Ok(datatype)
}

/// A compound of `r` and `i`, as h5py has it.
pub(in crate::h5) fn complex(dtype: Dtype, big_endian: bool) -> Result<Datatype, Failed> {
    let part = match (dtype, big_endian) {
        (Dtype::C64, false) => *H5T_IEEE_F32LE,
        (Dtype::C64, true) => *H5T_IEEE_F32BE,
        (_, false) => *H5T_IEEE_F64LE,
        (_, true) => *H5T_IEEE_F64BE,
    };
    let size = usize::try_from(dtype.size()).unwrap_or(usize::MAX);
    let datatype: Datatype = own!(H5Tcreate, H5T_class_t::H5T_COMPOUND, size)?;
    call!(H5Tinsert, datatype.id(), c"r".as_ptr(), 0, part)?;
    call!(H5Tinsert, datatype.id(), c"i".as_ptr(), size / 2, part)?;
    Ok(datatype)
}

fn enumeration(kind: &EnumType) -> Result<Datatype, Failed> {
    let base = made_type(kind.base())?;
    let datatype: Datatype = own!(H5Tenum_create, base.id())?;
    for (name, value) in kind.members() {
        let bytes = kind.base().parse_element(&value.to_string()).ok_or_else(|| odd(name))?;
        let name = text(name)?;
        call!(H5Tenum_insert, datatype.id(), name.as_ptr(), bytes.as_ptr().cast())?;
    }
    Ok(datatype)
}

fn compound(kind: &CompoundType) -> Result<Datatype, Failed> {
    let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let datatype: Datatype = own!(H5Tcreate, H5T_class_t::H5T_COMPOUND, place(kind.size()))?;
    for field in kind.fields() {
        let element = made_type(field.dtype)?;
        let name = text(&field.name)?;
        let insert = |of: Hid| call!(H5Tinsert, datatype.id(), name.as_ptr(), place(field.offset), of);
        if field.shape.is_empty() {
            insert(element.id())?;
        } else {
            let axes = c_uint::try_from(field.shape.len()).unwrap_or(c_uint::MAX);
            let array: Datatype = own!(H5Tarray_create2, element.id(), axes, field.shape.as_ptr())?;
            insert(array.id())?;
        }
    }
    Ok(datatype)
}

fn text(name: &str) -> Result<CString, Failed> {
    CString::new(name).map_err(|_| odd(name).into())
}

fn odd(name: &str) -> ErrorKind {
    ErrorKind::BadRequest(format!("'{name}' cannot be a name in a type"))
}
