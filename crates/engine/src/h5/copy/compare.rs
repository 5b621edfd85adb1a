//! Compares two files: values of any type, and attributes.

use super::copier::Copier;
use super::raw::{attribute_names, text};
use super::values::{Values, contains_references, open_attribute, read_attribute};
use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use hdf5::globals::{H5T_NATIVE_DOUBLE, H5T_NATIVE_LLONG, H5T_NATIVE_ULLONG};
use hdf5::{Location, Object};
use hdf5_sys::h5a::{H5Aexists, H5Aget_space, H5Aget_type, H5Aread};
use hdf5_sys::h5s::H5Sextent_equal;
use hdf5_sys::h5t::{
    H5T_class_t, H5T_sign_t, H5Tcopy, H5Tequal, H5Tget_class, H5Tget_member_offset, H5Tget_member_type,
    H5Tget_nmembers, H5Tget_sign, H5Tget_size, H5Tget_super, H5Tis_variable_str, hvl_t,
};
use std::ffi::{CStr, c_char, c_uint};

/// This many elements of a value are shown.
const SHOWN: usize = 4;

/// An attribute that the two files have with different values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Path of the object.
    pub object: String,
    /// Name of the attribute.
    pub attribute: String,
    /// Its value in the source.
    pub value: String,
    /// Its value in the copy, which was kept.
    pub kept: String,
}

/// How to compare values of a type: by what they hold, not by pointers and padding.
#[derive(Debug)]
pub(super) enum Kind {
    Bytes(usize),
    /// A pointer to a text that ends in zero.
    Text,
    /// Size and kind of the elements of a list.
    List(usize, Box<Kind>),
    /// Offset and kind of members.
    Members(Vec<(usize, Kind)>),
    /// Number, size and kind of elements.
    Array(usize, usize, Box<Kind>),
}

macro_rules! ask {
    ($function:path, $($argument:expr),*) => {
        hdf5::sync::sync(|| {
            // SAFETY: the id is that of a type that outlives the call.
            unsafe { $function($($argument),*) }
        })
    };
}

impl Kind {
    /// The kind of a type in memory. `None`: it holds references, which mean nothing outside their file.
    pub(super) fn of(datatype: &Object) -> Result<Option<Self>, Failed> {
        if contains_references(datatype)? { Ok(None) } else { Self::find(datatype.id()).map(Some) }
    }

    fn find(id: Hid) -> Result<Self, Failed> {
        let size = ask!(H5Tget_size, id);
        Ok(match ask!(H5Tget_class, id) {
            H5T_class_t::H5T_STRING if call!(H5Tis_variable_str, id)? > 0 => Self::Text,
            H5T_class_t::H5T_COMPOUND => {
                let mut members = Vec::new();
                for k in 0..c_uint::try_from(call!(H5Tget_nmembers, id)?).unwrap_or(0) {
                    let member: Object = own!(H5Tget_member_type, id, k)?;
                    members.push((ask!(H5Tget_member_offset, id, k), Self::find(member.id())?));
                }
                Self::Members(members)
            }
            H5T_class_t::H5T_ARRAY => {
                let element: Object = own!(H5Tget_super, id)?;
                let each = ask!(H5Tget_size, element.id());
                Self::Array(size / each.max(1), each, Box::new(Self::find(element.id())?))
            }
            H5T_class_t::H5T_VLEN => {
                let element: Object = own!(H5Tget_super, id)?;
                Self::List(ask!(H5Tget_size, element.id()), Box::new(Self::find(element.id())?))
            }
            _ => Self::Bytes(size),
        })
    }

