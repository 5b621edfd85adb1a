//! Claims the first waiting tasks, as one block of neighbours.

use super::header::Header;
use super::task::{OwnerId, Refusal, Task, TaskState};
use super::{Ledger, PORTION};
use h5part_base::error::{At, ErrorKind, Result};
use std::ops::Range;
use std::time::Duration;

/// What to claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimOptions {
    /// Claim at most this many tasks, neighbours in the order of claims.
    pub count: u64,
    /// How long a failed task rests before it is retried.
    pub delay: Duration,
}

impl ClaimOptions {
    fn delay_ms(&self) -> u64 {
        u64::try_from(self.delay.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for ClaimOptions {
    /// One task, without delay.
    fn default() -> Self {
        Self { count: 1, delay: Duration::ZERO }
    }
}

/// A claimed task, which its owner must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its position in the order of claims.
    pub place: u64,
    /// Its number in the list of tasks.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its rows in the table of the store.
    pub rows: Option<Range<u64>>,
    /// Number of the claim. All work for the task is done under it.
    pub fence: u64,
    /// Who claimed it.
    pub owner: OwnerId,
    /// How many times it has failed before.
    pub attempts: u16,
}

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// At least one task.
    Tasks(Vec<Claim>),
    /// No task can be claimed now.
    Nothing {
        /// Tasks that rest after a failure.
        resting: u64,
        /// Tasks that others work on. They may wait again later.
        running: u64,
    },
}

impl Ledger {
    /// Claims the first waiting tasks for a registered owner.
    ///
    /// **Concurrency.** Beside anything. Each task goes to one owner. The cost does not depend on the number of tasks,
    /// unless none waits: then all slots are read, without the lock.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: others gave the owner up. [`ErrorKind::LockTimeout`], I/O errors: nothing was claimed, or
    /// claimed tasks wait again when the owner ends.
    pub fn claim(&self, owner: OwnerId, options: &ClaimOptions) -> Result<Claimed> {
        self.try_claim(owner, options).at("claim a task of", &self.path)
    }

    fn try_claim(&self, owner: OwnerId, options: &ClaimOptions) -> Result<Claimed, ErrorKind> {
        loop {
            let tasks = self.take(owner, options)?;
            if !tasks.is_empty() {
                return Ok(Claimed::Tasks(self.named(tasks)?));
            }
            let outlook = self.outlook(options)?;
            let Some(hidden) = outlook.hidden else {
                return Ok(Claimed::Nothing { resting: outlook.resting, running: outlook.running });
            };
            self.show(hidden)?;
        }
    }

    /// Sets the missing bit of a waiting task.
    fn show(&self, hidden: u64) -> Result<(), ErrorKind> {
        let _held = self.hold()?;
        let start = hidden / PORTION * PORTION;
        let end = (start + PORTION).min(self.header.tasks);
        let waits = |task: &Option<Task>| task.is_some_and(|task| task.state == TaskState::Waiting);
        let mut at = start;
        for run in self.slots(start..end)?.chunk_by(|a, b| waits(a) == waits(b)) {
            let next = at + run.len() as u64;
            if waits(&run[0]) {
                self.bits.set(self.file.as_ref(), at..next)?;
            }
            at = next;
        }
        Ok(())
    }

    /// Claims a block under the lock.
    fn take(&self, owner: OwnerId, options: &ClaimOptions) -> Result<Vec<(u64, Task)>, ErrorKind> {
        let (now, delay) = ((self.clock)(), options.delay_ms());
        let file = self.file.as_ref();
        let _held = self.hold()?;
        // A worker that others gave up would leave tasks that nobody looks for.
        self.working(owner)?;
        let mut from = 0;
        while let Some(start) = self.bits.next(file, from)? {
            let end = block_end(&self.header, start, options.count);
            let mut taken = Vec::new();
            let mut refused = None;
            for task in self.slots(start..end)? {
                match task.ok_or(Refusal::NotWaiting).and_then(|task| task.claim(owner, delay, now)) {
                    Ok(task) => taken.push(task),
                    Err(why) => {
                        refused = Some(why);
                        break;
                    }
                }
            }
            if !taken.is_empty() {
                self.write(start, &taken)?;
                self.bits.clear(file, start..start + taken.len() as u64)?;
                return Ok(taken.into_iter().enumerate().map(|(k, task)| (start + k as u64, task)).collect());
            }
            if refused == Some(Refusal::NotWaiting) {
                self.bits.clear(file, start..start + 1)?;
            }
            from = start + 1;
        }
        Ok(Vec::new())
    }

    fn named(&self, tasks: Vec<(u64, Task)>) -> Result<Vec<Claim>, ErrorKind> {
        tasks.into_iter().map(|(place, task)| self.claim_of(place, &task)).collect()
    }

    pub(super) fn claim_of(&self, place: u64, task: &Task) -> Result<Claim, ErrorKind> {
        Ok(Claim {
            place,
            index: task.index,
            name: self.name_of(place, task)?,
            rows: self.header.rows_of(task.index),
            fence: task.fence,
            owner: task.owner,
            attempts: task.attempts,
        })
    }

    /// Reads from the slots what the bits do not say.
    fn outlook(&self, options: &ClaimOptions) -> Result<Outlook, ErrorKind> {
        let (now, delay) = ((self.clock)(), options.delay_ms());
        let mut outlook = Outlook::default();
        for slot in self.walk() {
            let (place, Some(task)) = slot? else { continue };
            match task.claim(OwnerId::default(), delay, now) {
                Ok(_) => {
                    outlook.hidden = Some(place);
                    return Ok(outlook);
                }
                Err(Refusal::TooEarly) => outlook.resting += 1,
                Err(_) => outlook.running += u64::from(task.state == TaskState::Running),
            }
        }
        Ok(outlook)
    }
}

#[derive(Debug, Default)]
struct Outlook {
    /// A task that waits although its bit is not set.
    hidden: Option<u64>,
    resting: u64,
    running: u64,
}

/// The end of a block of claims that begins at `start`: at most `count` tasks, and at a boundary of chunks if there is
/// one.
fn block_end(header: &Header, start: u64, count: u64) -> u64 {
    let end = start.saturating_add(count.max(1)).min(header.tasks);
    let align = u64::from(header.align.max(1));
    let boundary = end / align * align;
    if boundary > start && end < header.tasks { boundary } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_boundaries_of_chunks_where_they_reach_one() {
        let header = |align| Header {
            uuid: uuid::Uuid::nil(),
            tasks: 100,
            names_len: 0,
            max_attempts: 3,
            align,
            rows: 100,
            rows_per_task: 1,
            store: None,
            origin: String::new(),
        };
        let ends = |align, count| [0, 5, 95].map(|start| block_end(&header(align), start, count));
        assert_eq!(ends(1, 10), [10, 15, 100]);
        assert_eq!(ends(8, 10), [8, 8, 100]);
        assert_eq!(ends(8, 2), [2, 7, 96]);
        assert_eq!(ends(64, 200), [100, 100, 100]);
        assert_eq!(ends(1, 0), [1, 6, 96]);
    }
}
