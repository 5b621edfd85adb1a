//! Committing rows.

use super::commit::{self, Durability, Failed, Scratch, Set, Site, Terms};
use super::handle::{Store, normal};
use super::recover::{Recorder, recover_table};
use super::values::Values;
use super::view::{Since, View};
use crate::dataspace::{Rows, Table};
use crate::error::{At, ErrorKind, Result};
use crate::lock::{Burst, Dead, Gate, RowLocks, SharedGate};
use crate::storage::Mode;
use std::sync::Arc;

/// An acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Rows written.
    pub rows: u64,
    /// Bytes of values written.
    pub bytes: u64,
}

/// Commits rows of one table.
///
/// **Concurrency.** Any number of writers, in any number of processes, may commit to the same
/// table at the same time, beside any number of [`super::Reader`]s and of stock readers that open
/// the file anew. Writers of different rows do not wait for each other; of two commits to the same
/// row the later one stands. While commits are under way a stock program cannot open the file for
/// writing; between bursts of commits it can, and h5part notices what it changed.
///
/// **Atomic** is each row over all columns of its commit: a reader sees all of it or nothing.
/// Several rows of one commit are acknowledged together, and may be partly there if the process
/// dies before.
///
/// **Survives**: an acknowledged commit of rows that had no value survives what [`Durability`]
/// says. A commit that replaces values first keeps them in the writer's record: if it is killed in the
/// middle, its rows are "not there" (never a mixture) until the next writer of the table, or
/// [`Store::recover`], puts the old values back.
///
/// After a failed write the writer is poisoned and refuses further commits; its half-written rows are
/// put back like those of a dead one.
#[derive(Debug)]
pub struct Writer {
    burst: Burst,
    engine: Engine,
    durability: Durability,
    accept_foreign: bool,
    poisoned: bool,
}

#[derive(Debug)]
struct Engine {
    store: Store,
    name: String,
    view: View,
    gate: Arc<Gate>,
    rows: Arc<RowLocks>,
    scratch: Scratch,
    recorder: Recorder,
}

impl Store {
    /// Opens a table for commits. Makes the lock file and the sidecar folder where they are
    /// missing.
    ///
    /// # Errors
    /// No such file or table, not an HDF5 file, cut, read-only, [`ErrorKind::Unstamped`],
    /// [`ErrorKind::UntrustedLocks`], [`ErrorKind::HardLinked`], [`ErrorKind::LockTimeout`].
    pub fn writer(&self, table: &str) -> Result<Writer> {
        Writer::open(self, normal(table)).at("open for writing", &self.paths.file)
    }
}