    /// Whether two values are equal.
    ///
    /// # Safety
    /// Both pointers must point to a value of this kind, as the library reads it into memory.
    pub(super) unsafe fn same(&self, a: *const u8, b: *const u8) -> bool {
        match self {
            Self::Bytes(size) => {
                // SAFETY: both have `size` bytes.
                unsafe { std::slice::from_raw_parts(a, *size) == std::slice::from_raw_parts(b, *size) }
            }
            // SAFETY: both are pointers to texts, or null.
            Self::Text => unsafe { text_at(a) == text_at(b) },
            Self::List(size, kind) => {
                // SAFETY: this is the library's representation of a list.
                let (a, b) = unsafe { (a.cast::<hvl_t>().read_unaligned(), b.cast::<hvl_t>().read_unaligned()) };
                let at = |list: &hvl_t, k: usize| {
                    // SAFETY: the list has more than `k` elements.
                    unsafe { list.p.cast::<u8>().add(k * size).cast_const() }
                };
                // SAFETY: as above.
                a.len == b.len && (0..a.len).all(|k| unsafe { kind.same(at(&a, k), at(&b, k)) })
            }
            Self::Members(members) => members.iter().all(|(offset, kind)| {
                // SAFETY: the member lies in both values.
                unsafe { kind.same(a.add(*offset), b.add(*offset)) }
            }),
            Self::Array(count, size, kind) => (0..*count).all(|k| {
                // SAFETY: the element lies in both values.
                unsafe { kind.same(a.add(k * size), b.add(k * size)) }
            }),
        }
    }
}

/// A text of variable length. Null stands for an empty one.
///
/// # Safety
/// `at` must point to a pointer to a text that ends in zero, or to a null pointer.
unsafe fn text_at<'t>(at: *const u8) -> &'t [u8] {
    // SAFETY: the caller's promise.
    let text = unsafe { at.cast::<*const c_char>().read_unaligned() };
    if text.is_null() {
        return b"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes()
}

/// Whether two types are equal, wherever they are stored.
pub(super) fn same_type(a: &Object, b: &Object) -> Result<bool, Failed> {
    // Copies are types in memory. Lists and texts in files know their file, and would differ.
    let (a, b): (Object, Object) = (own!(H5Tcopy, a.id())?, own!(H5Tcopy, b.id())?);
    Ok(call!(H5Tequal, a.id(), b.id())? > 0)
}

impl Copier<'_> {
    /// Records the attributes that both objects have with different values.
    pub(super) fn compare_attributes(&mut self, source: &Location, copy: &Location, path: &CStr) -> Result<(), Failed> {
        for name in attribute_names(source, None)? {
            if call!(H5Aexists, copy.id(), name.as_ptr())? > 0 {
                self.compare_attribute(source, copy, path, &name)?;
            }
        }
        Ok(())
    }

    /// Records an attribute that both objects have, if its values differ.
    pub(super) fn compare_attribute(
        &mut self,
        source: &Location,
        copy: &Location,
        path: &CStr,
        name: &CStr,
    ) -> Result<(), Failed> {
        let (a, b) = (open_attribute(source, name)?, open_attribute(copy, name)?);
        if !same_attribute(&a, &b)? {
            let (object, attribute) = (text(path), text(name));
            self.done.differing.push(Differing { object, attribute, value: shown(&a)?, kept: shown(&b)? });
        }
        Ok(())
    }
}

/// The value of an attribute as readable text.
pub(super) fn shown_attribute(object: &Location, name: &CStr) -> Result<Option<String>, Failed> {
    if call!(H5Aexists, object.id(), name.as_ptr())? <= 0 {
        return Ok(None);
    }
    shown(&open_attribute(object, name)?).map(Some)
}

fn same_attribute(a: &Object, b: &Object) -> Result<bool, Failed> {
    let types: (Object, Object) = (own!(H5Aget_type, a.id())?, own!(H5Aget_type, b.id())?);
    let spaces: (Object, Object) = (own!(H5Aget_space, a.id())?, own!(H5Aget_space, b.id())?);
    let class = |datatype: &Object| ask!(H5Tget_class, datatype.id());
    if contains_references(&types.0)? || contains_references(&types.1)? {
        return Ok(true);
    }
    if call!(H5Sextent_equal, spaces.0.id(), spaces.1.id())? <= 0 {
        return Ok(false);
    }
    if same_type(&types.0, &types.1)? {
        let (mut x, mut y) = (read_attribute(a)?, read_attribute(b)?);
        let Some(kind) = Kind::of(&x.datatype)? else { return Ok(true) };
        let (size, count) = (ask!(H5Tget_size, x.datatype.id()), x.count());
        let (x, y) = (x.pointer(), y.pointer());
        // SAFETY: both have `count` values of this kind.
        return Ok((0..count).all(|k| unsafe { kind.same(x.add(k * size), y.add(k * size)) }));
    }
    // Compares texts of fixed and of variable length, and numbers of different sizes, by their text.
    Ok(class(&types.0) == class(&types.1) && elements(a)?.is_some_and(|x| elements(b).ok().flatten() == Some(x)))
}

