//! Writers of tables.

use crate::{Block, Commit, Durability, Fence, Group, Recovery, Result, Rows, TableInfo, Values};
use h5part_engine::store as engine;
use std::path::Path;
use std::sync::Arc;

/// Commits rows of one table: see [`Store::writer`](crate::Store::writer).
///
/// **Concurrency.** Any number of writers, in any number of processes, may commit to the same table at the same time.
/// Any number of readers, and of stock programs that only read the file, may run beside them. Writers of different rows
/// do not wait for each other. Of two commits to the same row the later one stands. A stock program cannot open the
/// file for writing while commits are under way. It can between bursts of commits, and h5part notices what it changed.
///
/// **Atomic**: each row, over all columns of its commit. A reader sees all of it or nothing. Several rows of one commit
/// are acknowledged together; if the process dies before that, some of them may be committed.
///
/// **Survives**: an acknowledged commit survives what [`Durability`] says. If a commit that replaces values is killed
/// in the middle, its rows are "not there", never a mixture, until the next writer of the table, or
/// [`Store::recover`](crate::Store::recover), puts the old values back.
///
/// **Library columns**, such as compressed ones (see [`ColumnInfo::is_direct`](crate::ColumnInfo)): a commit that
/// touches one is a [structural change](crate::Store#structural-changes) as a whole. It runs exclusively, and survives
/// loss of power. So does a commit to columns of several groups of 64, in a table of more than 64 columns. **Tables
/// without stamps**, which other programs made and nobody adopted: a row may be seen, or left by a kill, half-written,
/// and changes by other programs are not noticed.
///
/// After a failed write the writer is poisoned: it refuses further commits. Its half-written rows are put back like
/// those of a dead writer.
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

    /// Sets what later commits survive. Default: [`Durability::Power`].
    pub fn set_durability(&mut self, durability: Durability) {
        self.engine.set_durability(durability);
    }

    /// Sets whether commits may overwrite values that another program wrote. Default: they may not. Such a commit fails
    /// with [`ErrorKind::ForeignChange`](crate::ErrorKind::ForeignChange), and nothing is written.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.engine.set_accept_foreign(accept);
    }

    /// Sets a check that every commit runs after locking its rows, before it writes a byte. A commit whose check fails
    /// writes nothing. Default: none.
    pub fn set_fence(&mut self, fence: Option<Arc<dyn Fence>>) {
        self.engine.set_fence(fence);
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

    /// Makes rows "not there" again, in all columns with stamps. They then hold fill, and are to be computed again.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: as a commit that replaces values. If the table has
    /// several guards, the columns of each are one commit.
    ///
    /// # Errors
    /// As [`CommitBuilder::run`]; [`ErrorKind::Unstamped`](crate::ErrorKind::Unstamped).
    pub fn reset(&mut self, rows: impl Into<Rows>) -> Result<Commit> {
        self.engine.reset(&rows.into())
    }

    /// Reads the bytes of a column as any program sees them, whatever their stamps say. The shape is (rows, cell...).
    /// [`CommitBuilder::expect`] compares with these bytes. A cell that is being written may be a mixture of old and
    /// new.
    ///
    /// # Errors
    /// Unknown columns, rows out of range or named twice, I/O errors.
    pub fn read_stored(&mut self, column: &str, rows: impl Into<Rows>) -> Result<Block> {
        let block = self.engine.as_it_lies(column, &rows.into())?;
        Ok(Block::new(block, column, &self.path))
    }

    /// Recovers what dead writers left half-written in this table. Call it when a writer is known to have died. Commits
    /// do the same for such rows that they meet. [`Store::recover`](crate::Store::recover) handles all tables.
    ///
    /// **Concurrency.** As [`Store::recover`](crate::Store::recover).
    ///
    /// # Errors
    /// Those of [`CommitBuilder::run`], except those about rows and values.
    pub fn recover(&mut self) -> Result<Recovery> {
        self.engine.recover()
    }

    /// Whether an earlier write failed, so that the writer refuses further commits.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.engine.is_poisoned()
    }

    /// Releases the gate now. Otherwise the writer keeps it for up to a millisecond after a commit, in case another one
    /// follows.
    pub fn pause(&mut self) {
        self.engine.pause();
    }
}

/// A commit that is being built. [`Writer::commit`] begins it, [`CommitBuilder::run`] makes it.
#[derive(Debug)]
#[must_use = "nothing is written until it is run"]
pub struct CommitBuilder<'w, 'v> {
    writer: &'w mut engine::Writer,
    rows: Rows,
    values: Vec<(&'v str, Values<'v>)>,
    expected: Vec<(&'v str, Values<'v>)>,
}

impl<'v> CommitBuilder<'_, 'v> {
    /// Sets the values of a column. Their shape is (rows, cell...); value `i` goes to row `i` of the selection. For a
    /// single row the first axis may be left out.
    pub fn set(mut self, column: &'v str, values: impl Into<Values<'v>>) -> Self {
        self.values.push((column, values.into()));
        self
    }

    /// Commits only if a column still holds these values, byte for byte, as [`Writer::read_stored`] returns them. They
    /// are compared under the row locks, so nobody writes to these rows between the comparison and the commit.
    pub fn expect(mut self, column: &'v str, values: impl Into<Values<'v>>) -> Self {
        self.expected.push((column, values.into()));
        self
    }

    /// Makes the commit. Returns when it is acknowledged. See [`Writer`] for what may run beside it, what is atomic and
    /// what survives.
    ///
    /// # Errors
    /// After these nothing was written: rows out of range or named twice, values of another type or shape, an unknown
    /// column, [`ErrorKind::NotAsExpected`](crate::ErrorKind::NotAsExpected),
    /// [`ErrorKind::LockTimeout`](crate::ErrorKind::LockTimeout),
    /// [`ErrorKind::ForeignChange`](crate::ErrorKind::ForeignChange), [`ErrorKind::Fenced`](crate::ErrorKind::Fenced),
    /// [`ErrorKind::Cut`](crate::ErrorKind::Cut), [`ErrorKind::Replaced`](crate::ErrorKind::Replaced),
    /// [`ErrorKind::Poisoned`](crate::ErrorKind::Poisoned).
    ///
    /// I/O errors while writing, and [`ErrorKind::NoSpace`](crate::ErrorKind::NoSpace), may leave rows "not there".
    /// They poison the writer.
    pub fn run(self) -> Result<Commit> {
        if self.expected.is_empty() {
            return self.writer.commit(&self.rows, &self.values);
        }
        self.writer.commit_if(&self.rows, &self.values, &self.expected)
    }
}
