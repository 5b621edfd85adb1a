//! One dataset: its type and shape, and where its rows lie or why only the library reaches them.
#![expect(unsafe_code, reason = "the safe wrapper gives no fill of a type that is known at run time alone")]

use crate::h5::Failed;
use crate::h5::cells::chunks::{each_chunk, readable};
use crate::h5::cells::filters::{StoredFilter, stored};
use crate::h5::library::raw::call;
use crate::h5::types::datatype::dtype_of;
use crate::h5::types::found_type::terminated_texts;
use crate::h5::types::made_type::made_type;
use h5part_base::checksum::crc32c;
use h5part_base::dataspace::{Column, ColumnLayout, Dtype, OUTSIDE, Place};
use h5part_base::num::to_usize;
use hdf5::plist::dataset_create::{FillTime, FillValue, Layout};
use hdf5::{Dataset, Group};
use hdf5_sys::h5p::H5Pget_fill_value;

/// Longer descriptions are stored as their beginning and a checksum. Many fields in many columns would fill the object
/// header of the stamps.
const LONGEST_TYPE: usize = 256;

/// Type and cell shape of a column as they are stored beside its stamps. Empty if this version has no name for the
/// type.
pub(in crate::h5) fn type_text(column: &Column) -> String {
    let text = column.dtype.as_ref().map_or_else(|_| String::new(), |dtype| format!("{dtype} {:?}", column.shape));
    if text.len() <= LONGEST_TYPE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_TYPE / 4).collect();
    format!("{start} {:08x}", crc32c(text.as_bytes()))
}

/// The description that is stored for a dataset that gets stamps.
pub(in crate::h5) fn type_of(table: &Group, name: &str) -> Result<String, Failed> {
    if name.is_empty() || !table.link_exists(name) {
        return Ok(String::new());
    }
    Ok(type_text(&read_column(&table.dataset(name)?, name.to_owned(), None)?))
}

pub(in crate::h5) fn first_axis(dataset: &Dataset) -> u64 {
    dataset.shape().first().map_or(0, |&n| n as u64)
}

pub(in crate::h5) fn locate_column(column: &mut Column, dataset: &Dataset) -> Result<(), Failed> {
    if column.layout.is_ok()
        && let Ok(dtype) = column.dtype
    {
        let cell_bytes = column.shape.iter().product::<u64>() * dtype.size();
        column.layout = locate(dataset, column.chunk.as_deref(), cell_bytes)?;
    }
    Ok(())
}

pub(in crate::h5) fn read_column(dataset: &Dataset, name: String, stamp: Option<usize>) -> Result<Column, Failed> {
    let datatype = dataset.dtype()?;
    let plist = dataset.dcpl()?;
    let stored = stored(&plist)?;
    // Without a decoder the type is useless. Such columns are copied as they are stored.
    let found = match stored.iter().find(|filter| !filter.can_decode()) {
        Some(filter) => Err(format!("behind the filter {filter}, which h5part cannot decode")),
        None => dtype_of(&datatype),
    };
    let (dtype, big_endian) = found.map_or_else(|other| (Err(other), false), |(dtype, big)| (Ok(dtype), big));
    let frozen = stored.iter().find_map(StoredFilter::frozen);
    let filters: Vec<String> = stored.iter().map(ToString::to_string).collect();
    let reason = match (&dtype, plist.get_layout()?) {
        (Err(other), _) => Some(format!("type {other}")),
        (_, layout) if layout == Layout::Virtual || !plist.get_external()?.is_empty() => Some(OUTSIDE.to_owned()),
        _ if big_endian => Some("big-endian".to_owned()),
        _ if !filters.is_empty() => Some(format!("filtered ({})", filters.join(", "))),
        (_, Layout::Compact) => Some("stored in its object header (compact)".to_owned()),
        _ => None,
    };
    let nothing = ColumnLayout { rows: 0, cell_bytes: 0, place: Place::Contiguous { address: 0 } };
    let fill = match &dtype {
        // HDF5 never writes the fill of such a dataset, and reads zeros where nothing was written.
        Ok(dtype) if plist.get_fill_time()? == FillTime::Never => vec![0; usize::try_from(dtype.size()).unwrap_or(0)],
        Ok(dtype) => fill_of(&plist, *dtype)?,
        Err(_) => Vec::new(),
    };
    Ok(Column {
        name,
        fill,
        shape: dataset.shape().iter().skip(1).map(|&n| n as u64).collect(),
        chunk: plist.get_chunk()?.map(|c| c.iter().map(|&n| n as u64).collect()),
        filters: readable(&plist, dtype.is_ok())?,
        big_endian,
        terminated: if dtype.is_ok() { terminated_texts(&datatype)? } else { Vec::new() },
        frozen,
        layout: reason.map_or(Ok(nothing), Err),
        dtype,
        stamp,
    })
}

