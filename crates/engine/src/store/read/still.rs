//! Reads many tables of one file one by one. The file is opened once.

use super::Reader;
use super::cells::Chunks;
use crate::h5::{H5File, MetadataFingerprint};
use crate::store::handle::{Store, trim_slashes};
use crate::store::table_view::TableView;
use h5part_base::dataspace::Table;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::ReadGate;
use h5part_base::storage::{Mode, StorageFile};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The tables of a file as they were listed. What is left of a shortened column is included.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// By path.
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) fingerprint: MetadataFingerprint,
}

/// A file whose structure cannot change. Structural changes, which include commits to compressed columns, wait until
/// this and its readers are dropped. Hold it only briefly.
pub(crate) struct Still<'k> {
    store: Store,
    /// The tables, if they are unchanged.
    known: Option<&'k Known>,
    file: Arc<dyn StorageFile>,
    h5: H5File,
    uuid: Option<Uuid>,
    gate: Arc<ReadGate>,
}

impl Store {
    /// Lists all tables, for [`Store::still`].
    pub(crate) fn known(&self) -> Result<Known> {
        let tables = |h5: &H5File, file: &dyn StorageFile| {
            let tables = h5.tables()?.into_iter().map(|listing| listing.table.with_rest());
            let tables = tables.map(|table| (table.path.clone(), table)).collect();
            Ok(Known { tables, fingerprint: h5.fingerprint(file)? })
        };
        self.with_h5(tables).at("read", self.path())
    }

    /// Opens the file and keeps its structure from changing. If `known` is still up to date, tables are not loaded
    /// again.
    pub(crate) fn still<'k>(&self, known: Option<&'k Known>) -> Result<Still<'k>> {
        self.try_still(known).at("read", self.path())
    }

    fn try_still<'k>(&self, known: Option<&'k Known>) -> Result<Still<'k>, ErrorKind> {
        let gate = Arc::new(self.enter_to_read()?);
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        let h5 = H5File::open(&file, &self.paths.file)?;
        let uuid = h5.uuid()?;
        let known = match known {
            Some(known) if known.fingerprint.is_unchanged(file.as_ref())? => Some(known),
            _ => None,
        };
        Ok(Still { store: self.clone(), known, file, h5, uuid, gate })
    }
}

impl Still<'_> {
    /// Opens a table for reading.
    pub(crate) fn reader(&self, table: &str) -> Result<Reader> {
        self.try_reader(trim_slashes(table)).at("read", self.store.path())
    }

    fn try_reader(&self, table: &str) -> Result<Reader, ErrorKind> {
        let as_it_was = self.known.and_then(|known| known.tables.get(table)).cloned();
        let layout = as_it_was.map_or_else(|| self.h5.table_of_still(table), Ok)?;
        let view = TableView::as_located(&self.file, self.uuid, layout)?;
        let chunks = Chunks::of_still(&self.h5, &view)?;
        let (store, name, inside) = (self.store.clone(), table.to_owned(), Some(Arc::clone(&self.gate)));
        Ok(Reader { store, name, view, chunks, accept_foreign: false, inside })
    }
}
