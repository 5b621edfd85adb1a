//! Makes tables. Everything is allocated at once, so that later commits change no metadata.

use crate::h5::Failed;
use crate::h5::change::attribute::Attribute;
use crate::h5::change::column::{Filters, Make, chunk_rows, make_column};
use crate::h5::change::open::{ALIGNMENT, H5Change};
use crate::h5::dimensions::{NewDimensions, add_dimensions, make_dimensions};
use crate::h5::marks::format::TABLE_ATTRIBUTE;
use crate::h5::marks::guards::GuardSpec;
use crate::h5::marks::stamps::{MOST_COLUMNS, StampsSpec, TOO_MANY_COLUMNS};
use crate::h5::read::groups::members;
use h5part_base::dataspace::{ColumnSpec, Dtype, path_below, refuse_reserved};
use h5part_base::error::{ErrorKind, Item};
use hdf5::{File, Group, LocationType};
use std::collections::HashSet;

/// HDF5 limits a chunk to 4 GiB less one byte.
const MOST_CHUNK_BYTES: u64 = u32::MAX as u64;

/// A table to create.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Path of its group, without a leading slash.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Its columns, at least one, at most [`MOST_COLUMNS`].
    pub columns: Vec<ColumnSpec>,
    /// Rows per chunk for all columns. `None`: chunks of about 1 MiB.
    pub chunk_rows: Option<u64>,
    /// One block per column instead of chunks. Such a table cannot grow.
    pub contiguous: bool,
    /// Compression of the columns, which makes them library columns.
    pub filters: Filters,
    /// Name of the guard column, if there is one.
    pub guard: Option<String>,
    /// Text of the guard's value in complete rows, if there is a single such value.
    pub guard_complete: Option<String>,
    /// Attributes of its group.
    pub attributes: Vec<(String, Attribute)>,
    /// Attributes of its columns: name of the column, name, value.
    pub column_attributes: Vec<(String, String, Attribute)>,
    /// Names of its axes, if they have names.
    pub dimensions: NewDimensions,
}

impl NewTable {
    /// A chunked table without attributes.
    #[must_use]
    pub fn new(path: &str, rows: u64, columns: Vec<ColumnSpec>) -> Self {
        Self {
            path: path.to_owned(),
            rows,
            columns,
            chunk_rows: None,
            contiguous: false,
            filters: Filters::default(),
            guard: None,
            guard_complete: None,
            attributes: Vec::new(),
            column_attributes: Vec::new(),
            dimensions: NewDimensions::default(),
        }
    }

    /// The guard, if it is one of the columns. It covers all of them.
    pub(crate) fn guard_spec(&self) -> Option<GuardSpec> {
        let column = self.columns.iter().find(|column| Some(&column.name) == self.guard.as_ref())?;
        Some(GuardSpec {
            name: column.name.clone(),
            undefined: column.dtype.format_element(&column.fill),
            complete: self.guard_complete.clone(),
            covers: None,
        })
    }

    /// Refuses what HDF5 would refuse later, and what could not be stamped.
    ///
    /// # Errors
    /// [`ErrorKind::BadColumn`], [`ErrorKind::BadRequest`], [`ErrorKind::ReservedName`].
    pub fn check(&self) -> Result<(), Failed> {
        let request = |text: &str| Err(ErrorKind::BadRequest(text.to_owned()).into());
        if self.columns.is_empty() {
            return request("a table must have at least one column");
        }
        if self.columns.len() > MOST_COLUMNS {
            let count = self.columns.len();
            return request(&format!(
                "a table can have at most {MOST_COLUMNS} columns, not {count}: {TOO_MANY_COLUMNS}"
            ));
        }
        if self.rows == 0 || self.rows > 1 << 40 {
            return request("a table must have 1 to 2^40 rows");
        }
        if self.contiguous && self.filters.any() {
            return request("contiguous columns cannot be compressed");
        }
        if self.filters.gzip.is_some_and(|level| level > 9) {
            return request("the gzip level must be 0 to 9");
        }
        if let Some(guard) = &self.guard
            && self.columns.iter().all(|c| c.name != *guard || !c.shape.is_empty() || is_compound(c.dtype))
        {
            return request("the guard must be a column of this table with one value per row");
        }
        let guard = self.columns.iter().find(|c| Some(&c.name) == self.guard.as_ref());
        if let Some(complete) = &self.guard_complete
            && guard.is_none_or(|c| c.dtype.parse_element(complete).is_none_or(|bytes| bytes == c.fill))
        {
            return request("the guard's complete value must be of its type and differ from its undefined value");
        }
        if self.chunk_rows == Some(0) {
            return request("a chunk must have at least one row");
        }
        if self.path.split('/').any(|part| part == "." || part == "..") {
            return request("a table's path must not contain '.' or '..'");
        }
        let of_columns = self.column_attributes.iter().map(|(_, name, _)| name);
        let attributes = self.attributes.iter().map(|(name, _)| name).chain(of_columns);
        let names = attributes.chain(self.columns.iter().map(|column| &column.name)).chain([&self.path]);
        names.into_iter().try_for_each(|name| refuse_reserved(name))?;
        let is_column = |name: &String| self.columns.iter().any(|column| column.name == *name);
        if let Some((column, name, _)) = self.column_attributes.iter().find(|(column, ..)| !is_column(column)) {
            return request(&format!("attribute '{name}' is of column '{column}', which is not one of the table's"));
        }
        let mut names = HashSet::new();
        for column in &self.columns {
            let bad = |reason: &str| {
                Err(ErrorKind::BadColumn { text: column.name.clone(), reason: reason.to_owned() }.into())
            };
            if !names.insert(&column.name) {
                return bad("two columns have this name");
            }
            let cell = column.cell_bytes().unwrap_or(u64::MAX);
            let chunk = chunk_rows(self.rows, cell, self.chunk_rows).checked_mul(cell);
            if !self.contiguous && chunk.is_none_or(|bytes| bytes > MOST_CHUNK_BYTES) {
                return bad("a chunk of it would be 4 GiB or more, which HDF5 does not store");
            }
            if cell.checked_mul(self.rows).is_none_or(|bytes| bytes > i64::MAX as u64) {
                return bad("it would be larger than a file can be");
            }
        }
        Ok(())
    }
}

