//! How tasks end, and how people change them.

use super::task::{Reason, Refusal, Task, TaskState};
use super::{Claim, Ledger};
use h5part_base::error::{At, ErrorKind, Result};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its work is complete.
    Done,
    /// It failed. It waits again, until it has failed too often.
    Failed(Reason),
    /// It was released, which does not count as a failure.
    Released,
}

/// The result of changing tasks by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// Tasks that changed.
    pub changed: u64,
    /// Tasks that were selected but needed no change.
    pub unchanged: u64,
}

impl Ledger {
    /// Records how a claimed task ended. Returns its new state.
    ///
    /// **Concurrency.** Beside anything. Write the data first: what is recorded here is not undone.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: someone else has the task now, or it was cancelled. I/O errors.
    pub fn finish(&self, claim: &Claim, end: End) -> Result<TaskState> {
        let mut answers = self.finish_all(std::slice::from_ref(claim), end)?;
        answers.pop().unwrap_or(Ok(TaskState::Waiting))
    }

    /// Records the end of several tasks under one lock. Each has its own result.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn finish_all(&self, claims: &[Claim], end: End) -> Result<Vec<Result<TaskState>>> {
        self.try_finish(claims, end).at("finish tasks of", &self.path)
    }

    /// Whether a claim still holds.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`]: someone else has the task now, or it has ended. I/O errors.
    pub fn check_claim(&self, claim: &Claim) -> Result<()> {
        let task = self.task(claim.place)?;
        if task.is_held(claim.fence) { Ok(()) } else { Err(fenced(claim, &task).at("finish a task of", &self.path)) }
    }

    /// Marks a task that nobody holds as done, if `is_same` accepts its current state.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn settle(&self, place: u64, is_same: impl Fn(&Task) -> bool) -> Result<bool> {
        let now = (self.clock)();
        let wish = |task: &Task| is_same(task).then(|| task.settle(now));
        Ok(self.change(&[place], wish).at("settle a task of", self.path())?.changed == 1)
    }

    fn try_finish(&self, claims: &[Claim], end: End) -> Result<Vec<Result<TaskState>>, ErrorKind> {
        let now = (self.clock)();
        let _held = self.hold()?;
        let mut answers = Vec::with_capacity(claims.len());
        for block in claims.chunk_by(|a, b| a.place + 1 == b.place) {
            let start = block[0].place;
            let tasks = self.slots(start..start + block.len() as u64)?;
            let mut ended = Vec::with_capacity(block.len());
            for (claim, task) in block.iter().zip(&tasks) {
                let task = task.ok_or(crate::ErrorKind::DamagedTask { task: claim.place })?;
                ended.push(self.end_of(&task, claim.fence, end, now).map_err(|_| task));
            }
            self.write_ended(start, &ended)?;
            answers.extend(block.iter().zip(&ended).map(|(claim, ended)| match ended {
                Ok(task) => Ok(task.state),
                Err(task) => Err(fenced(claim, task).at("finish a task of", &self.path)),
            }));
        }
        Ok(answers)
    }

    fn end_of(&self, task: &Task, fence: u64, end: End, now: u64) -> Result<Task, Refusal> {
        match end {
            End::Done => task.done(fence, now),
            End::Failed(reason) => task.fail(fence, reason, self.max_attempts, now),
            End::Released => task.release(fence, now),
        }
    }

    /// Writes the changed slots, neighbours together.
    fn write_ended(&self, start: u64, ended: &[Result<Task, Task>]) -> Result<(), ErrorKind> {
        let mut at = start;
        for run in ended.chunk_by(|a, b| a.is_ok() == b.is_ok()) {
            let tasks: Vec<Task> = run.iter().filter_map(|task| task.as_ref().ok().copied()).collect();
            if !tasks.is_empty() {
                self.put(at, &tasks)?;
            }
            at += run.len() as u64;
        }
        Ok(())
    }

    /// Writes slots under the lock. The bits of waiting tasks are set first, so that none is overlooked.
    pub(super) fn put(&self, place: u64, tasks: &[Task]) -> Result<(), ErrorKind> {
        let mut at = place;
        for run in tasks.chunk_by(|a, b| a.state == b.state) {
            let end = at + run.len() as u64;
            if run[0].state == TaskState::Waiting {
                self.bits.set(self.file.as_ref(), at..end)?;
            }
            at = end;
        }
        Ok(self.write(place, tasks)?)
    }

    /// Records that a task's rows had no values when it was claimed. If its owner dies after committing them, they
    /// count as its work.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`], I/O errors.
    pub fn note_empty(&self, claim: &Claim) -> Result<()> {
        self.try_note_empty(claim).at("note in", &self.path)
    }

    fn try_note_empty(&self, claim: &Claim) -> Result<(), ErrorKind> {
        let _held = self.hold()?;
        let task = self.task_locked(claim.place)?;
        let noted = task.found_empty(claim.fence).map_err(|_| fenced(claim, &task))?;
        Ok(self.write(claim.place, &[noted])?)
    }

    /// Requeues tasks that a person wants done again, with all attempts available again. `which` selects the tasks.
    ///
    /// **Concurrency.** Beside anything; the owner of a running task finds itself fenced.
    ///
    /// # Errors
    /// I/O errors. Some tasks may have been changed by then.
    pub fn requeue(&self, places: &[u64], which: impl Fn(&Task) -> bool) -> Result<Changed> {
        let now = (self.clock)();
        let wish = |task: &Task| (which(task) && task.state != TaskState::Waiting).then(|| task.requeue(now));
        self.change(places, wish).at("requeue tasks of", &self.path)
    }

    /// Cancels tasks that wait or run. They count as failed.
    ///
    /// **Concurrency.** Beside anything; the owner of a running task finds itself fenced.
    ///
    /// # Errors
    /// I/O errors. Some tasks may have been changed by then.
    pub fn cancel(&self, places: &[u64]) -> Result<Changed> {
        let now = (self.clock)();
        self.change(places, |task| task.cancel(now)).at("cancel tasks of", &self.path)
    }

    /// Changes tasks one by one, so that others can take the lock in between.
    pub(super) fn change(&self, places: &[u64], wish: impl Fn(&Task) -> Option<Task>) -> Result<Changed, ErrorKind> {
        let mut changed = Changed::default();
        for &place in places {
            let _held = self.hold()?;
            match wish(&self.task_locked(place)?) {
                Some(task) => {
                    self.put(place, &[task])?;
                    changed.changed += 1;
                }
                None => changed.unchanged += 1,
            }
        }
        Ok(changed)
    }
}

/// Explains why a claim no longer holds.
pub(super) fn fenced(claim: &Claim, task: &Task) -> ErrorKind {
    let how = match task.state {
        TaskState::Running => {
            format!("it was claimed again (claim {} is the latest, this is {})", task.fence, claim.fence)
        }
        TaskState::Failed if task.reason == Reason::Cancelled => "it was cancelled".to_owned(),
        state if task.reason == Reason::None => format!("it is {}", state.word()),
        state => format!("it is {} ({})", state.word(), task.reason),
    };
    ErrorKind::Fenced { task: claim.name.clone(), how }
}
