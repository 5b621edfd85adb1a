//! Makes datasets anew, without their values.

use crate::h5::Failed;
use crate::h5::cells::library_cells::{fill_rows, is_unfilled};
use crate::h5::library::raw::{Hid, call, own};
use crate::h5::types::datatype::dtype_of;
use h5part_base::error::ErrorKind;
use hdf5::plist::DatasetCreate;
use hdf5::plist::dataset_create::AllocTime;
use hdf5::{Dataset, Location, Object};
use hdf5_sys::h5d::{H5D_alloc_time_t, H5D_fill_time_t, H5D_layout_t, H5Dcreate2, H5Dget_create_plist, H5Dget_space};
use hdf5_sys::h5f::H5Fget_create_plist;
use hdf5_sys::h5p::{
    H5P_DEFAULT, H5Pget_chunk, H5Pget_chunk_opts, H5Pget_external_count, H5Pget_layout, H5Pget_nfilters, H5Pget_sizes,
    H5Premove_filter, H5Pset_alloc_time, H5Pset_chunk, H5Pset_chunk_opts, H5Pset_deflate, H5Pset_fill_time,
    H5Pset_filter, H5Pset_layout, H5Pset_shuffle,
};
use hdf5_sys::h5s::{
    H5S_MAX_RANK, H5S_UNLIMITED, H5Sget_simple_extent_dims, H5Sget_simple_extent_ndims, H5Sset_extent_simple,
};
use hdf5_sys::h5z::{H5Z_FILTER_ALL, H5Z_FLAG_OPTIONAL};
use std::ffi::{CStr, c_int, c_uint};

/// The registered number of the Zstandard filter.
const ZSTD: c_int = 32015;

/// A dataset to make anew in the copy: with the same type, dimensions, fill value and attributes, but without values.
/// Its storage may differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Its path in the file. All hard links to it will lead to the new dataset.
    pub path: String,
    /// How its values are laid out.
    pub layout: ShellLayout,
    /// How they are compressed.
    pub compression: Compression,
    /// When space is allocated. `None`: as in the source.
    pub allocation: Option<Allocation>,
    /// Number of rows. `None`: as many as in the source.
    pub rows: Option<u64>,
}

/// How the values of a shell are laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShellLayout {
    /// As in the source.
    Same,
    /// In one block. Such a dataset cannot grow.
    Contiguous,
    /// In chunks of this shape, cut to the dimensions where these are fixed.
    Chunked(Vec<u64>),
}

/// How the values of a shell are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As in the source.
    Same,
    /// Not at all.
    None,
    /// Deflate at this level, 0 to 9.
    Gzip {
        /// Level.
        level: u8,
        /// Apply the shuffle filter first.
        shuffle: bool,
    },
    /// Zstandard at this level, by the registered filter 32015. It is marked as optional, so that a library without its
    /// plugin can create and open the dataset.
    Zstd {
        /// Level.
        level: u32,
        /// Apply the shuffle filter first.
        shuffle: bool,
    },
}

/// When the space of a dataset is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// At creation. The space is filled then.
    Early,
    /// When the first value is written.
    Late,
    /// For each chunk when its first value is written.
    Incremental,
    /// Early, so that cells can be written in place. For each chunk of a compressed dataset when its first value is
    /// written, since its cells cannot be written in place.
    Direct,
}

/// The layout of a dataset with these properties.
pub(super) fn layout_of(creation: Hid) -> H5D_layout_t {
    hdf5::sync::sync(|| {
        // SAFETY: the property list is alive.
        unsafe { H5Pget_layout(creation) }
    })
}

/// Size in bytes of an address and of a length.
pub(super) fn sizes(file: &hdf5::File) -> Result<(usize, usize), Failed> {
    let creation: Object = own!(H5Fget_create_plist, file.id())?;
    let (mut address, mut length) = (0, 0);
    call!(H5Pget_sizes, creation.id(), &raw mut address, &raw mut length)?;
    Ok((address, length))
}

