//! A file that is being built beside its name. Nobody else sees it, so nothing in it needs a lock, a record or a sync.
//! It is synced as a whole before it gets its name.

use super::change::Changing;
use super::commit::{self, CommitRequest};
use super::handle::Store;
use super::table_view::TableView;
use super::values::Values;
use crate::h5::H5Change;
use h5part_base::dataspace::Rows;
use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;
use std::sync::Arc;

/// Rows and the values of some of their columns.
pub(crate) type RowValues<'v> = (Rows, Vec<(&'v str, Values<'v>)>);

/// A file under construction.
pub(crate) struct Building<'a> {
    store: &'a Store,
    h5: &'a H5Change,
    file: &'a Arc<dyn StorageFile>,
}

/// A table of such a file. Load it after the last structural change, so that its columns stay in place.
pub(crate) struct BuildingTable<'a> {
    building: &'a Building<'a>,
    view: TableView,
}

impl<'a> Building<'a> {
    pub(super) fn new(store: &'a Store, h5: &'a H5Change, file: &'a Arc<dyn StorageFile>) -> Self {
        Self { store, h5, file }
    }

    /// The file as the library sees it.
    pub(crate) fn h5(&self) -> &H5Change {
        self.h5
    }

    /// The stamped columns of a table of the file. Call [`H5Change::flush`] first, so that the library's work is in the
    /// file.
    pub(crate) fn table(&'a self, path: &str, columns: &[String]) -> Result<BuildingTable<'a>, ErrorKind> {
        let (table, uuid) = (self.h5.locate_stamped(path, columns)?, Some(self.h5.ensure_uuid()?));
        Ok(BuildingTable { building: self, view: TableView::as_located(self.file, uuid, table)? })
    }
}

impl BuildingTable<'_> {
    pub(crate) fn table(&self) -> &h5part_base::dataspace::Table {
        &self.view.table
    }

    /// Writes values with their stamps, marked as surviving loss of power. No cell may occur twice.
    pub(crate) fn commit(&self, commits: &[RowValues<'_>]) -> Result<(), ErrorKind> {
        let requests = commits.iter().map(|(rows, values)| {
            let values = values.iter().map(|(name, values)| (*name, values.bytes())).collect();
            Ok(CommitRequest { runs: rows.runs()?, values, expected: Vec::new() })
        });
        let requests = requests.collect::<Result<Vec<_>, ErrorKind>>()?;
        let Building { store, h5, file } = *self.building;
        commit::build(store, &Changing { h5, file: file.as_ref(), before: file }, &self.view, &requests)?;
        h5.close_columns();
        h5.touch();
        Ok(())
    }
}
