//! Reading bundles, and groups that others made in their way.
#![expect(unsafe_code, reason = "the safe wrapper takes it on trust that texts are UTF-8")]

use super::{Bundle, BundleSum, CHECKSUM, Content, Member};
use crate::error::ErrorKind;
use crate::h5::H5File;
use crate::h5::raw::{Hid, call};
use hdf5::plist::dataset_create::Layout;
use hdf5::types::VarLenUnicode;
use hdf5::{Attribute, Container, Dataset, Datatype, Group, LinkType, Location, LocationType};
use hdf5_sys::h5a::H5Aread;
use hdf5_sys::h5d::H5Dread;
#[cfg(not(hdf5_1_14))]
use hdf5_sys::h5d::H5Dvlen_reclaim as reclaim;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;
#[cfg(hdf5_1_14)]
use hdf5_sys::h5t::H5Treclaim as reclaim;
use hdf5_sys::h5t::{H5T_class_t, H5T_cset_t, H5Tget_class, H5Tget_cset, H5Tis_variable_str, H5Tset_cset};
use std::ffi::{CStr, c_char, c_void};

/// A name in a group, and the object that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// What stands for the object, whatever its names are; or why it cannot be opened.
    pub object: Result<String, String>,
}

impl H5File {
    /// The checksum that a bundle was written with. `None`: it is no bundle.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchTable`], library errors.
    pub fn bundle_sum(&self, path: &str) -> Result<Option<BundleSum>, ErrorKind> {
        self.expect_group(path)?;
        self.ask(|| {
            let group = self.file.group(&format!("/{path}"))?;
            let there = group.attr_names()?.iter().any(|name| name == CHECKSUM);
            Ok(if there { Some(BundleSum(group.attr(CHECKSUM)?.read_scalar()?)) } else { None })
        })
    }

    /// The datasets of a group, in the order of their names: all, or those of these names that are there. Numbers of
    /// all kinds come as f64.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchTable`], [`ErrorKind::UnsupportedType`], [`ErrorKind::ValuesOutside`], library errors.
    pub fn read_bundle(&self, path: &str, names: Option<&[String]>) -> Result<Bundle, ErrorKind> {
        self.expect_group(path)?;
        self.ask(|| {
            let group = self.file.group(&format!("/{path}"))?;
            let members = match names {
                None => dataset_names(&group)?,
                Some(names) => names.iter().filter(|name| group.link_exists(name)).cloned().collect(),
            };
            let members = members.into_iter().map(|name| read_member(&group.dataset(&name)?, name));
            Ok(Bundle { members: members.collect::<Result<_, _>>()? })
        })
    }

    /// Names of the datasets of a group.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchTable`], library errors.
    pub fn members_of(&self, path: &str) -> Result<Vec<String>, ErrorKind> {
        self.expect_group(path)?;
        self.ask(|| dataset_names(&self.file.group(&format!("/{path}"))?))
    }

    /// The names of the root group, and what each leads to. h5part's own group is not among them.
    ///
    /// # Errors
    /// Library errors of the root group.
    pub fn root_names(&self) -> Result<Vec<Named>, ErrorKind> {
        self.ask(|| {
            let root = self.file.group("/")?;
            let names = root.links(hdf5::IndexType::Name, hdf5::IterationOrder::Increasing)?;
            let names = names.into_iter().map(|(name, _)| name).filter(|name| name != crate::h5::load::STAMPS_GROUP);
            Ok(names.map(|name| Named { object: opened(&root, &name), name }).collect())
        })
    }
}

/// What stands for an object that can be opened: a group with its links.
fn opened(root: &Group, name: &str) -> Result<String, String> {
    let open = || {
        let info = root.loc_info_by_name(name)?;
        if info.loc_type == LocationType::Group {
            root.group(name)?.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)?;
        }
        Ok(format!("{:?}", info.token))
    };
    open().map_err(|e: hdf5::Error| ErrorKind::from(e).to_string())
}

fn dataset_names(group: &Group) -> Result<Vec<String>, ErrorKind> {
    let links = group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Increasing)?;
    let mut names = Vec::with_capacity(links.len());
    for (name, link) in links {
        if link.link_type == LinkType::Hard && group.loc_type_by_name(&name)? == LocationType::Dataset {
            names.push(name);
        }
    }
    Ok(names)
}