/// Where the rows lie, or why they can only be reached through the library.
pub(in crate::h5) fn locate(
    dataset: &Dataset,
    chunk: Option<&[u64]>,
    cell_bytes: u64,
) -> Result<Result<ColumnLayout, String>, Failed> {
    let shape: Vec<u64> = dataset.shape().iter().map(|&n| n as u64).collect();
    let rows = shape.first().copied().unwrap_or(0);
    let Some(chunk) = chunk else {
        // For a dataset without storage the library adds the user block to "undefined", which then looks like an
        // address.
        return Ok(match dataset.offset().filter(|_| dataset.storage_size() > 0) {
            Some(address) => Ok(ColumnLayout { rows, cell_bytes, place: Place::Contiguous { address } }),
            None if rows == 0 => Ok(ColumnLayout { rows, cell_bytes, place: Place::Contiguous { address: 0 } }),
            None => Err("no space allocated yet (late allocation)".to_owned()),
        });
    };
    if chunk.get(1..) != shape.get(1..) {
        return Ok(Err("chunks hold parts of rows".to_owned()));
    }
    let chunk_rows = chunk.first().copied().unwrap_or(1).max(1);
    let count = to_usize(rows.div_ceil(chunk_rows));
    if dataset.num_chunks() != Some(count) {
        return Ok(Err("not all chunks are allocated (late allocation)".to_owned()));
    }
    let mut addresses = vec![u64::MAX; count];
    chunk_addresses(dataset, |offset, address| {
        if let Some(place) = addresses.get_mut(to_usize(offset / chunk_rows)) {
            *place = address;
        }
    })?;
    if addresses.contains(&u64::MAX) {
        return Ok(Err("not all chunks are allocated (late allocation)".to_owned()));
    }
    Ok(Ok(ColumnLayout { rows, cell_bytes, place: Place::Chunked { chunk_rows, addresses } }))
}

/// Calls `found(first row, byte address)` for every chunk.
fn chunk_addresses(dataset: &Dataset, mut found: impl FnMut(u64, u64)) -> Result<(), Failed> {
    each_chunk(dataset, |offset, chunk| found(offset.first().copied().unwrap_or(0), chunk.address))
}

/// First byte after the chunks of a dataset.
pub(in crate::h5) fn chunks_end(dataset: &Dataset) -> Result<u64, Failed> {
    let mut end = 0;
    each_chunk(dataset, |_, chunk| end = end.max(chunk.address.saturating_add(chunk.bytes)))?;
    Ok(end)
}

/// The fill element that a dataset was made with, even if HDF5 does not write it.
pub(in crate::h5) fn fill_of(plist: &hdf5::plist::DatasetCreate, dtype: Dtype) -> Result<Vec<u8>, Failed> {
    let mut fill = vec![0; to_usize(dtype.size())];
    if plist.get_fill_value_defined()? == FillValue::Undefined {
        return Ok(fill);
    }
    let datatype = made_type(match dtype {
        // A boolean is read as its byte: other programs may have given it a value other than 0 or 1.
        Dtype::Bool => Dtype::U8,
        // An enum is read as a number, since its fill may be a value without a name.
        Dtype::Enum(kind) => kind.base(),
        other => other,
    })?;
    call!(H5Pget_fill_value, plist.id(), datatype.id(), fill.as_mut_ptr().cast())?;
    Ok(fill)
}
