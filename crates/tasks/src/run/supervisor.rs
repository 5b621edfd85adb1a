//! Runs beside the workers: heartbeats, dead owners, and ticks.

use super::{Event, Level, RunContext, RunOptions, Tasks};
use crate::ledger::{OwnerId, Watch};
use h5part_base::error::ErrorKind;
use h5part_base::error::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interval between ticks.
const TICK: Duration = Duration::from_millis(100);
/// Interval between searches for dead owners.
const REAP: Duration = Duration::from_secs(1);

pub(super) struct Supervisor<'a> {
    context: &'a RunContext<'a>,
    options: &'a RunOptions,
    tasks: &'a dyn Tasks,
    owner: OwnerId,
    over: AtomicBool,
    thread: std::sync::OnceLock<std::thread::Thread>,
}

impl<'a> Supervisor<'a> {
    pub(super) fn new(
        context: &'a RunContext<'a>,
        options: &'a RunOptions,
        tasks: &'a dyn Tasks,
        owner: OwnerId,
    ) -> Self {
        let (over, thread) = (AtomicBool::new(false), std::sync::OnceLock::new());
        Self { context, options, tasks, owner, over, thread }
    }

    /// Called when the workers have ended.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn watch(&self) -> Result<()> {
        // It is set once, before anyone can want to wake the thread.
        let _ = self.thread.set(std::thread::current());
        let outcome = self.until_over();
        if outcome.is_err() {
            self.context.stop.raise(Level::Drain);
            // Programs still have time limits.
            while !self.over.load(Ordering::Acquire) {
                self.tasks.tick(self.context.stop);
                std::thread::park_timeout(TICK);
            }
        }
        outcome
    }

    fn until_over(&self) -> Result<()> {
        let mut watch = Watch::new(self.options.stale_after, self.options.job_is_gone);
        let (mut reaped, mut beaten) = (None::<Instant>, Instant::now());
        while !self.over.load(Ordering::Acquire) {
            self.tasks.tick(self.context.stop);
            self.context.observer.event(&Event::Tick);
            if beaten.elapsed() >= self.options.beat {
                self.beat()?;
                beaten = Instant::now();
            }
            if reaped.is_none_or(|at| at.elapsed() >= REAP) {
                super::reap(self.context.ledger, self.context.rows, &mut watch, self.context.observer)?;
                reaped = Some(Instant::now());
            }
            std::thread::park_timeout(TICK);
        }
        Ok(())
    }

    fn beat(&self) -> Result<()> {
        match self.context.ledger.beat(self.owner) {
            Err(e) if matches!(e.kind(), ErrorKind::Fenced { .. }) => {
                // We were silent for too long, for example stopped, so all our tasks belong to others by now.
                self.context.observer.event(&Event::Warning(format!("{e}; no more tasks are claimed")));
                self.context.stop.raise(Level::End);
                Ok(())
            }
            other => other,
        }
    }
}
