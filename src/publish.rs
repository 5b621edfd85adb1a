//! Published files: copies of what is committed, for readers. [`Store::publish`](crate::Store::publish) makes them.

use crate::{Element, Result, StoreOptions, TableInfo};
pub use h5part_engine::publish::error::ErrorKind;
pub use h5part_engine::publish::{Packing, Published, Publishing};
use h5part_engine::{publish as engine, store::AsStore};
use ndarray::ArrayViewD;
use std::path::Path;

/// A published file, mapped into memory. It stays what it is, whatever is published under its name later.
///
/// **Concurrency.** Any number of processes may hold it; memory is shared among them. h5part never changes a published
/// file, but puts another in its place. A program that cuts the file all the same ends those who have it mapped, by
/// SIGBUS.
#[derive(Debug)]
pub struct Snapshot(engine::Snapshot);

impl Snapshot {
    /// Maps a published file.
    ///
    /// # Errors
    /// [`ErrorKind::NotPublished`], those of
    /// [`Store::reader`](crate::Store::reader).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        engine::Snapshot::open(StoreOptions::new().open(path)?.as_store()).map(Self)
    }

    /// All tables of the file.
    #[must_use]
    pub fn tables(&self) -> Vec<TableInfo> {
        self.0.tables().iter().map(TableInfo::of).collect()
    }

    /// The values of a column, shape (rows, cell...), without a copy. Rows that were not committed hold fill.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound);
    /// [`ErrorKind::DtypeMismatch`](crate::ErrorKind::DtypeMismatch) when `T` is another type than the column's;
    /// [`ErrorKind::LibraryColumn`](crate::ErrorKind::LibraryColumn) when it does not lie in one block: publish with
    /// [`Packing::Plain`], or read it with a [`Reader`](crate::Reader).
    pub fn view<T: Element>(&self, table: &str, column: &str) -> Result<ArrayViewD<'_, T>> {
        self.0.view(table, column)
    }
}