fn is_compound(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::Compound(_))
}

/// Bytes that the table will take. The estimate may be off by alignment and metadata.
#[must_use]
pub fn planned_bytes(table: &NewTable) -> u64 {
    let stamp = crate::h5::marks::stamps::width(table.columns.len()) as u64 * 8;
    // Compressed columns are allocated when they are written.
    let columns = if table.filters.any() { &[][..] } else { &table.columns };
    let cells = columns
        .iter()
        .map(|c| c.cell_bytes().unwrap_or(u64::MAX))
        .map(|cell| (cell, table.chunk_rows, table.contiguous));
    cells.chain([(stamp, None, false)]).fold(0u64, |sum, (cell, asked, contiguous)| {
        let chunk = if contiguous { 1 } else { chunk_rows(table.rows, cell, asked) };
        let bytes =
            table.rows.div_ceil(chunk).saturating_mul(chunk.saturating_mul(cell).max(1)).saturating_add(ALIGNMENT);
        sum.saturating_add(bytes)
    })
}

impl H5Change {
    /// Adds a table with its stamps.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::WrongObject`], I/O and library errors.
    pub fn add_table(&self, table: &NewTable) -> Result<(), Failed> {
        self.ensure_uuid()?;
        let group = table_group(&self.file, &table.path)?;
        make_columns(&group, table)?;
        make_dimensions(&group, table)?;
        let names = table.columns.iter().map(|c| c.name.clone()).collect();
        let guards = table.guard_spec().into_iter().collect();
        self.make_stamps(&group, &StampsSpec { path: &table.path, rows: table.rows, names, guards }, None)?;
        // An existing group without datasets may already have some of these attributes.
        self.set_attributes(&table.path, &table.attributes)?;
        self.set_column_attributes(table)
    }

    fn set_column_attributes(&self, table: &NewTable) -> Result<(), Failed> {
        table.column_attributes.iter().try_for_each(|(column, name, value)| {
            self.set_attributes(&path_below(&table.path, column), &[(name.clone(), value.clone())])
        })
    }
}

impl H5Change {
    /// Makes more datasets in a table's group. The caller handles their stamps.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], I/O and library errors.
    pub fn add_columns(&self, new: &NewTable) -> Result<(), Failed> {
        self.ensure_uuid()?;
        let group = self.file.group(&format!("/{}", new.path))?;
        if let Some(taken) = new.columns.iter().find(|column| group.link_exists(&column.name)) {
            return Err(
                ErrorKind::AlreadyExists(Item::Column { table: new.path.clone(), column: taken.name.clone() }).into()
            );
        }
        make_columns(&group, new)?;
        add_dimensions(&group, new)?;
        self.set_attributes(&new.path, &new.attributes)?;
        self.set_column_attributes(new)
    }
}

fn make_columns(group: &Group, table: &NewTable) -> Result<(), Failed> {
    for column in &table.columns {
        let chunk = chunk_rows(table.rows, column.cell_bytes().unwrap_or(1), table.chunk_rows);
        let make = Make { rows: table.rows, chunk_rows: (!table.contiguous).then_some(chunk), filters: table.filters };
        make_column(group, column, make)?;
    }
    Ok(())
}

/// Opens or makes the table's group and its parents. A group that holds datasets is already a table.
pub(in crate::h5) fn table_group(file: &File, path: &str) -> Result<Group, Failed> {
    refuse_reserved(path)?;
    let mut group = file.group("/")?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        group = if group.link_exists(part) {
            group.group(part).map_err(|_| ErrorKind::WrongObject {
                name: path.to_owned(),
                found: "in part a dataset",
                expected: "a table",
            })?
        } else {
            group.create_group_builder().obj_track_times(false).create(part)?
        };
    }
    if !members(&group, LocationType::Dataset)?.is_empty() || group.attr_names()?.iter().any(|n| n == TABLE_ATTRIBUTE) {
        return Err(ErrorKind::AlreadyExists(Item::Table(path.to_owned())).into());
    }
    Ok(group)
}
