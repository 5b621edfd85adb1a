//! `h5part run` and `h5part work`: run a ledger's tasks as programs.

mod causes;
mod command;
pub mod ending;
pub mod journal;
pub mod limits;
pub mod placement;
pub mod pool;
pub mod progress;
pub mod signals;
pub mod slurm;
pub mod summary;
pub mod told;
pub mod workers;

use super::exit::Exit;
use super::output::{json, say};
use command::CommandArgs;
use ending::Ending;
use h5part::ErrorKind;
use h5part::Result;
use h5part::ledger::StoreTasks;
use h5part::ledger::{Ledger, TaskData, Watch};
use h5part_base::error::At;
use h5part_tasks::budget::pin;
use h5part_tasks::pool::Mode;
use h5part_tasks::program::{BesideLedger, Homes};
use h5part_tasks::run::{self, Observer, Programs, RunContext, RunOptions, Stop, Tasks};
use placement::Asked;
use progress::{Progress, Voice, Watching};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;
use summary::{Began, Reasons, RunReport};
use workers::{Kind, ProcessRun};

const RUN: &str = "run";

/// Run a program for each task of a ledger until no task is left.
///
/// In COMMAND, {name}, {rows} and {index} stand for the task. There is no shell: each argument stays one argument.
/// A program reports with exit code 0 that its task is done. Its output goes to LEDGER.part/logs. A run that is
/// started again goes on; several runs of one ledger share the tasks. Ctrl-C lets running programs finish; a second
/// Ctrl-C, or SIGTERM, stops them and requeues their tasks.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of programs at a time; with --mode slurm, number of workers [default: as many as cores and, with
    /// --memory, memory allow; in a SLURM job, as many as it was given].
    #[arg(short = 'j', long, value_name = "N")]
    jobs: Option<usize>,
    /// How to run programs: serial (one after another), threads (started by this process), processes (started by
    /// worker processes), slurm (in a job array) [default: H5PART_DISTRIBUTE, else threads, or serial on one core].
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Pin programs to processors, so that those that run at the same time use different ones.
    #[arg(long)]
    pin: bool,
    #[command(flatten)]
    command: CommandArgs,
    #[command(flatten)]
    slurm: slurm::Options,
}

/// Run as a single worker on a ledger, for job arrays, mpirun and GNU parallel.
///
/// Does the same as `h5part run -j 1`, but ends when nothing is left to claim, even if other workers are still
/// running. Exit code 0: nothing failed for good, and nothing waits.
#[derive(Debug, clap::Args)]
pub struct WorkArgs {
    /// Number of programs at a time.
    #[arg(short = 'j', long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Stay until no task runs anywhere, to take over the tasks of workers that die.
    #[arg(long)]
    wait: bool,
    /// Started by a run, with whom it ends.
    #[arg(long, hide = true)]
    of_run: bool,
    #[command(flatten)]
    command: CommandArgs,
}

/// The role of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The run, which stays to the end and reports the result.
    Run,
    /// One worker beside others.
    Worker,
    /// A worker process of a run. The run reports for it.
    WorkerOfRun,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let asked = Asked { mode: self.mode, jobs: self.jobs, memory: self.command.limits.memory };
        match asked.mode()? {
            Mode::Slurm => self.run_in_array(),
            mode if self.slurm.is_any_given() => {
                let text = format!("options of --mode slurm do not go with mode {mode}");
                Err(ErrorKind::BadRequest(text).at(RUN, self.command.ledger()))
            }
            mode => self.run_on_this_host(mode, &asked),
        }
    }
}

