//! One worker: claims a block, runs its tasks, and records how they ended.

use super::supervisor::Supervisor;
use super::{Event, Level, RunContext, RunOptions, RunSummary, Tasks};
use crate::budget::pin;
use crate::ledger::{self, Claim, Claimed, End, OwnerId, Reason};
use h5part_base::error::ErrorKind;
use h5part_base::error::{At, Result};
use h5part_base::num::to_usize;
use h5part_base::sync;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Finished tasks of a block are recorded together, but no later than this.
const TELL: Duration = Duration::from_millis(50);
/// First and longest pause of a worker that finds nothing to claim.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_secs(1));
/// A pause is this many times as long as the search before it.
const IDLE: u32 = 20;

/// Runs all workers, with the supervisor beside them.
pub(super) fn run_all(
    context: &RunContext<'_>,
    options: &RunOptions,
    tasks: &dyn Tasks,
    owner: OwnerId,
) -> Result<RunSummary> {
    let supervisor = Supervisor::new(context, options, tasks, owner);
    let summary = Mutex::new(RunSummary::default());
    let worker = &Worker { context, options, tasks, owner, summary: &summary };
    let outcome = std::thread::scope(|scope| {
        let watching = scope.spawn(|| supervisor.watch());
        // More workers than tasks would find nothing to do.
        let count = options.workers.min(to_usize(context.ledger.len()));
        let (mut others, mut outcome) = (Vec::new(), Ok(()));
        for number in 1..count {
            match std::thread::Builder::new().spawn_scoped(scope, move || worker.work(number)) {
                Ok(other) => others.push(other),
                Err(e) => {
                    outcome = Err(e).at("start another worker for", context.ledger.path());
                    context.stop.raise(Level::Drain);
                    break;
                }
            }
        }
        // The first worker is this thread. So with one worker, tasks run in the thread that began the run.
        outcome = outcome.and_then(|()| worker.work(0));
        for other in others {
            outcome = outcome.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        supervisor.end();
        outcome.and(watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    outcome?;
    Ok(sync::into_inner(summary))
}

struct Worker<'a> {
    context: &'a RunContext<'a>,
    options: &'a RunOptions,
    tasks: &'a dyn Tasks,
    owner: OwnerId,
    summary: &'a Mutex<RunSummary>,
}

impl Worker<'_> {
    fn work(&self, number: usize) -> Result<()> {
        let cores = self.options.cores.get(number).map_or(&[][..], Vec::as_slice);
        let outcome = pin::while_kept_on(cores, || self.until_nothing_is_left());
        if outcome.is_err() {
            // The others end, too, since they would meet the same error.
            self.context.stop.raise(Level::Drain);
        }
        outcome
    }

    fn until_nothing_is_left(&self) -> Result<()> {
        let options = ledger::ClaimOptions { count: self.options.block, delay: self.options.retry_delay };
        let mut pause = PAUSES.0;
        while self.context.stop.level() == Level::Run {
            let start = Instant::now();
            let claimed = match self.context.ledger.claim(self.owner, &options) {
                // Others took us for dead. The supervisor's next heartbeat fails for the same reason.
                Err(e) if matches!(e.kind(), ErrorKind::Fenced { .. }) => {
                    self.context.observer.event(&Event::Warning(e.to_string()));
                    self.context.stop.raise(Level::End);
                    return Ok(());
                }
                claimed => claimed?,
            };
            match claimed {
                Claimed::Tasks(claims) => {
                    self.run_block(&claims)?;
                    pause = PAUSES.0;
                }
                Claimed::Nothing { resting: 0, running } if running == 0 || !self.options.linger => return Ok(()),
                Claimed::Nothing { .. } => {
                    self.context.stop.wait(Level::Run, pause.max(start.elapsed() * IDLE));
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
        Ok(())
    }

    fn run_block(&self, claims: &[Claim]) -> Result<()> {
        let mut done: Vec<Claim> = Vec::new();
        let mut told = Instant::now();
        for (k, claim) in claims.iter().enumerate() {
            if self.context.stop.level() > Level::Run && k > 0 {
                self.tell_done(&mut done)?;
                return self.tell(&claims[k..], End::Released);
            }
            self.context.observer.event(&Event::Begins(claim));
            if let Err(e) = self.context.begin(claim) {
                self.lost_or(claim, e)?;
                continue;
            }
            match self.run_one(claim) {
                End::Done if self.context.rows.is_none() => done.push(claim.clone()),
                End::Done => match self.context.done(claim, self.tasks) {
                    Ok((end, state)) => self.ended(claim, end, state),
                    Err(e) => self.lost_or(claim, e)?,
                },
                end => self.tell(std::slice::from_ref(claim), end)?,
            }
            if told.elapsed() > TELL {
                self.tell_done(&mut done)?;
                told = Instant::now();
            }
        }
        self.tell_done(&mut done)
    }

    fn run_one(&self, claim: &Claim) -> End {
        let run = AssertUnwindSafe(|| self.tasks.run(claim, self.context.stop));
        catch_unwind(run).unwrap_or(End::Failed(Reason::Panicked))
    }

    fn tell_done(&self, done: &mut Vec<Claim>) -> Result<()> {
        let claims = std::mem::take(done);
        if claims.is_empty() { Ok(()) } else { self.tell(&claims, End::Done) }
    }

    fn tell(&self, claims: &[Claim], end: End) -> Result<()> {
        for (claim, answer) in claims.iter().zip(self.context.ledger.finish_all(claims, end)?) {
            match answer {
                Ok(state) => self.ended(claim, end, state),
                Err(e) => self.lost_or(claim, e)?,
            }
        }
        Ok(())
    }

    fn ended(&self, claim: &Claim, end: End, state: ledger::TaskState) {
        self.count(|summary| match end {
            End::Done => summary.done += 1,
            End::Failed(_) => summary.failed += 1,
            End::Released => summary.released += 1,
        });
        self.context.observer.event(&Event::Ended(claim, end, state));
    }

    /// If a task was taken over, only that task is lost. Other errors are returned.
    fn lost_or(&self, claim: &Claim, e: h5part_base::error::Error) -> Result<()> {
        if !matches!(e.kind(), ErrorKind::Fenced { .. }) {
            return Err(e);
        }
        self.count(|summary| summary.lost += 1);
        self.context.observer.event(&Event::Lost(claim, &e));
        Ok(())
    }

    fn count(&self, add: impl FnOnce(&mut RunSummary)) {
        add(&mut sync::lock(self.summary));
    }
}
