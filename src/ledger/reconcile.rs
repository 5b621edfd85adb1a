//! Brings a ledger and a store into agreement. The owner of a task commits its rows first, then reports it as done. If
//! the owner dies in between, the store has rows that the ledger does not know of.

use h5part_base::error::{At, ErrorKind, Item, Kind, Result};
use h5part_base::sync;
use h5part_engine::store::{AsStore, ColumnPresence, Reader, Store};
use h5part_tasks::ledger::{Claim, End, Ledger, Reason, StoreRef, Task, TaskData, TaskState, Watch};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A ledger, and the store that holds the rows of its tasks. A task is done only when its rows are committed. Its owner
/// is the process or SLURM job that holds the claim. Methods read the store's stamps and write to the ledger. They
/// never write to the store.
///
/// **Concurrency.** Methods may be called from several threads. Any number of processes may use the same store and the
/// same ledger meanwhile. **Atomic**: the change of each task, see [`Ledger`]. A change **survives** a kill at once,
/// and a loss of power after the next [`Ledger::sync`].
#[derive(Debug)]
pub struct StoreTasks<'a> {
    ledger: &'a Ledger,
    reader: Mutex<Reader>,
    /// The columns that make a task done. Empty: all columns in use.
    columns: Vec<String>,
    used: Mutex<Used>,
}

/// The columns in use: at least one of their cells was seen to be committed.
#[derive(Debug, Default)]
struct Used {
    columns: HashSet<String>,
    /// When the cells of the whole table were last counted, and how long the count took.
    looked: Option<(Instant, Duration)>,
}

/// A count of the whole table stays valid for this many times as long as it took. Only the next count notices a column
/// that comes into use meanwhile.
const LOOK_AGAIN: u32 = 50;

/// What a task's rows hold, by their stamps.
struct Found {
    rows: std::ops::Range<u64>,
    /// Whether no column has a value in any of the rows.
    is_empty: bool,
    /// The columns that make the task done and that some rows lack, in the order of the table.
    missing: Vec<String>,
    present: Vec<String>,
    /// Whether all columns that make the task done are committed in all rows, and survive a loss of power.
    is_durable: bool,
}

