//! Library calls that the safe wrapper lacks. It only shows names that are UTF-8, and copies neither links, nor
//! attributes, nor objects between files.

use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use crate::h5::read::groups::object_id;
use hdf5::{Location, Object};
use hdf5_sys::h5::{H5_index_t, H5_iter_order_t};
use hdf5_sys::h5a::{H5A_info_t, H5Aiterate2};
use hdf5_sys::h5i::H5Iinc_ref;
use hdf5_sys::h5l::{H5L_info_t, H5Literate};
use hdf5_sys::h5o::H5Oopen;
use hdf5_sys::h5p::{
    H5P_CRT_ORDER_TRACKED, H5P_DEFAULT, H5Pcreate, H5Pget_attr_creation_order, H5Pget_attr_phase_change,
    H5Pget_link_creation_order, H5Pget_link_phase_change, H5Pset_attr_creation_order, H5Pset_attr_phase_change,
    H5Pset_link_creation_order, H5Pset_link_phase_change, H5Pset_obj_track_times,
};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

/// The same object as a location in its file.
pub(super) fn place(object: &Object) -> Result<Location, Failed> {
    call!(H5Iinc_ref, object.id())?;
    hdf5::sync::sync(|| {
        // SAFETY: the reference count was raised for the new owner.
        unsafe { Ok(hdf5::from_id(object.id())?) }
    })
}

/// Opens an object by its name in a group.
pub(super) fn open(at: &Location, name: &CStr) -> Result<Location, Failed> {
    Ok(own!(H5Oopen, at.id(), name.as_ptr(), H5P_DEFAULT)?)
}

/// Identifies an object within its file.
pub(super) fn token(object: &Location) -> Result<String, Failed> {
    Ok(object_id(&object.loc_info()?))
}

/// A link of a group.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) name: CString,
    pub(super) utf8: bool,
    pub(super) kind: LinkKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum LinkKind {
    Hard,
    /// Length of its value in bytes.
    Soft(usize),
    /// Length of its value in bytes.
    External(usize),
    /// Of a class that only the program that made it knows.
    Unknown,
}

/// The links of a group, in creation order if the group tracks it, else by name.
pub(super) fn links(group: &Location, creation: &Object) -> Result<Vec<Link>, Failed> {
    let mut flags: c_uint = 0;
    call!(H5Pget_link_creation_order, creation.id(), &raw mut flags)?;
    let mut links: Vec<Link> = Vec::new();
    let (index, place) = (index(flags), (&raw mut links).cast::<c_void>());
    let from = std::ptr::null_mut();
    call!(H5Literate, group.id(), index, H5_iter_order_t::H5_ITER_INC, from, Some(note_link), place)?;
    Ok(links)
}

/// The names of the attributes of an object, in the same order.
pub(super) fn attribute_names(object: &Location, creation: Option<&Object>) -> Result<Vec<CString>, Failed> {
    let mut flags: c_uint = 0;
    if let Some(creation) = creation {
        call!(H5Pget_attr_creation_order, creation.id(), &raw mut flags)?;
    }
    let mut names: Vec<CString> = Vec::new();
    let (index, place) = (index(flags), (&raw mut names).cast::<c_void>());
    let from = std::ptr::null_mut();
    call!(H5Aiterate2, object.id(), index, H5_iter_order_t::H5_ITER_INC, from, Some(note_attribute), place)?;
    Ok(names)
}

fn index(flags: c_uint) -> H5_index_t {
    if flags & H5P_CRT_ORDER_TRACKED == 0 { H5_index_t::H5_INDEX_NAME } else { H5_index_t::H5_INDEX_CRT_ORDER }
}

extern "C" fn note_link(_group: Hid, name: *const c_char, info: *const H5L_info_t, place: *mut c_void) -> c_int {
    // SAFETY: name and info belong to the library and live during the call, and `place` is what `links` passed. The
    // class is read as a number: one that the bindings do not list would not be a value of their enum.
    let (name, class, utf8, size, links) = unsafe {
        (
            CStr::from_ptr(name),
            (&raw const (*info).type_).cast::<c_int>().read(),
            (&raw const (*info).cset).cast::<c_int>().read() == 1,
            (&raw const (*info).u).cast::<usize>().read(),
            &mut *place.cast::<Vec<Link>>(),
        )
    };
    let kind = match class {
        0 => LinkKind::Hard,
        1 => LinkKind::Soft(size),
        64 => LinkKind::External(size),
        _ => LinkKind::Unknown,
    };
    links.push(Link { name: name.to_owned(), utf8, kind });
    0
}

extern "C" fn note_attribute(_object: Hid, name: *const c_char, _info: *const H5A_info_t, place: *mut c_void) -> c_int {
    // SAFETY: the name belongs to the library and lives during the call, and `place` is what `attribute_names` passed.
    let (name, names) = unsafe { (CStr::from_ptr(name), &mut *place.cast::<Vec<CString>>()) };
    names.push(name.to_owned());
    0
}

/// Creation properties of a group, for use in another file. Those that the library returns cannot be used there: for a
/// group with many links they hold addresses in their own file.
pub(super) fn group_creation(creation: &Object) -> Result<Object, Failed> {
    let from = creation.id();
    let plist: Object = own!(H5Pcreate, *hdf5::globals::H5P_GROUP_CREATE)?;
    set_creation_order(creation, plist.id())?;
    let (mut most, mut least): (c_uint, c_uint) = (0, 0);
    call!(H5Pget_link_phase_change, from, &raw mut most, &raw mut least)?;
    call!(H5Pset_link_phase_change, plist.id(), most, least)?;
    call!(H5Pget_attr_phase_change, from, &raw mut most, &raw mut least)?;
    call!(H5Pset_attr_phase_change, plist.id(), most, least)?;
    // As for everything made here, so that files with the same content have the same bytes.
    call!(H5Pset_obj_track_times, plist.id(), 0)?;
    Ok(plist)
}

/// Makes a new group track the order of links and attributes if the other one does.
pub(super) fn set_creation_order(creation: &Object, new: Hid) -> hdf5::Result<()> {
    let (mut links, mut attributes): (c_uint, c_uint) = (0, 0);
    call!(H5Pget_link_creation_order, creation.id(), &raw mut links)?;
    call!(H5Pset_link_creation_order, new, links)?;
    call!(H5Pget_attr_creation_order, creation.id(), &raw mut attributes)?;
    call!(H5Pset_attr_creation_order, new, attributes)?;
    Ok(())
}

/// A path extended by a name.
pub(super) fn below(path: &CStr, name: &CStr) -> CString {
    let mut longer = path.to_bytes().to_vec();
    if longer != b"/" {
        longer.push(b'/');
    }
    longer.extend(name.to_bytes());
    // Neither part contains a zero.
    CString::new(longer).unwrap_or_default()
}

/// A path as readable text.
pub(super) fn text(path: &CStr) -> String {
    path.to_string_lossy().into_owned()
}
