//! `h5part run`, `h5part work`: a ledger's tasks as programs.

mod launch;
mod place;
mod pool;
pub mod signals;
mod slurm;
mod tell;

use super::exit::Exit;
use super::output::{json, line, say};
use h5part::ErrorKind;
use h5part::Result;
use h5part::executor::Mode;
use h5part::executor::budget::pin;
use h5part::executor::ledgered::{self, Programs, Site, Stop, Terms};
use h5part::ledger::{Ledger, State, StoreTasks, Tally, TaskData};
use launch::Launching;
use place::Asked;
use serde::Serialize;
use std::path::PathBuf;
use tell::Teller;

const RUN: &str = "run";
/// So many tasks that failed are named.
const NAMED: usize = 20;

/// Run a program for each task of a ledger, until none is left.
///
/// In COMMAND, {name}, {rows} and {index} stand for the task; each argument stays one argument, there is no
/// shell. Exit code 0 means that the task is done. What a program says goes to LEDGER.part/logs. Started
/// again, it goes on; two runs of one ledger share it. Ctrl-C lets running programs end, a second one ends
/// them; what is ended that way goes back to the ledger, as it does on SIGTERM.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Programs at a time. Default: as many as the cores and, with --memory, the memory have room for; in a
    /// SLURM job, those that it was given. More than that is obeyed, with a warning. With --mode slurm: workers,
    /// each with one program at a time.
    #[arg(short = 'j', long, value_name = "N")]
    jobs: Option<usize>,
    /// Where programs are run: serial, one after the other; threads, beside each other from this process;
    /// processes, from several worker processes; slurm, in a job array. Default: H5PART_DISTRIBUTE, else
    /// threads, or serial where there is one core.
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Keep programs on processors of their own, those that run at the same time on different ones.
    #[arg(long)]
    pin: bool,
    #[command(flatten)]
    launching: Launching,
    #[command(flatten)]
    slurm: slurm::Options,
}

/// Be one worker of a ledger: for job arrays, mpirun and GNU parallel. As `h5part run -j 1`, but it ends when
/// nothing is left to claim, though others may still be running.
///
/// Exit code 0 then: nothing failed for good, and nothing waits.
#[derive(Debug, clap::Args)]
pub struct WorkArgs {
    /// Programs at a time.
    #[arg(short = 'j', long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Stay until no task runs anywhere: should another worker die, its tasks are done by this one.
    #[arg(long)]
    wait: bool,
    /// Started by a run, with whom it ends.
    #[arg(long, hide = true)]
    of_run: bool,
    #[command(flatten)]
    launching: Launching,
}

/// What this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The run: it stays to the end, and tells how it went.
    Run,
    /// One worker beside others.
    Worker,
    /// A worker process of a run, which speaks for it.
    WorkerOfRun,
}

/// How a run ended.
#[derive(Debug, Serialize)]
struct Ended {
    #[serde(flatten)]
    tally: Tally,
    /// What this run did.
    #[serde(skip_serializing_if = "Option::is_none")]
    here: Option<ledgered::Summary>,
    /// Tasks that failed for good, the first of them.
    failures: Vec<Failure>,
    wall_s: f64,
}

#[derive(Debug, Serialize)]
struct Failure {
    name: String,
    reason: String,
    log: PathBuf,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let asked = Asked { mode: self.mode, jobs: self.jobs, memory: self.launching.memory };
        match asked.mode()? {
            Mode::Slurm => self.slurm.run(&self.launching, self.jobs),
            mode if self.slurm.is_any_given() => {
                let text = format!("options of --mode slurm do not go with mode {mode}");
                Err(ErrorKind::BadRequest(text).at(RUN, self.launching.ledger()))
            }
            mode => self.run_on_this_host(mode, &asked),
        }
    }

    fn run_on_this_host(&self, mode: Mode, asked: &Asked) -> Result<Exit> {
        let start = std::time::Instant::now();
        let ledger = self.launching.open()?;
        let place = asked.settle(mode, &ledger)?;
        for text in &place.warnings {
            say(format_args!("warning: {text}"));
        }
        let cores = if self.pin { pin::shares(&pin::allowed(), place.jobs, 1) } else { Vec::new() };
        if mode != Mode::Processes {
            return here(&self.launching, &ledger, Terms { cores, ..self.launching.terms(place.jobs) }, Part::Run);
        }
        self.launching.check_program(&ledger)?;
        let rows = self.launching.rows(&ledger)?;
        pool::run(&self.launching, &ledger, data(rows.as_ref()), place.jobs, &cores)?;
        finish(&self.launching, &ledger, None, start)
    }
}

