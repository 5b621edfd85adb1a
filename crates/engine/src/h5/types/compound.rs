//! Datasets of packed records, and texts, in files that other programs read.
#![expect(unsafe_code, reason = "the safe wrapper writes no bytes of a type that is known at run time alone")]

use crate::h5::Failed;
use crate::h5::H5Change;
use crate::h5::change::attribute::{Attribute, text, write_attribute};
use h5part_base::error::ErrorKind;
use hdf5::types::{CompoundField, CompoundType, FloatSize, IntSize, TypeDescriptor, VarLenUnicode};
use hdf5::{Dataset, Datatype, Extent};
use hdf5_sys::h5d::H5Dwrite;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;

/// Type of a member of a record. Numbers are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after what it holds")]
pub enum MemberType {
    /// Bytes of a text, padded with zeros to this many.
    Text(usize),
    F32,
    F64,
    I16,
    I64,
    U8,
    U32,
    U64,
}

/// The records of one dataset: members in order, without gaps.
#[derive(Clone, Copy, Debug)]
pub struct Records<'a> {
    /// Name of the dataset in the root group.
    pub name: &'a str,
    /// Names and types of the members.
    pub members: &'a [(&'a str, MemberType)],
    /// Records per chunk.
    pub chunk: usize,
    /// The records' bytes, one after the other.
    pub bytes: &'a [u8],
}

impl MemberType {
    /// Size in bytes.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Text(n) => n,
            Self::U8 => 1,
            Self::I16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    fn descriptor(self) -> TypeDescriptor {
        match self {
            Self::Text(n) => TypeDescriptor::FixedAscii(n),
            Self::F32 => TypeDescriptor::Float(FloatSize::U4),
            Self::F64 => TypeDescriptor::Float(FloatSize::U8),
            Self::I16 => TypeDescriptor::Integer(IntSize::U2),
            Self::I64 => TypeDescriptor::Integer(IntSize::U8),
            Self::U8 => TypeDescriptor::Unsigned(IntSize::U1),
            Self::U32 => TypeDescriptor::Unsigned(IntSize::U4),
            Self::U64 => TypeDescriptor::Unsigned(IntSize::U8),
        }
    }
}

fn packed(members: &[(&str, MemberType)]) -> CompoundType {
    let mut size = 0;
    let place = |(index, (name, kind)): (usize, &(&str, MemberType))| {
        let field = CompoundField::new(name, kind.descriptor(), size, index);
        size += kind.size();
        field
    };
    let fields = members.iter().enumerate().map(place).collect();
    CompoundType { fields, size }
}

impl H5Change {
    /// Makes a chunked dataset of records in the root group. Its length is unlimited.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] if the bytes are not a whole number of records; library and I/O errors.
    pub fn add_records(&self, records: &Records<'_>) -> Result<(), Failed> {
        let compound = packed(records.members);
        let size = compound.size.max(1);
        if !records.bytes.len().is_multiple_of(size) {
            return Err(ErrorKind::BadRequest(format!("expected whole records of {size} bytes")).into());
        }
        let count = records.bytes.len() / size;
        let descriptor = TypeDescriptor::Compound(compound);
        let builder =
            self.file.new_dataset_builder().packed(true).empty_as(&descriptor).shape(Extent::resizable(count));
        let dataset = builder.chunk((records.chunk,)).obj_track_times(false).create(records.name)?;
        if count == 0 {
            return Ok(());
        }
        let in_memory = Datatype::from_descriptor(&descriptor)?;
        write_all(&dataset, &in_memory, records.bytes, count * size)
    }

    /// Makes a dataset that holds a single text.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn add_text(&self, name: &str, content: &str) -> Result<(), Failed> {
        let dataset = self.file.new_dataset::<VarLenUnicode>().obj_track_times(false).create(name)?;
        Ok(dataset.write_scalar(&text(content)?)?)
    }

    /// Makes a dataset that holds a list of texts.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn add_texts(&self, name: &str, contents: &[String]) -> Result<(), Failed> {
        let texts = contents.iter().map(|content| text(content)).collect::<Result<Vec<_>, _>>()?;
        self.file.new_dataset_builder().with_data(&texts).obj_track_times(false).create(name)?;
        Ok(())
    }

    /// Sets an attribute of the root group of a new file.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn add_root_attribute(&self, name: &str, value: &Attribute) -> Result<(), Failed> {
        write_attribute(&self.file, name, value)
    }
}

fn write_all(dataset: &Dataset, in_memory: &Datatype, bytes: &[u8], needed: usize) -> Result<(), Failed> {
    if bytes.len() != needed || dataset.size().checked_mul(in_memory.size()) != Some(needed) {
        return Err(ErrorKind::Hdf5("the dataset has another length".to_owned()).into());
    }
    hdf5::sync::sync(|| {
        // SAFETY: the ids are alive, and `bytes` are as many as the dataset has elements of the type
        // `in_memory` (checked), which has no pointers: numbers and texts of fixed length.
        hdf5::h5check(unsafe {
            H5Dwrite(dataset.id(), in_memory.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.as_ptr().cast())
        })
    })?;
    Ok(())
}
