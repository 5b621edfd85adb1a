//! Lays rows of datasets of any type over those of the copy, for columns that h5part itself does not read.

use super::compare::{Kind, same_type, shown_value};
use super::copier::Copier;
use super::raw::text;
use super::values::Values;
use super::{LaidRows, whole};
use crate::h5::Failed;
use crate::h5::library::raw::{call, own};
use h5part_base::num::to_usize;
use hdf5::{Location, Object};
use hdf5_sys::h5d::{H5D_fill_value_t, H5Dget_create_plist, H5Dget_space, H5Dget_type, H5Dread, H5Dwrite};
use hdf5_sys::h5p::{H5P_DEFAULT, H5Pfill_value_defined, H5Pget_fill_value};
use hdf5_sys::h5s::{
    H5S_SELECT_SET, H5Screate_simple, H5Sget_simple_extent_dims, H5Sget_simple_extent_ndims, H5Sselect_hyperslab,
};
use hdf5_sys::h5t::{H5T_class_t, H5Tcopy, H5Tget_class, H5Tget_size};
use std::ffi::CStr;

/// Rows are laid over in portions of about this many bytes in memory.
const PORTION_BYTES: u64 = 8 << 20;

/// A dataset whose rows could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its path.
    pub path: String,
    /// The reason.
    pub why: Refusal,
}

/// Why rows could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Both files have a value, and the values differ.
    Differs {
        /// Row of the copy.
        row: u64,
        /// The value in the source.
        value: String,
        /// The value in the copy.
        kept: String,
    },
    /// The library cannot read, compare or write such values.
    Impossible(String),
}

/// A dataset with what its rows need to be read and written.
struct Rowed {
    dataset: Location,
    space: Object,
    shape: Vec<u64>,
}

impl Rowed {
    fn new(dataset: Location) -> Result<Self, Failed> {
        let space: Object = own!(H5Dget_space, dataset.id())?;
        let axes = usize::try_from(call!(H5Sget_simple_extent_ndims, space.id())?).unwrap_or(0);
        let mut shape = vec![0u64; axes];
        call!(H5Sget_simple_extent_dims, space.id(), shape.as_mut_ptr(), std::ptr::null_mut())?;
        Ok(Self { dataset, space, shape })
    }

    /// Selects rows in the file. Returns their space in memory.
    fn select(&self, first: u64, rows: u64) -> Result<Object, Failed> {
        let (mut start, mut count) = (vec![0u64; self.shape.len()], self.shape.clone());
        if let (Some(start), Some(count)) = (start.first_mut(), count.first_mut()) {
            (*start, *count) = (first, rows);
        }
        let all = std::ptr::null();
        call!(H5Sselect_hyperslab, self.space.id(), H5S_SELECT_SET, start.as_ptr(), all, count.as_ptr(), all)?;
        Ok(own!(H5Screate_simple, i32::try_from(count.len()).unwrap_or(0), count.as_ptr(), all)?)
    }

    fn read(&self, datatype: &Object, first: u64, rows: u64) -> Result<Values, Failed> {
        let mut values = Values::new(datatype, self.select(first, rows)?)?;
        let (kind, memory) = (values.datatype.id(), values.space().id());
        call!(H5Dread, self.dataset.id(), kind, memory, self.space.id(), H5P_DEFAULT, values.pointer().cast())?;
        Ok(values)
    }

    fn write(&self, values: &mut Values, first: u64, rows: u64) -> Result<(), Failed> {
        let memory = self.select(first, rows)?;
        let kind = values.datatype.id();
        call!(H5Dwrite, self.dataset.id(), kind, memory.id(), self.space.id(), H5P_DEFAULT, values.pointer().cast())?;
        Ok(())
    }
}

/// The values of a type in memory: how to compare them, their size, and the fill element.
struct Elements {
    datatype: Object,
    kind: Kind,
    class: H5T_class_t,
    size: usize,
    fill: Values,
}

impl Elements {
    /// Elements of a dataset. `None`: they hold references.
    fn of(dataset: &Location) -> Result<Option<Self>, Failed> {
        let stored: Object = own!(H5Dget_type, dataset.id())?;
        let datatype: Object = own!(H5Tcopy, stored.id())?;
        let Some(kind) = Kind::of(&datatype)? else { return Ok(None) };
        let (class, size) = hdf5::sync::sync(|| {
            // SAFETY: the type is alive.
            unsafe { (H5Tget_class(datatype.id()), H5Tget_size(datatype.id())) }
        });
        let one = [1u64];
        let mut fill = Values::new(&datatype, own!(H5Screate_simple, 1, one.as_ptr(), std::ptr::null())?)?;
        let creation: Object = own!(H5Dget_create_plist, dataset.id())?;
        let mut defined = H5D_fill_value_t::H5D_FILL_VALUE_DEFAULT;
        call!(H5Pfill_value_defined, creation.id(), &raw mut defined)?;
        if defined == H5D_fill_value_t::H5D_FILL_VALUE_USER_DEFINED {
            call!(H5Pget_fill_value, creation.id(), datatype.id(), fill.pointer().cast())?;
        }
        Ok(Some(Self { datatype, kind, class, size, fill }))
    }

