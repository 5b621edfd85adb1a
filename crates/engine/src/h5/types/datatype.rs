//! Maps element types of files to ours, and names the types that have no counterpart.
#![expect(unsafe_code, reason = "the safe wrapper drops precision, offset, padding and order of a type")]

use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use crate::h5::types::found_type::found_type;
use crate::h5::types::made_type::{complex, half};
use h5part_base::dataspace::Dtype;
use hdf5::globals::{
    H5T_IEEE_F32BE, H5T_IEEE_F32LE, H5T_IEEE_F64BE, H5T_IEEE_F64LE, H5T_STD_I8BE, H5T_STD_I8LE, H5T_STD_I16BE,
    H5T_STD_I16LE, H5T_STD_I32BE, H5T_STD_I32LE, H5T_STD_I64BE, H5T_STD_I64LE, H5T_STD_U8BE, H5T_STD_U8LE,
    H5T_STD_U16BE, H5T_STD_U16LE, H5T_STD_U32BE, H5T_STD_U32LE, H5T_STD_U64BE, H5T_STD_U64LE,
};
use hdf5::{Datatype, Object};
use hdf5_sys::h5::H5free_memory;
use hdf5_sys::h5t::{
    H5T_class_t, H5T_cset_t, H5T_order_t, H5T_sign_t, H5T_str_t, H5Tenum_create, H5Tenum_insert, H5Tequal,
    H5Tget_array_dims2, H5Tget_array_ndims, H5Tget_class, H5Tget_cset, H5Tget_fields, H5Tget_member_name,
    H5Tget_member_type, H5Tget_nmembers, H5Tget_offset, H5Tget_order, H5Tget_precision, H5Tget_sign, H5Tget_size,
    H5Tget_strpad, H5Tget_super, H5Tis_variable_str,
};
use std::ffi::{CStr, c_uint};

/// How many members of a compound or an enumeration are named.
const NAMED: usize = 4;

/// Queries of an open type, which cannot fail.
macro_rules! ask {
    ($function:path, $($argument:expr),*) => {
        hdf5::sync::sync(|| {
            // SAFETY: the id is that of a type that outlives the call.
            unsafe { $function($($argument),*) }
        })
    };
}

/// Returns the type, and whether its most significant byte comes first; `Err` has the name of any other type. A type is
/// one of ours only if the library calls it equal: class, size, byte order, precision, offset, padding, sign, fields of
/// floats, members.
pub(in crate::h5) fn dtype_of(datatype: &Datatype) -> Result<(Dtype, bool), String> {
    find(datatype.id()).ok().flatten().ok_or_else(|| describe(datatype.id()))
}

