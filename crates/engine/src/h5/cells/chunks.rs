//! Chunks as they are stored: their addresses, and access to them past the library's filters.
#![expect(unsafe_code, reason = "the safe wrapper neither reads nor writes stored chunks")]

use crate::filter::{Encoded, Pipeline};
use crate::h5::Failed;
use crate::h5::{H5Change, H5File, MetadataFingerprint, cells::filters};
use h5part_base::dataspace::{Chunk, ChunkTable, Column, Filter, Grid};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;
use hdf5::Dataset;
use hdf5::plist::DatasetCreate;
use hdf5::plist::dataset_create::{AllocTime, Layout};
use hdf5_sys::h5::HADDR_UNDEF;
use hdf5_sys::h5d::{H5Dget_chunk_info_by_coord, H5Dwrite_chunk};
use hdf5_sys::h5p::H5P_DEFAULT;
use std::ffi::c_int;

unsafe extern "C" {
    /// In HDF5 1.10.2 and later. The bindings leave it out.
    fn H5Dget_chunk_storage_size(dataset: i64, offset: *const u64, bytes: *mut u64) -> c_int;
}

impl H5File {
    /// Addresses of the chunks of a column, and the fingerprint of the metadata that they rest on. Call it once per
    /// open.
    ///
    /// # Errors
    /// [`ErrorKind::Cut`], [`ErrorKind::LibraryColumn`], library errors.
    pub fn chunks(
        &self,
        table: &str,
        column: &Column,
        storage: &dyn StorageFile,
    ) -> Result<(ChunkTable, MetadataFingerprint), Failed> {
        self.ask(|| {
            let dataset = self.file.dataset(&format!("/{table}/{}", column.name))?;
            let found = chunk_table(&dataset, column, self.len)?;
            Ok((found, self.fingerprint(storage)?))
        })
    }

    /// Reads a stored chunk by the offset of its first element. `None`: it was not written yet.
    ///
    /// # Errors
    /// Library errors.
    pub fn read_chunk(&self, table: &str, column: &Column, offset: &[u64]) -> Result<Option<Encoded>, Failed> {
        self.ask(|| read_chunk(&self.file.dataset(&format!("/{table}/{}", column.name))?, offset))
    }
}

impl H5Change {
    /// Reads a stored chunk during the change, as [`H5File::read_chunk`] does.
    ///
    /// # Errors
    /// Library errors.
    pub fn read_chunk(&self, table: &str, column: &Column, offset: &[u64]) -> Result<Option<Encoded>, Failed> {
        read_chunk(&self.dataset(table, column)?, offset)
    }

    /// Stores encoded bytes as a chunk. A chunk whose length changes moves to new space.
    ///
    /// # Errors
    /// Library errors.
    pub fn write_chunk(&self, table: &str, column: &Column, offset: &[u64], chunk: &Encoded) -> Result<(), Failed> {
        let dataset = self.dataset(table, column)?;
        check_rank(&dataset, offset)?;
        crate::h5::cells::library_cells::give_space(&dataset, column)?;
        write_as(&dataset, offset, chunk)?;
        // Unless it allocates chunk by chunk, the library has now stored fill in every chunk, with a mask of its own.
        let incremental = dataset.dcpl()?.get_alloc_time()? == AllocTime::Incr;
        if !incremental && keeps_mask(&dataset, offset, chunk)? { write_as(&dataset, offset, chunk) } else { Ok(()) }
    }
}

/// Stores encoded bytes with their filter mask. The library keeps the old filter mask of a chunk whose length does not
/// change, so such a chunk is first stored with another length.
fn write_as(dataset: &Dataset, offset: &[u64], chunk: &Encoded) -> Result<(), Failed> {
    if keeps_mask(dataset, offset, chunk)? {
        let longer = [chunk.bytes.as_slice(), &[0]].concat();
        write_stored(dataset, offset, chunk.mask, &longer)?;
    }
    write_stored(dataset, offset, chunk.mask, &chunk.bytes)
}

/// Whether a chunk of this length is stored there with another filter mask.
fn keeps_mask(dataset: &Dataset, offset: &[u64], chunk: &Encoded) -> Result<bool, Failed> {
    if stored_len(dataset, offset)? != Some(chunk.bytes.len() as u64) {
        return Ok(false);
    }
    let mut bytes = vec![0; chunk.bytes.len()];
    Ok(hdf5::sync::sync(|| stored(dataset, offset, &mut bytes))? != chunk.mask)
}

fn write_stored(dataset: &Dataset, offset: &[u64], mask: u32, bytes: &[u8]) -> Result<(), Failed> {
    hdf5::sync::sync(|| {
        let (len, bytes) = (bytes.len(), bytes.as_ptr());
        // SAFETY: the ids are alive, offset has as many elements as the dataset has axes (the caller has checked), and
        // the bytes are as many as is said.
        hdf5::h5check(unsafe { H5Dwrite_chunk(dataset.id(), H5P_DEFAULT, mask, offset.as_ptr(), len, bytes.cast()) })
    })?;
    Ok(())
}

/// The filters of a chunked dataset, if its chunks can be read without the library.
pub(in crate::h5) fn readable(plist: &DatasetCreate, plain_type: bool) -> Result<Option<Vec<Filter>>, Failed> {
    // With these, chunks at the edge skip the filters, and don't say so.
    let edges = plist.chunk_opts().is_some_and(|options| !options.is_empty());
    if !plain_type || plist.get_layout()? != Layout::Chunked || edges {
        return Ok(None);
    }
    let known: Option<Vec<Filter>> = filters::stored(plist)?.iter().map(filters::StoredFilter::known).collect();
    Ok(known.filter(|filters| Pipeline::new(filters, 1).is_some()))
}

