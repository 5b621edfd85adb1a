//! Texts of h5part's own, stored as attributes.
//!
//! They have a fixed length, so they lie in the header of their object. Texts of variable length lie in heaps that the
//! whole file shares. If a loss of power destroys such a heap, the library never stops reading it, and nothing could be
//! recovered. Earlier versions wrote those texts, and they are still read.
#![expect(
    unsafe_code,
    reason = "the safe wrapper knows no lengths that are found at run time; the macros call the library"
)]

use crate::h5::Failed;
use crate::h5::library::raw::call;
use h5part_base::error::ErrorKind;
use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Attribute, Datatype, Location};
use hdf5_sys::h5a::{H5Aread, H5Awrite};
use std::ops::Range;
use std::str::FromStr;

/// Most bytes of one attribute: messages in an object header are smaller than 64 KiB.
const MOST_BYTES: usize = 32 << 10;

/// Writes one text, in place of any earlier one.
pub(in crate::h5) fn write_text(object: &Location, name: &str, text: &str) -> Result<(), Failed> {
    remove(object, name)?;
    if text.len() > MOST_BYTES {
        let attribute = object.new_attr::<VarLenUnicode>().create(name)?;
        return Ok(attribute.write_scalar(&variable(text)?)?);
    }
    let width = text.len().max(1);
    let attribute = object.new_attr_builder().empty_as(TypeDescriptor::FixedUnicode(width)).create(name)?;
    fill(&attribute, &padded(&[text], width)?)
}

/// Writes a list of texts, in place of any earlier one. A list that is too long for one attribute continues in further
/// ones: `name.2`, `name.3`. Each is as wide as its longest text.
pub(in crate::h5) fn write_texts<T: AsRef<str>>(object: &Location, name: &str, texts: &[T]) -> Result<(), Failed> {
    remove(object, name)?;
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    for (k, part) in parts(&texts).into_iter().enumerate() {
        let (name, texts) = (name_of_part(name, k), texts.get(part).unwrap_or_default());
        let width = width_of(texts);
        if width > MOST_BYTES {
            let texts = texts.iter().map(|text| variable(text)).collect::<Result<Vec<_>, _>>()?;
            object.new_attr_builder().with_data(&texts).create(name.as_str())?;
            continue;
        }
        let builder = object.new_attr_builder().empty_as(TypeDescriptor::FixedUnicode(width));
        fill(&builder.shape(texts.len()).create(name.as_str())?, &padded(texts, width)?)?;
    }
    Ok(())
}

/// Reads one text of fixed or variable length.
pub(in crate::h5) fn read_text(object: &Location, name: &str) -> Result<String, Failed> {
    let none = || ErrorKind::Hdf5(format!("attribute '{name}' holds no text")).into();
    read_part(&object.attr(name)?)?.into_iter().next().ok_or_else(none)
}

/// Reads a list of texts of fixed or variable length, with its further attributes.
pub(in crate::h5) fn read_texts(object: &Location, name: &str) -> Result<Vec<String>, Failed> {
    let there = object.attr_names()?;
    let mut texts = read_part(&object.attr(name)?)?;
    let further = (1..).map(|k| name_of_part(name, k)).take_while(|name| there.contains(name));
    for name in further {
        texts.extend(read_part(&object.attr(&name)?)?);
    }
    Ok(texts)
}

/// Removes a text, or a list with its further attributes, if it exists.
pub(in crate::h5) fn remove(object: &Location, name: &str) -> Result<(), Failed> {
    let there = object.attr_names()?;
    let names = (0..).map(|k| name_of_part(name, k)).take_while(|name| there.contains(name));
    for name in names {
        object.delete_attr(&name)?;
    }
    Ok(())
}

fn name_of_part(name: &str, k: usize) -> String {
    if k == 0 { name.to_owned() } else { format!("{name}.{}", k + 1) }
}

