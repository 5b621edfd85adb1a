//! What a file says of its tables.

use h5part_base::dataspace::{Column, Dtype, Table};

/// A table as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Path of its group, without a leading slash; empty for the root group.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// Whether h5part made or adopted it: which rows are there is known.
    pub has_stamps: bool,
    /// Columns that another program deleted, renamed, shortened or retyped.
    pub lost: Vec<String>,
    /// Further names of columns, each with the name of its column.
    pub aliases: Vec<(String, String)>,
}

/// A column as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name of the dataset.
    pub name: String,
    /// Element type; `None`: one that h5part carries along, but does not read or write.
    pub dtype: Option<Dtype>,
    /// Shape of one row; empty for a single element.
    pub shape: Vec<u64>,
    /// Little-endian bytes of the element that rows hold which are not there.
    pub fill: Vec<u8>,
    /// Whether commits write it in place, beside one another. Commits to other columns are made one at a time.
    pub is_direct: bool,
    /// Whether it has stamps: which of its rows are there is known.
    pub has_stamp: bool,
}

impl TableInfo {
    pub(crate) fn of(table: &Table) -> Self {
        Self {
            path: table.path.clone(),
            rows: table.rows,
            columns: table.columns.iter().map(ColumnInfo::of).collect(),
            has_stamps: table.stamps.is_some(),
            lost: table.lost.iter().map(|lost| lost.name.clone()).collect(),
            aliases: table.aliases.clone(),
        }
    }
}

impl ColumnInfo {
    fn of(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            dtype: column.dtype().ok(),
            shape: column.shape.clone(),
            fill: column.fill.clone(),
            is_direct: column.layout.is_ok(),
            has_stamp: column.stamp.is_some(),
        }
    }
}
