//! The place of a worker process. When one dies, another takes the place.

use super::wire::{Hello, Order, Report};
use super::worker::Worker;
use crate::pool::board::{Board, Taken};
use crate::pool::task::TaskError;
use crate::pool::{Death, EventKind};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Interval between checks whether a job must stop. Reports and deaths are noticed at once.
const LOOK: Duration = Duration::from_millis(100);
/// A task that must stop has this long before its worker is killed.
const GRACE: Duration = Duration::from_secs(2);
/// A worker that dies before it begins is not the job's fault. After this many such deaths, the job is lost.
const STARTS: usize = 3;

/// Shared by all slots.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) board: Board,
    pub(super) hello: Hello,
}

pub(super) struct Slot {
    shared: Arc<Shared>,
    hello: Hello,
    worker: Option<Worker>,
}

/// How a job ended.
enum Ended {
    /// The job ended, and the worker is ready for the next.
    Well(EventKind),
    /// The job ended, and the worker cannot be used any more.
    Last(EventKind),
    /// The worker died before it began the job.
    Unbegun(Death),
}

impl Slot {
    pub(super) fn new(shared: Arc<Shared>, cores: Vec<usize>) -> Self {
        let hello = Hello { cores, ..shared.hello.clone() };
        Self { shared, hello, worker: None }
    }

    /// Runs jobs until the pool is shut down.
    pub(super) fn run(mut self) {
        // The worker is ready when the first job comes. If it cannot be started, the first job reports it.
        self.worker = Worker::start(&self.hello).ok();
        let shared = Arc::clone(&self.shared);
        while let Some(taken) = shared.board.take() {
            let end = self.perform(&taken);
            shared.board.end(&taken, end);
        }
    }

    fn perform(&mut self, taken: &Taken) -> EventKind {
        let mut why = String::new();
        for _ in 0..STARTS {
            let worker = match self.worker.take().map_or_else(|| Worker::start(&self.hello), Ok) {
                Ok(worker) => worker,
                Err(e) => {
                    why = e.to_string();
                    continue;
                }
            };
            match self.perform_by(worker, taken) {
                Ended::Well(end) | Ended::Last(end) => return end,
                Ended::Unbegun(death) => why = death.to_string(),
            }
        }
        EventKind::Lost(Death::NotStarted(why))
    }

    fn perform_by(&mut self, mut worker: Worker, taken: &Taken) -> Ended {
        let ended = match converse(&mut worker, taken, &self.shared) {
            Ok(Said::End(end)) => Ended::Well(end),
            Ok(Said::Panicked(end)) => Ended::Last(end),
            Err((begun, error)) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    worker.kill();
                    return Ended::Last(EventKind::Lost(Death::Vanished(format!(
                        "its worker sent an invalid message: {error}"
                    ))));
                }
                let death = worker.bury();
                return if begun { Ended::Last(EventKind::Lost(death)) } else { Ended::Unbegun(death) };
            }
        };
        if matches!(ended, Ended::Well(_)) {
            self.worker = Some(worker);
        }
        ended
    }
}

enum Said {
    End(EventKind),
    /// The process is not reused: the next task would meet whatever the panic left behind.
    Panicked(EventKind),
}

/// Sends a job to a worker, and receives its reports until it ends. The error says whether the job was begun.
fn converse(worker: &mut Worker, taken: &Taken, shared: &Shared) -> Result<Said, (bool, io::Error)> {
    let mut begun = false;
    worker.tell(&Order::Job(taken.job.clone())).map_err(|e| (begun, e))?;
    let mut stopping: Option<Instant> = None;
    loop {
        match worker.hear(LOOK).map_err(|e| (begun, e))? {
            Some(Report::Begun) => begun = true,
            Some(Report::Part { part, value }) => {
                shared.board.part(taken, EventKind::Partial { part, value });
                tell(worker, &Order::Taken).map_err(|e| (begun, e))?;
            }
            Some(Report::Done { parts }) => return Ok(Said::End(EventKind::Done { parts })),
            Some(Report::Failed(error @ TaskError::Panicked(_))) => {
                return Ok(Said::Panicked(EventKind::Failed(error)));
            }
            Some(Report::Failed(error)) => return Ok(Said::End(EventKind::Failed(error))),
            None => {}
        }
        match stopping {
            None if taken.stop.load(Ordering::Relaxed) => {
                stopping = Some(Instant::now());
                tell(worker, &Order::Stop).map_err(|e| (begun, e))?;
            }
            Some(since) if since.elapsed() > GRACE => worker.kill(),
            _ => {}
        }
    }
}

/// Sends an order. A dead worker does not receive it; its earlier reports are still read, and then its end is noticed.
fn tell(worker: &mut Worker, order: &Order) -> io::Result<()> {
    match worker.tell(order) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told,
    }
}