impl Writer {
    fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        store.check_sharing()?;
        let rows = Arc::new(RowLocks::open(&store.paths)?);
        let recorder = Recorder::open(store.storage.as_ref(), &store.paths)?;
        let gate = Gate::open(&store.paths, Arc::clone(&rows))?;
        let entered = store.enter_shared(&gate, &rows)?;
        let view = View::load(store.storage.as_ref(), &store.paths, table, Mode::Write)?;
        if view.table.stamps.is_none() {
            return Err(ErrorKind::Unstamped(table.to_owned()));
        }
        recover_table(store.storage.as_ref(), &store.paths, &view, &rows, &store.patience)?;
        drop(entered);
        let engine = Engine {
            store: store.clone(),
            name: table.to_owned(),
            view,
            gate,
            rows,
            scratch: Scratch::default(),
            recorder,
        };
        Ok(Self {
            burst: Burst::new(),
            engine,
            durability: Durability::default(),
            accept_foreign: false,
            poisoned: false,
        })
    }

    /// What commits survive from here on. Default: [`Durability::Power`].
    pub fn set_durability(&mut self, durability: Durability) {
        self.durability = durability;
    }

    /// Whether commits may overwrite values that another program wrote. Default: they are an
    /// error, [`ErrorKind::ForeignChange`], and nothing is written.
    pub fn set_accept_foreign(&mut self, accept: bool) {
        self.accept_foreign = accept;
    }

    /// The table as it lies in the file.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.engine.view.table
    }

    /// Writes `values` of some columns for `rows`: value `i` of each goes to row `i` of the
    /// selection. Shapes are (rows, cell...). Returns when the commit is acknowledged.
    ///
    /// See [`Writer`] for what may run beside it, what is atomic and what survives.
    ///
    /// # Errors
    /// Nothing was written: rows out of range or named twice, an empty selection, values of
    /// another type or shape, an unknown or a library column, [`ErrorKind::LockTimeout`],
    /// [`ErrorKind::ForeignChange`], [`ErrorKind::Cut`], [`ErrorKind::Replaced`],
    /// [`ErrorKind::ColumnMoved`], [`ErrorKind::Poisoned`]. Rows may be "not there": I/O errors
    /// while writing, [`ErrorKind::DiskFull`]; they poison the writer.
    pub fn commit(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<Commit> {
        self.try_commit(rows, values).map_err(|kind| kind.at("update", &self.engine.store.paths.file))
    }

    fn try_commit(&mut self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<Commit, ErrorKind> {
        if self.poisoned {
            return Err(ErrorKind::Poisoned);
        }
        let bytes = self.engine.check(rows, values)?;
        let runs = rows.runs()?;
        let mut turn = self.burst.begin();
        if !turn.entered() {
            turn.keep(self.engine.enter()?);
        }
        let Engine { store, view, rows: locks, scratch, recorder, .. } = &mut self.engine;
        let sets = values
            .iter()
            .map(|(name, values)| Ok(Set { target: view.stamped(view.table.column(name)?)?, bytes: values.bytes() }))
            .collect::<Result<Vec<_>, ErrorKind>>()?;
        let terms =
            Terms { durability: self.durability, accept_foreign: self.accept_foreign, suspect: turn.is_suspect() };
        let recover = || {
            recover_table(store.storage.as_ref(), &store.paths, view, locks, &store.patience)?;
            Dead::await_others(&store.paths, &store.patience)
        };
        let mut site = Site { view, locks, patience: &store.patience, recorder };
        match commit::run(&mut site, &runs, &sets, terms, scratch, recover) {
            Ok(()) => {
                turn.finish();
                Ok(Commit { rows: runs.len(), bytes })
            }
            Err(Failed::Before(e)) => Err(e),
            Err(Failed::During(e)) => {
                self.poisoned = true;
                self.engine.recorder.abandon();
                Err(e)
            }
        }
    }

    /// Whether an earlier write failed, so that nothing more is accepted.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Leaves the gate now, instead of a millisecond after the last commit.
    pub fn pause(&mut self) {
        self.burst.end();
    }
}

impl Engine {
    /// All that can be said before anything is locked. Returns the bytes of the values.
    fn check(&self, rows: &Rows, values: &[(&str, Values<'_>)]) -> Result<u64, ErrorKind> {
        let table = &self.view.table;
        rows.check(table.rows)?;
        if values.is_empty() {
            return Err(ErrorKind::BadRequest("a commit sets at least one column".to_owned()));
        }
        for (i, (name, values_of)) in values.iter().enumerate() {
            if values[..i].iter().any(|(other, _)| other == name) {
                return Err(ErrorKind::BadRequest(format!("column '{name}' is set twice")));
            }
            let column = table.column(name)?;
            self.view.stamped(column)?;
            values_of.check(column, rows)?;
        }
        Ok(values.iter().map(|(_, v)| v.bytes().len() as u64).sum())
    }

    /// Enters the gate and makes sure that file and layout are what they were: a file that was
    /// cut, replaced, or in which another program moved our columns, is refused before a byte is
    /// written. A file that h5part itself replaced (same uuid) is followed.
    fn enter(&mut self) -> Result<SharedGate, ErrorKind> {
        let storage = Arc::clone(&self.store.storage);
        let paths = self.store.paths.clone();
        for _ in 0..4 {
            let gate = self.store.enter_shared(&self.gate, &self.rows)?;
            match self.view.since(storage.as_ref(), &paths)? {
                Since::Same => return Ok(gate),
                Since::MetadataChanged => {
                    let newer = View::load(storage.as_ref(), &paths, &self.name, Mode::Write)?;
                    self.view.follow(newer)?;
                    return Ok(gate);
                }
                Since::OtherFile => {
                    drop(gate);
                    self.gate = Gate::open(&paths, Arc::clone(&self.rows))?;
                    let gate = self.store.enter_shared(&self.gate, &self.rows)?;
                    let newer = View::load(storage.as_ref(), &paths, &self.name, Mode::Write)?;
                    if !self.view.is_succeeded_by(&newer) {
                        return Err(ErrorKind::Replaced);
                    }
                    drop(gate);
                    self.view = newer;
                }
            }
        }
        Err(ErrorKind::Replaced)
    }
}
