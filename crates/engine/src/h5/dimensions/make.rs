//! Making dimensions, and keeping that of rows as long as the table.
#![expect(
    unsafe_code,
    reason = "the safe wrapper makes no texts that end in zero, and reads no type that is known at run time alone"
)]

use super::plan::{Dimension, Plan, request};
use super::{CLASS, Coordinates, IS_SCALE, LIST, Marked, NAME, NO_COORDINATES};
use crate::h5::library::raw::{call, own};
use crate::h5::read::groups::members;
use crate::h5::types::made_type::made_type;
use crate::h5::{Failed, NewTable, cells::select, chunk_rows};
use h5part_base::dataspace::{Dtype, Rows};
use h5part_base::error::ErrorKind;
use hdf5::globals::H5T_C_S1;
use hdf5::plist::dataset_create::AllocTime;
use hdf5::types::VarLenArray;
use hdf5::{Dataset, Datatype, Extent, Group, Location, LocationType, Object, ObjectReference1};
use hdf5_sys::h5a::{H5Acreate2, H5Awrite};
use hdf5_sys::h5d::H5Dread;
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::H5S_class_t::H5S_SCALAR;
use hdf5_sys::h5s::{H5S_ALL, H5Screate};
use hdf5_sys::h5t::{H5Tcopy, H5Tset_size};
use std::ffi::CString;

/// Gives the columns of a new table, which are there, their dimensions.
pub(in crate::h5) fn make_dimensions(group: &Group, table: &NewTable) -> Result<(), Failed> {
    let Some(plan) = table.plan_dimensions()? else { return Ok(()) };
    make_rows(group, plan.rows, table)?;
    for dimension in &plan.inner {
        make_inner(group, dimension)?;
    }
    plan.attach(group)
}

/// Gives further columns, which are there, the dimensions of their table, and those that it lacks.
pub(in crate::h5) fn add_dimensions(group: &Group, new: &NewTable) -> Result<(), Failed> {
    let Some(rows) = rows_dimension(group)? else {
        if new.dimensions.is_empty() {
            return Ok(());
        }
        return Err(request(format!("table '{}' was made without named dimensions", new.path)).into());
    };
    let plan = Plan::of(new, &rows)?;
    if new.dimensions.rows.as_ref().is_some_and(|named| *named != rows) {
        return Err(request(format!("the dimension of rows of table '{}' is '{rows}'", new.path)).into());
    }
    for dimension in &plan.inner {
        if group.link_exists(dimension.name) {
            check_there(group, dimension)?;
        } else {
            make_inner(group, dimension)?;
        }
    }
    plan.attach(group)
}

impl Plan<'_> {
    fn attach(&self, group: &Group) -> Result<(), Failed> {
        for (column, names) in self.columns.iter().filter(|(column, _)| *column != self.rows) {
            let all: Vec<&str> = [self.rows].into_iter().chain(names.iter().map(String::as_str)).collect();
            attach(group, column, &all)?;
        }
        Ok(())
    }
}

fn make_rows(group: &Group, name: &str, table: &NewTable) -> Result<(), Failed> {
    if table.columns.iter().any(|column| column.name == name) {
        let dataset = group.dataset(name)?;
        make_scale(&dataset, name)?;
        return Marked::Column.write(&dataset);
    }
    let rows = size(table.rows)?;
    let datatype = made_type(Dtype::F32)?;
    let builder = group.new_dataset_builder().empty_as(&datatype).obj_track_times(false);
    // Nothing is ever written to it, so it takes no space.
    let (extent, length, builder) = if table.contiguous {
        (Extent::fixed(rows), table.rows, builder.alloc_time(Some(AllocTime::Late)).no_chunk())
    } else {
        let chunk = size(chunk_rows(table.rows, Dtype::F32.size(), None))?;
        // As netCDF notes it for dimensions that can grow.
        (Extent::resizable(rows), 0, builder.alloc_time(Some(AllocTime::Incr)).chunk(vec![chunk]))
    };
    let dataset = builder.shape(vec![extent]).create(name)?;
    make_scale(&dataset, &format!("{NO_COORDINATES}{length:10}"))?;
    Marked::Rows.write(&dataset)
}

fn make_inner(group: &Group, dimension: &Dimension<'_>) -> Result<(), Failed> {
    let Dimension { name, len, coordinates } = *dimension;
    let datatype = made_type(coordinates.map_or(Dtype::F32, |values| values.dtype))?;
    let alloc = if coordinates.is_some() { AllocTime::Early } else { AllocTime::Late };
    let builder = group.new_dataset_builder().empty_as(&datatype).alloc_time(Some(alloc)).no_chunk();
    let builder = builder.obj_track_times(false).shape(vec![Extent::fixed(size(len)?)]);
    let dataset = builder.create(name)?;
    if let Some(Coordinates { dtype, values, .. }) = coordinates {
        select::write(&dataset, *dtype, &Rows::range(0..len).runs()?, values)?;
        make_scale(&dataset, name)?;
    } else {
        make_scale(&dataset, &format!("{NO_COORDINATES}{len:10}"))?;
    }
    Marked::Inner.write(&dataset)
}