impl WorkArgs {
    pub fn run(&self) -> Result<Exit> {
        if self.of_run {
            signals::end_with_parent();
        }
        let part = match (self.of_run, self.wait) {
            (true, _) => Part::WorkerOfRun,
            (false, true) => Part::Run,
            (false, false) => Part::Worker,
        };
        here(&self.launching, &self.launching.open()?, self.launching.terms(self.jobs.max(1)), part)
    }
}

/// Ends the programs of a runner that was killed.
pub fn keep() -> Exit {
    h5part::executor::program::keep(std::io::stdin().lock());
    Exit::Success
}

/// Runs tasks in this process.
fn here(launching: &Launching, ledger: &Ledger, terms: Terms, part: Part) -> Result<Exit> {
    let start = std::time::Instant::now();
    launching.check_program(ledger)?;
    let rows = launching.rows(ledger)?;
    let stop = std::sync::Arc::new(Stop::new());
    let of_run = part == Part::WorkerOfRun;
    signals::watch(&stop, of_run).map_err(ErrorKind::Io).map_err(|e| e.at(RUN, ledger.path()))?;
    let teller = if of_run { Teller::of_worker } else { Teller::new }(ledger, launching.quiet);
    // The workers of a run leave that to it.
    let watch = if of_run { None } else { Some(teller.watch_memory()?) };
    let programs = Programs::new(ledger, launching.launch()?, &teller)?;
    let site = Site { ledger, rows: data(rows.as_ref()), observer: &teller, stop: &stop };
    let terms = Terms { linger: part != Part::Worker, ..terms };
    let summary = ledgered::run(&site, &terms, &programs)?;
    drop((programs, watch));
    teller.end();
    if of_run {
        return Ok(Exit::Success);
    }
    finish(launching, ledger, Some((summary, part)), start)
}

/// Says what became of the tasks; exit code 1 if any is not done.
fn finish(
    launching: &Launching,
    ledger: &Ledger,
    here: Option<(ledgered::Summary, Part)>,
    start: std::time::Instant,
) -> Result<Exit> {
    let tally = ledger.tally()?;
    let failures = failures(ledger, &tally)?;
    let (here, part) = here.unzip();
    // A single worker leaves those that are running to whoever runs them.
    let cared_for = tally.done + if part == Some(Part::Worker) { tally.running } else { 0 };
    let exit = if cared_for == tally.total { Exit::Success } else { Exit::Found };
    let wall_s = start.elapsed().as_secs_f64();
    if launching.json {
        json(&Ended { tally, here, failures, wall_s })?;
        return Ok(exit);
    }
    for failure in &failures {
        let log = if failure.log.exists() { format!("; see {}", failure.log.display()) } else { String::new() };
        say(format_args!("'{}' failed: {}{log}", failure.name.escape_debug(), failure.reason));
    }
    if tally.failed > failures.len() as u64 {
        say(format_args!("and {} more", tally.failed - failures.len() as u64));
    }
    if !launching.quiet {
        let Tally { total, done, failed, waiting, running, .. } = tally;
        let others = [(failed, "failed"), (waiting, "wait"), (running, "are running elsewhere")];
        let others = others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts = std::iter::once(format!("{done} of {total} tasks are done")).chain(others);
        line(parts.collect::<Vec<_>>().join(", "))?;
    }
    Ok(exit)
}

fn failures(ledger: &Ledger, tally: &Tally) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    if tally.failed > 0 {
        ledger.each(|place, task| {
            let Some(task) = task.filter(|task| task.state == State::Failed && failures.len() < NAMED) else {
                return Ok(());
            };
            failures.push(Failure {
                name: ledger.listed(place, task)?.name,
                reason: task.reason.to_string(),
                log: Programs::log_of(ledger, task.index),
            });
            Ok(())
        })?;
    }
    Ok(failures)
}

/// The rows of the ledger's tasks, if it or the command line names a store.
type Rows<'a> = Option<StoreTasks<'a>>;

/// What a run has to know of them.
fn data<'a>(rows: Option<&'a StoreTasks<'_>>) -> Option<&'a dyn TaskData> {
    rows.map(|rows| rows as &dyn TaskData)
}