/// The elements of texts and numbers, each as text.
fn elements(attribute: &Object) -> Result<Option<Vec<String>>, Failed> {
    let datatype: Object = own!(H5Aget_type, attribute.id())?;
    let space: Object = own!(H5Aget_space, attribute.id())?;
    macro_rules! numbers {
        ($native:expr, $type:ty) => {{
            let count = usize::try_from(call!(hdf5_sys::h5s::H5Sget_simple_extent_npoints, space.id())?).unwrap_or(0);
            let mut values: Vec<$type> = vec![Default::default(); count];
            call!(H5Aread, attribute.id(), $native, values.as_mut_ptr().cast())?;
            values.iter().map(|value| format!("{value:?}")).collect()
        }};
    }
    Ok(Some(match ask!(H5Tget_class, datatype.id()) {
        H5T_class_t::H5T_INTEGER if ask!(H5Tget_sign, datatype.id()) == H5T_sign_t::H5T_SGN_NONE => {
            numbers!(*H5T_NATIVE_ULLONG, u64)
        }
        H5T_class_t::H5T_INTEGER => numbers!(*H5T_NATIVE_LLONG, i64),
        H5T_class_t::H5T_FLOAT => numbers!(*H5T_NATIVE_DOUBLE, f64),
        H5T_class_t::H5T_STRING => {
            let mut values = read_attribute(attribute)?;
            (0..values.count()).map(|k| string(&mut values, k)).collect::<Result<_, Failed>>()?
        }
        _ => return Ok(None),
    }))
}

/// One of several texts in memory.
fn string(values: &mut Values, k: usize) -> Result<String, Failed> {
    let (id, size) = (values.datatype.id(), ask!(H5Tget_size, values.datatype.id()));
    // SAFETY: there are more than `k` values.
    let at = unsafe { values.pointer().add(k * size) };
    let bytes = if call!(H5Tis_variable_str, id)? > 0 {
        // SAFETY: the value is a pointer to a text.
        unsafe { text_at(at) }
    } else {
        // SAFETY: the value has `size` bytes.
        let bytes = unsafe { std::slice::from_raw_parts(at.cast_const(), size) };
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(size);
        &bytes[..end]
    };
    Ok(String::from_utf8_lossy(bytes).trim_end_matches(' ').to_owned())
}

fn shown(attribute: &Object) -> Result<String, Failed> {
    Ok(match elements(attribute)? {
        None => "another value".to_owned(),
        Some(texts) if texts.len() == 1 => format!("'{}'", texts[0]),
        Some(texts) if texts.len() <= SHOWN => format!("[{}]", texts.join(", ")),
        Some(texts) => format!("[{}, and {} more]", texts[..SHOWN].join(", "), texts.len() - SHOWN),
    })
}

/// An element of any type in memory as readable text.
///
/// # Safety
/// `at` must point to a value of this kind, as the library reads it into memory.
pub(super) unsafe fn shown_value(kind: &Kind, class: H5T_class_t, at: *const u8) -> String {
    let bytes = match kind {
        // SAFETY: the caller's promise.
        Kind::Text => unsafe { text_at(at) },
        // SAFETY: the value has `size` bytes.
        Kind::Bytes(size) => unsafe { std::slice::from_raw_parts(at, *size) },
        _ => return "another value".to_owned(),
    };
    if class == H5T_class_t::H5T_STRING {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        return format!("'{}'", String::from_utf8_lossy(&bytes[..end]));
    }
    bytes.iter().rev().take(16).fold("0x".to_owned(), |shown, byte| shown + &format!("{byte:02x}"))
}
