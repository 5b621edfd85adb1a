//! Data first, then the ledger: what the store has, and what the ledger says of it, brought together.

use super::finish::fenced;
use super::header::StoreRef;
use super::reap::Watch;
use super::task::{Reason, State, Task};
use super::{Claim, End, Ledger, TaskData};
use crate::error::{At, ErrorKind, Result};
use crate::store::{Presence, Reader, Store};
use serde::Serialize;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The rows of a ledger's tasks, in their store.
#[derive(Debug)]
pub struct StoreTasks<'a> {
    ledger: &'a Ledger,
    reader: Mutex<Reader>,
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

impl StoreRef {
    /// A table of a store, as a ledger keeps it.
    ///
    /// # Errors
    /// As [`Store::identity`]; [`ErrorKind::Unstamped`]: h5part did not make or adopt it.
    pub fn of(store: &Store, table: &str) -> Result<Self> {
        let path = store.path();
        let (uuid, _) = store.identity()?;
        let uuid = uuid.ok_or_else(|| ErrorKind::Unstamped(table.to_owned())).at("use", path)?;
        let text = path.to_str().ok_or_else(|| ErrorKind::BadRequest("its name is not UTF-8".to_owned()));
        Ok(Self { path: text.at("use", path)?.to_owned(), uuid, table: table.trim_matches('/').to_owned() })
    }
}

impl<'a> StoreTasks<'a> {
    /// The tasks' rows in the store that the ledger was made for; `at`: where that is now, if it was moved.
    ///
    /// # Errors
    /// [`ErrorKind::OtherStore`], and as [`Store::reader`].
    pub fn open(ledger: &'a Ledger, at: Option<&Path>) -> Result<Self> {
        let named = ledger.header().store.as_ref().ok_or_else(|| {
            let why = "it names no store: make it with 'h5part ledger init --store FILE --table TABLE'";
            ErrorKind::OtherStore(why.to_owned()).at("use ledger", ledger.path())
        })?;
        Self::open_as(ledger, &Store::open(at.unwrap_or(Path::new(&named.path)))?, &named.table)
    }

    /// The same, in this store and table.
    ///
    /// # Errors
    /// As [`StoreTasks::open`].
    pub fn open_as(ledger: &'a Ledger, store: &Store, table: &str) -> Result<Self> {
        let other = |why: String| ErrorKind::OtherStore(why).at("use ledger", ledger.path());
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
        Ok(Self { ledger, reader: Mutex::new(reader) })
    }

    fn presence(&self, index: u32) -> Result<Presence> {
        let rows = self.ledger.header().rows_of(index).unwrap_or(0..0);
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).presence(rows)
    }

    /// To be called when a task was claimed: notes whether its rows have no value. If its owner dies after
    /// their commit, they are its work.
    ///
    /// # Errors
    /// As [`Ledger::note_empty`] and [`Reader::presence`].
    pub fn begin(&self, claim: &Claim) -> Result<()> {
        let presence = self.presence(claim.index)?;
        if presence.empty == presence.rows { self.ledger.note_empty(claim) } else { Ok(()) }
    }

    /// Tells that a task is done, if its rows are there.
    ///
    /// # Errors
    /// [`ErrorKind::NotCommitted`]: the task is held still. As [`Ledger::finish`].
    pub fn done(&self, claim: &Claim) -> Result<State> {
        let presence = self.presence(claim.index)?;
        if presence.committed < presence.rows {
            // Perhaps whoever has the task now is writing them.
            let task = self.ledger.task(claim.place)?;
            if !task.is_held(claim.fence) {
                return Err(fenced(claim, &task).at("finish a task of", self.ledger.path()));
            }
            let missing = presence.rows - presence.committed;
            let kind = ErrorKind::NotCommitted { task: claim.name.clone(), missing, rows: presence.rows };
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
        let presence = self.presence(task.index)?;
        if presence.durable < presence.rows {
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
        for (place, task) in done {
            let presence = self.presence(task.index)?;
            if presence.committed == presence.rows {
                continue;
            }
            let again = self.ledger.requeue(&[place], |now| now.state == State::Done && now.fence == task.fence)?;
            report.requeued += again.changed;
            if report.not_there.len() < TOLD {
                report.not_there.push(self.ledger.name_of(place, &task).at("read", self.ledger.path())?);
            }
        }
        self.ledger.sync()?;
        Ok(report)
    }
}

impl Ledger {
    /// Makes a task done that nobody holds, if it still is what `is_same` says.
    fn settle(&self, place: u64, is_same: impl Fn(&Task) -> bool) -> Result<bool> {
        let now = (self.clock)();
        let wish = |task: &Task| is_same(task).then(|| task.settle(now));
        Ok(self.change(&[place], wish).at("settle a task of", self.path())?.changed == 1)
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