impl Found {
    fn is_done(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What [`StoreTasks::reconcile`] or [`StoreTasks::requeue_reset`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Number of tasks of dead owners that are now recorded as done, since their rows are committed.
    pub done: u64,
    /// Number of tasks that were recorded as done and are requeued, since some of their rows are not committed.
    pub requeued: u64,
    /// Number of tasks that were taken back from dead owners. `done` may count some of them, too.
    pub lapsed: u64,
    /// Number of tasks that are still running.
    pub running: u64,
    /// Names of the first tasks that were recorded as done although some of their rows are not committed. There are at
    /// most 20.
    pub not_there: Vec<String>,
}

/// The maximum number of names in [`Reconciled::not_there`].
const TOLD: usize = 20;

/// Describes a table of a store, for a new ledger. `columns` is empty, so a task is done when its rows are committed in
/// all columns in use. A column is in use if at least one of its cells is committed.
///
/// # Errors
/// [`ErrorKind::Unstamped`]: h5part neither made nor adopted a table in the file. [`ErrorKind::BadRequest`]: the path
/// is not UTF-8. Others as [`Store::identity`].
pub fn store_ref(store: &impl AsStore, table: &str) -> Result<StoreRef> {
    let store = store.as_store();
    let path = store.path();
    let (uuid, _) = store.identity()?;
    let uuid = uuid.ok_or_else(|| ErrorKind::Unstamped(Item::Table(table.to_owned()))).at("use", path)?;
    let text = path.to_str().ok_or_else(|| ErrorKind::BadRequest("its name is not UTF-8".to_owned()));
    let (path, table) = (text.at("use", path)?.to_owned(), table.trim_matches('/').to_owned());
    Ok(StoreRef { path, uuid, table, columns: Vec::new() })
}

impl<'a> StoreTasks<'a> {
    /// Opens the store for which the ledger was created. `at` is the path of the store if it was moved. `None`: the
    /// path that the ledger names.
    ///
    /// # Errors
    /// [`h5part_tasks::ErrorKind::NoStore`]: the ledger was created without a store. Others as [`StoreTasks::open_as`].
    pub fn open(ledger: &'a Ledger, at: Option<&Path>) -> Result<Self> {
        let named = ledger
            .header()
            .store
            .as_ref()
            .ok_or_else(|| h5part_tasks::ErrorKind::NoStore.at("use ledger", ledger.path()))?;
        Self::open_as(ledger, &Store::open(at.unwrap_or(Path::new(&named.path)))?, &named.table)
    }

    /// Uses this table of this store. A ledger that was created for a store accepts only that store and its table. It
    /// recognizes the store by its uuid, not by its path.
    ///
    /// # Errors
    /// [`h5part_tasks::ErrorKind::OtherStore`]: the ledger was created for another store or table, its tasks have no
    /// rows, or the table has fewer rows than the tasks. [`ErrorKind::NotFound`]: the table does not exist, or lacks a
    /// column that the ledger names. [`ErrorKind::ColumnLost`]: another program changed such a column. Others as
    /// [`Store::reader`].
    pub fn open_as(ledger: &'a Ledger, store: &impl AsStore, table: &str) -> Result<Self> {
        let store = store.as_store();
        let other = |why: String| h5part_tasks::ErrorKind::OtherStore(why).at("use ledger", ledger.path());
        let (uuid, _) = store.identity()?;
        if let Some(named) = &ledger.header().store {
            if uuid != Some(named.uuid) {
                return Err(other(format!(
                    "it was made for {}, and {} is not that",
                    named.path,
                    store.path().display()
                )));
            }
            if named.table != table.trim_matches('/') {
                return Err(other(format!("it was made for table '{}', not for '{table}'", named.table)));
            }
        }
        let reader = store.reader(table)?;
        let (rows, needed) = (reader.table().rows, ledger.header().rows);
        if needed == 0 {
            return Err(other("its tasks have no rows".to_owned()));
        }
        if rows < needed {
            return Err(other(format!("its tasks have {needed} rows, and table '{table}' has {rows}")));
        }
        let columns = ledger.header().store.as_ref().map_or_else(Vec::new, |named| named.columns.clone());
        for column in &columns {
            reader.table().column(column).at("use", store.path())?;
        }
        Ok(Self { ledger, reader: Mutex::new(reader), columns, used: Mutex::default() })
    }

    fn by_column(&self, rows: std::ops::Range<u64>) -> Result<Vec<ColumnPresence>> {
        sync::lock(&self.reader).presence_by_column(rows)
    }

    fn find(&self, index: u32) -> Result<Found> {
        let rows = self.ledger.header().rows_of(index).unwrap_or(0..0);
        let (count, mut found) = (rows.end - rows.start, self.by_column(rows.clone())?);
        let is_empty = found.iter().all(|column| column.empty == count);
        if self.columns.is_empty() {
            // Tasks do not commit to a column that is not in use, so it cannot keep them from being done.
            let lacks = |column: &ColumnPresence| column.committed < count;
            if found.iter().any(lacks) && !found.iter().all(lacks) {
                let in_use = self.in_use(found.iter().filter(|c| lacks(c)).map(|c| c.column.as_str()))?;
                found.retain(|column| !lacks(column) || in_use.contains(&column.column));
            }
        } else {
            found.retain(|column| self.columns.contains(&column.column));
        }
        let is_durable = found.iter().all(|column| column.durable == count);
        let (present, missing): (Vec<_>, Vec<_>) = found.into_iter().partition(|column| column.committed == count);
        let names = |columns: Vec<ColumnPresence>| columns.into_iter().map(|column| column.column).collect();
        Ok(Found { rows, is_empty, missing: names(missing), present: names(present), is_durable })
    }

    /// Selects the names in `columns` that are in use.
    fn in_use<'n>(&self, columns: impl Iterator<Item = &'n str> + Clone) -> Result<HashSet<String>> {
        let mut used = sync::lock(&self.used);
        let is_fresh = |(at, took): (Instant, Duration)| at.elapsed() < took.saturating_mul(LOOK_AGAIN);
        if !columns.clone().all(|name| used.columns.contains(name)) && !used.looked.is_some_and(is_fresh) {
            let start = Instant::now();
            let rows = sync::lock(&self.reader).table().rows;
            let counted = self.by_column(0..rows)?;
            used.columns.extend(counted.into_iter().filter(|c| c.committed > 0).map(|c| c.column));
            used.looked = Some((start, start.elapsed()));
        }
        Ok(columns.filter(|name| used.columns.contains(*name)).map(str::to_owned).collect())
    }

    /// The columns that are not in use, in the order of the table. A task can be done without them. The list is empty
    /// if the ledger names the columns that make a task done, or if no column is in use. Reads the stamps of the whole
    /// table.
    ///
    /// # Errors
    /// As [`Reader::presence`].
    pub fn columns_without_use(&self) -> Result<Vec<String>> {
        if !self.columns.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sync::lock(&self.reader).table().rows;
        let counted = self.by_column(0..rows)?;
        let all = counted.iter().all(|column| column.committed == 0);
        Ok(counted.into_iter().filter(|column| column.committed == 0 && !all).map(|column| column.column).collect())
    }

    /// The columns that make a task done and that some of its rows lack, in the order of the table. Empty: all its rows
    /// are committed in these columns. `index` is the task's number in the list of tasks, from 0.
    ///
    /// # Errors
    /// As [`Reader::presence`].
    pub fn missing_columns(&self, index: u32) -> Result<Vec<String>> {
        Ok(self.find(index)?.missing)
    }

    /// Records in the ledger that the rows of a claimed task have no value in any column, if this is so. Call it after
    /// the claim, before any work on the task. If the owner dies after it has committed the rows,
    /// [`StoreTasks::settle`] counts them as its work.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`StoreTasks`].
    ///
    /// # Errors
    /// As [`Ledger::note_empty`] and [`Reader::presence`].
    pub fn begin(&self, claim: &Claim) -> Result<()> {
        if self.find(claim.index)?.is_empty { self.ledger.note_empty(claim) } else { Ok(()) }
    }

    /// Records in the ledger that a task is done, if its rows are committed. Returns the task's new state.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`StoreTasks`].
    ///
    /// # Errors
    /// [`h5part_tasks::ErrorKind::NotCommitted`]: some rows are not committed, and the claim still holds. Others as
    /// [`Ledger::finish`] and [`Reader::presence`].
    pub fn done(&self, claim: &Claim) -> Result<TaskState> {
        let found = self.find(claim.index)?;
        if !found.is_done() {
            // If the task was claimed again, its new owner may be writing the rows. Then the error says that this claim
            // does not hold.
            self.ledger.check_claim(claim)?;
            let Found { rows, missing, present, .. } = found;
            let kind = h5part_tasks::ErrorKind::NotCommitted { task: claim.name.clone(), rows, missing, present };
            return Err(kind.at("finish a task of", self.ledger.path()));
        }
        self.ledger.finish(claim, End::Done)
    }

    /// Records a task as done if its owner died after it had committed the rows. Returns whether it did so. `place` is
    /// the task's position in the order of claims.
    ///
    /// The rows must have had no value when the task was claimed: see [`StoreTasks::begin`]. They must be committed
    /// now, and survive a loss of power. Then nobody but the owner can have written them. A task that a person
    /// cancelled is left alone.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`StoreTasks`]. A task that another process
    /// changes meanwhile is left alone.
    ///
    /// # Errors
    /// As [`Reader::presence`], [`Ledger::task`] and [`Ledger::settle`].
    pub fn settle(&self, place: u64) -> Result<bool> {
        let task = self.ledger.task(place)?;
        let open = matches!(task.state, TaskState::Waiting | TaskState::Failed) && task.reason != Reason::Cancelled;
        if !open || !task.rows_were_empty {
            return Ok(false);
        }
        let found = self.find(task.index)?;
        if !found.is_done() || !found.is_durable {
            return Ok(false);
        }
        let fence = task.fence;
        let made =
            self.ledger.settle(place, |now| now.fence == fence && now.state == task.state && now.rows_were_empty)?;
        Ok(made)
    }

    /// Brings ledger and store into agreement. This is for use after a crash or a loss of power, or after one of the
    /// two was restored from a copy. It takes back the tasks of dead owners: see [`Ledger::reap`]. If the rows of such
    /// a task are committed, it records the task as done: see [`StoreTasks::settle`]. It requeues a task that is
    /// recorded as done if some of its rows are not committed.
    ///
    /// **Concurrency.** Anything may run beside it, also another reconciliation. Tasks of living owners are left alone.
    /// **Atomic**: the change of each task. **Survives** a loss of power once the call has returned. A kill may leave
    /// only some of the tasks changed. The next call changes the rest.
    ///
    /// # Errors
    /// As [`Ledger::reap`], [`Ledger::requeue`], [`Ledger::sync`] and [`StoreTasks::settle`].
    pub fn reconcile(&self, watch: &mut Watch) -> Result<Reconciled> {
        let mut report = Reconciled { lapsed: self.ledger.reap(watch)?.len() as u64, ..Reconciled::default() };
        let mut open = Vec::new();
        let mut done = Vec::new();
        self.ledger.each(|place, task| {
            match task {
                Some(Task { state: TaskState::Running, .. }) => report.running += 1,
                Some(task) if task.state == TaskState::Done => done.push((place, *task)),
                Some(task) if task.rows_were_empty => open.push(place),
                _ => {}
            }
            Ok(())
        })?;
        for place in open {
            report.done += u64::from(self.settle(place)?);
        }
        self.requeue_missing(&done, &mut report)?;
        self.ledger.sync()?;
        Ok(report)
    }
}

impl StoreTasks<'_> {
    /// Requeues a task that is recorded as done if some of its rows are not committed. Such rows were reset since, or
    /// the store was restored from a copy. Only `requeued` and `not_there` are set in the result.
    ///
    /// **Concurrency** and what is **atomic**: as [`StoreTasks::reconcile`]. What **survives**: see [`StoreTasks`],
    /// since this call does not sync the ledger.
    ///
    /// # Errors
    /// As [`Ledger::requeue`] and [`Reader::presence`].
    pub fn requeue_reset(&self) -> Result<Reconciled> {
        let (mut done, mut report) = (Vec::new(), Reconciled::default());
        self.ledger.each(|place, task| {
            done.extend(task.filter(|task| task.state == TaskState::Done).map(|task| (place, *task)));
            Ok(())
        })?;
        self.requeue_missing(&done, &mut report)?;
        Ok(report)
    }

    fn requeue_missing(&self, done: &[(u64, Task)], report: &mut Reconciled) -> Result<()> {
        for (place, task) in done {
            if self.find(task.index)?.is_done() {
                continue;
            }
            let again =
                self.ledger.requeue(&[*place], |now| now.state == TaskState::Done && now.fence == task.fence)?;
            report.requeued += again.changed;
            if report.not_there.len() < TOLD {
                report.not_there.push(self.ledger.name_of(*place, task).at("read", self.ledger.path())?);
            }
        }
        Ok(())
    }
}

impl TaskData for StoreTasks<'_> {
    fn begin(&self, claim: &Claim) -> Result<()> {
        self.begin(claim)
    }

    fn done(&self, claim: &Claim) -> Result<TaskState> {
        self.done(claim)
    }

    fn settle(&self, place: u64) -> Result<bool> {
        self.settle(place)
    }
}
