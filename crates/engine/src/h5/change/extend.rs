//! Lets tables grow.

use crate::h5::Failed;
use crate::h5::H5Change;
use crate::h5::cells::chunks::has_freed_chunk;
use crate::h5::cells::library_cells::{fill_rows, is_unfilled};
use crate::h5::dimensions::lengthen;
use crate::h5::marks::format::STAMPS_GROUP;
use crate::h5::read::load::Parts;
use h5part_base::dataspace::{Column, Table};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use hdf5::Dataset;
use hdf5::plist::dataset_create::AllocTime;

const FREED: &str = "HDF5 freed its chunk, but the file still names the place: new rows would be written over other \
                     data. A copy by `publish` is free of this";

impl H5Change {
    /// Extends all columns of a table, and its stamps, to `rows` rows. New rows hold fill, and those of a guard its
    /// undefined value. Returns the former number of rows.
    ///
    /// # Errors
    /// [`ErrorKind::CannotGrow`] for columns of fixed size and for fewer rows than the table has; library errors.
    pub fn extend(&self, table: &str, rows: u64) -> Result<u64, Failed> {
        let group = self.file.group(&format!("/{table}"))?;
        let parts = Parts::read(&self.file, table, &group)?;
        let had = parts.rows;
        let refuse =
            |column: &str, reason: String| Err(ErrorKind::CannotGrow { column: column.to_owned(), reason }.into());
        if rows < had {
            return refuse(table, format!("it has {had} rows, and a table cannot shrink"));
        }
        // Datasets that already have these rows stay as they are: another program may have made them longer.
        let shorter = |dataset: &Dataset| dataset.shape().first().is_some_and(|&n| (n as u64) < rows);
        let columns: Vec<_> = parts.columns.iter().filter(|(_, dataset)| shorter(dataset)).collect();
        for (column, dataset) in &columns {
            if has_freed_chunk(dataset) {
                return refuse(&column.name, FREED.to_owned());
            }
            if let Some(most) = most_rows(dataset)
                && most < rows
            {
                return refuse(&column.name, format!("it was made for at most {most} rows"));
            }
        }
        if let Some((lost, _)) = parts.lost.first().filter(|_| rows > had) {
            return refuse(&lost.name, format!("it {}", lost.loss));
        }
        for (column, dataset) in columns {
            let guard = parts.guards.iter().find(|guard| column.stamp == Some(guard.place));
            let own = dataset.shape().first().map_or(0, |&n| n as u64);
            extend_column(column, dataset, own, rows, guard.map(|guard| guard.undefined.as_slice()))?;
        }
        if let Some((id, dataset)) = parts.stamps.as_ref().filter(|(_, dataset)| shorter(dataset)) {
            if most_rows(dataset).is_some_and(|most| most < rows) {
                return refuse(STAMPS_GROUP, format!("the stamps of table {id} have a fixed size"));
            }
            resize(dataset, rows)?;
        }
        lengthen(&parts.dimensions, rows)?;
        Ok(had)
    }

    /// Makes the dimension of rows as long as its table, which is as long already.
    ///
    /// # Errors
    /// Library errors.
    pub fn lengthen_dimension(&self, table: &str, rows: u64) -> Result<(), Failed> {
        let group = self.file.group(&format!("/{table}"))?;
        lengthen(&Parts::read(&self.file, table, &group)?.dimensions, rows)
    }
}

impl H5Change {
    /// Sets the lengths of stamped datasets of a table, and of its stamps, after another program removed rows. New rows
    /// hold fill. Returns the names of the datasets that cannot have that many rows.
    ///
    /// # Errors
    /// Library errors.
    pub fn set_lengths(&self, table: &Table, names: &[String], rows: u64) -> Result<Vec<String>, Failed> {
        let group = self.file.group(&format!("/{}", table.path))?;
        let mut fixed = Vec::new();
        for name in names {
            let dataset = group.dataset(name)?;
            if dataset.chunk().is_none()
                || most_rows(&dataset).is_some_and(|most| most < rows)
                || has_freed_chunk(&dataset)
            {
                fixed.push(name.clone());
            } else {
                resize(&dataset, rows)?;
            }
        }
        if let Some(stamps) = table.stamps.as_ref().filter(|stamps| stamps.layout.rows != rows) {
            resize(&self.file.dataset(&format!("/{STAMPS_GROUP}/{}", stamps.table))?, rows)?;
        }
        Ok(fixed)
    }
}

/// The most rows that a dataset can have. `None`: unlimited.
fn most_rows(dataset: &Dataset) -> Option<u64> {
    let limits = dataset.space().ok()?.maxdims();
    limits.first().copied().flatten().map(|n| n as u64)
}

fn resize(dataset: &Dataset, rows: u64) -> Result<(), Failed> {
    let mut shape = dataset.shape();
    if let Some(first) = shape.first_mut() {
        *first = to_usize(rows);
    }
    Ok(dataset.resize(shape)?)
}

fn extend_column(
    column: &Column,
    dataset: &Dataset,
    had: u64,
    rows: u64,
    undefined: Option<&[u8]>,
) -> Result<(), Failed> {
    let plist = dataset.dcpl()?;
    let late = plist.get_alloc_time()? != AllocTime::Early;
    // Another program chose late allocation. The new rows are allocated now, so that the column stays direct.
    let to_fill = (late || is_unfilled(&plist)?)
        && column.layout.is_ok()
        && dataset.chunk().is_some()
        && dataset.num_chunks() != Some(0);
    let element = undefined.unwrap_or(&column.fill);
    resize(dataset, rows)?;
    match column.dtype {
        Ok(dtype) if to_fill || element != column.fill => fill_rows(dataset, dtype, had..rows, element),
        _ => Ok(()),
    }
}
