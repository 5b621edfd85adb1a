//! Measures operations. A monitor is a worker's own file, and a measurement is a guard.

use super::files::Log;
use super::record::{FORMAT, Record, WorkerHeader};
use super::usage::{ChildUsage, Whose, own_peak, unix_s};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::host;
use std::cell::Cell;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// One worker's measurements, in a file of its own.
///
/// **Concurrency.** Any number of processes and hosts may have monitors on one folder: each has its own file, and
/// nobody waits for anybody. The threads of a process may share one monitor, or each open its own. Records of a shared
/// monitor name the thread. The folder may be read meanwhile. **Survives**: each record is one write(2) to a file open
/// for appending, so a killed process loses only the records of running operations. Nothing is synced, so a loss of
/// power may cost the last seconds.
#[derive(Debug)]
pub struct Monitor {
    log: Log,
    /// One moment on both clocks. So a wall clock that jumps does not reorder what one worker measures.
    opened: Instant,
    opened_s: f64,
}

/// An operation that is being measured until this is dropped. It cannot leave its thread, whose processor time it
/// measures.
#[derive(Debug)]
#[must_use = "it measures until it is dropped"]
pub struct Measure<'a> {
    monitor: &'a Monitor,
    record: Record,
    clock: Clock,
    /// What this measurement replaced.
    before: Option<Before>,
    ended: bool,
    _of_its_thread: PhantomData<*const ()>,
}

/// Time and memory of an operation, from [`Clock::start`] on. For callers who cannot hold a [`Measure`]: they make a
/// record of it themselves, for [`Monitor::record`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    whose: Whose,
    began: Instant,
    cpu: Duration,
    peak: u64,
}

impl Clock {
    /// Begins to measure.
    #[must_use]
    pub fn start(whose: Whose) -> Self {
        let (peak, cpu, began) = (own_peak(), whose.cpu(), Instant::now());
        Self { whose, began, cpu, peak }
    }

    /// What it measured so far, as a record of this thread without a name. Call it in the thread that started it, if the
    /// processor time is that of a thread. The start is left to [`Monitor::record`].
    #[must_use]
    pub fn record(&self) -> Record {
        let wall = self.began.elapsed();
        let cpu = self.whose.cpu().saturating_sub(self.cpu);
        let peak = own_peak();
        Record {
            wall_s: wall.as_secs_f64(),
            cpu_s: cpu.as_secs_f64(),
            memory_bytes: peak,
            memory_rise_bytes: peak.saturating_sub(self.peak),
            thread: thread(),
            ..Record::default()
        }
    }
}

/// The task that the thread worked on before.
#[derive(Debug)]
struct Before {
    task: Option<u64>,
}

thread_local! {
    /// The task that this thread works on.
    static TASK: Cell<Option<u64>> = const { Cell::new(None) };
    /// Number of this thread; 0: it has none yet.
    static THREAD: Cell<u32> = const { Cell::new(0) };
}

/// The number of the next thread that measures.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// Number of this thread within its process, from 1.
fn thread() -> u32 {
    if THREAD.get() == 0 {
        THREAD.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    THREAD.get()
}

/// Call this after fork(2) in the child, whose only thread measures for itself: it is at no task, and is its first
/// thread. Monitors of the parent must not be used in it.
pub fn after_fork_in_child() {
    NEXT.store(1, Ordering::Relaxed);
    THREAD.set(0);
    TASK.set(None);
}

impl Monitor {
    /// Creates a file in a folder, which is created if it is missing. The worker's name is `HOST-PID`.
    ///
    /// # Errors
    /// As mkdir(2), open(2) and write(2).
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Self::open_as(folder, &format!("{}-{}", host(), std::process::id()))
    }

    /// As [`Monitor::open`], for a worker with this name. Names need not be unique.
    ///
    /// # Errors
    /// As [`Monitor::open`].
    pub fn open_as(folder: impl AsRef<Path>, worker: &str) -> Result<Self> {
        let (host, pid) = (host(), std::process::id());
        let header = WorkerHeader { h5part_monitor: FORMAT, worker: worker.to_owned(), host, pid };
        let log = Log::create(folder.as_ref(), &header).at("write measurements to", folder.as_ref())?;
        Ok(Self { log, opened: Instant::now(), opened_s: unix_s() })
    }

    /// This worker's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// Number of measurements that could not be written since the last successful one. A guard that is dropped cannot
    /// report errors. The next record in the file contains this number.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.log.lost()
    }

    /// Begins to measure an operation, with the processor time of this thread.
    pub fn measure(&self, operation: &str) -> Measure<'_> {
        self.begin(operation, Whose::Thread)
    }

    /// As [`Monitor::measure`], with the processor time of all threads of this process. This is for operations that use
    /// several threads and have the process to themselves.
    pub fn measure_process(&self, operation: &str) -> Measure<'_> {
        self.begin(operation, Whose::Process)
    }

    /// Writes a record from another source. A start of 0 is replaced by `wall_s` before now.
    ///
    /// # Errors
    /// [`ErrorKind::BadRequest`] for impossible times. As write(2): the record is then lost, and the next one counts
    /// it.
    pub fn record(&self, mut record: Record) -> Result<()> {
        if record.start_s == 0.0 {
            record.start_s = self.unix_s(Instant::now()) - record.wall_s;
        }
        let written = if record.is_possible() {
            self.log.append(record)
        } else {
            Err(ErrorKind::BadRequest("times and weights must be finite and not negative".to_owned()))
        };
        written.at("write measurements to", self.path())
    }

    /// Writes what a child used, and whether it failed: see [`super::wait_child`]. With `task`, the record stands for
    /// that whole task.
    ///
    /// # Errors
    /// As [`Monitor::record`].
    pub fn record_child(&self, operation: &str, task: Option<u64>, usage: &ChildUsage, failed: bool) -> Result<()> {
        self.record(Record { task, failed, whole: task.is_some(), ..usage.record(operation) })
    }

    fn begin(&self, operation: &str, whose: Whose) -> Measure<'_> {
        let record = Record { operation: operation.to_owned(), task: TASK.get(), ..Record::default() };
        let clock = Clock::start(whose);
        Measure { monitor: self, record, clock, before: None, ended: false, _of_its_thread: PhantomData }
    }

    fn unix_s(&self, at: Instant) -> f64 {
        self.opened_s + at.saturating_duration_since(self.opened).as_secs_f64()
    }
}

