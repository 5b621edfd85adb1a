//! Attributes of tables and of their columns.
#![expect(unsafe_code, reason = "the safe wrapper opens no object whose kind is not known")]

use crate::h5::Failed;
use crate::h5::library::raw::own;
use crate::h5::marks::format::STAMPS_GROUP;
use crate::h5::read::groups::{Groups, members, object_id};
use crate::h5::{H5Change, H5File};
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::ErrorKind;
use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Location, LocationType};
use hdf5_sys::h5o::H5Oopen;
use hdf5_sys::h5p::H5P_DEFAULT;
use std::collections::HashSet;
use std::ffi::CString;
use std::str::FromStr;

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is named after what it holds")]
pub enum Attribute {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// One axis of variable-length UTF-8.
    Texts(Vec<String>),
}

impl From<bool> for Attribute {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Attribute {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Attribute {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Attribute {
    /// A text stays a text, even if it looks like a number. [`Attribute::parse`] guesses the type.
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Attribute {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Attribute {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl Attribute {
    /// Parses a value of the command line: `true` and `false` become bools, numbers become numbers, all else stays
    /// text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => match (text.parse(), text.parse()) {
                (Ok(int), _) => Self::Int(int),
                (_, Ok(float)) => Self::Float(float),
                _ => Self::Text(text.to_owned()),
            },
        }
    }

    /// Parses a list of attributes.
    #[must_use]
    pub fn list(texts: &[(String, String)]) -> Vec<(String, Self)> {
        texts.iter().map(|(name, value)| (name.clone(), Self::parse(value))).collect()
    }
}

impl H5Change {
    /// Sets attributes of a group or a dataset. Existing ones are replaced.
    ///
    /// # Errors
    /// [`ErrorKind::ReservedName`], library errors.
    pub fn set_attributes(&self, path: &str, attributes: &[(String, Attribute)]) -> Result<(), Failed> {
        attributes.iter().try_for_each(|(name, _)| refuse_reserved(name))?;
        if attributes.is_empty() {
            return Ok(());
        }
        let object = open(&self.file, path)?;
        for (name, value) in attributes {
            if object.attr_names()?.contains(name) {
                object.delete_attr(name)?;
            }
            write_attribute(&object, name, value)?;
        }
        Ok(())
    }

    /// Reads an attribute during the change, as [`H5File::attribute`] does.
    ///
    /// # Errors
    /// Library errors.
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, Failed> {
        read_attribute(&open(&self.file, path)?, name)
    }
}

impl H5File {
    /// Reads an attribute of a group. `None`: it does not exist, or [`Attribute`] has no variant for its kind.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::WrongObject`] for a dataset, library errors.
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>, Failed> {
        self.expect_group(path)?;
        self.attribute_of(path, name)
    }

    /// Reads an attribute of a group or a dataset, as [`H5File::attribute`] does.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn attribute_of(&self, path: &str, name: &str) -> Result<Option<Attribute>, Failed> {
        self.expect_object(path)?;
        self.ask(|| read_attribute(&open(&self.file, path)?, name))
    }

    /// Checks that a group or a dataset exists at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn expect_object(&self, path: &str) -> Result<(), Failed> {
        if self.ask(|| Ok(open(&self.file, path).is_ok()))? { Ok(()) } else { self.expect_group(path) }
    }
}

impl H5File {
    /// Names of the attributes of a group or a dataset, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn attribute_names(&self, path: &str) -> Result<Vec<String>, Failed> {
        self.expect_object(path)?;
        let mut names = self.ask(|| Ok(open(&self.file, path)?.attr_names()?))?;
        names.sort_unstable();
        Ok(names)
    }

    /// Paths of all groups that have this attribute as a single text, each with that text; sorted.
    ///
    /// # Errors
    /// Library errors.
    pub fn groups_with(&self, name: &str) -> Result<Vec<(String, String)>, Failed> {
        self.ask(|| {
            let (mut found, mut seen) = (Vec::new(), HashSet::new());
            let mut groups = Groups::of(&self.file)?;
            while let Some((path, group)) = groups.next() {
                let group = group?;
                // Links may form cycles.
                if !seen.insert(object_id(&group.loc_info()?)) {
                    continue;
                }
                if let Some(Attribute::Text(text)) = read_attribute(&group, name)? {
                    found.push((path.clone(), text));
                }
                let below = members(&group, LocationType::Group)?.into_iter().filter(|name| name != STAMPS_GROUP);
                for name in below {
                    groups.push(&group, &path, name);
                }
            }
            found.sort_unstable();
            Ok(found)
        })
    }
}

/// Opens the object at a path, whatever its kind.
fn open(file: &hdf5::File, path: &str) -> Result<Location, Failed> {
    let name = CString::new(format!("/{path}"))
        .map_err(|_| ErrorKind::BadRequest("a path must not contain NUL".to_owned()))?;
    Ok(own!(H5Oopen, file.id(), name.as_ptr(), H5P_DEFAULT)?)
}

/// Reads an attribute. `None`: it does not exist, or [`Attribute`] has no variant for its kind.
pub(in crate::h5) fn read_attribute(object: &Location, name: &str) -> Result<Option<Attribute>, Failed> {
    if !object.attr_names()?.iter().any(|n| n == name) {
        return Ok(None);
    }
    let attribute = object.attr(name)?;
    let own = |text: &VarLenUnicode| text.as_str().to_owned();
    Ok(match (attribute.dtype()?.to_descriptor()?, attribute.ndim()) {
        (TypeDescriptor::Boolean, 0) => Some(Attribute::Bool(attribute.read_scalar()?)),
        (TypeDescriptor::Integer(_), 0) => Some(Attribute::Int(attribute.read_scalar()?)),
        (TypeDescriptor::Float(_), 0) => Some(Attribute::Float(attribute.read_scalar()?)),
        (TypeDescriptor::VarLenUnicode, 0) => Some(Attribute::Text(own(&attribute.read_scalar()?))),
        (TypeDescriptor::VarLenUnicode, 1) => {
            Some(Attribute::Texts(attribute.read_1d::<VarLenUnicode>()?.iter().map(own).collect()))
        }
        _ => None,
    })
}

pub(in crate::h5) fn text(text: &str) -> Result<VarLenUnicode, Failed> {
    VarLenUnicode::from_str(text).map_err(|e| ErrorKind::BadRequest(format!("a text for HDF5: {e}")).into())
}

pub(in crate::h5) fn write_attribute(object: &Location, name: &str, value: &Attribute) -> Result<(), Failed> {
    match value {
        Attribute::Bool(v) => object.new_attr::<bool>().create(name)?.write_scalar(v)?,
        Attribute::Int(v) => object.new_attr::<i64>().create(name)?.write_scalar(v)?,
        Attribute::Float(v) => object.new_attr::<f64>().create(name)?.write_scalar(v)?,
        Attribute::Text(v) => object.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(v)?)?,
        Attribute::Texts(v) => {
            let texts = v.iter().map(|v| text(v)).collect::<Result<Vec<_>, _>>()?;
            object.new_attr_builder().with_data(&texts).create(name)?;
        }
    }
    Ok(())
}