impl Args {
    fn run_on_this_host(&self, mode: Mode, asked: &Asked) -> Result<Exit> {
        let began = Began::now();
        let ledger = self.command.open()?;
        requeue_reset(&self.command, &ledger)?;
        journal::note(&ledger);
        let place = asked.settle(mode, &ledger)?;
        for text in &place.warnings {
            say(format_args!("warning: {text}"));
        }
        let cores = if self.pin { pin::shares(&pin::allowed(), place.jobs, 1) } else { Vec::new() };
        if mode != Mode::Processes {
            return here(
                &self.command,
                &ledger,
                RunOptions { cores, ..self.command.run_options(place.jobs) },
                Part::Run,
            );
        }
        let workers = Workers::of(&self.command, &ledger)?;
        let ending = pool::run(&workers, place.jobs, &cores)?;
        finish(&self.command, &ledger, None, began, ending)
    }

    fn run_in_array(&self) -> Result<Exit> {
        let began = Began::now();
        let ledger = self.command.open()?;
        requeue_reset(&self.command, &ledger)?;
        // Problems with the store are reported before anything is submitted.
        let workers = Workers::of(&self.command, &ledger)?;
        match self.slurm.run(&workers, self.jobs)? {
            Some(exit) => Ok(exit),
            None => finish(&self.command, &ledger, None, began, Ending::default()),
        }
    }
}

/// `h5part work` processes on a ledger.
struct Workers<'a> {
    command: &'a CommandArgs,
    ledger: &'a Ledger,
    rows: Rows<'a>,
}

impl<'a> Workers<'a> {
    fn of(command: &'a CommandArgs, ledger: &'a Ledger) -> Result<Self> {
        command.check_program(ledger)?;
        Ok(Self { command, ledger, rows: command.rows(ledger)? })
    }
}

impl ProcessRun for Workers<'_> {
    fn ledger(&self) -> &Ledger {
        self.ledger
    }

    fn worker_args(&self, kind: Kind) -> Vec<OsString> {
        let more = match kind {
            Kind::OfRun => Some(OsString::from("--of-run")),
            Kind::Element { jobs } => jobs.map(|jobs| OsString::from(format!("--jobs={jobs}"))),
        };
        self.command.worker_args(self.ledger, more.as_slice())
    }

    fn voice(&self) -> Voice {
        self.command.voice()
    }

    fn is_json(&self) -> bool {
        self.command.json
    }

    fn homes(&self) -> &dyn Homes {
        &BesideLedger
    }

    fn keeps_going(&self) -> bool {
        self.command.limits.keep_going
    }

    fn stale_after(&self) -> Duration {
        self.command.limits.stale_after()
    }

    fn reap(&self, watch: &mut Watch, observer: &dyn Observer) -> Result<()> {
        run::reap(self.ledger, data(self.rows.as_ref()), watch, observer)
    }
}

impl super::Subcommand for WorkArgs {
    fn run(&self) -> Result<Exit> {
        if self.of_run {
            signals::end_with_parent();
        }
        let part = match (self.of_run, self.wait) {
            (true, _) => Part::WorkerOfRun,
            (false, true) => Part::Run,
            (false, false) => Part::Worker,
        };
        let ledger = self.command.open()?;
        if part != Part::WorkerOfRun {
            journal::note(&ledger);
        }
        here(&self.command, &ledger, self.command.run_options(self.jobs.max(1)), part)
    }
}

/// Kills the programs of a runner that was killed.
#[derive(Debug, clap::Args)]
pub struct KeeperArgs {}

impl super::Subcommand for KeeperArgs {
    fn run(&self) -> Result<Exit> {
        h5part_tasks::program::keep(std::io::stdin().lock());
        Ok(Exit::Success)
    }
}

