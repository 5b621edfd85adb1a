//! Reading rows.

use crate::{Block, ColumnPresence, Presence, Result, Rows, TableInfo};
use h5part_base::dataspace::Inner;
use h5part_base::error::At;
use h5part_engine::store as engine;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Reads rows of one table: see [`Store::reader`](crate::Store::reader).
///
/// **Concurrency.** May run beside any number of writers and readers. It takes no row lock, and never keeps a writer
/// waiting whose columns are written in place.
///
/// **Sees** each cell, and with [`Reader::read_columns`] each row, whole or not at all. Rows without a committed value
/// come back as fill, and as `false` in [`Block::mask`]. A reader sees what was committed when it reads, not when it was
/// opened.
#[derive(Debug)]
pub struct Reader {
    engine: engine::Reader,
    path: Arc<Path>,
}

impl Reader {
    pub(crate) fn new(engine: engine::Reader, path: &Path) -> Self {
        Self { engine, path: Arc::from(path) }
    }

    /// Number of rows of the table when it was last looked at.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.engine.table().rows
    }

    /// The table when it was last looked at.
    #[must_use]
    pub fn table(&self) -> TableInfo {
        TableInfo::of(self.engine.table())
    }

    /// Reads `rows` of a column, in the order of the selection. Rows may be named more than once.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::RowOutOfRange`](crate::ErrorKind::RowOutOfRange), [`ErrorKind::Cut`](crate::ErrorKind::Cut),
    /// [`ErrorKind::Replaced`](crate::ErrorKind::Replaced),
    /// [`ErrorKind::DamagedChunk`](crate::ErrorKind::DamagedChunk), I/O errors.
    pub fn read(&mut self, column: &str, rows: impl Into<Rows>) -> Result<Block> {
        let block = self.engine.read(column, &rows.into())?;
        Ok(Block::new(block, column, &self.path))
    }

    /// Reads `rows` of several columns: of each row all columns as one commit left them, never one column of an older
    /// commit beside another of a newer one.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_columns(&mut self, columns: &[&str], rows: impl Into<Rows>) -> Result<Vec<Block>> {
        let blocks = self.engine.read_columns(columns, &rows.into())?;
        Ok(blocks.into_iter().zip(columns).map(|(block, column)| Block::new(block, column, &self.path)).collect())
    }

    /// Reads part of each row: `part` has one slice per axis of a row, as numpy writes them, `"0:10, 2"`. Axes that are
    /// not named are whole; a single index keeps its axis. Shape: (rows, selected...).
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::BadRows`](crate::ErrorKind::BadRows) and
    /// [`ErrorKind::BadRequest`](crate::ErrorKind::BadRequest) for slices that do not fit.
    pub fn read_part(&mut self, column: &str, rows: impl Into<Rows>, part: &str) -> Result<Block> {
        let found = self.engine.table().readable(column).at("read", &self.path)?;
        let inner = Inner::parse(part, &found.shape).at("read", &self.path)?;
        let block = self.engine.read_inner(column, &rows.into(), &inner)?;
        Ok(Block::new(block, column, &self.path))
    }

    /// Counts rows by what all their columns say together. Reads stamps only.
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::Unstamped`](crate::ErrorKind::Unstamped).
    pub fn presence(&mut self, rows: Range<u64>) -> Result<Presence> {
        self.engine.presence(rows)
    }

    /// Counts the rows of each column. Reads stamps only.
    ///
    /// # Errors
    /// As [`Reader::presence`].
    pub fn presence_by_column(&mut self, rows: Range<u64>) -> Result<Vec<ColumnPresence>> {
        self.engine.presence_by_column(rows)
    }

    /// Looks at the file again: whether the table grew, or its structure changed. Every read does so first. Returns
    /// whether anything changed.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`](crate::ErrorKind::Replaced), [`ErrorKind::Cut`](crate::ErrorKind::Cut), I/O errors.
    pub fn refresh(&mut self) -> Result<bool> {
        self.engine.refresh()
    }

    /// Takes values that another program wrote over committed ones as values:
    /// [`CellState::Plain`](crate::CellState::Plain). Default: they are
    /// [`CellState::Changed`](crate::CellState::Changed), and not there.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.engine.set_accept_foreign(accept);
    }
}
