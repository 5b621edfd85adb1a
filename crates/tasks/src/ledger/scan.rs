//! Counts and lists tasks.

use super::task::{Reason, Task, TaskState};
use super::{Claim, Ledger};
use h5part_base::error::{At, ErrorKind, Kind, Result};
use serde::Serialize;
use std::ops::Range;

/// Numbers of tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All tasks.
    pub total: u64,
    /// Can be claimed.
    pub waiting: u64,
    /// Claimed.
    pub running: u64,
    /// Done.
    pub done: u64,
    /// Failed finally, or were cancelled.
    pub failed: u64,
    /// Failed tasks that a person cancelled.
    pub cancelled: u64,
    /// Waiting tasks that have failed before.
    pub retried: u64,
    /// Slots that do not match their checksum. They are not counted elsewhere.
    pub damaged: u64,
}

/// A task as it is shown to people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its number in the list of tasks.
    pub index: u32,
    /// Its state.
    pub state: &'static str,
    /// Its rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<String>,
    /// How many times it has failed.
    pub attempts: u16,
    /// Number of its latest claim.
    pub fence: u64,
    /// Why it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who works on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it entered this state, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_s: Option<u64>,
}

/// A task's name and state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: TaskState,
}

impl Tally {
    /// Counts a task.
    pub fn add(&mut self, task: &Task) {
        match task.state {
            TaskState::Waiting => self.waiting += 1,
            TaskState::Running => self.running += 1,
            TaskState::Done => self.done += 1,
            TaskState::Failed => self.failed += 1,
        }
        self.cancelled += u64::from(task.state == TaskState::Failed && task.reason == Reason::Cancelled);
        self.retried += u64::from(task.state == TaskState::Waiting && task.attempts > 0);
    }

    /// Whether no task waits or runs.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.waiting + self.running == 0
    }
}

impl Ledger {
    /// Counts all tasks by state. It reads 64 bytes per task, without the lock. Beside workers, each task counts as it
    /// was at some moment during the call.
    ///
    /// # Errors
    /// I/O errors.
    pub fn tally(&self) -> Result<Tally> {
        let mut tally = Tally { total: self.header.tasks, ..Tally::default() };
        self.each(|_, task| {
            match task {
                Some(task) => tally.add(task),
                None => tally.damaged += 1,
            }
            Ok(())
        })?;
        Ok(tally)
    }

    /// All tasks in the order of the list. It reads 64 bytes and the name of each, without the lock.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DamagedTask`], I/O errors.
    pub fn standing(&self) -> Result<Vec<Standing>> {
        self.in_order(|place| self.look_at(place)).at("read", &self.path)
    }

    pub(super) fn standing_locked(&self) -> Result<Vec<Standing>, ErrorKind> {
        self.in_order(|place| self.task_locked(place))
    }

    fn in_order(&self, task: impl Fn(u64) -> Result<Task, ErrorKind>) -> Result<Vec<Standing>, ErrorKind> {
        let mut tasks = Vec::new();
        for place in 0..self.header.tasks {
            let task = task(place)?;
            tasks.push((task.index, Standing { name: self.name_of(place, &task)?, state: task.state }));
        }
        tasks.sort_by_key(|(index, _)| *index);
        Ok(tasks.into_iter().map(|(_, standing)| standing).collect())
    }

    /// Calls `f` for all tasks in the order of claims. `None`: damaged.
    ///
    /// # Errors
    /// I/O errors, and those of `f`.
    pub fn each(&self, mut f: impl FnMut(u64, Option<&Task>) -> Result<()>) -> Result<()> {
        for slot in self.walk() {
            let (place, task) = slot.at("read", &self.path)?;
            f(place, task.as_ref())?;
        }
        Ok(())
    }

    /// The current state of a task.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DamagedTask`], I/O errors.
    pub fn task(&self, place: u64) -> Result<Task> {
        self.look_at(place).at("read", &self.path)
    }

    /// A task with its name, as it is shown to people.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DamagedTask`], I/O errors.
    pub fn listed(&self, place: u64, task: &Task) -> Result<Listed> {
        let owner = match task.state {
            TaskState::Running => self.owner(task.owner)?.map(|owner| owner.to_string()),
            _ => None,
        };
        Ok(Listed {
            name: self.name_of(place, task).at("read", &self.path)?,
            index: task.index,
            state: task.state.word(),
            rows: self.header.rows_of(task.index).map(|rows| spec(&rows)),
            attempts: task.attempts,
            fence: task.fence,
            reason: (task.reason != Reason::None).then(|| task.reason.to_string()),
            owner,
            since_s: (task.since_ms > 0).then_some(task.since_ms / 1000),
        })
    }

    /// The position of the task with this name.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSuchTask`], I/O errors.
    pub fn find(&self, name: &str) -> Result<u64> {
        let found = self.try_find(name).at("look for a task in", &self.path)?;
        found.ok_or_else(|| crate::ErrorKind::NoSuchTask(name.to_owned()).at("look for a task in", &self.path))
    }

    /// The claim that another process made, by task and fence. Whether it still holds is checked when it is used.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NoSuchTask`], I/O errors.
    pub fn claim_named(&self, name: &str, fence: u64) -> Result<Claim> {
        let place = self.find(name)?;
        let task = self.task(place)?;
        Ok(Claim { fence, ..self.claim_of(place, &task).at("read", &self.path)? })
    }
}

/// A range as `--rows` takes it.
pub(super) fn spec(rows: &Range<u64>) -> String {
    if rows.end == rows.start + 1 { rows.start.to_string() } else { format!("{}:{}", rows.start, rows.end) }
}
