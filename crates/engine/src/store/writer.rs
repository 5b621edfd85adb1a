//! Writers: the public face of row commits.

use super::cells::{cell_at_mut, read_cells};
use super::commit::{Answers, CommitError, CommitOptions, CommitRequest, Committer, Durability, Outcome, Route};
use super::handle::{Store, trim_slashes};
use super::recover::Recovery;
use super::values::{Block, CellState, Values};
use h5part_base::dataspace::{Rows, Runs, Table};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{Burst, Fence};
use h5part_base::num::to_usize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// For up to this many columns, scanning their names is faster than a set.
const FEW: usize = 64;

/// The acknowledgement of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Rows written.
    pub rows: u64,
    /// Bytes of values written.
    pub bytes: u64,
}

/// Commits rows of one table.
///
/// **Concurrency.** Any number of writers, in any number of processes, may commit to the same table at the same time.
/// Any number of [`super::Reader`]s, and of stock readers that reopen the file, may run beside them. Writers of
/// different rows do not wait for each other. Of two commits to the same row the later one stands. A stock program
/// cannot open the file for writing while commits are under way. It can between bursts of commits, and h5part notices
/// what it changed.
///
/// **Atomic**: each row, over all columns of its commit. A reader sees all of it or nothing. Several rows of one commit
/// are acknowledged together; if the process dies before that, some of them may be committed.
///
/// **Survives**: an acknowledged commit survives what [`Durability`] says. A commit that replaces values first copies
/// them to the writer's record. If it is killed in the middle, its rows are "not there", never a mixture, until the
/// next writer of the table, or [`Store::recover`], puts the old values back.
///
/// **Library columns**, such as compressed ones: a commit that touches one is a structural change as a whole, see
/// [`Store::change`]. It runs exclusively and survives loss of power. **Tables without stamps**, which other programs
/// made and nobody adopted: rows are written under their locks and synced. A row may be seen, or left by a kill,
/// half-written, and changes by other programs are not noticed.
///
/// After a failed write the writer is poisoned: it refuses further commits. Its half-written rows are put back like
/// those of a dead writer.
#[derive(Debug)]
pub struct Writer {
    burst: Burst,
    committer: Committer,
    durability: Durability,
    accept_foreign: bool,
    fence: Option<Arc<dyn Fence>>,
    poisoned: bool,
}

impl Store {
    /// Opens a table for commits. Makes the lock file and the sidecar folder if they are missing.
    ///
    /// # Errors
    /// No such file or table, not an HDF5 file, cut, read-only, [`ErrorKind::UntrustedLocks`],
    /// [`ErrorKind::HardLinked`], [`ErrorKind::LockTimeout`].
    pub fn writer(&self, table: &str) -> Result<Writer> {
        Writer::open(self, trim_slashes(table)).at("open for writing", &self.paths.file)
    }
}

