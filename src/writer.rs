//! Committing rows.

use crate::{Block, Commit, Durability, Fence, Group, Recovery, Result, Rows, TableInfo, Values};
use h5part_engine::store as engine;
use std::path::Path;
use std::sync::Arc;

/// Commits rows of one table: see [`Store::writer`](crate::Store::writer).
///
/// **Concurrency.** Any number of writers, in any number of processes, may commit to the same table at the same time,
/// beside any number of readers, and of stock programs that open the file to read. Writers of different rows do not wait
/// for each other. Of two commits to the same row the later one stands.
///
/// **Atomic** is each row over all columns of its commit: a reader sees all of it or nothing. Several rows of one commit
/// are acknowledged together, and may be partly there if the process dies before.
///
/// **Survives**: an acknowledged commit survives what its [`Durability`] says. A commit that is killed while it replaces
/// values leaves its rows "not there", never a mixture, until the next writer of the table opens, or
/// [`Store::recover`](crate::Store::recover) is called: that puts the old values back.
///
/// **Columns that are not written in place** (compressed ones, see [`ColumnInfo::is_direct`](crate::ColumnInfo)): a
/// commit that touches one is made alone, and survives loss of power. **Tables without stamps**, made by other programs
/// and not adopted: a row may be seen, or left by a kill, half-written.
///
/// After a failed write the writer is poisoned and refuses further commits; its half-written rows are put back like
/// those of a dead one.
#[derive(Debug)]
pub struct Writer {
    engine: engine::Writer,
    path: Arc<Path>,
}

impl Writer {
    pub(crate) fn new(engine: engine::Writer, path: &Path) -> Self {
        Self { engine, path: Arc::from(path) }
    }

    /// Begins a commit to `rows`: [`CommitBuilder::set`] its columns, then [`CommitBuilder::run`] it.
    pub fn commit<'v>(&mut self, rows: impl Into<Rows>) -> CommitBuilder<'_, 'v> {
        CommitBuilder { writer: &mut self.engine, rows: rows.into(), values: Vec::new(), expected: Vec::new() }
    }

    /// Begins a group of commits that share locks and syncs: see [`Group`].
    pub fn group(&mut self) -> Group<'_> {
        Group::new(self.engine.group())
    }

    /// Sets what commits survive from here on. Default: [`Durability::Power`].
    pub fn set_durability(&mut self, durability: Durability) {
        self.engine.set_durability(durability);
    }

    /// Sets whether commits may overwrite values that another program wrote. Default: they are an error,
    /// [`ErrorKind::ForeignChange`](crate::ErrorKind::ForeignChange), and nothing is written.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.engine.set_accept_foreign(accept);
    }

    /// Sets a check that every commit runs after locking its rows, before it writes a byte. A commit whose check fails
    /// writes nothing. Default: none.
    pub fn set_fence(&mut self, fence: Option<Arc<dyn Fence>>) {
        self.engine.set_fence(fence);
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

    /// Makes rows "not there" again, in all columns that have stamps: they hold fill, and are to be computed anew.
    /// Atomic, and surviving, as a commit that replaces them; where the table has several guards, the columns of each by
    /// themselves.
    ///
    /// # Errors
    /// As [`CommitBuilder::run`]; [`ErrorKind::Unstamped`](crate::ErrorKind::Unstamped).
    pub fn reset(&mut self, rows: impl Into<Rows>) -> Result<Commit> {
        self.engine.reset(&rows.into())
    }

    /// Reads the bytes of a column as any program sees them, whatever their stamps say: what
    /// [`CommitBuilder::expect`] compares with. A cell that is just being written may come in parts.
    ///
    /// # Errors
    /// Unknown columns, rows out of range or named twice, I/O errors.
    pub fn read_stored(&mut self, column: &str, rows: impl Into<Rows>) -> Result<Block> {
        let block = self.engine.as_it_lies(column, &rows.into())?;
        Ok(Block::new(block, column, &self.path))
    }

    /// Puts back what dead writers left half-done in this table. Commits do so by themselves where they meet it.
    ///
    /// **Concurrency.** May run beside writers, readers and other recoveries.
    ///
    /// # Errors
    /// Those of [`CommitBuilder::run`] that are not about rows and values.
    pub fn recover(&mut self) -> Result<Recovery> {
        self.engine.recover()
    }

    /// Whether an earlier write failed, so that nothing more is accepted.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.engine.is_poisoned()
    }

    /// Releases the gate now, instead of a millisecond after the last commit.
    pub fn pause(&mut self) {
        self.engine.pause();
    }
}

/// A commit in the making: [`Writer::commit`] begins it, [`CommitBuilder::run`] makes it.
#[derive(Debug)]
#[must_use = "nothing is written until it is run"]
pub struct CommitBuilder<'w, 'v> {
    writer: &'w mut engine::Writer,
    rows: Rows,
    values: Vec<(&'v str, Values<'v>)>,
    expected: Vec<(&'v str, Values<'v>)>,
}

impl<'v> CommitBuilder<'_, 'v> {
    /// Sets the values of a column: shape (rows, cell...), value `i` for row `i` of the selection. For a single row the
    /// first axis may be left out.
    pub fn set(mut self, column: &'v str, values: impl Into<Values<'v>>) -> Self {
        self.values.push((column, values.into()));
        self
    }

    /// Commits only if a column still holds these values, byte for byte, as [`Writer::read_stored`] gives them. The
    /// comparison is made under the row locks: between it and the commit nobody writes to these rows.
    pub fn expect(mut self, column: &'v str, values: impl Into<Values<'v>>) -> Self {
        self.expected.push((column, values.into()));
        self
    }

    /// Makes the commit. Returns when it is acknowledged. See [`Writer`] for what may run beside it, what is atomic and
    /// what survives.
    ///
    /// # Errors
    /// Nothing was written: rows out of range or named twice, values of another type or shape, an unknown column,
    /// [`ErrorKind::NotAsExpected`](crate::ErrorKind::NotAsExpected),
    /// [`ErrorKind::LockTimeout`](crate::ErrorKind::LockTimeout),
    /// [`ErrorKind::ForeignChange`](crate::ErrorKind::ForeignChange), [`ErrorKind::Fenced`](crate::ErrorKind::Fenced),
    /// [`ErrorKind::Cut`](crate::ErrorKind::Cut), [`ErrorKind::Replaced`](crate::ErrorKind::Replaced),
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned).
    /// Rows may be "not there": I/O errors while writing, [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace); they
    /// poison the writer.
    pub fn run(self) -> Result<Commit> {
        if self.expected.is_empty() {
            return self.writer.commit(&self.rows, &self.values);
        }
        self.writer.commit_if(&self.rows, &self.values, &self.expected)
    }
}