fn read_member(dataset: &Dataset, name: String) -> Result<Member, ErrorKind> {
    let plist = dataset.dcpl()?;
    if plist.get_layout()? == Layout::Virtual || !plist.get_external()?.is_empty() {
        return Err(ErrorKind::ValuesOutside(name));
    }
    let shape: Vec<u64> = dataset.shape().into_iter().map(|n| n as u64).collect();
    let dtype = dataset.dtype()?;
    let content = match class(&dtype)? {
        H5T_class_t::H5T_STRING => {
            let values = read_texts(dataset, &dtype, |memory, buffer| {
                call!(H5Dread, dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer).map(|_| ())
            })?;
            Content::Texts { shape, values }
        }
        H5T_class_t::H5T_FLOAT | H5T_class_t::H5T_INTEGER => {
            Content::Floats { shape, values: dataset.read_raw::<f64>()? }
        }
        _ => {
            let dtype = dtype.to_descriptor().map_or_else(|_| "unknown".to_owned(), |dtype| dtype.to_string());
            return Err(ErrorKind::UnsupportedType { column: name, dtype });
        }
    };
    Ok(Member { attributes: text_attributes(dataset)?, name, content })
}

/// Attributes of one text each; others are left out.
fn text_attributes(object: &Location) -> Result<Vec<(String, String)>, ErrorKind> {
    let mut found = Vec::new();
    for name in object.attr_names()? {
        let attribute: Attribute = object.attr(&name)?;
        let dtype = attribute.dtype()?;
        if class(&dtype)? != H5T_class_t::H5T_STRING || attribute.size() != 1 {
            continue;
        }
        let mut texts = read_texts(&attribute, &dtype, |memory, buffer| {
            call!(H5Aread, attribute.id(), memory, buffer).map(|_| ())
        })?;
        found.extend(texts.pop().map(|text| (name, text)));
    }
    Ok(found)
}

fn class(dtype: &Datatype) -> Result<H5T_class_t, ErrorKind> {
    let class = hdf5::sync::sync(|| {
        // SAFETY: the id is that of a type that outlives the call.
        unsafe { H5Tget_class(dtype.id()) }
    });
    if class == H5T_class_t::H5T_NO_CLASS {
        Err(ErrorKind::Hdf5("a type without a class".to_owned()))
    } else {
        Ok(class)
    }
}

/// All texts of an object, whatever kind of text they are; bytes that are no UTF-8 are replaced.
fn read_texts(
    object: &Container,
    dtype: &Datatype,
    read: impl FnOnce(Hid, *mut c_void) -> hdf5::Result<()>,
) -> Result<Vec<String>, ErrorKind> {
    let count = object.size();
    if call!(H5Tis_variable_str, dtype.id())? == 0 {
        let size = dtype.size();
        let mut bytes = vec![0u8; size.saturating_mul(count)];
        read(dtype.id(), bytes.as_mut_ptr().cast())?;
        let end = |text: &[u8]| text.iter().position(|&b| b == 0).unwrap_or(text.len());
        let texts = bytes.chunks_exact(size.max(1));
        return Ok(texts.map(|text| String::from_utf8_lossy(&text[..end(text)]).into_owned()).collect());
    }
    // The library converts texts between no two character sets: they are read as what they are.
    let memory = Datatype::from_type::<VarLenUnicode>()?;
    let charset = hdf5::sync::sync(|| {
        // SAFETY: the id is that of a type that outlives the call.
        unsafe { H5Tget_cset(dtype.id()) }
    });
    if charset == H5T_cset_t::H5T_CSET_ASCII {
        call!(H5Tset_cset, memory.id(), charset)?;
    }
    let mut pointers: Vec<*mut c_char> = vec![std::ptr::null_mut(); count];
    read(memory.id(), pointers.as_mut_ptr().cast())?;
    let text = |&pointer: &*mut c_char| {
        if pointer.is_null() {
            return String::new();
        }
        // SAFETY: the library has put a text that ends in NUL there, and nobody has freed it yet.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    };
    let texts = pointers.iter().map(text).collect();
    let space = object.space()?;
    call!(reclaim, memory.id(), space.id(), H5P_DEFAULT, pointers.as_mut_ptr().cast())?;
    Ok(texts)
}
