//! Cells of library columns, in and out.

use super::{H5Change, H5File, select};
use crate::dataspace::{Column, Rows, Runs};
use crate::error::ErrorKind;
use hdf5::Dataset;
use hdf5::plist::dataset_create::Layout;
use std::collections::btree_map::Entry;
use std::sync::PoisonError;

/// Fill is written in pieces of about this, in bytes.
const FILL_BYTES: u64 = 1 << 20;

impl H5File {
    /// Little-endian bytes of the rows of any column, in ascending order of rows.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedType`], library errors.
    pub fn read_rows(&self, table: &str, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        self.ask(|| {
            let dataset = self.file.dataset(&format!("/{table}/{}", column.name))?;
            refuse_outside(&dataset, &column.name)?;
            read_rows(&dataset, column, runs)
        })
    }
}

impl H5Change {
    /// As [`H5File::read_rows`].
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedType`], library errors.
    pub fn read_rows(&self, table: &str, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        read_rows(&self.dataset(table, column)?, column, runs)
    }

    /// Writes rows of a library column: little-endian bytes in ascending order of rows. Chunks are
    /// compressed once, however many of their rows are written.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedType`], library errors.
    pub fn write_rows(&self, table: &str, column: &Column, runs: &Runs, bytes: &[u8]) -> Result<(), ErrorKind> {
        let dataset = self.dataset(table, column)?;
        if dataset.dcpl()?.get_layout()? == Layout::Contiguous && dataset.offset().is_none() {
            fill_all(&dataset, column)?;
        }
        select::write(&dataset, column.dtype()?, runs, bytes)
    }

    pub(super) fn dataset(&self, table: &str, column: &Column) -> Result<Dataset, ErrorKind> {
        let path = format!("/{table}/{}", column.name);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Gives a dataset that is one block its space, and its fill to all of it: the library gives the space, and may leave
/// in it what was there before.
fn fill_all(dataset: &Dataset, column: &Column) -> Result<(), ErrorKind> {
    let rows = dataset.shape().first().map_or(0, |&rows| rows as u64);
    let cell = column.fill_cell();
    let block = (FILL_BYTES / (cell.len() as u64).max(1)).clamp(1, rows.max(1));
    for from in (0..rows).step_by(usize::try_from(block).unwrap_or(usize::MAX)) {
        let runs = Rows::range(from..(from + block).min(rows)).runs()?;
        let count = usize::try_from(runs.len()).unwrap_or(usize::MAX);
        select::write(dataset, column.dtype()?, &runs, &cell.repeat(count))?;
    }
    Ok(())
}

/// Values in other files are neither read nor written, whatever files they name.
fn refuse_outside(dataset: &Dataset, column: &str) -> Result<(), ErrorKind> {
    let plist = dataset.dcpl()?;
    if plist.get_layout()? == Layout::Virtual || !plist.get_external()?.is_empty() {
        return Err(ErrorKind::ValuesOutside(column.to_owned()));
    }
    Ok(())
}

fn read_rows(dataset: &Dataset, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
    let dtype = column.dtype()?;
    let cell = column.shape.iter().try_fold(dtype.size(), |n, &k| n.checked_mul(k));
    let len = cell.and_then(|n| n.checked_mul(runs.len())).and_then(|n| usize::try_from(n).ok());
    let too_large = || ErrorKind::BadRequest("the selection is too large for this machine's memory".to_owned());
    let mut bytes = vec![0; len.ok_or_else(too_large)?];
    select::read(dataset, dtype, runs, &mut bytes)?;
    Ok(bytes)
}
