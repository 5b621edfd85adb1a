//! Published files are copies of what is committed, for readers. [`Store::publish`](crate::Store::publish) makes them.

use crate::{Element, Result, StoreOptions, TableInfo};
pub use h5part_engine::publish::error::ErrorKind;
pub use h5part_engine::publish::{Packing, Published, Publishing};
use h5part_engine::{publish as engine, store::AsStore};
use ndarray::ArrayViewD;
use std::path::Path;

/// A published file, mapped into memory. It does not change, whatever is published under its name later.
///
/// **Concurrency.** Any number of processes may hold it, and they share the memory. h5part never changes a published
/// file, but replaces it. If another program truncates the file, SIGBUS kills the processes that have it mapped.
#[derive(Debug)]
pub struct Snapshot(engine::Snapshot);

impl Snapshot {
    /// Maps a published file.
    ///
    /// # Errors
    /// [`ErrorKind::NotPublished`], and those of [`Store::reader`](crate::Store::reader).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        engine::Snapshot::open(StoreOptions::new().open(path)?.as_store()).map(Self)
    }

    /// All tables of the file.
    #[must_use]
    pub fn tables(&self) -> Vec<TableInfo> {
        self.0.tables().iter().map(TableInfo::of).collect()
    }

    /// The values of a column, without a copy. The shape is (rows, cell...). Rows that were not committed hold the fill
    /// value.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound);
    /// [`ErrorKind::DtypeMismatch`](crate::ErrorKind::DtypeMismatch) if `T` is not the column's type;
    /// [`ErrorKind::LibraryColumn`](crate::ErrorKind::LibraryColumn) if the column is not stored as one block: publish
    /// with [`Packing::Plain`], or read it with a [`Reader`](crate::Reader).
    pub fn view<T: Element>(&self, table: &str, column: &str) -> Result<ArrayViewD<'_, T>> {
        self.0.view(table, column)
    }
}
