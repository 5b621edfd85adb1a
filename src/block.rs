//! Values that were read.

use crate::{CellState, Dtype, Element, ErrorKind, Result, Values};
use h5part_base::error::At;
use h5part_engine::store as engine;
use ndarray::{Array1, ArrayD};
use std::path::Path;
use std::sync::Arc;

/// Rows of one column that were read: values in the order of the selection, and the state of each row. Rows that are
/// not there hold the column's fill value.
#[derive(Clone, Debug)]
pub struct Block {
    engine: engine::Block,
    column: String,
    path: Arc<Path>,
}

impl Block {
    pub(crate) fn new(engine: engine::Block, column: &str, path: &Arc<Path>) -> Self {
        Self { engine, column: column.to_owned(), path: Arc::clone(path) }
    }

    /// Name of the column.
    #[must_use]
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.engine.dtype()
    }

    /// Shape, rows first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        self.engine.shape()
    }

    /// The values, shape (rows, cell...).
    ///
    /// # Errors
    /// [`ErrorKind::DtypeMismatch`] if `T` is not the column's type.
    pub fn array<T: Element>(&self) -> Result<ArrayD<T>> {
        let named = |kind| match kind {
            ErrorKind::DtypeMismatch { expected, found, .. } => {
                ErrorKind::DtypeMismatch { column: self.column.clone(), expected, found }
            }
            other => other,
        };
        self.engine.array().map_err(named).at("read", &self.path)
    }

    /// Whether each row is there, in the order of the selection. The shape is (rows).
    #[must_use]
    pub fn mask(&self) -> Array1<bool> {
        self.engine.mask()
    }

    /// State of each row, in the order of the selection.
    #[must_use]
    pub fn states(&self) -> &[CellState] {
        self.engine.states()
    }

    /// Little-endian bytes of the values, row-major.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.engine.bytes()
    }

    /// Returns the bytes without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.engine.into_bytes()
    }
}

impl<'a> From<&'a Block> for Values<'a> {
    /// The values as they were read, for [`CommitBuilder::set`](crate::CommitBuilder::set) or
    /// [`CommitBuilder::expect`](crate::CommitBuilder::expect).
    fn from(block: &'a Block) -> Self {
        Self::from(&block.engine)
    }
}
