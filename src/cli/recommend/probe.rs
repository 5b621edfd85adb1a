//! Runs a program sequentially and in parallel, and measures both.

use h5part::ledger::{Claim, OwnerId, TASK_VAR};
use h5part::monitor::{ChildUsage, wait_child};
use h5part::{ErrorKind, Item, Result};
use h5part_base::error::At;
use h5part_tasks::program::{ATTEMPT_VAR, INDEX_VAR, Template};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PROBE: &str = "probe";
/// Short programs are run so many times that the sequential runs take about this long, ...
const LONG: Duration = Duration::from_secs(1);
/// ... but no fewer and no more times than this.
const RUNS: (u32, u32) = (2, 100);
/// Parallel pays if it is faster by more than this factor.
pub const PAYS: f64 = 1.2;

/// The measurements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Probe {
    pub serial: Runs,
    pub parallel: Runs,
    /// Speed-up of the parallel runs.
    pub ratio: f64,
    /// Whether the speed-up is worth it.
    pub pays: bool,
    /// Peak memory of one run, in bytes. `None`: too little to measure.
    pub memory_bytes: Option<u64>,
    /// Average number of processors that one run kept busy.
    pub busy: f64,
}

/// A series of runs of the program.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Runs {
    /// Number of runs.
    pub runs: u32,
    /// Runs at once.
    pub at_once: usize,
    /// Total time, in seconds.
    pub wall_s: f64,
}

impl Runs {
    fn per_second(&self) -> f64 {
        f64::from(self.runs) / self.wall_s.max(1e-9)
    }
}

impl Probe {
    /// Evaluates measurements. `alone` are the usages of the sequential runs.
    fn of(serial: Runs, parallel: Runs, alone: &[ChildUsage]) -> Self {
        let ratio = parallel.per_second() / serial.per_second();
        let sum = |of: fn(&ChildUsage) -> f64| alone.iter().map(of).sum::<f64>();
        let known = alone.iter().filter(|usage| !usage.memory_at_most).map(|usage| usage.memory_bytes);
        let busy = sum(|usage| usage.cpu_s) / sum(|usage| usage.wall_s).max(1e-9);
        Self { serial, parallel, ratio, pays: ratio > PAYS, memory_bytes: known.max(), busy }
    }
}

/// Runs the program: once to warm up, then several times one by one, then `at_once` in parallel.
pub fn run(command: &[String], at_once: usize) -> Result<Probe> {
    let program = Program { template: Template::new(command.to_vec()), next: AtomicU32::new(0) };
    let name = command.first().map_or("", String::as_str);
    program.template.check(false).at(PROBE, Path::new(name))?;
    if program.template.program().is_none() {
        return Err(ErrorKind::not_found(Item::File).at("start", Path::new(name)));
    }
    program.measure(at_once).map_err(|kind| kind.at(PROBE, Path::new(name)))
}

struct Program {
    template: Template,
    next: AtomicU32,
}

impl Program {
    fn measure(&self, at_once: usize) -> Result<Probe, ErrorKind> {
        let runs = runs(self.run_once()?.wall_s);
        let (serial, alone) = self.time(runs, 1)?;
        let workers = u32::try_from(at_once).unwrap_or(u32::MAX);
        let (parallel, _) = self.time(runs.div_ceil(workers).saturating_mul(workers), at_once)?;
        Ok(Probe::of(serial, parallel, &alone))
    }

    /// Each thread runs its share.
    fn time(&self, runs: u32, at_once: usize) -> Result<(Runs, Vec<ChildUsage>), ErrorKind> {
        let begin = Instant::now();
        let left = AtomicU32::new(runs);
        let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
        let work = || {
            let mut used = Vec::new();
            while take() {
                used.push(self.run_once()?);
            }
            Ok::<_, ErrorKind>(used)
        };
        let used = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
            let used = threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            used.collect::<Result<Vec<_>, _>>()
        })?;
        Ok((Runs { runs, at_once, wall_s: begin.elapsed().as_secs_f64() }, used.concat()))
    }

    fn run_once(&self) -> Result<ChildUsage, ErrorKind> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let parts = self.template.of(&a_try(index));
        let program = parts.first().ok_or_else(|| ErrorKind::BadRequest("a command is needed".to_owned()))?;
        let mut command = Command::new(program);
        // The environment that a run gives its programs.
        command.env(INDEX_VAR, index.to_string()).env(ATTEMPT_VAR, "0").env(TASK_VAR, index.to_string());
        command.args(&parts[1..]).stdin(Stdio::null()).stdout(Stdio::null());
        let started = Instant::now();
        let (status, usage) = spawn_and_wait(&mut command, started)?;
        if status.success() { Ok(usage) } else { Err(failed(status)) }
    }
}

fn spawn_and_wait(command: &mut Command, started: Instant) -> io::Result<(ExitStatus, ChildUsage)> {
    wait_child(&mut command.spawn()?, started)
}

fn failed(status: ExitStatus) -> ErrorKind {
    ErrorKind::BadRequest(format!("the command failed ({status}): only one that succeeds can be measured"))
}

/// A claim that fills the placeholders.
fn a_try(index: u32) -> Claim {
    let (name, owner) = (index.to_string(), OwnerId::default());
    Claim { place: u64::from(index), index, name, rows: None, fence: 0, owner, attempts: 0 }
}

/// How many times to run a program of this duration.
fn runs(wall_s: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
    let runs = (LONG.as_secs_f64() / wall_s.max(1e-6)).ceil() as u32;
    runs.clamp(RUNS.0, RUNS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(wall_s: f64, cpu_s: f64, memory_bytes: u64, memory_at_most: bool) -> ChildUsage {
        ChildUsage { start_s: 0.0, wall_s, cpu_s, memory_bytes, memory_at_most }
    }

    #[test]
    fn figures_are_compared_by_runs_a_second() {
        let serial = Runs { runs: 3, at_once: 1, wall_s: 3.0 };
        let of = |runs, wall_s| {
            let alone = [used(1.0, 2.0, 5, true), used(1.0, 2.0, 7, false), used(1.0, 2.0, 6, false)];
            Probe::of(serial, Runs { runs, at_once: 4, wall_s }, &alone)
        };
        let probe = of(4, 2.0);
        assert_eq!((probe.ratio, probe.pays, probe.memory_bytes, probe.busy), (2.0, true, Some(7), 2.0));
        assert!(!of(6, 5.0).pays && of(5, 4.0).pays);
        assert_eq!(Probe::of(serial, serial, &[used(1.0, 0.0, 5, true)]).memory_bytes, None);
        assert_eq!([0.0, 0.001, 0.3, 1.0, 3600.0].map(runs), [100, 100, 4, 2, 2]);
    }

    #[test]
    fn a_program_is_run_as_often_as_is_told() {
        let folder = tempfile::tempdir().expect("tempdir");
        let file = folder.path().join("{index}");
        let command = ["touch", file.to_str().expect("UTF-8")].map(str::to_owned);
        let probe = run(&command, 3).expect("measures");
        let made = std::fs::read_dir(folder.path()).expect("lists").count();
        assert_eq!(made, 1 + (probe.serial.runs + probe.parallel.runs) as usize);
        assert!(probe.parallel.runs.is_multiple_of(3) && probe.parallel.runs >= probe.serial.runs);
        for (command, why) in [("false", "exit status: 1"), ("no such program", "no such file")] {
            let error = run(&[command.to_owned()], 2).expect_err("fails").to_string();
            assert!(error.contains(why) && error.contains(command), "{error}");
        }
    }
}
