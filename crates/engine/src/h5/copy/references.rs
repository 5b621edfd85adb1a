//! References store places in their own file. In the copy they must point to the copies.

use super::copier::{Copier, Late};
use super::raw::{open, token};
use super::values::{Values, contains_references, open_attribute, read_attribute, write_attribute};
use crate::h5::Failed;
use crate::h5::library::raw::{Hid, call, own};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use hdf5::{Location, Object};
use hdf5_sys::h5a::{H5Aget_space, H5Aget_type};
use hdf5_sys::h5d::{H5Dget_space, H5Dget_type, H5Dread, H5Dwrite};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5r::H5R_type_t::{H5R_DATASET_REGION1 as REGION, H5R_OBJECT1 as OBJECT};
use hdf5_sys::h5r::{H5Rcreate, H5Rdereference, H5Rget_region, hdset_reg_ref_t};
use hdf5_sys::h5s::{
    H5S_SELECT_SET, H5Screate_simple, H5Sget_simple_extent_dims, H5Sget_simple_extent_ndims,
    H5Sget_simple_extent_npoints, H5Sselect_hyperslab,
};
use hdf5_sys::h5t::{
    H5T_STD_REF_DSETREG, H5T_STD_REF_OBJ, H5T_class_t, H5Tequal, H5Tget_class, H5Tget_member_offset,
    H5Tget_member_type, H5Tget_nmembers, H5Tget_size, H5Tget_super, hvl_t,
};
use std::collections::HashMap;
use std::ffi::{CStr, c_uint};

/// Datasets of references are copied in portions of this many values.
const PORTION: u64 = 1 << 16;

/// Where references lie in a value.
#[derive(Debug)]
enum Places {
    Object,
    Region,
    /// Offset of each member, and the places in it.
    Members(Vec<(usize, Places)>),
    /// Number and size of elements, and the places in each.
    Array(usize, usize, Box<Places>),
    /// Size of elements, and the places in each.
    List(usize, Box<Places>),
}

impl Places {
    fn of(datatype: &Object) -> Result<Option<Self>, Failed> {
        let id = datatype.id();
        if !contains_references(datatype)? {
            return Ok(None);
        }
        Ok(Some(
            match hdf5::sync::sync(|| {
                // SAFETY: the type is alive.
                unsafe { H5Tget_class(id) }
            }) {
                H5T_class_t::H5T_COMPOUND => Self::members(id)?,
                H5T_class_t::H5T_ARRAY => {
                    let element: Object = own!(H5Tget_super, id)?;
                    let size = size(&element);
                    let Some(places) = Self::of(&element)? else { return Ok(None) };
                    Self::Array(self::size(datatype) / size.max(1), size, Box::new(places))
                }
                H5T_class_t::H5T_VLEN => {
                    let element: Object = own!(H5Tget_super, id)?;
                    let Some(places) = Self::of(&element)? else { return Ok(None) };
                    Self::List(size(&element), Box::new(places))
                }
                _ if call!(H5Tequal, id, *H5T_STD_REF_OBJ)? > 0 => Self::Object,
                _ if call!(H5Tequal, id, *H5T_STD_REF_DSETREG)? > 0 => Self::Region,
                _ => {
                    return Err(
                        ErrorKind::Hdf5("references of a kind that is not copied (H5T_STD_REF)".to_owned()).into()
                    );
                }
            },
        ))
    }

    fn members(id: Hid) -> Result<Self, Failed> {
        let mut members = Vec::new();
        for k in 0..c_uint::try_from(call!(H5Tget_nmembers, id)?).unwrap_or(0) {
            let member: Object = own!(H5Tget_member_type, id, k)?;
            if let Some(places) = Self::of(&member)? {
                let offset = hdf5::sync::sync(|| {
                    // SAFETY: the type is alive, and has this member.
                    unsafe { H5Tget_member_offset(id, k) }
                });
                members.push((offset, places));
            }
        }
        Ok(Self::Members(members))
    }