impl ChildUsage {
    /// A record of this usage. Task, attempt, failure and sizes may be added before [`Monitor::record`].
    #[must_use]
    pub fn record(&self, operation: &str) -> Record {
        Record {
            operation: operation.to_owned(),
            start_s: self.start_s,
            wall_s: self.wall_s,
            cpu_s: self.cpu_s,
            memory_bytes: self.memory_bytes,
            memory_at_most: self.memory_at_most,
            // A program starts with no memory.
            memory_rise_bytes: self.memory_bytes,
            thread: thread(),
            ..Record::default()
        }
    }
}

impl Measure<'_> {
    /// Assigns the measurement to a task (counted from 0). If the thread works on no task yet, the measurement stands
    /// for the whole task, and whatever the thread measures until it ends is part of the task.
    pub fn task(&mut self, index: u64) -> &mut Self {
        if TASK.get().is_none() {
            self.before = Some(Before { task: TASK.replace(Some(index)) });
            self.record.whole = true;
        }
        self.part_of(index)
    }

    /// Makes the measurement part of a task (counted from 0) that another thread began.
    pub fn part_of(&mut self, index: u64) -> &mut Self {
        self.record.task = Some(index);
        self
    }

    /// Sets the number of the attempt, counted from 1.
    pub fn attempt(&mut self, attempt: u32) -> &mut Self {
        self.record.attempt = attempt;
        self
    }

    /// Adds to the count of things.
    pub fn count(&mut self, n: u64) -> &mut Self {
        self.record.counts = self.record.counts.saturating_add(n);
        self
    }

    /// Adds to the bytes worked on.
    pub fn bytes(&mut self, n: u64) -> &mut Self {
        self.record.bytes = self.record.bytes.saturating_add(n);
        self
    }

    /// Adds to the received bytes of the result.
    pub fn received(&mut self, bytes: u64) -> &mut Self {
        self.record.received = self.record.received.saturating_add(bytes);
        self
    }

    /// Adds to the bytes sent to the task for this argument.
    pub fn sent(&mut self, argument: &str, bytes: u64) -> &mut Self {
        let sum = self.record.sent.entry(argument.to_owned()).or_default();
        *sum = sum.saturating_add(bytes);
        self
    }

    /// Sets the weight of the task. A weight that is negative or not finite is ignored.
    pub fn weight(&mut self, weight: f64) -> &mut Self {
        self.record.weight = Some(weight).filter(|w| w.is_finite() && *w >= 0.0);
        self
    }

    /// Marks it as failed. A measurement that ends in a panic is marked without this call.
    pub fn fail(&mut self) -> &mut Self {
        self.record.failed = true;
        self
    }

    /// Ends the measurement, as dropping it does, and reports errors.
    ///
    /// # Errors
    /// As [`Monitor::record`].
    pub fn finish(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.ended = true;
        let measured = self.clock.record();
        if let Some(before) = self.before.take() {
            TASK.set(before.task);
        }
        let record = std::mem::take(&mut self.record);
        self.monitor.record(Record {
            start_s: self.monitor.unix_s(self.clock.began),
            wall_s: measured.wall_s,
            cpu_s: measured.cpu_s,
            memory_bytes: measured.memory_bytes,
            memory_rise_bytes: measured.memory_rise_bytes,
            thread: measured.thread,
            failed: record.failed || std::thread::panicking(),
            ..record
        })
    }
}

impl Drop for Measure<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // The work goes on without its measurement. The next record counts it as missing.
            let _ = self.end();
        }
    }
}
