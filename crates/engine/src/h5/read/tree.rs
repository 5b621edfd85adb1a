//! Overview of a file: every group, dataset and link, with type, shape, filters and attributes. Reads no values.

use crate::h5::H5File;
use crate::h5::bundle::CHECKSUM;
use crate::h5::cells::filters;
use crate::h5::change::attribute::read_attribute;
use crate::h5::marks::format::{STAMPS_GROUP, TABLE_ATTRIBUTE};
use crate::h5::read::groups::object_id;
use crate::h5::{Attribute, Failed};
use h5part_base::dataspace::path_below;
use hdf5::datatype::ByteOrder;
use hdf5::types::TypeDescriptor;
use hdf5::{Container, Dataset, Datatype, Group, LinkType, Location, LocationType};
use serde::Serialize;
use std::collections::HashMap;

/// Array attributes are shown up to this many elements.
const MOST_ELEMENTS: usize = 8;

/// One name in a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TreeEntry {
    /// Its path, without a slash at the start; empty for the root.
    pub path: String,
    /// How many groups it is below the root.
    pub depth: usize,
    /// What it names.
    #[serde(flatten)]
    pub object: TreeObject,
    /// Names of attributes with their values as text, or with their types if the values are not shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
}

/// What a name refers to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TreeObject {
    /// A group.
    Group {
        /// Number of its members.
        members: usize,
        /// Whether it is a table with stamps.
        table: bool,
        /// Whether it is a bundle.
        bundle: bool,
    },
    /// A dataset.
    Dataset {
        /// Its type as text.
        dtype: String,
        /// Its shape; empty for a scalar, `None` for a dataset without elements.
        shape: Option<Vec<u64>>,
        /// Maximum length of each axis; `None` for an unlimited axis.
        most: Vec<Option<u64>>,
        /// Shape of a chunk.
        #[serde(skip_serializing_if = "Option::is_none")]
        chunk: Option<Vec<u64>>,
        /// In the order in which they are applied when writing.
        filters: Vec<String>,
        /// Bytes that its values take in the file.
        stored_bytes: u64,
    },
    /// A named type.
    Type {
        /// As text.
        dtype: String,
    },
    /// Another name of an object that was listed before.
    Again {
        /// Its first path.
        first: String,
    },
    /// A soft link, which is not followed.
    SoftLink,
    /// A link into another file, which is not followed.
    ExternalLink,
    /// An object that HDF5 cannot open.
    Unopenable {
        /// HDF5's message.
        why: String,
    },
}

impl H5File {
    /// All names of the file. Each group comes before its members. Does not enter the stamps of tables.
    ///
    /// # Errors
    /// Library errors of the root group.
    pub fn tree(&self) -> Result<Vec<TreeEntry>, Failed> {
        self.ask(|| {
            let root = self.file.group("/")?;
            let mut tree = Tree { entries: Vec::new(), first: HashMap::new(), todo: Vec::new() };
            tree.first.insert(object_id(&root.loc_info()?), "/".to_owned());
            tree.group(&root, "", 0);
            while let Some(Todo { parent, name, path, depth, link }) = tree.todo.pop() {
                tree.name(&parent, &name, path, depth, link);
            }
            Ok(tree.entries)
        })
    }
}

/// A name that is still to be visited.
struct Todo {
    parent: Group,
    name: String,
    path: String,
    depth: usize,
    link: LinkType,
}

struct Tree {
    entries: Vec<TreeEntry>,
    /// The first path of each object.
    first: HashMap<String, String>,
    todo: Vec<Todo>,
}

impl Tree {
    fn add(&mut self, path: String, depth: usize, object: TreeObject, attributes: Vec<(String, String)>) {
        self.entries.push(TreeEntry { path, depth, object, attributes });
    }

    fn name(&mut self, parent: &Group, name: &str, path: String, depth: usize, link: LinkType) {
        let object = match link {
            LinkType::Soft => TreeObject::SoftLink,
            LinkType::External => TreeObject::ExternalLink,
            LinkType::Hard => match self.object(parent, name, &path, depth) {
                Ok(None) => return,
                Ok(Some(object)) => object,
                Err(e) => TreeObject::Unopenable { why: e.to_string() },
            },
        };
        self.add(path, depth, object, Vec::new());
    }

    /// Describes an object. `None`: the entry was already added, with its attributes.
    fn object(&mut self, parent: &Group, name: &str, path: &str, depth: usize) -> Result<Option<TreeObject>, Failed> {
        let info = parent.loc_info_by_name(name)?;
        let id = object_id(&info);
        if let Some(first) = self.first.get(&id) {
            return Ok(Some(TreeObject::Again { first: first.clone() }));
        }
        self.first.insert(id, path.to_owned());
        match info.loc_type {
            LocationType::Group => self.group(&parent.group(name)?, path, depth),
            LocationType::Dataset => {
                let dataset = parent.dataset(name)?;
                self.add(path.to_owned(), depth, described(&dataset)?, attributes(&dataset));
            }
            _ => {
                let dtype = parent.committed_datatype(name)?;
                return Ok(Some(TreeObject::Type { dtype: in_words(dtype.as_datatype()) }));
            }
        }
        Ok(None)
    }