/// Groups the texts into attributes; returns at least one group.
fn parts(texts: &[&str]) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut width) = (Vec::new(), 0, 1);
    for (k, text) in texts.iter().enumerate() {
        let wider = text.len().max(width);
        if k > start && (k + 1 - start).saturating_mul(wider) > MOST_BYTES {
            parts.push(start..k);
            (start, width) = (k, text.len().max(1));
        } else {
            width = wider;
        }
    }
    parts.push(start..texts.len());
    parts
}

fn width_of(texts: &[&str]) -> usize {
    texts.iter().map(|text| text.len()).max().unwrap_or(0).max(1)
}

/// The texts, each padded with zeros.
fn padded(texts: &[&str], width: usize) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::with_capacity(texts.len() * width);
    for (k, text) in texts.iter().enumerate() {
        if text.contains('\0') {
            return Err(ErrorKind::BadRequest(format!("a text for HDF5 must not contain NUL: {text:?}")).into());
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize((k + 1) * width, 0);
    }
    Ok(bytes)
}

fn variable(text: &str) -> Result<VarLenUnicode, Failed> {
    VarLenUnicode::from_str(text).map_err(|e| ErrorKind::BadRequest(format!("a text for HDF5: {e}")).into())
}

fn fill(attribute: &Attribute, bytes: &[u8]) -> Result<(), Failed> {
    let dtype = attribute.dtype()?;
    check_len(attribute, &dtype, bytes)?;
    call!(H5Awrite, attribute.id(), dtype.id(), bytes.as_ptr().cast())?;
    Ok(())
}

/// The texts of one attribute. Bytes that are not UTF-8 are replaced.
fn read_part(attribute: &Attribute) -> Result<Vec<String>, Failed> {
    let dtype = attribute.dtype()?;
    let width = match dtype.to_descriptor()? {
        TypeDescriptor::FixedUnicode(width) | TypeDescriptor::FixedAscii(width) => width.max(1),
        _ => return Ok(attribute.read_raw::<VarLenUnicode>()?.iter().map(|text| text.as_str().to_owned()).collect()),
    };
    let mut bytes = vec![0u8; attribute.size().saturating_mul(width)];
    check_len(attribute, &dtype, &bytes)?;
    call!(H5Aread, attribute.id(), dtype.id(), bytes.as_mut_ptr().cast())?;
    let end = |text: &[u8]| text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
    let texts = bytes.chunks_exact(width).map(|text| text.get(..end(text)).unwrap_or_default());
    Ok(texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect())
}

/// Checks that the library will move as many bytes as the buffer holds.
fn check_len(attribute: &Attribute, dtype: &Datatype, bytes: &[u8]) -> Result<(), Failed> {
    if attribute.size().checked_mul(dtype.size()) == Some(bytes.len()) {
        return Ok(());
    }
    Err(ErrorKind::Hdf5(format!("attribute '{}' is not as large as it says", attribute.name())).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_hold_all_texts_in_order_and_no_more_bytes_than_fit() {
        let long = "x".repeat(MOST_BYTES + 1);
        let names: Vec<String> = (0..4096).map(|k| format!("column number {k}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(parts(&[]), [0..0]);
        assert_eq!(parts(&["a", "b", ""]), [0..3]);
        assert_eq!(parts(&["a", &long, "b"]), [0..1, 1..2, 2..3]);
        let found = parts(&names);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|part| part.len() * width_of(&names[part.clone()]) <= MOST_BYTES));
    }

    proptest! {
        #[test]
        fn parts_are_cut_as_late_as_fits(lengths in prop::collection::vec(0usize..20_000, 0..30)) {
            let texts: Vec<String> = lengths.iter().map(|&n| "y".repeat(n)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let found = parts(&texts);
            prop_assert_eq!(found.first().map(|part| part.start), Some(0));
            prop_assert_eq!(found.last().map(|part| part.end), Some(texts.len()));
            for pair in found.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
                let more = pair[0].start..pair[0].end + 1;
                prop_assert!(more.len() * width_of(&texts[more]) > MOST_BYTES);
            }
            for part in found {
                prop_assert!(part.len() * width_of(&texts[part]) <= MOST_BYTES);
            }
        }
    }
}