/// Whether a dimension that new columns name is the one that the table has.
fn check_there(group: &Group, dimension: &Dimension<'_>) -> Result<(), Failed> {
    let name = dimension.name;
    let there = group.dataset(name).ok();
    let there = there.filter(|there| matches!(Marked::of(there), Ok(Some(Marked::Inner))));
    let Some(there) = there else {
        return Err(request(format!("'{name}' is in the table, and is not a dimension within rows")).into());
    };
    let len = there.shape().first().map_or(0, |&n| n as u64);
    if len != dimension.len {
        return Err(request(format!("dimension '{name}' has the length {len}, not {}", dimension.len)).into());
    }
    if dimension.coordinates.is_some() {
        return Err(
            request(format!("dimension '{name}' is in the table, with the coordinates that it was made with")).into()
        );
    }
    Ok(())
}

/// Name of the dimension of rows, if h5part made one.
fn rows_dimension(group: &Group) -> Result<Option<String>, Failed> {
    for name in members(group, LocationType::Dataset)? {
        let marked = group.dataset(&name).map_err(Failed::from).and_then(|dataset| Marked::of(&dataset));
        if matches!(marked, Ok(Some(Marked::Rows | Marked::Column))) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Makes the dimension of rows as long as the table, if it is one of these, and shorter.
pub(in crate::h5) fn lengthen(dimensions: &[Dataset], rows: u64) -> Result<(), Failed> {
    for dataset in dimensions.iter().filter(|dataset| dataset.is_resizable()) {
        let is_shorter = dataset.shape().first().is_some_and(|&n| (n as u64) < rows);
        if is_shorter && Marked::of(dataset)? == Some(Marked::Rows) {
            dataset.resize(vec![size(rows)?])?;
        }
    }
    Ok(())
}

/// Whether two datasets are the same dimension: of rows, or of one length with the same coordinates.
pub(in crate::h5) fn are_same(one: &Dataset, other: &Dataset) -> Result<bool, Failed> {
    let marked = Marked::of(one)?;
    if marked.is_none() || marked != Marked::of(other)? || marked == Some(Marked::Column) {
        return Ok(false);
    }
    if marked == Some(Marked::Rows) {
        return Ok(true);
    }
    Ok(one.shape() == other.shape() && one.dtype()? == other.dtype()? && stored(one)? == stored(other)?)
}

/// The bytes of a dimension as they are stored; none where it has no coordinates.
fn stored(dataset: &Dataset) -> Result<Vec<u8>, Failed> {
    let datatype = dataset.dtype()?;
    let mut bytes = vec![0u8; dataset.size().saturating_mul(datatype.size())];
    if dataset.storage_size() == 0 {
        bytes.clear();
    } else {
        let (id, out) = (dataset.id(), bytes.as_mut_ptr().cast());
        call!(H5Dread, id, datatype.id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out)?;
    }
    Ok(bytes)
}

/// Makes a dataset a dimension scale of this name.
fn make_scale(dataset: &Dataset, name: &str) -> Result<(), Failed> {
    write_word(dataset, CLASS, IS_SCALE)?;
    write_word(dataset, NAME, name)
}

/// HDF5 knows a scale by a text that ends in zero.
fn write_word(object: &Location, name: &str, word: &str) -> Result<(), Failed> {
    let (name, word) = (c_text(name)?, c_text(word)?);
    let bytes = word.as_bytes_with_nul();
    let datatype: Datatype = own!(H5Tcopy, *H5T_C_S1)?;
    call!(H5Tset_size, datatype.id(), bytes.len())?;
    let space: Object = own!(H5Screate, H5S_SCALAR)?;
    let made: Object =
        own!(H5Acreate2, object.id(), name.as_ptr(), datatype.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT)?;
    call!(H5Awrite, made.id(), datatype.id(), bytes.as_ptr().cast())?;
    Ok(())
}

/// Attaches dimensions to a column, one per axis.
fn attach(group: &Group, column: &str, names: &[&str]) -> Result<(), Failed> {
    let scale = |name: &&str| Ok(VarLenArray::from([group.reference::<ObjectReference1>(name)?]));
    let lists = names.iter().map(scale).collect::<Result<Vec<_>, Failed>>()?;
    group.dataset(column)?.new_attr_builder().with_data(&lists).create(LIST)?;
    Ok(())
}

fn size(n: u64) -> Result<usize, ErrorKind> {
    usize::try_from(n).map_err(|_| request("too large for this machine".to_owned()))
}

fn c_text(text: &str) -> Result<CString, ErrorKind> {
    CString::new(text).map_err(|_| request("a name holds a zero byte".to_owned()))
}