/// Runs tasks in this process.
fn here(command: &CommandArgs, ledger: &Ledger, options: RunOptions, part: Part) -> Result<Exit> {
    let began = Began::now();
    command.check_program(ledger)?;
    let rows = command.rows(ledger)?;
    let of_run = part == Part::WorkerOfRun;
    let stop = Arc::new(Stop::new());
    let watching = Watching { counts: !of_run, ..command.watching(ledger, &BesideLedger, &stop, options.workers) };
    let progress = Progress::new(Watching { voice: if of_run { Voice::OfRun } else { watching.voice }, ..watching });
    // The run does this for its workers.
    let watch = if of_run { None } else { Some(progress.watch_memory()?) };
    let programs = Programs::new(ledger, command.launch(&options)?, &progress)?;
    let options = RunOptions { linger: part != Part::Worker, ..options };
    let work = Work { ledger, rows: data(rows.as_ref()), observer: &progress, stop: &stop, is_silent: of_run };
    let summary = work.until_asked_to_end(&options, &programs)?;
    drop((programs, watch));
    let ending = progress.end();
    if of_run {
        return Ok(Exit::Success);
    }
    finish(command, ledger, Some((summary, part)), began, ending)
}

/// The work of this process.
pub struct Work<'a> {
    pub ledger: &'a Ledger,
    pub rows: Option<&'a dyn TaskData>,
    pub observer: &'a dyn Observer,
    /// Asks for an end, as signals do.
    pub stop: &'a Arc<Stop>,
    /// Whether another process reports the effect of signals.
    pub is_silent: bool,
}

impl Work<'_> {
    /// Works until nothing is left, or a signal asks for an end.
    pub fn until_asked_to_end(&self, options: &RunOptions, tasks: &dyn Tasks) -> Result<run::RunSummary> {
        let Self { ledger, rows, observer, stop, is_silent } = *self;
        signals::watch(stop, is_silent).at(RUN, ledger.path())?;
        run::run(&RunContext { ledger, rows, observer, stop }, options, tasks)
    }
}

/// Requeues tasks that are done but whose rows were reset since.
fn requeue_reset(command: &CommandArgs, ledger: &Ledger) -> Result<()> {
    command.check_program(ledger)?;
    let Some(rows) = command.rows(ledger)? else { return Ok(()) };
    let again = rows.requeue_reset()?.requeued;
    if again > 0 && !command.quiet {
        let (s, were) = if again == 1 { ("", "was") } else { ("s", "were") };
        say(format_args!("{again} task{s} that {were} done will run again: rows of theirs are no longer committed"));
    }
    Ok(())
}

/// Reports columns of the table that belong to no task.
fn tell_unused(rows: Option<&StoreTasks<'_>>) -> Result<()> {
    let Some(rows) = rows else { return Ok(()) };
    let unused = rows.columns_without_use()?;
    if !unused.is_empty() {
        let (s, are) = if unused.len() == 1 { ("", "was") } else { ("s", "were") };
        say(format_args!(
            "column{s} {} {are} not asked for: nobody has committed to them; 'h5part ledger init --columns' says which \
             columns make a task done",
            unused.join(", ")
        ));
    }
    Ok(())
}

/// Reports the results of the tasks. Exit code 1: some are not done.
fn finish(
    command: &CommandArgs,
    ledger: &Ledger,
    here: Option<(run::RunSummary, Part)>,
    began: Began,
    ending: Ending,
) -> Result<Exit> {
    let (here, part) = here.unzip();
    let rows = command.rows(ledger)?;
    let mut summary = RunReport::of(ledger, &BesideLedger, &Reasons::of(rows.as_ref()), began, ending)?;
    summary.here = here;
    let tally = summary.tally;
    // A single worker leaves running tasks to whoever runs them.
    let cared_for = tally.done + if part == Some(Part::Worker) { tally.running } else { 0 };
    let exit = if cared_for == tally.total { Exit::Success } else { Exit::Found };
    if command.json {
        json(&summary)?;
        return Ok(exit);
    }
    summary.tell_failures();
    if !command.quiet {
        tell_unused(rows.as_ref())?;
        summary.print()?;
    }
    Ok(exit)
}

/// The rows of the ledger's tasks, if the ledger or the command line names a store.
type Rows<'a> = Option<StoreTasks<'a>>;

/// The rows in the form that a run needs.
fn data<'a>(rows: Option<&'a StoreTasks<'_>>) -> Option<&'a dyn TaskData> {
    rows.map(|rows| rows as &dyn TaskData)
}