    /// Calls `point` for every reference in the value at `at`.
    ///
    /// # Safety
    /// `at` must point to a value of the type that `self` was made of, as the library reads it into memory.
    unsafe fn each(&self, at: *mut u8, point: &mut impl FnMut(Place)) {
        match self {
            Self::Object => point(Place::Object(at.cast())),
            Self::Region => point(Place::Region(at.cast())),
            Self::Members(members) => {
                for (offset, places) in members {
                    // SAFETY: the member lies in the value.
                    unsafe { places.each(at.add(*offset), point) };
                }
            }
            Self::Array(count, size, places) => {
                for k in 0..*count {
                    // SAFETY: the element lies in the value.
                    unsafe { places.each(at.add(k * size), point) };
                }
            }
            Self::List(size, places) => {
                // SAFETY: this is the library's representation of a list.
                let list = unsafe { at.cast::<hvl_t>().read_unaligned() };
                for k in 0..list.len {
                    // SAFETY: the list has more than `k` elements.
                    unsafe { places.each(list.p.cast::<u8>().add(k * size), point) };
                }
            }
        }
    }
}

/// One reference in memory.
#[derive(Clone, Copy, Debug)]
enum Place {
    Object(*mut u64),
    Region(*mut hdset_reg_ref_t),
}

fn size(datatype: &Object) -> usize {
    hdf5::sync::sync(|| {
        // SAFETY: the type is alive.
        unsafe { H5Tget_size(datatype.id()) }
    })
}

