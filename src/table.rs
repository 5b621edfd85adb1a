//! Describes a table to create.

use crate::{Attribute, ColumnSpec, Coordinates, Element};
use h5part_engine::h5::{Filters, NewTable};

/// A table to create: its path, its number of rows, and its columns.
///
/// ```
/// use h5part::Table;
///
/// let table = Table::new("frames", 4000)
///     .column::<f64>("E", [])
///     .column::<f64>("F", [100, 3])
///     .column_with_fill("status", [], -1_i64)
///     .attribute("program", "h5part");
/// ```
///
/// [`Store::create`](crate::Store::create) checks the description. Two columns of one name, for example, are an error.
#[derive(Clone, Debug)]
pub struct Table(NewTable);

impl Table {
    /// A table at `path` with this many rows. Its columns are stored in chunks of about 1 MiB, and can grow.
    #[must_use]
    pub fn new(path: &str, rows: u64) -> Self {
        Self(NewTable::new(path, rows, Vec::new()))
    }

    /// Adds a column of elements `T`. `shape` is the shape of one row: `[]` for a single element. Rows that are not
    /// there hold NaN, 0 or false.
    #[must_use]
    pub fn column<T: Element>(self, name: &str, shape: impl AsRef<[u64]>) -> Self {
        self.column_spec(ColumnSpec::new(name, T::DTYPE, shape.as_ref()))
    }

    /// As [`Table::column`], but rows that are not there hold `fill`.
    #[must_use]
    pub fn column_with_fill<T: Element>(self, name: &str, shape: impl AsRef<[u64]>, fill: T) -> Self {
        let fill = bytemuck::bytes_of(&fill).to_vec();
        self.column_spec(ColumnSpec { fill, ..ColumnSpec::new(name, T::DTYPE, shape.as_ref()) })
    }

    /// Adds a column whose type is known only when the program runs.
    #[must_use]
    pub fn column_spec(mut self, column: ColumnSpec) -> Self {
        self.0.columns.push(column);
        self
    }

    /// Sets the rows per chunk of all columns. Default: chunks of about 1 MiB.
    #[must_use]
    pub fn chunk_rows(mut self, rows: u64) -> Self {
        self.0.chunk_rows = Some(rows);
        self
    }

    /// Stores each column as one block instead of chunks. Such a table cannot grow.
    #[must_use]
    pub fn contiguous(mut self) -> Self {
        self.0.contiguous = true;
        self
    }

    /// Compresses the columns with gzip at this level, 0 to 9, after the shuffle filter. Commits to compressed columns
    /// run one at a time. If many processes write, leave the columns uncompressed, and compress them when you publish.
    #[must_use]
    pub fn gzip(mut self, level: u8) -> Self {
        self.0.filters = Filters { gzip: Some(level), shuffle: true };
        self
    }

    /// Makes a column the guard of the table. A guard has one element per row. It holds its fill value until all
    /// columns of the row are complete. So stock programs see from it which rows are complete.
    #[must_use]
    pub fn guard(mut self, column: &str) -> Self {
        self.0.guard = Some(column.to_owned());
        self
    }

    /// Sets the text of the guard's value in complete rows, if there is a single such value.
    #[must_use]
    pub fn guard_complete(mut self, value: &str) -> Self {
        self.0.guard_complete = Some(value.to_owned());
        self
    }

    /// Sets an attribute of the table's group.
    #[must_use]
    pub fn attribute(mut self, name: &str, value: impl Into<Attribute>) -> Self {
        self.0.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// Sets an attribute of a column, such as its `units`.
    #[must_use]
    pub fn column_attribute(mut self, column: &str, name: &str, value: impl Into<Attribute>) -> Self {
        self.0.column_attributes.push((column.to_owned(), name.to_owned(), value.into()));
        self
    }

    /// Names the dimension of rows, so that netCDF and xarray find it. If a column has this name, it holds the
    /// coordinates of the rows. Default: `row` if other dimensions have names, else no name.
    ///
    /// ```
    /// use h5part::{Coordinates, Table};
    ///
    /// let table = Table::new("frames", 4000)
    ///     .column::<f64>("time", [])
    ///     .column::<f64>("F", [100, 3])
    ///     .row_dim("time")
    ///     .dims("F", ["atom", "xyz"])
    ///     .coordinates(Coordinates::texts("xyz", &["x", "y", "z"]));
    /// ```
    #[must_use]
    pub fn row_dim(mut self, name: &str) -> Self {
        self.0.dimensions.rows = Some(name.to_owned());
        self
    }

    /// Names the axes of one row of a column. If one axis has a name, the axes of all columns need one.
    #[must_use]
    pub fn dims<N: AsRef<str>>(mut self, column: &str, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        self.0.dimensions.columns.push((column.to_owned(), names));
        self
    }

    /// Sets the coordinates along a dimension within rows, such as radii or names of directions. The coordinates of the
    /// rows are a column: see [`Table::row_dim`].
    #[must_use]
    pub fn coordinates(mut self, values: Coordinates) -> Self {
        self.0.dimensions.coordinates.push(values);
        self
    }

    pub(crate) fn as_new(&self) -> &NewTable {
        &self.0
    }
}
