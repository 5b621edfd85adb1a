//! The tasks of a ledger, its workers, and its failures, from a single walk.

use super::tail::plain;
use h5part::Result;
use h5part::ledger::{Entry, Ledger, Owner, OwnerId, Tally, Task, TaskState};
use std::collections::HashMap;
use std::time::Instant;

/// Most failed tasks that are named, beginning with the latest.
const NAMED: usize = 200;
/// Most running tasks that are kept per worker.
const RUNNING: usize = 64;
/// Most of these that are shown.
const SHOWN: usize = 3;

/// The state of a ledger.
#[derive(Debug)]
pub struct Tasks {
    pub tally: Tally,
    /// Sorted as in the owner table.
    pub workers: Vec<WorkerLook>,
    /// Latest first.
    pub failed: Vec<FailedTask>,
    /// 0: tasks are not about rows.
    pub rows_per_task: u64,
}

/// A worker of a ledger.
#[derive(Clone, Debug)]
pub struct WorkerLook {
    pub id: OwnerId,
    pub owner: Owner,
    pub beat: u64,
    /// When its latest heartbeat was seen. `None`: none was seen yet.
    pub beaten: Option<Instant>,
    pub running: u64,
    /// The first of its running tasks.
    pub first: Vec<RunningTask>,
    /// When the oldest of its running tasks began, in milliseconds since 1970.
    pub since_ms: u64,
    pub done: u64,
}

/// A running task.
#[derive(Clone, Debug)]
pub struct RunningTask {
    pub place: u64,
    pub index: u32,
    pub name: String,
}

/// A task that failed finally.
#[derive(Clone, Debug)]
pub struct FailedTask {
    pub place: u64,
    pub index: u32,
    pub name: String,
    pub reason: String,
    pub attempts: u16,
    pub since_ms: u64,
}

impl WorkerLook {
    /// Name of its rate.
    pub fn key(&self) -> String {
        format!("worker {} {}", self.id.place, self.id.generation)
    }

    /// Names of some of its running tasks.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.first.iter().take(SHOWN).map(|task| plain(&task.name)).collect();
        let more = self.running.saturating_sub(names.len() as u64);
        if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
    }
}

impl Tasks {
    /// Reads all tasks, without the ledger's lock. `before`: the previous look.
    pub fn look(ledger: &Ledger, before: Option<&Self>, now: Instant) -> Result<Self> {
        let mut found = Found::default();
        ledger.each(|place, task| {
            match task {
                Some(task) => found.add(place, task),
                None => found.tally.damaged += 1,
            }
            Ok(())
        })?;
        found.tally.total = ledger.len();
        found.failed.sort_by_key(|(_, task)| std::cmp::Reverse(task.since_ms));
        found.failed.truncate(NAMED);
        let failed = std::mem::take(&mut found.failed);
        let failed = failed.into_iter().map(|(place, task)| failed_task(ledger, place, &task));
        let failed = failed.collect::<Result<_>>()?;
        let workers = ledger.owners()?.into_iter().map(|(id, entry)| {
            let last = before.and_then(|before| before.workers.iter().find(|worker| worker.id == id));
            found.worker(ledger, id, entry, last, now)
        });
        let workers = workers.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect();
        Ok(Self { tally: found.tally, workers, failed, rows_per_task: ledger.header().rows_per_task })
    }
}

fn failed_task(ledger: &Ledger, place: u64, task: &Task) -> Result<FailedTask> {
    let Task { index, attempts, since_ms, .. } = *task;
    let name = ledger.listed(place, task)?.name;
    Ok(FailedTask { place, index, name, reason: task.reason.to_string(), attempts, since_ms })
}

/// The running tasks of one owner: their number, when the oldest began in milliseconds since 1970, and the first of
/// them by position.
type Running = (u64, u64, Vec<(u64, Task)>);

/// The result of one walk.
#[derive(Default)]
struct Found {
    tally: Tally,
    failed: Vec<(u64, Task)>,
    done: HashMap<OwnerId, u64>,
    running: HashMap<OwnerId, Running>,
}

impl Found {
    fn add(&mut self, place: u64, task: &Task) {
        self.tally.add(task);
        match task.state {
            TaskState::Waiting => {}
            TaskState::Done => *self.done.entry(task.owner).or_default() += 1,
            TaskState::Running => {
                let (count, since_ms, first) = self.running.entry(task.owner).or_insert((0, u64::MAX, Vec::new()));
                *count += 1;
                *since_ms = task.since_ms.min(*since_ms);
                if first.len() < RUNNING {
                    first.push((place, *task));
                }
            }
            TaskState::Failed => {
                self.failed.push((place, *task));
                if self.failed.len() > 100 * NAMED {
                    self.failed.sort_by_key(|(_, task)| std::cmp::Reverse(task.since_ms));
                    self.failed.truncate(NAMED);
                }
            }
        }
    }

    fn worker(
        &self,
        ledger: &Ledger,
        id: OwnerId,
        entry: Entry,
        last: Option<&WorkerLook>,
        now: Instant,
    ) -> Result<Option<WorkerLook>> {
        let Some(owner) = entry.owner else { return Ok(None) };
        let beaten = match last {
            Some(last) if last.beat == entry.beat => last.beaten,
            Some(_) => Some(now),
            None => None,
        };
        let none = (0, 0, Vec::new());
        let (running, since_ms, first) = self.running.get(&id).unwrap_or(&none);
        let named = |(place, task): &(u64, Task)| {
            let name = ledger.listed(*place, task)?.name;
            Ok(RunningTask { place: *place, index: task.index, name })
        };
        let first = first.iter().map(named).collect::<Result<_>>()?;
        let done = self.done.get(&id).copied().unwrap_or(0);
        let (running, since_ms) = (*running, *since_ms);
        Ok(Some(WorkerLook { id, owner, beat: entry.beat, beaten, running, first, since_ms, done }))
    }
}
