//! Commits of rows to one table.
//!
//! The steps of a commit: [`super::Writer`] checks its values and enters the gate. The [`Committer`] here chooses its
//! [`Route`]. [`inspect`] finds what its cells hold. [`in_place`], [`via_library`] or [`unstamped`] makes it.

mod in_place;
mod inspect;
mod joined;
mod repack;
mod unstamped;
mod via_library;

use super::change::Exclusive;
use super::handle::Store;
use super::recover::{Recorder, Recovery, recover_table};
use super::table_view::{FileChange, TableView};
use h5part_base::dataspace::{Run, Runs};
use h5part_base::error::{ErrorKind, Gone};
use h5part_base::lock::{self, Fence, Gate, RowLocks, SharedGate};
use in_place::{CommitContext, Scratch};
use inspect::CommitPlan;
use std::sync::Arc;
use std::time::Instant;

pub(super) use via_library::build;

/// If the file is replaced more often than this while a commit begins, the commit fails.
const MAX_REPLACEMENTS: usize = 100;

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: the commit is synced before it is acknowledged.
    #[default]
    Power,
    /// Death of any process (`kill -9`), but not loss of power. There is no sync, unless the commit replaces values
    /// that survive loss of power.
    Process,
}

/// The final state of a commit's stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// As if the rows had never been written; the values are fill.
    NotThere,
}

/// How a commit is made, and how it treats what it finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommitOptions<'a> {
    pub(super) durability: Durability,
    pub(super) accept_foreign: bool,
    /// Whether another program may have written into cells without a stamp. This is known only inside the gate.
    pub(super) suspect: bool,
    pub(super) outcome: Outcome,
    /// Checked under the row locks.
    pub(super) fence: Option<&'a dyn Fence>,
}

impl CommitOptions<'_> {
    fn check_fence(&self) -> Result<(), ErrorKind> {
        self.fence.map_or(Ok(()), Fence::check)
    }
}

/// A commit with checked values: rows, and the values of each column.
pub(super) struct CommitRequest<'v> {
    pub(super) runs: Runs,
    pub(super) values: Vec<(&'v str, &'v [u8])>,
    /// What these columns must still hold, byte for byte, when the commit is made.
    pub(super) expected: Vec<(&'v str, &'v [u8])>,
}

impl CommitRequest<'_> {
    /// First row after all of its rows.
    pub(super) fn end(&self) -> u64 {
        self.runs.as_slice().last().map_or(0, Run::end)
    }
}

/// The outcomes of commits that were made together, in their order.
pub(super) type Answers = Vec<Result<(), ErrorKind>>;

/// Why commits failed, and whether bytes of the file may have changed.
#[derive(Debug)]
pub(super) enum CommitError {
    /// Nothing was written.
    BeforeWrite(ErrorKind),
    /// Something was written, so no later commit may be acknowledged.
    DuringWrite(ErrorKind),
}

/// How commits are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// With `pwrite`, beside other writers.
    InPlace,
    /// Exclusively, through the log of a change.
    Log,
    /// Exclusively, through the log of a change and the HDF5 library.
    Library,
}

/// Makes commits to one table.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) store: Store,
    /// Path of the table.
    pub(super) name: String,
    pub(super) view: TableView,
    gate: Arc<Gate>,
    locks: Arc<RowLocks>,
    scratch: Scratch,
    recorder: Recorder,
}

impl Committer {
    /// Opens a table, and recovers what dead writers left half-written in it.
    pub(super) fn open(store: &Store, table: &str) -> Result<Self, ErrorKind> {
        store.check_sharing()?;
        let locks = store.open_locks()?;
        let recorder = store.in_sidecar(store.opening(|| Recorder::open(store)))?;
        let gate = store.opening(|| Gate::open(&store.paths, &store.storage, Arc::clone(&locks)))?;
        let entered = store.enter_shared(&gate, &locks)?;
        let view = store.opening(|| TableView::load_inside(store, table, gate.file()))?;
        if view.published {
            return Err(ErrorKind::Published);
        }
        if view.table.stamps.is_some() {
            recover_table(store, &view, &locks)?;
        }
        drop(entered);
        if let Some(uuid) = view.uuid {
            store.in_sidecar(lock::write_store_uuid(&store.paths, uuid))?;
        }
        let (store, name, scratch) = (store.clone(), table.to_owned(), Scratch::default());
        Ok(Self { store, name, view, gate, locks, scratch, recorder })
    }

    /// Enters the gate and makes sure that file and layout are unchanged. If the file was cut or replaced, or another
    /// program moved our columns, this fails before a byte is written. A file that h5part itself replaced (same uuid)
    /// is followed.
    pub(super) fn enter(&mut self) -> Result<SharedGate, ErrorKind> {
        for _ in 0..MAX_REPLACEMENTS {
            let gate = self.store.enter_shared(&self.gate, &self.locks)?;
            match self.view.change_since(&self.store)? {
                FileChange::Unchanged => return Ok(gate),
                FileChange::Metadata => {
                    self.view.follow(self.load()?)?;
                    return Ok(gate);
                }
                FileChange::OtherFile => {
                    drop(gate);
                    self.gate = Gate::open(&self.store.paths, &self.store.storage, Arc::clone(&self.locks))?;
                    let gate = self.store.enter_shared(&self.gate, &self.locks)?;
                    let newer = self.load()?;
                    if !self.view.is_succeeded_by(&newer) {
                        return Err(ErrorKind::Replaced(Gone::File));
                    }
                    self.view = newer;
                    // Inside the gate nobody replaces it, unless that happened before we entered.
                    if gate.is_named() {
                        return Ok(gate);
                    }
                }
            }
        }
        Err(ErrorKind::Replaced(Gone::File))
    }

