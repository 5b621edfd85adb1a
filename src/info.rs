//! Tables and columns as a file describes them.

use h5part_base::dataspace::{Column, Dtype, Table};

/// A table of the file, as it was when its layout was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Path of its group, without a leading slash; empty for the root group.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<ColumnInfo>,
    /// Whether h5part made or adopted it. Only then do stamps say which of its rows are there.
    pub has_stamps: bool,
    /// Names of stamped columns that another program has deleted, renamed, shortened or retyped.
    pub lost: Vec<String>,
    /// Other names of its columns, each with the name of its column.
    pub aliases: Vec<(String, String)>,
}

/// A column of a table, as it was when the layout of the table was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Name of the dataset.
    pub name: String,
    /// Element type. `None`: h5part copies values of this type, but does not read or write them.
    pub dtype: Option<Dtype>,
    /// Shape of one row; empty for a single element.
    pub shape: Vec<u64>,
    /// Little-endian bytes of the fill value: one element, which rows hold that are not there.
    pub fill: Vec<u8>,
    /// Whether it is a direct column: commits write it in place, at the same time. Commits to the other columns,
    /// library columns, run one at a time.
    pub is_direct: bool,
    /// Whether it has stamps. Only then is it known which of its rows are there.
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
