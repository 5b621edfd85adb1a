//! Reads bundles, and groups of the same kind that other programs made.
#![expect(unsafe_code, reason = "the safe wrapper takes it on trust that texts are UTF-8")]

use super::{Bundle, BundleSum, CHECKSUM, Content, Member};
use crate::h5::Failed;
use crate::h5::H5File;
use crate::h5::library::raw::{Hid, call, own};
use crate::h5::marks::format::STAMPS_GROUP;
use crate::h5::read::groups::object_id;
use h5part_base::error::{ErrorKind, Item};
use hdf5::plist::dataset_create::Layout;
use hdf5::types::{VarLenAscii, VarLenUnicode};
use hdf5::{Attribute, Container, Datatype, Group, LinkType, Location, LocationType};
use hdf5_sys::h5a::H5Aread;
use hdf5_sys::h5d::H5Dread;
use hdf5_sys::h5i::H5I_type_t;
use hdf5_sys::h5o::H5Oopen;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;
use hdf5_sys::h5t::H5Treclaim as reclaim;
use hdf5_sys::h5t::{H5T_class_t, H5T_cset_t, H5Tget_class, H5Tget_cset, H5Tis_variable_str};
use std::ffi::{CStr, CString, c_char, c_void};

/// A name in a group, with the object that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Identifies the object, whatever its names are; or says why it cannot be opened.
    pub object: Result<String, String>,
}

impl H5File {
    /// The checksum that a bundle was written with. `None`: the group is not a bundle.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn bundle_sum(&self, path: &str) -> Result<Option<BundleSum>, Failed> {
        self.ask(|| {
            let group = self.bundle_group(path)?;
            let there = group.attr_names()?.iter().any(|name| name == CHECKSUM);
            Ok(if there { Some(BundleSum(group.attr(CHECKSUM)?.read_scalar()?)) } else { None })
        })
    }

    /// Reads the datasets of a group: all of them, sorted by name, or those of `names` that exist, in the order given.
    /// Numbers of all kinds become f64.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::UnsupportedColumn`], library errors.
    pub fn read_bundle(&self, path: &str, names: Option<&[String]>) -> Result<Bundle, Failed> {
        self.ask(|| {
            let group = self.bundle_group(path)?;
            let names = match names {
                None => hard_links(&group)?,
                Some(names) => names.iter().filter(|name| group.link_exists(name)).cloned().collect(),
            };
            let reader = MemberReader::new(&group)?;
            let members = names.into_iter().filter_map(|name| reader.read(name).transpose());
            Ok(Bundle { members: members.collect::<Result<_, _>>()? })
        })
    }

    fn bundle_group(&self, path: &str) -> Result<Group, Failed> {
        let mut group = self.file.group("/")?;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !group.link_exists(part) {
                return Err(ErrorKind::not_found(Item::Group(path.to_owned())).into());
            }
            group = group.group(part)?;
        }
        Ok(group)
    }

    /// Names of the datasets of a group.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], library errors.
    pub fn members_of(&self, path: &str) -> Result<Vec<String>, Failed> {
        self.ask(|| dataset_names(&self.bundle_group(path)?))
    }

    /// The names in the root group, and the object of each. h5part's own group is left out.
    ///
    /// # Errors
    /// Library errors of the root group.
    pub fn root_names(&self) -> Result<Vec<Named>, Failed> {
        self.ask(|| {
            let root = self.file.group("/")?;
            let names = root.links(hdf5::IndexType::Name, hdf5::IterationOrder::Increasing)?;
            let names = names.into_iter().map(|(name, _)| name).filter(|name| name != STAMPS_GROUP);
            Ok(names.map(|name| Named { object: opened(&root, &name), name }).collect())
        })
    }
}

/// Identifies an object that can be opened. For a group its links must be readable, too.
fn opened(root: &Group, name: &str) -> Result<String, String> {
    let open = || {
        let info = root.loc_info_by_name(name)?;
        if info.loc_type == LocationType::Group {
            let group = root.group(name)?;
            // A bundle was written as a whole. A group of another program may have an object header but no links yet.
            if group.attr(CHECKSUM).is_err() {
                group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)?;
            }
        }
        Ok(object_id(&info))
    };
    open().map_err(|e: hdf5::Error| Failed::from(e).to_string())
}

fn dataset_names(group: &Group) -> Result<Vec<String>, Failed> {
    let mut names = hard_links(group)?;
    let mut types = names.iter().map(|name| group.loc_type_by_name(name)).collect::<Result<Vec<_>, _>>()?.into_iter();
    names.retain(|_| types.next() == Some(LocationType::Dataset));
    Ok(names)
}

fn hard_links(group: &Group) -> Result<Vec<String>, Failed> {
    let links = group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Increasing)?;
    let hard = links.into_iter().filter(|(_, link)| link.link_type == LinkType::Hard);
    Ok(hard.map(|(name, _)| name).collect())
}

/// What reading any member needs: the group, and the types of texts in memory.
struct MemberReader<'a> {
    group: &'a Group,
    utf8: Datatype,
    ascii: Datatype,
}