impl Copier<'_> {
    /// Writes attributes and datasets that hold references. Everything that they can point to exists by now.
    pub(super) fn references(&mut self) {
        let mut known = HashMap::new();
        for late in std::mem::take(&mut self.late) {
            let (path, attribute) = match &late {
                Late::Attribute(path, name) => (path, Some(name.as_c_str())),
                Late::Dataset(path) => (path, None),
            };
            let pointed = match attribute {
                Some(name) => self.attribute_of_references(path, name, &mut known),
                None => self.dataset_of_references(path, &mut known),
            };
            match pointed {
                Ok(0) => {}
                Ok(lost) => self.left_out(path, attribute, &format!("{lost} references to what is not in the copy")),
                Err(e) => self.left_out(path, attribute, &e.to_string()),
            }
        }
    }

    fn attribute_of_references(&self, path: &CStr, name: &CStr, known: &mut HashMap<u64, u64>) -> Result<u64, Failed> {
        let attribute = open_attribute(&open(&self.from, path)?, name)?;
        self.are_whole(&own!(H5Aget_type, attribute.id())?, &own!(H5Aget_space, attribute.id())?)?;
        let mut values = read_attribute(&attribute)?;
        let lost = self.point(&mut values, known)?;
        write_attribute(&open_attribute(&open(&self.into, path)?, name)?, &mut values)?;
        Ok(lost)
    }

    /// Refuses references that the source stores only in part. If addresses have fewer than eight bytes, HDF5 gives
    /// each of several references only the space of an address. It cuts off what does not fit, and reads beyond it.
    fn are_whole(&self, datatype: &Object, space: &Object) -> Result<(), Failed> {
        if self.address_bytes >= size_of::<u64>() || !contains_references(datatype)? {
            return Ok(());
        }
        let count = call!(H5Sget_simple_extent_npoints, space.id())?;
        if count == 0 || (count == 1 && !matches!(Places::of(datatype)?, Some(Places::Members(_) | Places::List(..)))) {
            return Ok(());
        }
        let bytes = self.address_bytes;
        Err(ErrorKind::Hdf5(format!("references in a file with addresses of {bytes} bytes, which HDF5 stores in part"))
            .into())
    }

    fn dataset_of_references(&self, path: &CStr, known: &mut HashMap<u64, u64>) -> Result<u64, Failed> {
        let (from, into) = (open(&self.from, path)?, open(&self.into, path)?);
        let datatype: Object = own!(H5Dget_type, from.id())?;
        let space: Object = own!(H5Dget_space, from.id())?;
        self.are_whole(&datatype, &space)?;
        let axes = usize::try_from(call!(H5Sget_simple_extent_ndims, space.id())?).unwrap_or(0);
        let mut shape = vec![0u64; axes];
        call!(H5Sget_simple_extent_dims, space.id(), shape.as_mut_ptr(), std::ptr::null_mut())?;
        let Some(&rows) = shape.first() else {
            return self.portion(&from, &into, &datatype, own!(H5Dget_space, from.id())?, &space, known);
        };
        let portion = (PORTION / shape[1..].iter().product::<u64>().max(1)).max(1);
        let mut lost = 0;
        for first in (0..rows).step_by(to_usize(portion)) {
            let (mut start, mut count) = (vec![0; axes], shape.clone());
            (start[0], count[0]) = (first, portion.min(rows - first));
            let (all, whole) = (std::ptr::null(), std::ptr::null());
            call!(H5Sselect_hyperslab, space.id(), H5S_SELECT_SET, start.as_ptr(), all, count.as_ptr(), whole)?;
            let axes = i32::try_from(axes).unwrap_or(0);
            let memory: Object = own!(H5Screate_simple, axes, count.as_ptr(), std::ptr::null())?;
            lost += self.portion(&from, &into, &datatype, memory, &space, known)?;
        }
        Ok(lost)
    }

    fn portion(
        &self,
        from: &Location,
        into: &Location,
        datatype: &Object,
        memory: Object,
        selected: &Object,
        known: &mut HashMap<u64, u64>,
    ) -> Result<u64, Failed> {
        let mut values = Values::new(datatype, memory)?;
        if values.is_empty() {
            return Ok(0);
        }
        let (kind, space, selected) = (values.datatype.id(), values.space().id(), selected.id());
        call!(H5Dread, from.id(), kind, space, selected, H5P_DEFAULT, values.pointer().cast())?;
        let lost = self.point(&mut values, known)?;
        call!(H5Dwrite, into.id(), kind, space, selected, H5P_DEFAULT, values.pointer().cast())?;
        Ok(lost)
    }

    /// Points references in memory at the copies. References to objects that are not in the copy become null; returns
    /// their number.
    fn point(&self, values: &mut Values, known: &mut HashMap<u64, u64>) -> Result<u64, Failed> {
        let Some(places) = Places::of(&values.datatype)? else { return Ok(0) };
        let (count, size, start) = (values.count(), size(&values.datatype), values.pointer());
        let mut found = Vec::new();
        for k in 0..count {
            // SAFETY: the buffer has `count` values of this type.
            unsafe { places.each(start.add(k * size), &mut |place| found.push(place)) };
        }
        let mut lost = 0;
        for place in found {
            lost += u64::from(!match place {
                Place::Object(at) => self.point_object(at, known),
                Place::Region(at) => self.point_region(at),
            });
        }
        Ok(lost)
    }

    fn point_object(&self, at: *mut u64, known: &mut HashMap<u64, u64>) -> bool {
        // SAFETY: an object reference lies there, maybe not aligned.
        let value = unsafe { at.read_unaligned() };
        // Bytes beyond a shorter address have no meaning.
        let value = if self.address_bytes < 8 { value & ((1 << (8 * self.address_bytes)) - 1) } else { value };
        let there = *known.entry(value).or_insert_with(|| self.object_there(value).unwrap_or(0));
        // SAFETY: as above.
        unsafe { at.write_unaligned(there) };
        value == 0 || there != 0
    }

    fn object_there(&self, value: u64) -> Result<u64, Failed> {
        if value == 0 {
            return Ok(0);
        }
        let object: Location = own!(H5Rdereference, self.from.id(), H5P_DEFAULT, OBJECT, (&raw const value).cast())?;
        let mut there = 0u64;
        let path = self.path_of(&object)?;
        call!(H5Rcreate, (&raw mut there).cast(), self.into.id(), path.as_ptr(), OBJECT, -1)?;
        Ok(there)
    }

    fn point_region(&self, at: *mut hdset_reg_ref_t) -> bool {
        // SAFETY: a region reference lies there; it consists of bytes.
        let mut value = unsafe { at.read() };
        value.iter_mut().skip(self.address_bytes + size_of::<u32>()).for_each(|byte| *byte = 0);
        if value == [0; 12] {
            return true;
        }
        let there = self.region_there(&value);
        // SAFETY: as above.
        unsafe { at.write(*there.as_ref().unwrap_or(&[0; 12])) };
        there.is_ok()
    }

    fn region_there(&self, value: &hdset_reg_ref_t) -> Result<hdset_reg_ref_t, Failed> {
        let value = value.as_ptr().cast();
        let dataset: Location = own!(H5Rdereference, self.from.id(), H5P_DEFAULT, REGION, value)?;
        let region: Object = own!(H5Rget_region, self.from.id(), REGION, value)?;
        let mut there: hdset_reg_ref_t = [0; 12];
        let path = self.path_of(&dataset)?;
        call!(H5Rcreate, there.as_mut_ptr().cast(), self.into.id(), path.as_ptr(), REGION, region.id())?;
        Ok(there)
    }

    fn path_of(&self, object: &Location) -> Result<&CStr, Failed> {
        let path = self.there.get(&token(object)?);
        Ok(path.ok_or_else(|| ErrorKind::Hdf5("it has no copy".to_owned()))?)
    }
}
