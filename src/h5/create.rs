//! Making tables. Everything is allocated at once, so that later commits change no metadata.

use super::file::{ALIGNMENT, Building};
use super::load::{
    COLUMNS_ATTRIBUTE, FORMAT, FORMAT_ATTRIBUTE, STAMPS_GROUP, TABLE_ATTRIBUTE, UUID_ATTRIBUTE, members,
};
use crate::dataspace::{ColumnSpec, Dtype};
use crate::error::ErrorKind;
use crate::storage::StorageFile;
use hdf5::plist::dataset_create::{AllocTime, FillTime};
use hdf5::types::VarLenUnicode;
use hdf5::{Extent, File, Group, H5Type, LocationType};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

/// Chunks of whole rows are near this, in bytes.
const CHUNK_BYTES: u64 = 1 << 20;
/// Stamps of a row lie within a sector of 512 bytes.
const MOST_COLUMNS: usize = 64;
/// HDF5 limits a chunk to 4 GiB less one byte.
const MOST_CHUNK_BYTES: u64 = u32::MAX as u64;

/// A table to be made.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Path of its group, without a leading slash.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Its columns, at least one, at most 64.
    pub columns: Vec<ColumnSpec>,
    /// Rows a chunk for all columns; `None`: chunks near 1 MiB.
    pub chunk_rows: Option<u64>,
    /// One block a column instead of chunks. Such a table cannot grow.
    pub contiguous: bool,
    /// Attributes of its group.
    pub attributes: Vec<(String, Attribute)>,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is named after what it holds")]
pub enum Attribute {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl From<&str> for Attribute {
    /// `true`, `false`, whole numbers and numbers are taken as such, all else as text.
    fn from(text: &str) -> Self {
        match text {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => match (text.parse(), text.parse()) {
                (Ok(int), _) => Self::Int(int),
                (_, Ok(float)) => Self::Float(float),
                _ => Self::Text(text.to_owned()),
            },
        }
    }
}

impl NewTable {
    /// A chunked table without attributes.
    #[must_use]
    pub fn new(path: &str, rows: u64, columns: Vec<ColumnSpec>) -> Self {
        Self { path: path.to_owned(), rows, columns, chunk_rows: None, contiguous: false, attributes: Vec::new() }
    }

    /// Stamps a row: the columns padded to a power of two.
    fn stamp_width(&self) -> u64 {
        self.columns.len().next_power_of_two() as u64
    }

