//! Reads cells as they are in the file, whatever their stamps say.

use super::look::Look;
use super::wanted::{Cells, Wanted, Way};
use crate::h5::{H5File, MetadataFingerprint};
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use crate::store::values::CellState;
use h5part_base::dataspace::{ChunkTable, Column, Runs};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::sync;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Where the chunks of compressed columns lie. Each entry is valid while its fingerprint is unchanged.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    known: Mutex<HashMap<String, (Arc<ChunkTable>, MetadataFingerprint)>>,
    /// Whether the structure of the file cannot change.
    still: bool,
}

impl Chunks {
    /// The chunks of a column, if it is read by chunks. The caller is inside the gate.
    pub(super) fn of(
        &self,
        store: &Store,
        view: &TableView,
        column: &Column,
    ) -> Result<Option<Arc<ChunkTable>>, ErrorKind> {
        if column.layout.is_ok() || column.filters.is_none() {
            return Ok(None);
        }
        let mut known = sync::lock(&self.known);
        if let Some((chunks, fingerprint)) = known.get(&column.name)
            && (self.still || fingerprint.is_unchanged(view.file.as_ref())?)
        {
            return Ok(Some(Arc::clone(chunks)));
        }
        let h5 = H5File::open(&view.file, &store.paths.file)?;
        let (chunks, fingerprint) = h5.chunks(&view.table.path, column, view.file.as_ref())?;
        let chunks = Arc::new(chunks);
        known.insert(column.name.clone(), (Arc::clone(&chunks), fingerprint));
        Ok(Some(chunks))
    }

    /// The chunks of all columns of a table, in a file whose structure cannot change.
    pub(super) fn of_still(h5: &H5File, view: &TableView) -> Result<Self, ErrorKind> {
        let mut known = HashMap::new();
        for column in view.table.columns.iter().filter(|column| column.layout.is_err() && column.filters.is_some()) {
            let (chunks, fingerprint) = h5.chunks(&view.table.path, column, view.file.as_ref())?;
            known.insert(column.name.clone(), (Arc::new(chunks), fingerprint));
        }
        Ok(Self { known: Mutex::new(known), still: true })
    }

    pub(super) fn forget(&mut self) {
        sync::get_mut(&mut self.known).clear();
    }
}

/// Reads cells without looking at their stamps. Threads may share it.
#[derive(Debug)]
pub(crate) struct CellReader {
    store: Store,
    chunks: Chunks,
}

impl CellReader {
    pub(crate) fn new(store: &Store) -> Self {
        Self { store: store.clone(), chunks: Chunks::default() }
    }

    /// Reads the rows of any column of the view's table, as bytes in ascending order of rows.
    pub(crate) fn read(&self, view: &TableView, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        // Direct columns stay in place. Others may move unless the gate is held.
        let _gate = column.layout.is_err().then(|| self.store.enter_to_read()).transpose()?;
        self.read_inside(view, column, runs)
    }

    /// The same for a caller inside the gate.
    pub(crate) fn read_inside(&self, view: &TableView, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        let cell = super::cell_bytes(column)?;
        let count = to_usize(runs.len());
        let mut bytes = vec![0; cell.checked_mul(count).ok_or_else(super::too_large)?];
        let chunks = self.chunks.of(&self.store, view, column)?;
        let wanted = vec![Wanted {
            column,
            way: Way::of(column, chunks.as_deref()),
            stamped: None,
            at: 0,
            keeps_foreign: false,
        }];
        let look = Look::new(&self.store, view, wanted, false)?;
        let mut states = vec![CellState::Plain; count];
        look.settle(&runs.in_row_order(), &mut [Cells { cell, bytes: &mut bytes, states: &mut states }])?;
        Ok(bytes)
    }
}