    fn load(&self) -> Result<TableView, ErrorKind> {
        TableView::load_inside(&self.store, &self.name, self.gate.file())
    }

    /// Loads the table again while another gate of this process is held exclusively. Later commits write through the file
    /// of the own gate.
    fn reload(&mut self) -> Result<(), ErrorKind> {
        if !self.gate.is_named()? {
            self.gate = Gate::open(&self.store.paths, &self.store.storage, Arc::clone(&self.locks))?;
        }
        self.view.follow(self.load()?)
    }

    /// Recovers what dead writers left half-written in the table. The caller is inside the gate.
    pub(super) fn recover(&self) -> Result<Recovery, ErrorKind> {
        recover_table(&self.store, &self.view, &self.locks)
    }

    /// Gives up the record after a failed commit, so that others recover from it.
    pub(super) fn abandon(&mut self) {
        self.recorder.abandon();
    }

    /// Counts commits for those who watch.
    pub(super) fn count(&mut self, answers: &Answers, now: Instant) {
        self.recorder.count(answers.iter().filter(|answer| answer.is_ok()).count() as u64, now);
    }

    /// Checks that all rows still exist.
    pub(super) fn check_rows(&self, requests: &[CommitRequest<'_>]) -> Result<(), ErrorKind> {
        let table = &self.view.table;
        let rows = table.rows.min(table.stamped_rows());
        match requests.iter().map(CommitRequest::end).max().filter(|end| *end > rows) {
            Some(end) => Err(ErrorKind::RowOutOfRange { row: end - 1, rows }),
            None => Ok(()),
        }
    }

    /// The route of the commits. All of them take the same one, so that rows stay atomic. A commit that touches a
    /// library column goes through the library as a whole, and one with stamps in several sectors through the log.
    pub(super) fn route(&self, requests: &[CommitRequest<'_>]) -> Result<Route, ErrorKind> {
        let (table, mut route) = (&self.view.table, Route::InPlace);
        for request in requests {
            let finder = table.finder(request.values.len());
            let wide = table.stamps.as_ref().filter(|stamps| stamps.is_wide());
            let mut places = Vec::new();
            for (name, _) in &request.values {
                let column = finder.column(name)?;
                let guard = table.guard_of(column).map(|guard| table.column_at(guard.place)).transpose()?;
                if column.layout.is_err() || guard.is_some_and(|guard| guard.layout.is_err()) {
                    return Ok(Route::Library);
                }
                if wide.is_some() {
                    places.extend(column.stamp.into_iter().chain(guard.and_then(|guard| guard.stamp)));
                }
            }
            if wide.is_some_and(|stamps| !stamps.are_together(places)) {
                route = Route::Log;
            }
        }
        Ok(route)
    }

    /// Makes commits beside those of other writers. The caller is inside the gate.
    pub(super) fn commit_in_place(
        &mut self,
        requests: &[CommitRequest<'_>],
        options: &CommitOptions<'_>,
    ) -> Result<Answers, CommitError> {
        let Self { store, view, locks, scratch, recorder, .. } = self;
        if view.table.stamps.is_none() {
            unstamped::run(store, view, locks, requests, options)?;
            return Ok(requests.iter().map(|_| Ok(())).collect());
        }
        let plans = requests.iter().map(|request| CommitPlan::of(request, view)).collect::<Result<Vec<_>, _>>();
        let plans = plans.map_err(CommitError::BeforeWrite)?;
        in_place::run(&mut CommitContext { store, view, locks, recorder }, &plans, options, scratch)
    }

    /// Makes commits while the gate is held exclusively. The caller must be outside it.
    pub(super) fn commit_exclusively(
        &mut self,
        requests: &[CommitRequest<'_>],
        options: &CommitOptions<'_>,
        route: Route,
    ) -> Result<Answers, ErrorKind> {
        if route == Route::Log
            && let Some(answers) = self.commit_via_log(requests, options)?
        {
            return Ok(answers);
        }
        self.commit_via_library(requests, options)
    }

    /// `None`: another program has made one of the columns a library column meanwhile.
    fn commit_via_log(
        &mut self,
        requests: &[CommitRequest<'_>],
        options: &CommitOptions<'_>,
    ) -> Result<Option<Answers>, ErrorKind> {
        let store = self.store.clone();
        store.change_beside_readers(|exclusive| {
            if self.view.change_since(&store)? != FileChange::Unchanged {
                self.reload()?;
            }
            self.check_rows(requests)?;
            if self.route(requests)? == Route::Library {
                return Ok(None);
            }
            let options = within(exclusive, options);
            via_library::run_in_log(&store, exclusive, &self.view, requests, &options).map(Some)
        })
    }

    fn commit_via_library(
        &mut self,
        requests: &[CommitRequest<'_>],
        options: &CommitOptions<'_>,
    ) -> Result<Answers, ErrorKind> {
        // The slow part is done before anyone has to wait.
        let mut repacked = Some(repack::prepare(&self.store, &self.view, requests)?);
        let store = self.store.clone();
        store.change_beside_readers(|exclusive| {
            self.reload()?;
            self.check_rows(requests)?;
            let repacked = match repacked.take() {
                Some(first) => first,
                None => repack::plan(&self.view, &requests.iter())?,
            };
            via_library::run(&store, exclusive, &self.view, requests, repacked, &within(exclusive, options))
        })
    }
}

/// The same options, with what is known only inside the gate.
fn within<'a>(exclusive: &Exclusive, options: &CommitOptions<'a>) -> CommitOptions<'a> {
    CommitOptions { suspect: exclusive.gate.is_suspect(), ..*options }
}