/// The largest length that fits into this many bytes. `None`: that is the largest length of all.
pub(super) fn largest(length_bytes: usize) -> Option<u64> {
    let bits = u32::try_from(8 * length_bytes).ok()?;
    Some(1u64.checked_shl(bits)? - 1)
}

/// The intended shape of a dataset. In a file whose lengths have few bytes, HDF5 reads "no limit" as the largest length
/// there is (`no_limit`). A new dataset with that limit would get an index for all the chunks that it could have.
pub(super) fn space_of(dataset: &Location, no_limit: Option<u64>) -> Result<Object, Failed> {
    let space: Object = own!(H5Dget_space, dataset.id())?;
    let Some(no_limit) = no_limit else { return Ok(space) };
    let (shape, mut most) = extent(space.id())?;
    if most.contains(&no_limit) {
        most.iter_mut().filter(|most| **most == no_limit).for_each(|most| *most = H5S_UNLIMITED);
        call!(H5Sset_extent_simple, space.id(), rank(&shape), shape.as_ptr(), most.as_ptr())?;
    }
    Ok(space)
}

/// Lets a dataset be created whose elements have another size than those of the dataset that `creation` comes from.
/// References have another size in a file with other addresses. A chunked layout remembers the size until its shape is
/// set again.
pub(super) fn forget_element_size(creation: &Object) -> Result<(), Failed> {
    if layout_of(creation.id()) != H5D_layout_t::H5D_CHUNKED {
        return Ok(());
    }
    let (mut chunk, mut options) = ([0; H5S_MAX_RANK as usize], 0);
    let rank = call!(H5Pget_chunk, creation.id(), rank(&chunk), chunk.as_mut_ptr())?;
    call!(H5Pget_chunk_opts, creation.id(), &raw mut options)?;
    call!(H5Pset_chunk, creation.id(), rank, chunk.as_ptr())?;
    call!(H5Pset_chunk_opts, creation.id(), options)?;
    Ok(())
}

/// Makes the dataset. `datatype` is a type of the copy, and `space` comes from [`space_of`].
pub(super) fn make(
    source: &Location,
    shell: &Shell,
    (datatype, space): (&Object, &Object),
    at: (&Location, &CStr),
    link: &Object,
) -> Result<Dataset, Failed> {
    let plist: DatasetCreate = own!(H5Dget_create_plist, source.id())?;
    if call!(H5Pget_external_count, plist.id())? > 0 {
        return Err(ErrorKind::UnsupportedColumn { column: shell.path.clone(), dtype: None }.into());
    }
    compress(plist.id(), shell.compression)?;
    match &shell.layout {
        ShellLayout::Same => forget_element_size(&plist)?,
        ShellLayout::Contiguous => {
            call!(H5Pset_layout, plist.id(), H5D_layout_t::H5D_CONTIGUOUS)?;
            let (shape, _) = extent(space.id())?;
            call!(H5Sset_extent_simple, space.id(), rank(&shape), shape.as_ptr(), std::ptr::null())?;
        }
        ShellLayout::Chunked(chunk) => {
            let (_, most) = extent(space.id())?;
            let chunk: Vec<u64> = chunk.iter().zip(&most).map(|(&n, &most)| n.clamp(1, most.max(1))).collect();
            call!(H5Pset_chunk, plist.id(), rank(&chunk), chunk.as_ptr())?;
        }
    }
    let unfilled = is_unfilled(&plist)?;
    if let Some(rows) = shell.rows {
        set_rows(space.id(), plist.id(), rows)?;
    }
    if let Some(allocation) = shell.allocation {
        allocate(plist.id(), allocation, unfilled)?;
    }
    let (group, name) = at;
    let (space, default) = (space.id(), H5P_DEFAULT);
    let made: Dataset =
        own!(H5Dcreate2, group.id(), name.as_ptr(), datatype.id(), space, link.id(), plist.id(), default)?;
    if unfilled && plist.get_alloc_time()? == AllocTime::Early {
        zero(&made)?;
    }
    Ok(made)
}

