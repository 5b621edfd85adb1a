//! What was read.

use crate::{CellState, Dtype, Element, ErrorKind, Result, Values};
use h5part_base::error::At;
use h5part_engine::store as engine;
use ndarray::{Array1, ArrayD};
use std::path::Path;
use std::sync::Arc;

/// Rows of one column: values in the order of the selection, and the state of each row. Rows that are not there hold
/// the column's fill.
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
    /// [`ErrorKind::DtypeMismatch`] when `T` is another type than the column's.
    pub fn array<T: Element>(&self) -> Result<ArrayD<T>> {
        let named = |kind| match kind {
            ErrorKind::DtypeMismatch { expected, found, .. } => {
                ErrorKind::DtypeMismatch { column: self.column.clone(), expected, found }
            }
            other => other,
        };
        self.engine.array().map_err(named).at("read", &self.path)
    }

    /// Whether each row is there, in the order of the selection.
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

    /// The bytes themselves.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.engine.into_bytes()
    }
}

impl<'a> From<&'a Block> for Values<'a> {
    /// What was read, to be expected or committed elsewhere.
    fn from(block: &'a Block) -> Self {
        Self::from(&block.engine)
    }
}
