//! Takes back the tasks of owners that have died.
//!
//! Death must be proven: the owner's process has ended on this host, or SLURM no longer knows its job. An owner that we
//! cannot see counts as dead after a long time without a heartbeat. If it lives after all, its claims are fenced. A
//! stopped process counts as alive.

use super::owner::{Entry, SlurmJob};
use super::task::{OwnerId, Reason, Task, TaskState};
use super::{Claim, Ledger};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::Fate;
use h5part_base::num::to_usize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// SLURM is asked about a job when its worker is first seen, and again after this long without a heartbeat. Thousands
/// of workers must not ask all the time.
const ASK: Duration = Duration::from_secs(30);

/// Whether a SLURM job is gone. `None`: unknown.
pub type JobIsGone = fn(&SlurmJob) -> Option<bool>;

/// What an observer remembers of owners that it cannot see.
#[derive(Debug)]
pub struct Watch {
    stale_after: Duration,
    job_is_gone: JobIsGone,
    beats: HashMap<OwnerId, Beat>,
    looked: bool,
}

/// The observations of an owner.
#[derive(Debug)]
struct Beat {
    count: u64,
    since: Instant,
    /// When SLURM was last asked about its job.
    asked: Option<Instant>,
}

/// A task that was taken from a dead owner.
#[derive(Clone, Debug)]
pub struct Expired {
    /// The claim that expired.
    pub claim: Claim,
    /// The former owner, as text.
    pub owner: String,
    /// How its death is known.
    pub reason: Reason,
    /// The task's new state.
    pub state: TaskState,
}

impl Watch {
    /// Treats an owner as dead after this long without a heartbeat, by this process's own clock.
    #[must_use]
    pub fn new(stale_after: Duration, job_is_gone: JobIsGone) -> Self {
        Self { stale_after, job_is_gone, beats: HashMap::new(), looked: false }
    }

    /// Whether the owner of an entry is dead, and how this is known.
    fn verdict(&mut self, id: OwnerId, entry: &Entry, now: Instant) -> Option<Reason> {
        let owner = entry.owner.as_ref()?;
        if entry.given_up {
            return Some(Reason::OwnerDied);
        }
        match owner.fate() {
            Fate::Runs | Fate::Stopped => return None,
            Fate::Ended => return Some(Reason::OwnerDied),
            Fate::Elsewhere => {}
        }
        let seen = self.beats.entry(id).or_insert(Beat { count: entry.beat, since: now, asked: None });
        if seen.count != entry.beat {
            (seen.count, seen.since) = (entry.beat, now);
        }
        if seen.asked.is_none_or(|asked| now.duration_since(asked.max(seen.since)) >= ASK) {
            seen.asked = Some(now);
            if owner.job.as_ref().and_then(self.job_is_gone) == Some(true) {
                return Some(Reason::OwnerDied);
            }
        }
        (now.duration_since(seen.since) >= self.stale_after).then_some(Reason::OwnerSilent)
    }
}

impl Ledger {
    /// Takes back tasks of dead owners. They wait again, or fail if this was one attempt too many.
    ///
    /// **Concurrency.** Beside anything. Several processes may do it at once, and each task expires once.
    ///
    /// # Errors
    /// I/O errors; [`ErrorKind::Replaced`].
    pub fn reap(&self, watch: &mut Watch) -> Result<Vec<Expired>> {
        self.check_named()?;
        self.try_reap(watch).at("look for dead workers of", &self.path)
    }

    fn try_reap(&self, watch: &mut Watch) -> Result<Vec<Expired>, ErrorKind> {
        let entries = {
            let _held = self.hold()?;
            self.entries()?
        };
        let now = Instant::now();
        let mut dead = HashMap::new();
        for (place, entry) in entries.iter().enumerate() {
            let Some(entry) = entry else { continue };
            let id = OwnerId { place: u32::try_from(place).unwrap_or(u32::MAX), generation: entry.generation };
            let Some(reason) = watch.verdict(id, entry, now) else { continue };
            // This comes first: otherwise it could claim more tasks, which nobody would look for once it is forgotten.
            if self.mark_given_up(id, Some(entry.beat))? {
                dead.insert(id, reason);
            }
        }
        // Owners that left, or whose entry was lost with the power, leave tasks without an owner. The first look finds
        // these.
        if dead.is_empty() && watch.looked {
            return Ok(Vec::new());
        }
        watch.looked = true;
        let expired = self.expire_all(&entries, &dead)?;
        for id in dead.into_keys() {
            watch.beats.remove(&id);
            self.free(id)?;
        }
        Ok(expired)
    }

