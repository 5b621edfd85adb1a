//! Attributes of a table's group.

use super::format::STAMPS_GROUP;
use super::groups::{Groups, members, object_id};
use super::{H5Change, H5File};
use crate::h5::Failed;
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::ErrorKind;
use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Group, Location, LocationType};
use std::collections::HashSet;
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
    /// Text, also where it reads like a number: see [`Attribute::parse`].
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
    /// Reads a value as the command line takes it: `true` and `false` are bools, numbers are numbers, all else is text.
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

    /// Attributes from their texts.
    #[must_use]
    pub fn list(texts: &[(String, String)]) -> Vec<(String, Self)> {
        texts.iter().map(|(name, value)| (name.clone(), Self::parse(value))).collect()
    }
}

impl H5Change {
    /// Sets attributes of a group; those that exist are replaced.
    ///
    /// # Errors
    /// [`ErrorKind::ReservedName`], library errors.
    pub fn set_attributes(&self, group: &str, attributes: &[(String, Attribute)]) -> Result<(), Failed> {
        attributes.iter().try_for_each(|(name, _)| refuse_reserved(name))?;
        let group = self.file.group(&format!("/{group}"))?;
        for (name, value) in attributes {
            if group.attr_names()?.contains(name) {
                group.delete_attr(name)?;
            }
            write_attribute(&group, name, value)?;
        }
        Ok(())
    }

    /// As [`H5File::attribute`], in the middle of the change.
    ///
    /// # Errors
    /// Library errors.
    pub fn attribute(&self, group: &str, name: &str) -> Result<Option<Attribute>, Failed> {
        read_attribute(&self.file.group(&format!("/{group}"))?, name)
    }
}

impl H5File {
    /// An attribute of a group, if it is there and of a kind that [`Attribute`] has.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn attribute(&self, group: &str, name: &str) -> Result<Option<Attribute>, Failed> {
        self.expect_group(group)?;
        self.ask(|| read_attribute(&self.file.group(&format!("/{group}"))?, name))
    }
}

impl H5File {
    /// All groups that have this attribute as one text, with it; ascending.
    ///
    /// # Errors
    /// Library errors.
    pub fn groups_with(&self, name: &str) -> Result<Vec<(String, String)>, Failed> {
        self.ask(|| {
            let (mut found, mut seen) = (Vec::new(), HashSet::new());
            let mut groups = Groups::of(&self.file)?;
            while let Some((path, group)) = groups.next() {
                let group = group?;
                // Links may lead in circles.
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

/// An attribute, if it is there and of a kind that [`Attribute`] has.
pub(super) fn read_attribute(group: &Group, name: &str) -> Result<Option<Attribute>, Failed> {
    if !group.attr_names()?.iter().any(|n| n == name) {
        return Ok(None);
    }
    let attribute = group.attr(name)?;
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

pub(super) fn text(text: &str) -> Result<VarLenUnicode, Failed> {
    VarLenUnicode::from_str(text).map_err(|e| ErrorKind::BadRequest(format!("a text for HDF5: {e}")).into())
}

pub(super) fn write_attribute(object: &Location, name: &str, value: &Attribute) -> Result<(), Failed> {
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
