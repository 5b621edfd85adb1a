//! Makes the datasets of a table.
#![expect(unsafe_code, reason = "the safe wrapper takes no fill of a type that is known at run time alone")]

use crate::h5::Failed;
use crate::h5::change::open::ALIGNMENT;
use crate::h5::library::raw::call;
use crate::h5::types::made_type::made_type;
use h5part_base::dataspace::ColumnSpec;
use h5part_base::error::ErrorKind;
use hdf5::plist::DatasetCreate;
use hdf5::plist::dataset_create::{AllocTime, FillTime};
use hdf5::{Extent, Group};
use hdf5_sys::h5p::H5Pset_fill_value;

/// Chunks of whole rows take about this many bytes.
const CHUNK_BYTES: u64 = 1 << 20;

/// Filters for new columns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Level of gzip, 0 to 9.
    pub gzip: Option<u8>,
    /// Apply the shuffle filter before compression.
    pub shuffle: bool,
}

impl Filters {
    /// Whether any filter is set.
    #[must_use]
    pub fn any(self) -> bool {
        self.gzip.is_some() || self.shuffle
    }
}

/// How a dataset is laid out.
#[derive(Clone, Copy, Debug)]
pub(in crate::h5) struct Make {
    pub(in crate::h5) rows: u64,
    /// `None`: contiguous.
    pub(in crate::h5) chunk_rows: Option<u64>,
    pub(in crate::h5) filters: Filters,
}

/// Rows per chunk: `asked`, else as many as make about 1 MiB. The latter is at most the rows of the table, or the rows
/// that fill a page if these are more.
#[must_use]
pub fn chunk_rows(rows: u64, cell_bytes: u64, asked: Option<u64>) -> u64 {
    let cell = cell_bytes.max(1);
    asked.unwrap_or_else(|| (CHUNK_BYTES / cell).clamp(1, rows.max(ALIGNMENT.div_ceil(cell)).max(1)))
}

pub(in crate::h5) fn make_column(group: &Group, column: &ColumnSpec, make: Make) -> Result<(), Failed> {
    let datatype = made_type(column.dtype)?;
    if column.fill.len() != datatype.size() {
        let (name, dtype) = (&column.name, column.dtype);
        return Err(ErrorKind::BadRequest(format!("the fill of column '{name}' is not one element of {dtype}")).into());
    }
    let creation = DatasetCreate::try_new()?;
    call!(H5Pset_fill_value, creation.id(), datatype.id(), column.fill.as_ptr().cast())?;
    let Make { rows, chunk_rows, filters } = make;
    let size = |n: u64| usize::try_from(n).map_err(|_| ErrorKind::BadRequest("too large for this machine".to_owned()));
    let cell = column.shape.iter().map(|&n| size(n)).collect::<Result<Vec<_>, _>>()?;
    // Compressed chunks move when they grow, so allocating them before they have values is useless.
    let alloc = if filters.any() { AllocTime::Incr } else { AllocTime::Early };
    let mut builder = group.new_dataset_builder().set_dcpl(&creation).empty_as(&datatype).alloc_time(Some(alloc));
    if filters.shuffle {
        builder = builder.shuffle();
    }
    if let Some(level) = filters.gzip {
        builder = builder.deflate(level);
    }
    let builder = builder.fill_time(FillTime::Alloc).obj_track_times(false);
    let (first, builder) = match chunk_rows {
        // Unlimited rows let the table grow.
        Some(chunk) => {
            let shape: Vec<usize> = [size(chunk)?].into_iter().chain(cell.iter().copied()).collect();
            (Extent::resizable(size(rows)?), builder.chunk(shape))
        }
        None => (Extent::fixed(size(rows)?), builder.no_chunk()),
    };
    let extents: Vec<Extent> = [first].into_iter().chain(cell.iter().map(|&n| Extent::fixed(n))).collect();
    builder.shape(extents).create(column.name.as_str())?;
    Ok(())
}
