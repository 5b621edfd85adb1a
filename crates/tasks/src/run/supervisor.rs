//! Beside the workers: beats, dead owners, and a tick for whoever wants one.

use super::{Event, Level, Site, Tasks, Terms};
use crate::ledger::{OwnerId, Watch};
use h5part_base::error::ErrorKind;
use h5part_base::error::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two ticks.
const TICK: Duration = Duration::from_millis(100);
/// Between two looks for dead owners.
const REAP: Duration = Duration::from_secs(1);

pub(super) struct Supervisor<'a> {
    site: &'a Site<'a>,
    terms: &'a Terms,
    tasks: &'a dyn Tasks,
    owner: OwnerId,
    over: AtomicBool,
    thread: std::sync::OnceLock<std::thread::Thread>,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(site: &'a Site<'a>, terms: &'a Terms, tasks: &'a dyn Tasks, owner: OwnerId) -> Self {
        let (over, thread) = (AtomicBool::new(false), std::sync::OnceLock::new());
        Self { site, terms, tasks, owner, over, thread }
    }

    /// The workers have ended.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn watch(&self) -> Result<()> {
        // Set once, before anybody can want to wake it.
        let _ = self.thread.set(std::thread::current());
        let outcome = self.until_over();
        if outcome.is_err() {
            self.site.stop.raise(Level::Drain);
            // Programs still have their time limits.
            while !self.over.load(Ordering::Acquire) {
                self.tasks.tick(self.site.stop);
                std::thread::park_timeout(TICK);
            }
        }
        outcome
    }

    fn until_over(&self) -> Result<()> {
        let mut watch = Watch::new(self.terms.stale_after, self.terms.job_is_gone);
        let (mut reaped, mut beaten) = (None::<Instant>, Instant::now());
        while !self.over.load(Ordering::Acquire) {
            self.tasks.tick(self.site.stop);
            self.site.observer.event(&Event::Tick);
            if beaten.elapsed() >= self.terms.beat {
                self.beat()?;
                beaten = Instant::now();
            }
            if reaped.is_none_or(|at| at.elapsed() >= REAP) {
                super::reap(self.site.ledger, self.site.rows, &mut watch, self.site.observer)?;
                reaped = Some(Instant::now());
            }
            std::thread::park_timeout(TICK);
        }
        Ok(())
    }

    fn beat(&self) -> Result<()> {
        match self.site.ledger.beat(self.owner) {
            Err(e) if matches!(e.kind(), ErrorKind::Fenced { .. }) => {
                // We were silent for too long, e.g. stopped: everything of ours is somebody else's by now.
                self.site.observer.event(&Event::Warning(format!("{e}; no more tasks are claimed")));
                self.site.stop.raise(Level::End);
                Ok(())
            }
            other => other,
        }
    }
}