    fn same(&self, a: *const u8, b: *const u8, count: usize) -> bool {
        // SAFETY: callers pass pointers to `count` values of the type.
        (0..count).all(|k| unsafe { self.kind.same(a.add(k * self.size), b.add(k * self.size)) })
    }

    fn is_fill(&mut self, at: *const u8, count: usize) -> bool {
        let fill = self.fill.pointer().cast_const();
        // SAFETY: callers pass pointers to `count` values of the type.
        (0..count).all(|k| unsafe { self.kind.same(at.add(k * self.size), fill) })
    }

    fn first_difference(&self, a: *const u8, b: *const u8, count: usize) -> (String, String) {
        // SAFETY: callers pass pointers to `count` values of the type.
        let differs = (0..count).find(|k| unsafe { !self.kind.same(a.add(k * self.size), b.add(k * self.size)) });
        let at = differs.unwrap_or(0) * self.size;
        // SAFETY: as above.
        unsafe { (shown_value(&self.kind, self.class, a.add(at)), shown_value(&self.kind, self.class, b.add(at))) }
    }
}

impl Copier<'_> {
    /// Lays the rows of a dataset over those of the copy, from a row on. A row replaces fill; other existing values
    /// must be equal. Datasets that fail are recorded in [`Copied::refused`](super::Copied).
    pub(super) fn lay_rows(&mut self, source: &Location, copy: &Location, path: &CStr, how: &LaidRows) {
        let why = match lay(source, copy, how) {
            Ok(None) => return,
            Ok(Some(refusal)) => refusal,
            Err(e) => Refusal::Impossible(e.to_string()),
        };
        self.done.refused.push(Refused { path: text(path), why });
    }
}

fn lay(source: &Location, copy: &Location, how: &LaidRows) -> Result<Option<Refusal>, Failed> {
    let offset = how.offset;
    let impossible = |why: &str| Ok(Some(Refusal::Impossible(why.to_owned())));
    let creation: Object = own!(H5Dget_create_plist, source.id())?;
    let types: (Object, Object) = (own!(H5Dget_type, source.id())?, own!(H5Dget_type, copy.id())?);
    if !same_type(&types.0, &types.1)? {
        return impossible("its type is another one");
    }
    if !whole::holds_values(source, &creation)? {
        let outside = whole::is_outside(&creation);
        return if outside { impossible("its values are in other files") } else { Ok(None) };
    }
    let Some(mut elements) = Elements::of(copy)? else { return impossible("it holds references") };
    let (from, into) = (Rowed::new(super::raw::place(source)?)?, Rowed::new(super::raw::place(copy)?)?);
    let (Some(&rows), Some(&there)) = (from.shape.first(), into.shape.first()) else {
        return impossible("it has no rows");
    };
    if from.shape[1..] != into.shape[1..] || offset + rows > there {
        return impossible("its cells have another shape, or it is longer");
    }
    let cell = to_usize(from.shape[1..].iter().product::<u64>());
    let portion = (PORTION_BYTES / (cell as u64 * elements.size as u64).max(1)).max(1);
    for first in (0..rows).step_by(to_usize(portion)) {
        let count = portion.min(rows - first);
        let mut new = from.read(&elements.datatype, first, count)?;
        let mut known = into.read(&elements.datatype, first + offset, count)?;
        let mut taken = false;
        let bytes = cell * elements.size;
        for row in 0..count {
            let at = to_usize(row) * bytes;
            // SAFETY: both buffers hold that many rows.
            let (a, b) = unsafe { (new.pointer().add(at), known.pointer().add(at)) };
            if elements.is_fill(a, cell) || elements.same(a, b, cell) {
                continue;
            }
            if !elements.is_fill(b, cell) {
                let (value, kept) = elements.first_difference(a, b, cell);
                return Ok(Some(Refusal::Differs { row: offset + first + row, value, kept }));
            }
            // The values are swapped, so that each buffer still owns and frees what its values point to.
            // SAFETY: the rows lie in two separate buffers, and have the same length.
            unsafe { std::ptr::swap_nonoverlapping(a, b, bytes) };
            taken = true;
        }
        if taken && let Some(frozen) = &how.frozen {
            return impossible(frozen);
        }
        if taken {
            into.write(&mut known, first + offset, count)?;
        }
    }
    Ok(None)
}

/// A cell of a dataset of any type as readable text.
pub(super) fn shown_cell(dataset: Location, row: u64) -> Result<Option<String>, Failed> {
    let Some(elements) = Elements::of(&dataset)? else { return Ok(None) };
    let rowed = Rowed::new(dataset)?;
    if rowed.shape.first().is_none_or(|&rows| row >= rows) {
        return Ok(None);
    }
    let mut values = rowed.read(&elements.datatype, row, 1)?;
    if values.is_empty() {
        return Ok(None);
    }
    // SAFETY: the buffer holds at least one value.
    Ok(Some(unsafe { shown_value(&elements.kind, elements.class, values.pointer()) }))
}