impl<'a> MemberReader<'a> {
    fn new(group: &'a Group) -> Result<Self, Failed> {
        let (utf8, ascii) = (Datatype::from_type::<VarLenUnicode>()?, Datatype::from_type::<VarLenAscii>()?);
        Ok(Self { group, utf8, ascii })
    }

    /// Reads a member. `None`: it is not a dataset.
    fn read(&self, name: String) -> Result<Option<Member>, Failed> {
        let c_name = CString::new(name.as_str()).map_err(|_| ErrorKind::Hdf5(format!("the name {name:?}")))?;
        // Asking for its kind by name would open it a second time.
        let object: Location = own!(H5Oopen, self.group.id(), c_name.as_ptr(), H5P_DEFAULT)?;
        if object.id_type() != H5I_type_t::H5I_DATASET {
            return Ok(None);
        }
        let dataset = object.as_dataset()?;
        let dtype = dataset.dtype()?;
        let (class, shape) = (class(&dtype)?, dataset.shape());
        if !matches!(class, H5T_class_t::H5T_STRING | H5T_class_t::H5T_FLOAT | H5T_class_t::H5T_INTEGER) {
            let dtype = dtype.to_descriptor().map_or_else(|_| "unknown".to_owned(), |dtype| dtype.to_string());
            return Err(ErrorKind::UnsupportedColumn { column: name, dtype: Some(dtype) }.into());
        }
        let plist = dataset.dcpl()?;
        if plist.get_layout()? == Layout::Virtual || !plist.get_external()?.is_empty() {
            return Err(ErrorKind::UnsupportedColumn { column: name, dtype: None }.into());
        }
        let count = shape.iter().product();
        let shape = shape.into_iter().map(|n| n as u64).collect();
        let content = if class == H5T_class_t::H5T_STRING {
            let values = self.texts(count, &dataset, &dtype, |memory, buffer| {
                call!(H5Dread, dataset.id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, buffer).map(|_| ())
            })?;
            Content::Texts { shape, values }
        } else {
            Content::Floats { shape, values: dataset.read_raw::<f64>()? }
        };
        Ok(Some(Member { attributes: self.attributes(&dataset)?, name, content }))
    }

    /// Reads the attributes that hold a single text. Others are left out.
    fn attributes(&self, object: &Location) -> Result<Vec<(String, String)>, Failed> {
        let mut found = Vec::new();
        for name in object.attr_names()? {
            let attribute: Attribute = object.attr(&name)?;
            let dtype = attribute.dtype()?;
            if class(&dtype)? != H5T_class_t::H5T_STRING || attribute.size() != 1 {
                continue;
            }
            let mut texts = self.texts(1, &attribute, &dtype, |memory, buffer| {
                call!(H5Aread, attribute.id(), memory, buffer).map(|_| ())
            })?;
            found.extend(texts.pop().map(|text| (name, text)));
        }
        Ok(found)
    }

    /// All texts of an object, of fixed or variable length. Bytes that are not UTF-8 are replaced.
    fn texts(
        &self,
        count: usize,
        object: &Container,
        dtype: &Datatype,
        read: impl FnOnce(Hid, *mut c_void) -> hdf5::Result<()>,
    ) -> Result<Vec<String>, Failed> {
        if call!(H5Tis_variable_str, dtype.id())? == 0 {
            let size = dtype.size();
            let mut bytes = vec![0u8; size.saturating_mul(count)];
            read(dtype.id(), bytes.as_mut_ptr().cast())?;
            let end = |text: &[u8]| text.iter().position(|&b| b == 0).unwrap_or(text.len());
            let texts = bytes.chunks_exact(size.max(1));
            return Ok(texts.map(|text| String::from_utf8_lossy(&text[..end(text)]).into_owned()).collect());
        }
        let charset = hdf5::sync::sync(|| {
            // SAFETY: the id is that of a type that outlives the call.
            unsafe { H5Tget_cset(dtype.id()) }
        });
        // The library does not convert texts between character sets, so they are read in their own.
        let memory = if charset == H5T_cset_t::H5T_CSET_ASCII { &self.ascii } else { &self.utf8 };
        let mut pointers: Vec<*mut c_char> = vec![std::ptr::null_mut(); count];
        read(memory.id(), pointers.as_mut_ptr().cast())?;
        let text = |&pointer: &*mut c_char| {
            if pointer.is_null() {
                return String::new();
            }
            // SAFETY: the library has stored a pointer to a text that ends in NUL, and nobody has freed it yet.
            unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
        };
        let texts = pointers.iter().map(text).collect();
        let space = object.space()?;
        call!(reclaim, memory.id(), space.id(), H5P_DEFAULT, pointers.as_mut_ptr().cast())?;
        Ok(texts)
    }
}

fn class(dtype: &Datatype) -> Result<H5T_class_t, Failed> {
    let class = hdf5::sync::sync(|| {
        // SAFETY: the id is that of a type that outlives the call.
        unsafe { H5Tget_class(dtype.id()) }
    });
    if class == H5T_class_t::H5T_NO_CLASS {
        Err(ErrorKind::Hdf5("a type without a class".to_owned()).into())
    } else {
        Ok(class)
    }
}
