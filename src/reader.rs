//! Readers of tables.

use crate::{Block, ColumnPresence, Presence, Result, Rows, TableInfo};
use h5part_base::dataspace::Inner;
use h5part_base::error::At;
use h5part_engine::store as engine;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Reads rows of one table: see [`Store::reader`](crate::Store::reader).
///
/// **Concurrency.** Any number of writers and readers may run beside it. It takes no row lock, and never keeps a writer
/// of direct columns waiting. It shares the gate while it loads the layout of the table, and while it reads a portion
/// of library columns; structural changes, and commits to library columns, wait meanwhile.
///
/// **Sees** each cell whole or not at all, and with [`Reader::read_columns`] each row. Rows without a committed value
/// come back as fill, and as `false` in [`Block::mask`]. A reader sees what is committed when it reads, not when it was
/// opened. In tables without stamps, which other programs made and nobody adopted, a row may be seen half-written.
#[derive(Debug)]
pub struct Reader {
    engine: engine::Reader,
    path: Arc<Path>,
}

impl Reader {
    pub(crate) fn new(engine: engine::Reader, path: &Path) -> Self {
        Self { engine, path: Arc::from(path) }
    }

    /// Number of rows of the table when its layout was last loaded.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.engine.table().rows
    }

    /// The table as it was when its layout was last loaded.
    #[must_use]
    pub fn table(&self) -> TableInfo {
        TableInfo::of(self.engine.table())
    }

    /// Reads `rows` of a column, in the order of the selection. The shape is (rows, cell...). A row may be named more
    /// than once.
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

    /// Reads `rows` of several columns. The stamped columns of each row are as one commit left them: never one column
    /// of an older commit beside another of a newer one. Returns one block per column, in the order of `columns`.
    ///
    /// # Errors
    /// As [`Reader::read`].
    pub fn read_columns(&mut self, columns: &[&str], rows: impl Into<Rows>) -> Result<Vec<Block>> {
        let blocks = self.engine.read_columns(columns, &rows.into())?;
        Ok(blocks.into_iter().zip(columns).map(|(block, column)| Block::new(block, column, &self.path)).collect())
    }

    /// Reads part of each row. `part` has one slice per axis of a row, in numpy's notation: `"0:10, 2"`. Axes without a
    /// slice are read whole. A single index keeps its axis, with length 1. The shape is (rows, selected...).
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::BadRows`](crate::ErrorKind::BadRows) and
    /// [`ErrorKind::BadRequest`](crate::ErrorKind::BadRequest) for slices that do not fit the row.
    pub fn read_part(&mut self, column: &str, rows: impl Into<Rows>, part: &str) -> Result<Block> {
        let found = self.engine.table().readable(column).at("read", &self.path)?;
        let inner = Inner::parse(part, &found.shape).at("read", &self.path)?;
        let block = self.engine.read_inner(column, &rows.into(), &inner)?;
        Ok(Block::new(block, column, &self.path))
    }

    /// Counts rows by the state of all their stamped columns. Reads only stamps. Beside writers, each row counts as it
    /// was at some moment during the call.
    ///
    /// # Errors
    /// As [`Reader::read`]; [`ErrorKind::Unstamped`](crate::ErrorKind::Unstamped).
    pub fn presence(&mut self, rows: Range<u64>) -> Result<Presence> {
        self.engine.presence(rows)
    }

    /// Counts the cells of each stamped column by state. Reads only stamps. Beside writers, each row counts as it was
    /// at some moment during the call.
    ///
    /// # Errors
    /// As [`Reader::presence`].
    pub fn presence_by_column(&mut self, rows: Range<u64>) -> Result<Vec<ColumnPresence>> {
        self.engine.presence_by_column(rows)
    }

    /// Checks whether the table has grown or the structure of the file has changed, and loads the layout again if so.
    /// Every read does this first. Returns whether anything changed.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`](crate::ErrorKind::Replaced), [`ErrorKind::Cut`](crate::ErrorKind::Cut), I/O errors.
    pub fn refresh(&mut self) -> Result<bool> {
        self.engine.refresh()
    }

    /// Sets whether values that another program wrote over committed ones count as values,
    /// [`CellState::Plain`](crate::CellState::Plain). Default: they do not count. They are
    /// [`CellState::Changed`](crate::CellState::Changed), and "not there". Reads that accept them share the gate, and
    /// so wait for a program that holds it.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.engine.set_accept_foreign(accept);
    }
}