impl Writer {
    fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        Ok(Self {
            burst: Burst::new(store.paths.shared),
            committer: Committer::open(store, table)?,
            durability: Durability::default(),
            accept_foreign: false,
            fence: None,
            poisoned: false,
        })
    }

    /// Sets what later commits survive. Default: [`Durability::Power`].
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Sets whether commits may overwrite values that another program wrote. Default: they may not. Such a commit fails
    /// with [`ErrorKind::ForeignChange`], and nothing is written.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.accept_foreign = accept;
    }

    /// Sets a check that every commit runs after locking its rows and before writing a byte. Where the check fails, the
    /// commit fails. Default: none.
    pub fn set_fence(&mut self, fence: Option<Arc<dyn Fence>>) {
        self.fence = fence;
    }

    /// The table as it lies in the file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.committer.view.table
    }

    /// Writes `values` of some columns for `rows`: value `i` of each goes to row `i` of the selection. The shape of
    /// each is (rows, cell...). Returns when the commit is acknowledged.
    ///
    /// See [`Writer`] for what may run beside it, what is atomic and what survives.
    ///
    /// # Errors
    /// Nothing was written: rows out of range or named twice, values of another type or shape, an unknown column,
    /// [`ErrorKind::LockTimeout`], [`ErrorKind::ForeignChange`], [`ErrorKind::Cut`], [`ErrorKind::Replaced`],
    /// [`ErrorKind::Replaced`], [`ErrorKind::Poisoned`]. I/O errors while writing and [`ErrorKind::NoSpace`] may
    /// leave rows "not there"; they poison the writer.
    pub fn commit(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<Commit> {
        self.try_commit(rows, values, &[]).map_err(|kind| self.at(kind))
    }

    /// As [`Writer::commit`], provided that columns still hold what the caller has seen in them, byte for byte. Each of
    /// `expected` is a column with its values for `rows`, as [`Writer::as_it_lies`] gives them. They are compared under
    /// the row locks, so that nobody writes there between that and the commit. If the guard of the columns is expected
    /// to say "undefined", and foreign values are accepted, those values are not kept for recovery.
    ///
    /// # Errors
    /// As [`Writer::commit`]; [`ErrorKind::NotAsExpected`], and nothing was written;
    /// [`ErrorKind::Unstamped`].
    pub fn commit_if(
        &mut self,
        rows: &Rows,
        values: &[(&str, Values<'_>)],
        expected: &[(&str, Values<'_>)],
    ) -> Result<Commit> {
        self.try_commit(rows, values, expected).map_err(|kind| self.at(kind))
    }

    /// The bytes of a column's rows as any program sees them, whatever their stamps say. The shape is (rows, cell...).
    /// A cell that is being written may be a mixture of old and new.
    ///
    /// # Errors
    /// Unknown columns, rows out of range or named twice, I/O errors.
    pub fn as_it_lies(&mut self, column: &str, rows: &Rows) -> Result<Block> {
        self.try_as_it_lies(column, rows).map_err(|kind| self.at(kind))
    }

    fn try_as_it_lies(&mut self, name: &str, rows: &Rows) -> Result<Block, ErrorKind> {
        if let Err(ErrorKind::RowOutOfRange { .. }) = rows.check(self.committer.view.table.rows) {
            self.look_again()?;
        }
        rows.check(self.committer.view.table.rows)?;
        let bytes = self.bytes_of(name, rows)?;
        let column = self.committer.view.table.column(name)?;
        let shape = [rows.len()].into_iter().chain(column.shape.iter().copied()).collect();
        let states = vec![CellState::Plain; to_usize(rows.len())];
        Ok(Block { dtype: column.dtype()?, shape, bytes, states })
    }

    /// Makes rows "not there" again, in all columns with stamps: they hold fill, and are to be computed again. It is as
    /// atomic and durable as a commit that replaces them. If the table has several guards, the columns of each are one
    /// commit. Returns the number of rows.
    ///
    /// # Errors
    /// As [`Writer::commit`]; [`ErrorKind::Unstamped`].
    pub fn reset(&mut self, rows: &Rows) -> Result<Commit> {
        self.try_reset(rows).map_err(|kind| self.at(kind))
    }

    /// Recovers what dead writers left half-written in this table. Call it when a writer is known to have died; commits
    /// do the same for such rows that they meet. [`Store::recover`] handles all tables.
    ///
    /// **Concurrency.** As [`Store::recover`].
    ///
    /// # Errors
    /// As [`Writer::commit`], except those about rows and values.
    pub fn recover(&mut self) -> Result<Recovery> {
        self.try_recover().map_err(|kind| self.at(kind))
    }

    fn try_recover(&mut self) -> Result<Recovery, ErrorKind> {
        let mut turn = self.burst.begin();
        if !turn.entered() {
            turn.keep(self.committer.enter()?);
        }
        let found = self.committer.recover()?;
        turn.finish();
        Ok(found)
    }

    fn try_commit(
        &mut self,
        rows: &Rows,
        values: &[(&str, Values<'_>)],
        expected: &[(&str, Values<'_>)],
    ) -> Result<Commit, ErrorKind> {
        let bytes = self.check(rows, values)?;
        if !expected.is_empty() {
            self.check(rows, expected)?;
            self.committer.view.table.expect_stamps()?;
        }
        let request = CommitRequest {
            runs: rows.runs()?,
            values: values.iter().map(|(name, values)| (*name, values.bytes())).collect(),
            expected: expected.iter().map(|(name, values)| (*name, values.bytes())).collect(),
        };
        self.make_one(request, Outcome::Committed)?;
        Ok(Commit { rows: rows.len(), bytes })
    }

    fn try_reset(&mut self, rows: &Rows) -> Result<Commit, ErrorKind> {
        if let Err(ErrorKind::RowOutOfRange { .. }) = rows.check(self.committer.view.table.rows) {
            self.look_again()?;
        }
        let table = &self.committer.view.table;
        rows.check(table.rows)?;
        table.expect_stamps()?;
        let mut bytes = 0;
        for columns in table.by_guard() {
            let fills = columns.iter().map(|name| self.fill_of(name, rows)).collect::<Result<Vec<_>, _>>()?;
            bytes += fills.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
            let values = fills.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            self.make_one(CommitRequest { runs: rows.runs()?, values, expected: Vec::new() }, Outcome::NotThere)?;
        }
        Ok(Commit { rows: rows.len(), bytes })
    }

    /// Makes one column of some rows "not there", whatever it holds. Returns the number of rows.
    pub(crate) fn reset_column(&mut self, rows: &Rows, name: &str) -> Result<u64> {
        let reset = |writer: &mut Self| {
            let (column, fill) = writer.fill_of(name, rows)?;
            writer.make_one(
                CommitRequest { runs: rows.runs()?, values: vec![(&column, &fill)], expected: Vec::new() },
                Outcome::NotThere,
            )
        };
        reset(self).map_err(|kind| self.at(kind)).map(|()| rows.len())
    }

    /// Commits the values that the column holds now. Returns the number of rows.
    pub(crate) fn stamp_as_is(&mut self, rows: &Rows, name: &str) -> Result<u64> {
        let stamp = |writer: &mut Self| {
            let bytes = writer.bytes_of(name, rows)?;
            writer.make_one(
                CommitRequest { runs: rows.runs()?, values: vec![(name, &bytes)], expected: Vec::new() },
                Outcome::Committed,
            )
        };
        stamp(self).map_err(|kind| self.at(kind)).map(|()| rows.len())
    }

    fn make_one(&mut self, request: CommitRequest<'_>, outcome: Outcome) -> Result<(), ErrorKind> {
        if request.runs.is_empty() {
            return Ok(());
        }
        let mut answers = self.make(&[request], outcome)?;
        answers.pop().unwrap_or(Ok(()))
    }

    /// Checks all that can be checked before anything is locked. Returns the bytes of the values.
    pub(super) fn check(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<u64, ErrorKind> {
        if self.poisoned {
            return Err(ErrorKind::Poisoned);
        }
        match self.check_against_table(rows, values) {
            Err(ErrorKind::RowOutOfRange { .. }) => {
                self.look_again()?;
                self.check_against_table(rows, values)
            }
            other => other,
        }
    }

    /// Loads the table again if it has changed, since it may have grown.
    fn look_again(&mut self) -> Result<(), ErrorKind> {
        let mut turn = self.burst.begin();
        if !turn.entered() {
            turn.keep(self.committer.enter()?);
        }
        Ok(())
    }

    /// Makes checked commits together. Each has its own outcome, unless all fail.
    pub(super) fn make(&mut self, requests: &[CommitRequest<'_>], outcome: Outcome) -> Result<Answers, ErrorKind> {
        if self.poisoned {
            return Err(ErrorKind::Poisoned);
        }
        self.take_in_rows(requests)?;
        let route = self.committer.route(requests)?;
        if route != Route::InPlace {
            return self.make_exclusively(requests, outcome, route);
        }
        let mut turn = self.burst.begin();
        if !turn.entered() {
            turn.keep(self.committer.enter()?);
            // Another program may have changed the file since the commit was checked.
            self.committer.check_rows(requests)?;
            let route = self.committer.route(requests)?;
            if route != Route::InPlace {
                drop(turn);
                return self.make_exclusively(requests, outcome, route);
            }
        }
        let options = CommitOptions {
            durability: self.durability,
            accept_foreign: self.accept_foreign,
            suspect: turn.is_suspect(),
            outcome,
            fence: self.fence.as_deref(),
        };
        match self.committer.commit_in_place(requests, &options) {
            Ok(answers) => {
                let now = turn.finish();
                self.committer.count(&answers, now);
                Ok(answers)
            }
            Err(CommitError::BeforeWrite(e)) => Err(e),
            Err(CommitError::DuringWrite(e)) => {
                self.poisoned = true;
                self.committer.abandon();
                Err(e)
            }
        }
    }

    /// Makes commits while the gate is held exclusively.
    fn make_exclusively(
        &mut self,
        requests: &[CommitRequest<'_>],
        outcome: Outcome,
        route: Route,
    ) -> Result<Answers, ErrorKind> {
        self.burst.end();
        let options = CommitOptions {
            // A structural change is always synced.
            durability: Durability::Power,
            accept_foreign: self.accept_foreign,
            // It is set inside the gate.
            suspect: false,
            outcome,
            fence: self.fence.as_deref(),
        };
        let answers = self.committer.commit_exclusively(requests, &options, route)?;
        self.committer.count(&answers, Instant::now());
        Ok(answers)
    }

    /// Gives stamps to those of these rows that another program appended.
    fn take_in_rows(&mut self, requests: &[CommitRequest<'_>]) -> Result<(), ErrorKind> {
        let table = &self.committer.view.table;
        if requests.iter().all(|request| request.end() <= table.stamped_rows()) {
            return Ok(());
        }
        self.burst.end();
        self.committer.store.take_in_rows(&table.path)?;
        self.look_again()
    }

    fn check_against_table(&self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<u64, ErrorKind> {
        let table = &self.committer.view.table;
        rows.check(table.rows)?;
        if values.is_empty() {
            return Err(ErrorKind::BadRequest("a commit must set at least one column".to_owned()));
        }
        let finder = table.finder(values.len());
        let first = finder.column(values[0].0)?;
        let mut seen = HashSet::new();
        for (i, (name, values_of)) in values.iter().enumerate() {
            let twice = if i < FEW { values[..i].iter().any(|(other, _)| other == name) } else { seen.contains(name) };
            if twice {
                return Err(ErrorKind::BadRequest(format!("column '{name}' is set twice")));
            }
            if values.len() > FEW {
                seen.insert(name);
            }
            let column = finder.column(name)?;
            column.dtype()?;
            column.writable()?;
            if table.stamps.is_some() {
                self.committer.view.stamped(column)?;
            }
            values_of.check(column, rows)?;
            if table.guard_of(first) != table.guard_of(column) {
                let (a, b) = (&first.name, &column.name);
                let text = format!("columns '{a}' and '{b}' have different guards; commit them separately");
                return Err(ErrorKind::BadRequest(text));
            }
        }
        Ok(values.iter().map(|(_, v)| v.bytes().len() as u64).sum())
    }

    /// The name of a column, and its bytes for rows that are "not there".
    fn fill_of(&self, name: &str, rows: &Rows) -> Result<(String, Vec<u8>), ErrorKind> {
        let table = &self.committer.view.table;
        let column = table.column(name)?;
        let element = table.as_guard(column).map_or(&column.fill, |guard| &guard.undefined);
        let elements = column.shape.iter().product::<u64>().checked_mul(rows.len());
        let count = elements.map_or(usize::MAX, to_usize);
        Ok((column.name.clone(), element.repeat(count)))
    }

    /// The bytes of a column as they lie in the file.
    fn bytes_of(&self, name: &str, rows: &Rows) -> Result<Vec<u8>, ErrorKind> {
        let Committer { store, view, name: table, .. } = &self.committer;
        let (column, runs) = (view.table.column(name)?, rows.runs()?);
        let Ok(layout) = &column.layout else {
            let bytes = store.with_h5(|h5, _| Ok(h5.read_rows(table, column, &runs)?))?;
            return Ok(in_selection_order(&runs, &bytes));
        };
        let mut bytes = vec![0; to_usize(rows.len() * layout.cell_bytes)];
        read_cells(view.file.as_ref(), layout, &runs, &mut bytes)?;
        Ok(bytes)
    }

    /// Adds operation and path to an error.
    pub(super) fn at(&self, kind: ErrorKind) -> h5part_base::error::Error {
        kind.at("update", &self.committer.store.paths.file)
    }

    /// Whether an earlier write failed, so that the writer refuses further commits.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Leaves the gate now, instead of a millisecond after the last commit.
    pub fn pause(&mut self) {
        self.burst.end();
    }
}

/// Reorders cells that were read in ascending order of rows into the order of the selection.
fn in_selection_order(runs: &Runs, bytes: &[u8]) -> Vec<u8> {
    let cell = bytes.len() / to_usize(runs.len()).max(1);
    let mut out = vec![0; bytes.len()];
    for ((_, index), bytes) in runs.iter().zip(bytes.chunks_exact(cell.max(1))) {
        cell_at_mut(&mut out, index, cell).copy_from_slice(bytes);
    }
    out
}