fn chunk_table(dataset: &Dataset, column: &Column, file_len: u64) -> Result<ChunkTable, Failed> {
    let by_library = |reason: &str| ErrorKind::LibraryColumn { column: column.name.clone(), reason: reason.to_owned() };
    let filters = column.filters.clone().ok_or_else(|| by_library("its chunks need the library"))?;
    let shape: Vec<u64> = dataset.shape().iter().map(|&n| n as u64).collect();
    let chunk: Vec<u64> = dataset.chunk().unwrap_or_default().iter().map(|&n| n as u64).collect();
    let grid = Grid::new(&shape, &chunk, column.dtype()?.size()).ok_or_else(|| by_library("odd chunks"))?;
    let most = dataset.num_chunks().unwrap_or(0);
    let all = usize::try_from(grid.bands()).ok().and_then(|bands| bands.checked_mul(grid.across()));
    let all = all.ok_or_else(|| by_library("more chunks than any memory holds"))?;
    // A file must not make us allocate more than it occupies. Without chunks there is nothing to record.
    let mut chunks = vec![None; if most == 0 { 0 } else { all }];
    let mut end = 0;
    each_chunk(dataset, |offset, chunk| {
        end = end.max(chunk.address.saturating_add(chunk.bytes));
        if let Some(place) = grid.position(offset).and_then(|position| chunks.get_mut(position)) {
            *place = Some(chunk);
        }
    })?;
    if end > file_len {
        return Err(ErrorKind::Cut { expected: end, found: file_len }.into());
    }
    Ok(ChunkTable { grid, filters, chunks })
}

/// Whether a dataset without elements still names a chunk. HDF5 frees the only chunk of a dataset that cannot have more
/// when the dataset is shrunk to nothing, but does not strike its address out. If the dataset grows again, the library
/// reads and writes whatever lies there by then.
pub(in crate::h5) fn has_freed_chunk(dataset: &Dataset) -> bool {
    dataset.shape().contains(&0) && dataset.num_chunks().is_some_and(|count| count > 0)
}

/// Calls `found(offset of the first element, chunk)` for every chunk.
pub(in crate::h5) fn each_chunk(dataset: &Dataset, mut found: impl FnMut(&[u64], Chunk)) -> Result<(), Failed> {
    if has_freed_chunk(dataset) {
        return Ok(());
    }
    dataset.chunks_visit(|chunk| {
        found(chunk.offset, Chunk { address: chunk.addr, bytes: chunk.size, mask: chunk.filter_mask });
        0
    })?;
    Ok(())
}

fn check_rank(dataset: &Dataset, offset: &[u64]) -> Result<(), Failed> {
    let rank = dataset.ndim();
    if rank == offset.len() { Ok(()) } else { Err(ErrorKind::Hdf5("the offset has another rank".to_owned()).into()) }
}

/// Length of a stored chunk. `None`: no such chunk.
fn stored_len(dataset: &Dataset, offset: &[u64]) -> Result<Option<u64>, Failed> {
    let mut len = 0;
    let known = hdf5::sync::sync(|| {
        // SAFETY: the id is alive, offset has as many elements as the dataset has axes.
        hdf5::h5check(unsafe { H5Dget_chunk_storage_size(dataset.id(), offset.as_ptr(), &raw mut len) })
    });
    // For a missing chunk some versions of the library report 0, others an error.
    match known {
        Ok(_) if len > 0 => Ok(Some(len)),
        Ok(_) => Ok(None),
        Err(_) if !is_stored(dataset, offset)? => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn read_chunk(dataset: &Dataset, offset: &[u64]) -> Result<Option<Encoded>, Failed> {
    check_rank(dataset, offset)?;
    let Some(len) = stored_len(dataset, offset)? else { return Ok(None) };
    let mut bytes = vec![0; to_usize(len)];
    let mask = hdf5::sync::sync(|| stored(dataset, offset, &mut bytes))?;
    Ok(Some(Encoded { mask, bytes }))
}

/// Whether a chunk has space in the file. It searches all chunks, so ask only where the answer is likely no.
fn is_stored(dataset: &Dataset, offset: &[u64]) -> Result<bool, Failed> {
    let (mut mask, mut address, mut len) = (0, 0, 0);
    hdf5::sync::sync(|| {
        let (mask, address, len) = (&raw mut mask, &raw mut address, &raw mut len);
        // SAFETY: the id is alive, offset has as many elements as the dataset has axes.
        hdf5::h5check(unsafe { H5Dget_chunk_info_by_coord(dataset.id(), offset.as_ptr(), mask, address, len) })
    })?;
    Ok(address != HADDR_UNDEF && len > 0)
}

/// Reads a stored chunk into `bytes`, whose length is what the library reported. Returns the filter mask.
fn stored(dataset: &Dataset, offset: &[u64], bytes: &mut [u8]) -> hdf5::Result<u32> {
    let mut mask = 0;
    #[cfg(hdf5_2)]
    // SAFETY: the id is alive, offset has as many elements as the dataset has axes, the buffer has the length passed.
    hdf5::h5check(unsafe {
        let (mut len, buffer) = (bytes.len(), bytes.as_mut_ptr().cast());
        hdf5_sys::h5d::H5Dread_chunk(dataset.id(), H5P_DEFAULT, offset.as_ptr(), &raw mut mask, buffer, &raw mut len)
    })?;
    #[cfg(not(hdf5_2))]
    // SAFETY: the id is alive, offset has as many elements as the dataset has axes, the buffer is as long as
    // the library has just said.
    hdf5::h5check(unsafe {
        let buffer = bytes.as_mut_ptr().cast();
        hdf5_sys::h5d::H5Dread_chunk(dataset.id(), H5P_DEFAULT, offset.as_ptr(), &raw mut mask, buffer)
    })?;
    Ok(mask)
}