    /// What HDF5 would refuse later, or what could not be stamped.
    ///
    /// # Errors
    /// [`ErrorKind::BadColumn`], [`ErrorKind::BadRequest`].
    pub fn check(&self) -> Result<(), ErrorKind> {
        let request = |text: &str| Err(ErrorKind::BadRequest(text.to_owned()));
        if self.columns.is_empty() || self.columns.len() > MOST_COLUMNS {
            return request("a table has 1 to 64 columns");
        }
        if self.rows == 0 || self.rows > 1 << 40 {
            return request("a table has 1 to 2^40 rows");
        }
        if self.chunk_rows == Some(0) {
            return request("a chunk has at least one row");
        }
        if self.path.split('/').any(|part| part == "." || part == ".." || part == STAMPS_GROUP) {
            return request("a table's path holds no '.', '..' or '__h5part__'");
        }
        for (i, column) in self.columns.iter().enumerate() {
            let bad = |reason: &str| Err(ErrorKind::BadColumn { text: column.name.clone(), reason: reason.to_owned() });
            if self.columns[..i].iter().any(|c| c.name == column.name) {
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

/// Rows a chunk: as asked for, else near 1 MiB, never less than a page where the rows suffice.
#[must_use]
pub fn chunk_rows(rows: u64, cell_bytes: u64, asked: Option<u64>) -> u64 {
    let cell = cell_bytes.max(1);
    asked.unwrap_or_else(|| (CHUNK_BYTES / cell).clamp(1, rows.max(ALIGNMENT.div_ceil(cell)).max(1)))
}

/// Bytes that the table will take, to within alignment and metadata.
#[must_use]
pub fn planned_bytes(table: &NewTable) -> u64 {
    let stamp = table.stamp_width() * 8;
    let cells = table
        .columns
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

/// Adds a table, with its stamps, to a file that is being built at `path`: an empty one (`new`), which
/// becomes an HDF5 file of superblock version 2, or a copy of one that exists.
///
/// # Errors
/// [`ErrorKind::TableExists`], [`ErrorKind::NotATable`], I/O and library errors.
pub fn build(storage: &Arc<dyn StorageFile>, path: &Path, new: bool, table: &NewTable) -> Result<(), ErrorKind> {
    let building = Building::open(storage, path, new)?;
    let outcome = add_table(&building.file, table);
    building.close(outcome)
}

fn add_table(file: &File, table: &NewTable) -> Result<(), ErrorKind> {
    ensure_uuid(file)?;
    let group = table_group(file, &table.path)?;
    for column in &table.columns {
        let chunk = chunk_rows(table.rows, column.cell_bytes().unwrap_or(1), table.chunk_rows);
        make_column(&group, column, table.rows, (!table.contiguous).then_some(chunk))?;
    }
    let id = make_stamps(file, table)?;
    group.new_attr::<u64>().create(TABLE_ATTRIBUTE)?.write_scalar(&id)?;
    for (name, value) in &table.attributes {
        write_attribute(&group, name, value)?;
    }
    Ok(())
}

fn ensure_uuid(file: &File) -> Result<(), ErrorKind> {
    if file.attr_names()?.iter().any(|name| name == UUID_ATTRIBUTE) {
        return Ok(());
    }
    write_attribute(file, UUID_ATTRIBUTE, &Attribute::Text(Uuid::new_v4().to_string()))?;
    file.new_attr::<u64>().create(FORMAT_ATTRIBUTE)?.write_scalar(&FORMAT)?;
    Ok(())
}

/// Opens or makes the table's group and those on the way to it. A group that holds datasets is a
/// table already.
fn table_group(file: &File, path: &str) -> Result<Group, ErrorKind> {
    let mut group = file.group("/")?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        group = if group.link_exists(part) {
            group.group(part).map_err(|_| ErrorKind::NotATable { name: path.to_owned(), what: "in part a dataset" })?
        } else {
            group.create_group_builder().obj_track_times(false).create(part)?
        };
    }
    if !members(&group, LocationType::Dataset)?.is_empty() || group.attr_names()?.iter().any(|n| n == TABLE_ATTRIBUTE) {
        return Err(ErrorKind::TableExists(path.to_owned()));
    }
    Ok(group)
}

fn make_column(group: &Group, column: &ColumnSpec, rows: u64, chunk_rows: Option<u64>) -> Result<(), ErrorKind> {
    macro_rules! make {
        ($type:ty) => {
            make_dataset(group, column, rows, chunk_rows, <$type>::from_le_bytes(element(&column.fill)))
        };
    }
    match column.dtype {
        Dtype::F32 => make!(f32),
        Dtype::F64 => make!(f64),
        Dtype::I8 => make!(i8),
        Dtype::I16 => make!(i16),
        Dtype::I32 => make!(i32),
        Dtype::I64 => make!(i64),
        Dtype::U8 => make!(u8),
        Dtype::U16 => make!(u16),
        Dtype::U32 => make!(u32),
        Dtype::U64 => make!(u64),
        Dtype::Bool => make_dataset(group, column, rows, chunk_rows, column.fill.first().is_some_and(|&b| b != 0)),
    }
}

fn element<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

fn make_dataset<T: H5Type + Into<hdf5::types::OwnedDynValue>>(
    group: &Group,
    column: &ColumnSpec,
    rows: u64,
    chunk_rows: Option<u64>,
    fill: T,
) -> Result<(), ErrorKind> {
    let size = |n: u64| usize::try_from(n).map_err(|_| ErrorKind::BadRequest("too large for this machine".to_owned()));
    let cell = column.shape.iter().map(|&n| size(n)).collect::<Result<Vec<_>, _>>()?;
    let builder = group.new_dataset::<T>().fill_value(fill).alloc_time(Some(AllocTime::Early));
    let builder = builder.fill_time(FillTime::Alloc).obj_track_times(false);
    let (first, builder) = match chunk_rows {
        // Unlimited rows: the table can grow.
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

/// Makes the dataset of stamps, all zero, and returns the table's number.
fn make_stamps(file: &File, table: &NewTable) -> Result<u64, ErrorKind> {
    let group = if file.link_exists(STAMPS_GROUP) {
        file.group(STAMPS_GROUP)?
    } else {
        file.create_group_builder().obj_track_times(false).create(STAMPS_GROUP)?
    };
    let taken = group.member_names()?.iter().filter_map(|n| n.parse::<u64>().ok()).max().unwrap_or(0);
    let id = taken + 1;
    let width = table.stamp_width();
    let spec = ColumnSpec::new(&id.to_string(), Dtype::U64, &[width]);
    make_column(&group, &spec, table.rows, Some(chunk_rows(table.rows, width * 8, None)))?;
    let names = table.columns.iter().map(|c| text(&c.name)).collect::<Result<Vec<_>, _>>()?;
    let stamps = group.dataset(&spec.name)?;
    stamps.new_attr_builder().with_data(&names).create(COLUMNS_ATTRIBUTE)?;
    write_attribute(&stamps, "table", &Attribute::Text(table.path.clone()))?;
    Ok(id)
}

fn text(text: &str) -> Result<VarLenUnicode, ErrorKind> {
    VarLenUnicode::from_str(text).map_err(|e| ErrorKind::BadRequest(format!("a text for HDF5: {e}")))
}

fn write_attribute(object: &hdf5::Location, name: &str, value: &Attribute) -> Result<(), ErrorKind> {
    match value {
        Attribute::Bool(v) => object.new_attr::<bool>().create(name)?.write_scalar(v)?,
        Attribute::Int(v) => object.new_attr::<i64>().create(name)?.write_scalar(v)?,
        Attribute::Float(v) => object.new_attr::<f64>().create(name)?.write_scalar(v)?,
        Attribute::Text(v) => object.new_attr::<VarLenUnicode>().create(name)?.write_scalar(&text(v)?)?,
    }
    Ok(())
}
