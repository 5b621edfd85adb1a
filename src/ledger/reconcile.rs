//! Data first, then the ledger: what the store has, and what the ledger says of it, brought together.

use h5part_base::error::{At, ErrorKind, Item, Kind, Result};
use h5part_base::sync;
use h5part_engine::store::{AsStore, ColumnPresence, Reader, Store};
use h5part_tasks::ledger::{Claim, End, Ledger, Reason, State, StoreRef, Task, TaskData, Watch};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The rows of a ledger's tasks, in their store.
#[derive(Debug)]
pub struct StoreTasks<'a> {
    ledger: &'a Ledger,
    reader: Mutex<Reader>,
    /// The columns that make a task done; none: all that are in use.
    columns: Vec<String>,
    used: Mutex<Used>,
}

/// The columns of the table to which anybody has committed anything.
#[derive(Debug, Default)]
struct Used {
    columns: HashSet<String>,
    /// When the whole table was last looked at, and how long that took.
    looked: Option<(Instant, Duration)>,
}

/// The table is looked at again for columns in use after this many times as long as it takes.
const LOOK_AGAIN: u32 = 50;

/// What a task's rows hold in the columns that make it done.
struct Found {
    rows: std::ops::Range<u64>,
    /// No column has a value in any row.
    is_empty: bool,
    /// The columns that some rows lack, in the order of the table.
    missing: Vec<String>,
    present: Vec<String>,
    /// All of it survives a loss of power.
    is_durable: bool,
}

impl Found {
    fn is_done(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What a reconciliation did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reconciled {
    /// Tasks of dead workers whose rows are there: now done.
    pub done: u64,
    /// Tasks said to be done whose rows are not there: waiting again.
    pub requeued: u64,
    /// Tasks taken from dead workers that wait again.
    pub lapsed: u64,
    /// Tasks on which somebody still works.
    pub running: u64,
    /// Names of the first tasks that were said to be done, and were not.
    pub not_there: Vec<String>,
}

/// So many names are told.
const TOLD: usize = 20;

/// A table of a store, as a ledger keeps it: a task is done when all columns in use have its rows.
///
/// # Errors
/// As [`Store::identity`]; [`ErrorKind::Unstamped`]: h5part did not make or adopt it.
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
    /// The tasks' rows in the store that the ledger was made for; `at`: where that is now, if it was moved.
    ///
    /// # Errors
    /// [`h5part_tasks::ErrorKind::OtherStore`], and as [`Store::reader`].
    pub fn open(ledger: &'a Ledger, at: Option<&Path>) -> Result<Self> {
        let named = ledger
            .header()
            .store
            .as_ref()
            .ok_or_else(|| h5part_tasks::ErrorKind::NoStore.at("use ledger", ledger.path()))?;
        Self::open_as(ledger, &Store::open(at.unwrap_or(Path::new(&named.path)))?, &named.table)
    }

    /// The same, in this store and table.
    ///
    /// # Errors
    /// As [`StoreTasks::open`].
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
            // To a column that nobody has committed to, in any row, tasks do not commit.
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

    /// Those of the columns to which somebody has committed something.
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

    /// The columns that no task is asked for, since nobody has committed anything to them; none where the ledger names
    /// its columns.
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

    /// The columns that make a task done and that some of its rows lack, in the order of the table; none: they are all
    /// there. `index` is the task's number in the list of tasks.
    ///
    /// # Errors
    /// As [`Reader::presence`].
    pub fn missing_columns(&self, index: u32) -> Result<Vec<String>> {
        Ok(self.find(index)?.missing)
    }

    /// To be called when a task was claimed: notes whether its rows have no value. If its owner dies after
    /// their commit, they are its work.
    ///
    /// # Errors
    /// As [`Ledger::note_empty`] and [`Reader::presence`].
    pub fn begin(&self, claim: &Claim) -> Result<()> {
        if self.find(claim.index)?.is_empty { self.ledger.note_empty(claim) } else { Ok(()) }
    }

    /// Tells that a task is done, if its rows are there.
    ///
    /// # Errors
    /// [`h5part_tasks::ErrorKind::NotCommitted`]: the task is held still. As [`Ledger::finish`].
    pub fn done(&self, claim: &Claim) -> Result<State> {
        let found = self.find(claim.index)?;
        if !found.is_done() {
            // Perhaps whoever has the task now is writing them.
            self.ledger.check_claim(claim)?;
            let Found { rows, missing, present, .. } = found;
            let kind = h5part_tasks::ErrorKind::NotCommitted { task: claim.name.clone(), rows, missing, present };
            return Err(kind.at("finish a task of", self.ledger.path()));
        }
        self.ledger.finish(claim, End::Done)
    }

    /// A task that lapsed with its owner is done all the same if its rows had no value when it was claimed,
    /// and are committed now, to survive a loss of power: nobody else can have written them.
    ///
    /// # Errors
    /// As [`Reader::presence`]; I/O errors.
    pub fn settle(&self, place: u64) -> Result<bool> {
        let task = self.ledger.task(place)?;
        let open = matches!(task.state, State::Waiting | State::Failed) && task.reason != Reason::Cancelled;
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

    /// Brings ledger and store together: after a crash, a loss of power, or when one of them was put back
    /// from a copy. Tasks of dead workers whose rows are there are done; tasks that are said to be done and
    /// whose rows are not there wait again.
    ///
    /// **Concurrency.** Beside anything; tasks on which somebody works are left alone.
    ///
    /// # Errors
    /// As reading the store's stamps and the ledger.
    pub fn reconcile(&self, watch: &mut Watch) -> Result<Reconciled> {
        let mut report = Reconciled { lapsed: self.ledger.reap(watch)?.len() as u64, ..Reconciled::default() };
        let mut open = Vec::new();
        let mut done = Vec::new();
        self.ledger.each(|place, task| {
            match task {
                Some(Task { state: State::Running, .. }) => report.running += 1,
                Some(task) if task.state == State::Done => done.push((place, *task)),
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
    /// Tasks that are said to be done and whose rows are not there wait again: rows that were reset since, or a store
    /// that was put back from a copy.
    ///
    /// **Concurrency.** As [`StoreTasks::reconcile`].
    ///
    /// # Errors
    /// As [`StoreTasks::reconcile`].
    pub fn requeue_reset(&self) -> Result<Reconciled> {
        let (mut done, mut report) = (Vec::new(), Reconciled::default());
        self.ledger.each(|place, task| {
            done.extend(task.filter(|task| task.state == State::Done).map(|task| (place, *task)));
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
            let again = self.ledger.requeue(&[*place], |now| now.state == State::Done && now.fence == task.fence)?;
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

    fn done(&self, claim: &Claim) -> Result<State> {
        self.done(claim)
    }

    fn settle(&self, place: u64) -> Result<bool> {
        self.settle(place)
    }
}
