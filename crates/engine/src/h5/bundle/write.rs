//! Writes bundles. A dataset takes three calls of the library, and a bundle has hundreds. The calls are made without
//! the safe wrapper, which makes several times as many.
#![expect(unsafe_code, reason = "see above; the macros call the library")]

use super::{Bundle, CHECKSUM, Content, Member};
use crate::h5::Failed;
use crate::h5::H5Change;
use crate::h5::library::raw::{call, own};
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::{ErrorKind, Item};
use hdf5::plist::dataset_create::{AllocTime, FillTime, Layout};
use hdf5::plist::link_create::CharEncoding;
use hdf5::plist::{DatasetCreate, LinkCreate};
use hdf5::types::VarLenUnicode;
use hdf5::{Attribute, Dataset, Dataspace, Datatype, Group};
use hdf5_sys::h5a::{H5Acreate2, H5Awrite};
use hdf5_sys::h5d::{H5Dcreate2, H5Dwrite};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_ALL;
use std::ffi::{CString, c_char, c_void};

/// Members with at most this many texts are stored in their object header.
const COMPACT: usize = 64;
/// Most values per chunk: 1 MiB.
const CHUNK: u64 = 1 << 17;

impl H5Change {
    /// Adds a bundle as a group, with its checksum. With an empty path, its datasets go into the root group. Missing
    /// parent groups are created. With `replace`, whatever has the name is removed; its space is not reused.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::BadRequest`], library errors.
    pub fn add_bundle(&self, path: &str, bundle: &Bundle, replace: bool) -> Result<(), Failed> {
        bundle.check()?;
        refuse_reserved(path)?;
        bundle.members.iter().try_for_each(|member| refuse_reserved(&member.name))?;
        let group = if path.is_empty() { self.file.group("/")? } else { self.bundle_group(path, replace)? };
        let writer = MemberWriter::new(&group)?;
        bundle.members.iter().try_for_each(|member| writer.write(member))?;
        group.new_attr::<u64>().create(CHECKSUM)?.write_scalar(&bundle.sum().0)?;
        Ok(())
    }

    fn bundle_group(&self, path: &str, replace: bool) -> Result<Group, Failed> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut group = self.file.group("/")?;
        for part in parent.split('/').filter(|part| !part.is_empty()) {
            group = if group.link_exists(part) { group.group(part)? } else { make_group(&group, part)? };
        }
        if group.link_exists(name) {
            if !replace {
                return Err(ErrorKind::AlreadyExists(Item::Group(path.to_owned())).into());
            }
            group.unlink(name)?;
        }
        make_group(&group, name)
    }
}

fn make_group(parent: &Group, name: &str) -> Result<Group, Failed> {
    Ok(parent.create_group_builder().obj_track_times(false).create(name)?)
}

/// What writing any member needs.
struct MemberWriter<'a> {
    group: &'a Group,
    links: LinkCreate,
    compact: DatasetCreate,
    contiguous: DatasetCreate,
    text: Datatype,
    float: Datatype,
    scalar: Dataspace,
}

impl<'a> MemberWriter<'a> {
    fn new(group: &'a Group) -> Result<Self, Failed> {
        let plist = |layout| {
            let mut builder = DatasetCreate::build();
            builder.layout(layout).alloc_time(Some(AllocTime::Early)).obj_track_times(false).finish()
        };
        Ok(Self {
            group,
            links: LinkCreate::build().char_encoding(CharEncoding::Utf8).finish()?,
            compact: plist(Layout::Compact)?,
            contiguous: plist(Layout::Contiguous)?,
            text: Datatype::from_type::<VarLenUnicode>()?,
            float: Datatype::from_type::<f64>()?,
            scalar: Dataspace::try_new(())?,
        })
    }

    fn write(&self, member: &Member) -> Result<(), Failed> {
        let shape = size(member.content.shape())?;
        let space = Dataspace::try_new(shape.as_slice())?;
        let dataset = match &member.content {
            Content::Texts { values, .. } => {
                let plist = if values.len() > COMPACT { &self.contiguous } else { &self.compact };
                let dataset = self.dataset(&member.name, &self.text, &space, plist)?;
                let texts = c_texts(values)?;
                let pointers: Vec<*const c_char> = texts.iter().map(|text| text.as_ptr()).collect();
                if !pointers.is_empty() {
                    fill(&dataset, &self.text, pointers.as_ptr().cast())?;
                }
                dataset
            }
            Content::Floats { values, shape } if values.is_empty() || shape.is_empty() => {
                let dataset = self.dataset(&member.name, &self.float, &space, &self.contiguous)?;
                if !values.is_empty() {
                    fill(&dataset, &self.float, values.as_ptr().cast())?;
                }
                dataset
            }
            Content::Floats { values, shape } => {
                let dataset = self.dataset(&member.name, &self.float, &space, &chunked(shape)?)?;
                fill(&dataset, &self.float, values.as_ptr().cast())?;
                dataset
            }
        };
        member.attributes.iter().try_for_each(|(name, value)| self.attribute(&dataset, name, value))
    }

    fn dataset(
        &self,
        name: &str,
        dtype: &Datatype,
        space: &Dataspace,
        plist: &DatasetCreate,
    ) -> Result<Dataset, Failed> {
        let (group, name, links) = (self.group.id(), c_text(name)?, self.links.id());
        Ok(own!(H5Dcreate2, group, name.as_ptr(), dtype.id(), space.id(), links, plist.id(), H5P_DEFAULT)?)
    }

    fn attribute(&self, dataset: &Dataset, name: &str, value: &str) -> Result<(), Failed> {
        let (name, value) = (c_text(name)?, c_text(value)?);
        let (object, text, scalar) = (dataset.id(), self.text.id(), self.scalar.id());
        let attribute: Attribute = own!(H5Acreate2, object, name.as_ptr(), text, scalar, H5P_DEFAULT, H5P_DEFAULT)?;
        let pointer = value.as_ptr();
        call!(H5Awrite, attribute.id(), text, (&raw const pointer).cast())?;
        Ok(())
    }
}

/// Writes a whole dataset from the memory that `values` points to.
fn fill(dataset: &Dataset, dtype: &Datatype, values: *const c_void) -> Result<(), Failed> {
    call!(H5Dwrite, dataset.id(), dtype.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values)?;
    Ok(())
}

/// Chunks of whole lines of about 1 MiB, each with a Fletcher32 checksum.
fn chunked(shape: &[u64]) -> Result<DatasetCreate, Failed> {
    let mut room = CHUNK;
    let mut chunk: Vec<u64> = shape.to_vec();
    for extent in chunk.iter_mut().rev() {
        *extent = (*extent).clamp(1, room.max(1));
        room /= *extent;
    }
    let mut builder = DatasetCreate::build();
    builder.chunk(size(&chunk)?).fletcher32().fill_time(FillTime::Never).obj_track_times(false);
    Ok(builder.finish()?)
}

fn size(shape: &[u64]) -> Result<Vec<usize>, Failed> {
    let size = |&n: &u64| {
        usize::try_from(n).map_err(|_| ErrorKind::BadRequest("too large for this machine".to_owned()).into())
    };
    shape.iter().map(size).collect()
}

fn c_text(text: &str) -> Result<CString, Failed> {
    CString::new(text)
        .map_err(|_| ErrorKind::BadRequest(format!("a text for HDF5 must not contain NUL: {text:?}")).into())
}

fn c_texts(texts: &[String]) -> Result<Vec<CString>, Failed> {
    texts.iter().map(|text| c_text(text)).collect()
}