/// Writes zeros to a dataset that the library has not filled. Readers get zeros where nothing was written.
fn zero(made: &Dataset) -> Result<(), Failed> {
    let rows = made.shape().first().map_or(0, |&rows| rows as u64);
    match dtype_of(&made.dtype()?) {
        Ok((dtype, _)) => fill_rows(made, dtype, 0..rows, &vec![0; usize::try_from(dtype.size()).unwrap_or(0)]),
        Err(_) => Ok(()),
    }
}

/// Sets another number of rows, even for a dataset that cannot grow.
fn set_rows(space: Hid, plist: Hid, rows: u64) -> Result<(), Failed> {
    let (mut shape, mut most) = extent(space)?;
    let (Some(first), Some(limit)) = (shape.first_mut(), most.first_mut()) else { return Ok(()) };
    (*first, *limit) = (rows, rows.max(*limit));
    call!(H5Sset_extent_simple, space, rank(&shape), shape.as_ptr(), most.as_ptr())?;
    // The rows may not fit into the object header, where compact datasets lie.
    if layout_of(plist) == H5D_layout_t::H5D_COMPACT {
        call!(H5Pset_layout, plist, H5D_layout_t::H5D_CONTIGUOUS)?;
    }
    Ok(())
}

fn compress(plist: Hid, compression: Compression) -> Result<(), Failed> {
    if compression == Compression::Same {
        return Ok(());
    }
    call!(H5Premove_filter, plist, H5Z_FILTER_ALL)?;
    if let Compression::Gzip { shuffle: true, .. } | Compression::Zstd { shuffle: true, .. } = compression {
        call!(H5Pset_shuffle, plist)?;
    }
    match compression {
        Compression::Gzip { level, .. } => {
            call!(H5Pset_deflate, plist, c_uint::from(level))?;
        }
        Compression::Zstd { level, .. } => {
            call!(H5Pset_filter, plist, ZSTD, H5Z_FLAG_OPTIONAL, 1, &raw const level)?;
        }
        Compression::Same | Compression::None => {}
    }
    Ok(())
}

fn allocate(plist: Hid, allocation: Allocation, unfilled: bool) -> Result<(), Failed> {
    let time = match allocation {
        Allocation::Late => H5D_alloc_time_t::H5D_ALLOC_TIME_LATE,
        Allocation::Incremental => H5D_alloc_time_t::H5D_ALLOC_TIME_INCR,
        Allocation::Direct if call!(H5Pget_nfilters, plist)? > 0 => H5D_alloc_time_t::H5D_ALLOC_TIME_INCR,
        Allocation::Early | Allocation::Direct => H5D_alloc_time_t::H5D_ALLOC_TIME_EARLY,
    };
    call!(H5Pset_alloc_time, plist, time)?;
    if time == H5D_alloc_time_t::H5D_ALLOC_TIME_EARLY && !unfilled {
        // Fill even with the type's own zero: the space may have held something else before.
        call!(H5Pset_fill_time, plist, H5D_fill_time_t::H5D_FILL_TIME_ALLOC)?;
    }
    Ok(())
}

/// Current and maximum dimensions. The maximum of an unlimited axis is the largest number there is.
fn extent(space: Hid) -> Result<(Vec<u64>, Vec<u64>), Failed> {
    let axes = usize::try_from(call!(H5Sget_simple_extent_ndims, space)?).unwrap_or(0);
    let (mut shape, mut most) = (vec![0u64; axes], vec![0u64; axes]);
    call!(H5Sget_simple_extent_dims, space, shape.as_mut_ptr(), most.as_mut_ptr())?;
    Ok((shape, most))
}

fn rank(shape: &[u64]) -> c_int {
    c_int::try_from(shape.len()).unwrap_or(c_int::MAX)
}