    fn expire_all(
        &self,
        entries: &[Option<Entry>],
        dead: &HashMap<OwnerId, Reason>,
    ) -> Result<Vec<Expired>, ErrorKind> {
        let known = |id: OwnerId| {
            let entry = entries.get(to_usize(id.place.into()));
            entry.is_some_and(|entry| entry.as_ref().is_some_and(|entry| entry.is_of(id)))
        };
        let why = |task: &Task| match dead.get(&task.owner) {
            Some(reason) => Some(*reason),
            None => (!known(task.owner)).then_some(Reason::OwnerDied),
        };
        let mut expired = Vec::new();
        for (place, task) in self.running()? {
            let Some(reason) = why(&task) else { continue };
            if let Some(state) = self.expire(place, &task, reason, dead.contains_key(&task.owner))? {
                let entry = entries.get(to_usize(task.owner.place.into()));
                let owner = entry.and_then(|e| e.as_ref()?.owner.as_ref().map(ToString::to_string));
                let owner = owner.unwrap_or_else(|| "a worker that is gone".to_owned());
                expired.push(Expired { claim: self.claim_of(place, &task)?, owner, reason, state });
            }
        }
        Ok(expired)
    }

    /// Takes one task from its owner, unless its state has changed meanwhile.
    fn expire(&self, place: u64, seen: &Task, reason: Reason, is_dead: bool) -> Result<Option<TaskState>, ErrorKind> {
        let _held = self.hold()?;
        let task = self.task_locked(place)?;
        // An owner without an entry may have registered after our look. Then it is in the table by now.
        if task.owner != seen.owner || (!is_dead && self.entry(task.owner)?.is_some()) {
            return Ok(None);
        }
        match task.fail(seen.fence, reason, self.max_attempts, (self.clock)()) {
            Ok(task) => {
                self.put(place, &[task])?;
                Ok(Some(task.state))
            }
            Err(_) => Ok(None),
        }
    }

    /// All running tasks.
    pub(super) fn running(&self) -> Result<Vec<(u64, Task)>, ErrorKind> {
        let running = |slot: Result<(u64, Option<Task>), ErrorKind>| {
            let taken =
                |(place, task): (u64, Option<Task>)| Some((place, task.filter(|t| t.state == TaskState::Running)?));
            slot.map(taken).transpose()
        };
        self.walk().filter_map(running).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::owner::Owner;
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn slurm_is_asked_when_a_worker_is_met_and_when_its_beat_stands_still() {
        static ASKED: AtomicU32 = AtomicU32::new(0);
        let ask: JobIsGone = |job| {
            ASKED.fetch_add(1, Ordering::Relaxed);
            Some(job.restarts == 1)
        };
        let mut owner = Owner::this_process();
        owner.process.host = "another".to_owned();
        owner.job = Some(SlurmJob { id: "12_3".to_owned(), restarts: 0, cluster: None, user: None });
        let mut watch = Watch::new(Duration::from_secs(300), ask);
        let start = Instant::now();
        let mut look = |second: u64, beat: u64, owner: &Owner| {
            let entry = Entry { generation: 1, beat, given_up: false, owner: Some(owner.clone()) };
            let verdict = watch.verdict(OwnerId::default(), &entry, start + Duration::from_secs(second));
            (verdict, ASKED.load(Ordering::Relaxed))
        };
        assert_eq!(look(0, 0, &owner), (None, 1));
        // While it sends heartbeats, nobody asks.
        for second in 1..200 {
            assert_eq!(look(second, second / 10, &owner), (None, 1));
        }
        // No heartbeat since second 190.
        assert_eq!(look(219, 19, &owner), (None, 1));
        assert_eq!(look(220, 19, &owner), (None, 2));
        assert_eq!(look(249, 19, &owner), (None, 2));
        if let Some(job) = &mut owner.job {
            job.restarts = 1;
        }
        assert_eq!(look(250, 19, &owner), (Some(Reason::OwnerDied), 3));
        if let Some(job) = &mut owner.job {
            job.restarts = 0;
        }
        assert_eq!(look(489, 19, &owner).0, None);
        assert_eq!(look(490, 19, &owner).0, Some(Reason::OwnerSilent));
    }
}
