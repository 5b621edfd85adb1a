//! Reads and writes cells of library columns.

use crate::h5::Failed;
use crate::h5::{H5Change, H5File, cells::select};
use h5part_base::dataspace::{Column, Dtype, Rows, Runs};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::sync;
use hdf5::Dataset;
use hdf5::plist::DatasetCreate;
use hdf5::plist::dataset_create::{AllocTime, FillTime, FillValue, Layout};
use std::collections::btree_map::Entry;
use std::ops::Range;

/// Fill is written in pieces of about this many bytes.
const FILL_BYTES: u64 = 8 << 20;

impl H5File {
    /// Reads rows of any column as little-endian bytes, in ascending order of rows.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedColumn`], library errors.
    pub fn read_rows(&self, table: &str, column: &Column, runs: &Runs) -> Result<Vec<u8>, Failed> {
        self.ask(|| {
            let dataset = self.file.dataset(&format!("/{table}/{}", column.name))?;
            refuse_outside(&dataset, &column.name)?;
            read_rows(&dataset, column, runs)
        })
    }
}

impl H5Change {
    /// Reads rows during the change, as [`H5File::read_rows`] does.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedColumn`], library errors.
    pub fn read_rows(&self, table: &str, column: &Column, runs: &Runs) -> Result<Vec<u8>, Failed> {
        read_rows(&self.dataset(table, column)?, column, runs)
    }

    /// Writes rows of a library column: little-endian bytes in ascending order of rows. Each chunk is compressed once,
    /// however many of its rows are written.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedColumn`], library errors.
    pub fn write_rows(&self, table: &str, column: &Column, runs: &Runs, bytes: &[u8]) -> Result<(), Failed> {
        let dataset = self.dataset(table, column)?;
        give_space(&dataset, column)?;
        select::write(&dataset, column.dtype()?, runs, bytes)
    }

    /// Closes the columns in use, and frees what the library caches of them.
    pub fn close_columns(&self) {
        sync::lock(&self.open).clear();
    }

    pub(in crate::h5) fn dataset(&self, table: &str, column: &Column) -> Result<Dataset, Failed> {
        let path = format!("/{table}/{}", column.name);
        let mut open = sync::lock(&self.open);
        Ok(match open.entry(path) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let dataset = self.file.dataset(entry.key())?;
                refuse_outside(&dataset, &column.name)?;
                entry.insert(dataset).clone()
            }
        })
    }
}

/// Fills a dataset whose first write would allocate space for all cells. HDF5 would leave whatever the file held before
/// in the unwritten cells. Compressed chunks get the fill value even where HDF5 was told not to write it.
pub(in crate::h5) fn give_space(dataset: &Dataset, column: &Column) -> Result<(), Failed> {
    let plist = dataset.dcpl()?;
    let at_once = match plist.get_layout()? {
        // With a user block, a dataset without space seems to have an address.
        Layout::Contiguous => dataset.storage_size() == 0,
        Layout::Chunked => {
            is_unfilled(&plist)? && plist.get_alloc_time()? == AllocTime::Late && dataset.num_chunks() == Some(0)
        }
        Layout::Compact | Layout::Virtual => false,
    };
    if !at_once {
        return Ok(());
    }
    let rows = dataset.shape().first().map_or(0, |&rows| rows as u64);
    fill_rows(dataset, column.dtype()?, 0..rows, &column.fill)
}

/// Whether the library allocates space for a dataset without filling it, so that it holds whatever the file held
/// before.
pub(in crate::h5) fn is_unfilled(plist: &DatasetCreate) -> Result<bool, Failed> {
    Ok(plist.get_fill_time()? == FillTime::Never || plist.get_fill_value_defined()? == FillValue::Undefined)
}

/// Sets every element of some rows to the same value.
pub(in crate::h5) fn fill_rows(
    dataset: &Dataset,
    dtype: Dtype,
    rows: Range<u64>,
    element: &[u8],
) -> Result<(), Failed> {
    let elements: u64 = dataset.shape().iter().skip(1).map(|&n| n as u64).product();
    let portion = (FILL_BYTES / (elements * dtype.size()).max(1)).max(1);
    for from in rows.clone().step_by(to_usize(portion)) {
        let here = Rows::range(from..from.saturating_add(portion).min(rows.end));
        let count = to_usize(here.len() * elements);
        select::write(dataset, dtype, &here.runs()?, &element.repeat(count))?;
    }
    Ok(())
}

/// Refuses columns whose values lie in other files. They are neither read nor written, whatever files they name.
fn refuse_outside(dataset: &Dataset, column: &str) -> Result<(), Failed> {
    let plist = dataset.dcpl()?;
    if plist.get_layout()? == Layout::Virtual || !plist.get_external()?.is_empty() {
        return Err(ErrorKind::UnsupportedColumn { column: column.to_owned(), dtype: None }.into());
    }
    Ok(())
}

fn read_rows(dataset: &Dataset, column: &Column, runs: &Runs) -> Result<Vec<u8>, Failed> {
    let dtype = column.dtype()?;
    let cell = column.shape.iter().try_fold(dtype.size(), |n, &k| n.checked_mul(k));
    let len = cell.and_then(|n| n.checked_mul(runs.len())).and_then(|n| usize::try_from(n).ok());
    let too_large = || ErrorKind::BadRequest("the selection is too large for this machine's memory".to_owned());
    let mut bytes = vec![0; len.ok_or_else(too_large)?];
    // Without a fill value, the library refuses to read what was never written.
    if dataset.storage_size() > 0 || dataset.dcpl()?.get_fill_value_defined()? != FillValue::Undefined {
        select::read(dataset, dtype, runs, &mut bytes)?;
    }
    Ok(bytes)
}