    fn group(&mut self, group: &Group, path: &str, depth: usize) {
        let links = group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Increasing);
        let links: Vec<_> = links.map(|links| links.into_iter().collect()).unwrap_or_default();
        let names = group.attr_names().unwrap_or_default();
        let has = |attribute: &str| names.iter().any(|name| name == attribute);
        let (table, bundle) = (has(TABLE_ATTRIBUTE), has(CHECKSUM));
        let object = TreeObject::Group { members: links.len(), table, bundle };
        self.add(path.to_owned(), depth, object, attributes(group));
        if path == STAMPS_GROUP {
            return;
        }
        for (name, link) in links.into_iter().rev() {
            let below = path_below(path, &name);
            self.todo.push(Todo { parent: group.clone(), name, path: below, depth: depth + 1, link: link.link_type });
        }
    }
}

fn described(dataset: &Dataset) -> Result<TreeObject, Failed> {
    let (space, plist) = (dataset.space()?, dataset.dcpl()?);
    let is_null = space.is_null();
    let shape = space.shape().into_iter().map(|axis| axis as u64).collect();
    let most = space.maxdims().into_iter().map(|axis| axis.map(|axis| axis as u64)).collect();
    Ok(TreeObject::Dataset {
        dtype: in_words(&dataset.dtype()?),
        shape: (!is_null).then_some(shape),
        most,
        chunk: dataset.chunk().map(|chunk| chunk.into_iter().map(|axis| axis as u64).collect()),
        filters: filters::stored(&plist)?.iter().map(ToString::to_string).collect(),
        stored_bytes: dataset.storage_size(),
    })
}

fn in_words(dtype: &Datatype) -> String {
    let Ok(descriptor) = dtype.to_descriptor() else { return format!("a type of {} bytes", dtype.size()) };
    let order = if dtype.byte_order() == ByteOrder::BigEndian { ", big-endian" } else { "" };
    format!("{descriptor}{order}")
}

/// Attributes, without h5part's own.
fn attributes(object: &Location) -> Vec<(String, String)> {
    let names = object.attr_names().unwrap_or_default();
    let own = |name: &String| name.starts_with("h5part_");
    let text = |name: &String| value(object, name).unwrap_or_else(|e| format!("cannot be opened: {e}"));
    names.iter().filter(|name| !own(name)).map(|name| (name.clone(), text(name))).collect()
}

fn value(object: &Location, name: &str) -> Result<String, Failed> {
    let attribute = object.attr(name)?;
    if let Some(value) = object.as_group().ok().and_then(|group| read_attribute(&group, name).ok().flatten()) {
        return Ok(match value {
            Attribute::Bool(value) => value.to_string(),
            Attribute::Int(value) => value.to_string(),
            Attribute::Float(value) => value.to_string(),
            Attribute::Text(text) => text,
            Attribute::Texts(texts) => texts.join(", "),
        });
    }
    let dtype = attribute.dtype()?;
    let shown = if attribute.size() <= MOST_ELEMENTS { elements(&attribute, &dtype) } else { None };
    let shape = attribute.shape().iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
    let kind = || if shape.is_empty() { in_words(&dtype) } else { format!("{}, {shape}", in_words(&dtype)) };
    Ok(shown.unwrap_or_else(|| format!("({})", kind())))
}

/// The values of a small attribute, if they are numbers or text.
fn elements(attribute: &Container, dtype: &Datatype) -> Option<String> {
    use hdf5::types::{VarLenAscii, VarLenUnicode};
    fn joined<T: ToString>(values: &[T]) -> String {
        values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
    match dtype.to_descriptor().ok()? {
        TypeDescriptor::Integer(_) => attribute.read_raw::<i64>().ok().map(|values| joined(&values)),
        TypeDescriptor::Unsigned(_) => attribute.read_raw::<u64>().ok().map(|values| joined(&values)),
        TypeDescriptor::Float(_) => attribute.read_raw::<f64>().ok().map(|values| joined(&values)),
        TypeDescriptor::Boolean => attribute.read_raw::<bool>().ok().map(|values| joined(&values)),
        TypeDescriptor::VarLenUnicode => attribute.read_raw::<VarLenUnicode>().ok().map(|values| joined(&values)),
        TypeDescriptor::VarLenAscii => attribute.read_raw::<VarLenAscii>().ok().map(|values| joined(&values)),
        _ => None,
    }
}
