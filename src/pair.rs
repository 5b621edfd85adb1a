//! Two files that are read as one.

use crate::{Reader, Result, Side, Store, TableInfo};
use h5part_engine::store::{self as engine, AsStore};

/// A working file and its parent: a file that was published before. A table is looked up in the working file first,
/// then in the parent.
///
/// **Concurrency.** As [`Reader`]: any number of writers and readers may run beside it. Each call checks both files for
/// changes.
#[derive(Clone, Debug)]
pub struct StorePair {
    engine: engine::StorePair,
    work: Store,
    parent: Store,
}

impl StorePair {
    /// Pairs a working file with its parent.
    #[must_use]
    pub fn new(work: Store, parent: Store) -> Self {
        let engine = engine::StorePair::new(work.as_store().clone(), parent.as_store().clone());
        Self { engine, work, parent }
    }

    /// One of the two files.
    #[must_use]
    pub fn store(&self, side: Side) -> &Store {
        match side {
            Side::Work => &self.work,
            Side::Parent => &self.parent,
        }
    }

    /// Which file has the table, and its column `column` if one is given: the working file if it has them, else the
    /// parent.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound), which lists what both files have; others as
    /// [`Store::reader`].
    pub fn find(&self, table: &str, column: Option<&str>) -> Result<Side> {
        self.engine.find(table, column)
    }

    /// Opens a table for reading where [`StorePair::find`] finds it.
    ///
    /// # Errors
    /// As [`StorePair::find`].
    pub fn reader(&self, table: &str) -> Result<Reader> {
        let side = self.find(table, None)?;
        self.store(side).reader(table)
    }

    /// The tables of both files, each with its file: those of the working file, then those that only the parent has.
    ///
    /// # Errors
    /// As [`Store::tables`].
    pub fn tables(&self) -> Result<Vec<(Side, TableInfo)>> {
        Ok(self.engine.tables()?.iter().map(|(side, listing)| (*side, TableInfo::of(&listing.table))).collect())
    }
}
