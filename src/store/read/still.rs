//! Many tables of one file, read one after the other: the file is opened once.

use super::Reader;
use super::cells::Chunks;
use crate::error::{At, ErrorKind, Result};
use crate::h5::H5File;
use crate::lock::ReadGate;
use crate::storage::{Mode, StorageFile};
use crate::store::handle::{Store, normal};
use crate::store::view::View;
use std::sync::Arc;
use uuid::Uuid;

/// A file whose structure stands still: structural changes, commits to compressed columns among them, wait until this
/// and its readers are dropped. Keep it for moments.
pub(crate) struct Still {
    store: Store,
    file: Arc<dyn StorageFile>,
    h5: H5File,
    uuid: Option<Uuid>,
    gate: Arc<ReadGate>,
}

impl Store {
    /// Opens the file, and keeps its structure as it is.
    pub(crate) fn still(&self) -> Result<Still> {
        self.try_still().at("read", self.path())
    }

    fn try_still(&self) -> Result<Still, ErrorKind> {
        let gate = Arc::new(self.enter_to_read()?);
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        let h5 = H5File::open(&file, &self.paths.file)?;
        let uuid = h5.uuid()?;
        Ok(Still { store: self.clone(), file, h5, uuid, gate })
    }
}

impl Still {
    /// Opens a table for reading.
    pub(crate) fn reader(&self, table: &str) -> Result<Reader> {
        self.try_reader(normal(table)).at("read", self.store.path())
    }

    fn try_reader(&self, table: &str) -> Result<Reader, ErrorKind> {
        let view = View::of_still(&self.h5, &self.file, self.uuid, table)?;
        let chunks = Chunks::of_still(&self.h5, &view)?;
        let (store, name, inside) = (self.store.clone(), table.to_owned(), Some(Arc::clone(&self.gate)));
        Ok(Reader { store, name, view, chunks, accept_foreign: false, inside })
    }
}