fn find(datatype: Hid) -> Result<Option<(Dtype, bool)>, Failed> {
    use Dtype::{C64, C128, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
    let equals = |other: Hid| Ok::<_, Failed>(call!(H5Tequal, datatype, other)? > 0);
    match ask!(H5Tget_class, datatype) {
        H5T_class_t::H5T_ENUM => {
            for base in [*H5T_STD_I8LE, *H5T_STD_I8BE] {
                if equals(bool_over(base)?.id())? {
                    return Ok(Some((Dtype::Bool, false)));
                }
            }
        }
        H5T_class_t::H5T_COMPOUND => {
            for (dtype, big) in [(C64, false), (C128, false), (C64, true), (C128, true)] {
                if equals(complex(dtype, big)?.id())? {
                    return Ok(Some((dtype, big)));
                }
            }
        }
        H5T_class_t::H5T_FLOAT if ask!(H5Tget_size, datatype) == 2 => {
            for big in [false, true] {
                if equals(half(big)?.id())? {
                    return Ok(Some((F16, big)));
                }
            }
        }
        H5T_class_t::H5T_INTEGER | H5T_class_t::H5T_FLOAT | H5T_class_t::H5T_STRING => {}
        _ => return Ok(None),
    }
    let known = [
        (F64, *H5T_IEEE_F64LE, *H5T_IEEE_F64BE),
        (F32, *H5T_IEEE_F32LE, *H5T_IEEE_F32BE),
        (I8, *H5T_STD_I8LE, *H5T_STD_I8BE),
        (I16, *H5T_STD_I16LE, *H5T_STD_I16BE),
        (I32, *H5T_STD_I32LE, *H5T_STD_I32BE),
        (I64, *H5T_STD_I64LE, *H5T_STD_I64BE),
        (U8, *H5T_STD_U8LE, *H5T_STD_U8BE),
        (U16, *H5T_STD_U16LE, *H5T_STD_U16BE),
        (U32, *H5T_STD_U32LE, *H5T_STD_U32BE),
        (U64, *H5T_STD_U64LE, *H5T_STD_U64BE),
    ];
    for (dtype, little, big) in known {
        if equals(little)? {
            return Ok(Some((dtype, false)));
        }
        if equals(big)? {
            // A single byte has no byte order.
            return Ok(Some((dtype, dtype.size() > 1)));
        }
    }
    Ok(found_type(datatype, dtype_of)?.map(|dtype| (dtype, false)))
}

/// h5py's bool: an enumeration with FALSE = 0 and TRUE = 1.
fn bool_over(base: Hid) -> Result<Object, Failed> {
    let datatype: Object = own!(H5Tenum_create, base)?;
    for (name, value) in [(c"FALSE", 0i8), (c"TRUE", 1)] {
        call!(H5Tenum_insert, datatype.id(), name.as_ptr(), (&raw const value).cast())?;
    }
    Ok(datatype)
}

/// The common name of a type.
fn describe(datatype: Hid) -> String {
    let size = ask!(H5Tget_size, datatype);
    match ask!(H5Tget_class, datatype) {
        H5T_class_t::H5T_INTEGER => {
            let sign = if ask!(H5Tget_sign, datatype) == H5T_sign_t::H5T_SGN_NONE { 'u' } else { 'i' };
            format!("{sign}{}{}", size * 8, bits(datatype, size))
        }
        H5T_class_t::H5T_FLOAT => float(datatype, size),
        H5T_class_t::H5T_BITFIELD => format!("bitfield of {} bits{}", size * 8, bits(datatype, size)),
        H5T_class_t::H5T_TIME => format!("time of {} bits", size * 8),
        H5T_class_t::H5T_STRING => text(datatype, size),
        H5T_class_t::H5T_OPAQUE => format!("opaque of {size} bytes"),
        H5T_class_t::H5T_COMPOUND => {
            let complex = complex_of(datatype).map(str::to_owned);
            complex.unwrap_or_else(|| format!("compound {{{}}}", members(datatype, true)))
        }
        H5T_class_t::H5T_ENUM => format!("enum of {} {{{}}}", over(datatype), members(datatype, false)),
        H5T_class_t::H5T_REFERENCE => "reference".to_owned(),
        H5T_class_t::H5T_VLEN => format!("list of {} of variable length", over(datatype)),
        H5T_class_t::H5T_ARRAY => {
            let axes = usize::try_from(ask!(H5Tget_array_ndims, datatype)).unwrap_or(0);
            let mut shape = vec![0u64; axes];
            ask!(H5Tget_array_dims2, datatype, shape.as_mut_ptr());
            format!("array {} of {}", h5part_base::dataspace::shape_text(&shape), over(datatype))
        }
        _ => format!("a type of {size} bytes that this version does not know"),
    }
}

fn is_big_endian(datatype: Hid) -> bool {
    ask!(H5Tget_order, datatype) == H5T_order_t::H5T_ORDER_BE
}

/// Describes what is unusual about the bits of a number.
fn bits(datatype: Hid, size: usize) -> String {
    let (precision, offset) = (ask!(H5Tget_precision, datatype), ask!(H5Tget_offset, datatype));
    let order = if is_big_endian(datatype) && size > 1 { ", big-endian" } else { "" };
    match (precision == size * 8, offset) {
        (true, _) => order.to_owned(),
        (false, 0) => format!(" with {precision} bits in use{order}"),
        (false, offset) => format!(" with {precision} bits in use, from bit {offset} on{order}"),
    }
}

fn float(datatype: Hid, size: usize) -> String {
    let (mut sign, mut exponent, mut exponent_bits, mut mantissa, mut mantissa_bits) = (0, 0, 0, 0, 0);
    let fields = (&raw mut sign, &raw mut exponent, &raw mut exponent_bits, &raw mut mantissa, &raw mut mantissa_bits);
    ask!(H5Tget_fields, datatype, fields.0, fields.1, fields.2, fields.3, fields.4);
    let order = match ask!(H5Tget_order, datatype) {
        H5T_order_t::H5T_ORDER_VAX => ", VAX byte order",
        H5T_order_t::H5T_ORDER_BE => ", big-endian",
        _ => "",
    };
    match (size, exponent_bits, mantissa_bits) {
        (2, 5, 10) => format!("f16{order}"),
        (2, 8, 7) => format!("bfloat16{order}"),
        (16, 15, 64 | 63) => format!("f80 in 16 bytes (long double){order}"),
        (16, 15, 112) => format!("f128{order}"),
        _ => format!("float of {} bits, {exponent_bits} of exponent and {mantissa_bits} of mantissa{order}", size * 8),
    }
}

fn text(datatype: Hid, size: usize) -> String {
    let encoding = if ask!(H5Tget_cset, datatype) == H5T_cset_t::H5T_CSET_UTF8 { "UTF-8" } else { "ASCII" };
    if ask!(H5Tis_variable_str, datatype) > 0 {
        format!("text of variable length, {encoding}")
    } else if ask!(H5Tget_strpad, datatype) == H5T_str_t::H5T_STR_SPACEPAD {
        format!("text of {size} bytes, {encoding}, padded with spaces")
    } else {
        format!("text of {size} bytes, {encoding}")
    }
}

/// The name of the base type.
fn over(datatype: Hid) -> String {
    let base: hdf5::Result<Datatype> = own!(H5Tget_super, datatype);
    base.map_or_else(|_| "an unknown type".to_owned(), |base| name(&base))
}

fn name(datatype: &Datatype) -> String {
    match dtype_of(datatype) {
        Ok((dtype, false)) => dtype.short_name(),
        Ok((dtype, true)) => format!("{}, big-endian", dtype.short_name()),
        Err(other) => other,
    }
}

/// Names of the first members, with their types if asked.
fn members(datatype: Hid, with_types: bool) -> String {
    let count = usize::try_from(ask!(H5Tget_nmembers, datatype)).unwrap_or(0);
    let mut texts: Vec<String> = (0..count.min(NAMED)).map(|k| member(datatype, k, with_types)).collect();
    if count > NAMED {
        texts.push(format!("and {} more", count - NAMED));
    }
    texts.join(", ")
}

fn member(datatype: Hid, index: usize, with_type: bool) -> String {
    let index = c_uint::try_from(index).unwrap_or(c_uint::MAX);
    let label = ask!(H5Tget_member_name, datatype, index);
    if label.is_null() {
        return String::new();
    }
    let text = hdf5::sync::sync(|| {
        // SAFETY: the library returns a text that ends in zero and that we must free.
        unsafe { CStr::from_ptr(label) }.to_string_lossy().into_owned()
    });
    ask!(H5free_memory, label.cast());
    if !with_type {
        return text;
    }
    let kind: hdf5::Result<Datatype> = own!(H5Tget_member_type, datatype, index);
    kind.map_or_else(|_| text.clone(), |kind| format!("{text}: {}", name(&kind)))
}

/// Recognizes a compound that h5py reads as a complex number.
fn complex_of(datatype: Hid) -> Option<&'static str> {
    match members(datatype, true).as_str() {
        "r: f32, i: f32" => Some("c64"),
        "r: f64, i: f64" => Some("c128"),
        _ => None,
    }
}
