//! `h5part multiplanet`

mod begin;
mod output;
mod workers;

use super::common::request;
use super::exit::Exit;
use super::output::{json, say};
use super::run::ending::Ending;
use super::run::journal;
use super::run::limits::{Limits, check_program};
use super::run::placement::Asked;
use super::run::progress::{Voice, Watching};
use super::run::summary::{Began, Reasons, RunReport};
use super::run::{Work, pool, slurm};
use begin::{Begun, begin, open_archive};
use h5part::ledger::Ledger;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_tasks::pool::Mode;
use h5part_tasks::program::Template;
use h5part_tasks::run::{RunOptions, Stop};
use h5part_vplanet::bigplanet::Archiver;
use h5part_vplanet::checkpoint::Checkpointed;
use h5part_vplanet::multiplanet::{Ensemble, Folders, Runner, TrialContext, catch_up};
use output::Output;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use workers::Workers;

const RUN: &str = "run the trials of";
/// Default number of attempts after which a trial stays failed.
const ATTEMPTS: u16 = 3;

/// Run vplanet for all trials of a vspace.in, as multiplanet does.
///
/// A run that is started again goes on, also with a checkpoint of multiplanet, which can go on with this one's. Several
/// runs at once, also on several hosts, share the trials. Appends the output of each trial to a log in its folder. Exit
/// code 1: some trials are not done.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The vspace input file.
    #[arg(value_name = "VSPACE.IN")]
    input: PathBuf,
    /// Number of trials at a time; with --mode slurm, number of workers [default: one per core].
    #[arg(short, long, value_name = "N")]
    cores: Option<NonZeroUsize>,
    /// Archive each trial in DESTINATION.bpa after its run; a trial is done when it is archived. Also -bp.
    #[arg(long)]
    bigplanet: bool,
    /// Run all trials again if all are done. Keeps their folders and sets an archive aside.
    #[arg(short, long)]
    force: bool,
    /// Print only errors.
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,
    /// Print the outcome of each trial.
    #[arg(short, long)]
    verbose: bool,
    /// The program to run in each trial's folder, with its arguments. Words are split as in a shell, but there is no
    /// shell. {name} stands for the trial.
    #[arg(long, value_name = "COMMAND", default_value = "vplanet vpl.in")]
    command: String,
    /// How to run programs: serial (one after another), threads (started by this process), processes (started by
    /// worker processes), slurm (in a job array) [default: H5PART_DISTRIBUTE, else threads, or serial on one core].
    #[arg(long, value_name = "MODE")]
    mode: Option<Mode>,
    /// Print each event as a JSON line, and the summary as the last one. With --quiet: the summary alone.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    slurm: slurm::Options,
    /// Be a worker of a run that another process has begun.
    #[arg(long, hide = true)]
    worker: bool,
    /// The same, and end with it.
    #[arg(long, hide = true)]
    of_run: bool,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let ensemble = Ensemble::read(&self.input)?;
        let template = self.template()?;
        check_program(&template, &self.input)?;
        if self.worker || self.of_run {
            return self.work(&ensemble, &template);
        }
        let began = Began::now();
        let asked = Asked { mode: self.mode, jobs: self.cores(), memory: self.limits.memory };
        let mode = asked.mode()?;
        if mode != Mode::Slurm && self.slurm.is_any_given() {
            return Err(request(RUN, &self.input, format!("options of --mode slurm do not go with mode {mode}")));
        }
        let Begun { run, archiver, joined, has_begun } = begin(self, &ensemble)?;
        let jobs = if mode == Mode::Slurm { 1 } else { asked.settle(mode, run.ledger())?.jobs };
        let (folders, stop) = (Folders(ensemble.folder.clone()), Arc::new(Stop::new()));
        let output = Output::new(self.watching(run.ledger(), &folders, &stop, jobs), &folders, self.verbose);
        let context = context(&run, &ensemble, archiver.as_ref(), &output);
        journal::note(run.ledger());
        if !joined {
            catch_up(&context)?;
        }
        let tally = run.ledger().tally()?;
        if tally.done == tally.total && has_begun {
            run.settle()?;
            output.end();
            return self.all_done(&run, &folders, began);
        }
        let outcome = match mode {
            Mode::Slurm | Mode::Processes => {
                output.end();
                self.run_elsewhere(mode, &asked, &run, &folders)
            }
            _ => {
                let place = asked.settle(mode, run.ledger())?;
                place.warnings.iter().for_each(|text| say(format_args!("warning: {text}")));
                let done = self.run_here(&context, &output, &template, &self.limits.run_options(place.jobs));
                let ending = output.end();
                done.map(|()| Outcome::Ended(ending))
            }
        };
        // The text is written whatever happened.
        let settled = run.settle();
        match outcome? {
            Outcome::Told(exit) => Ok(exit),
            Outcome::Ended(ending) => settled.and_then(|()| self.finish(&run, &folders, began, ending)),
        }
    }
}

impl Args {
    fn cores(&self) -> Option<usize> {
        self.cores.map(NonZeroUsize::get)
    }

    fn watching<'a>(
        &self,
        ledger: &'a Ledger,
        folders: &'a Folders,
        stop: &'a Arc<Stop>,
        at_a_time: usize,
    ) -> Watching<'a> {
        let (voice, keep_going) = (self.voice(), self.limits.keep_going);
        let counts = !(self.worker || self.of_run);
        Watching { ledger, homes: folders, voice, counts, at_a_time, keep_going, stop }
    }

    fn voice(&self) -> Voice {
        // With -v standard output has one line per trial, in the format of multiplanet.
        if self.of_run { Voice::OfRun } else { Voice::of(self.quiet, false, self.json) }
    }

    fn template(&self) -> Result<Template> {
        let words = shlex::split(&self.command).filter(|words| !words.is_empty());
        let mut words =
            words.ok_or_else(|| request(RUN, &self.input, format!("'{}' is not a command", self.command)))?;
        // The path of the program is relative to the folder where this was started, not to those of the trials.
        if let Some(program) = words.first_mut().filter(|word| word.contains('/')) {
            let path = std::path::absolute(&*program).at("find", Path::new(program))?;
            let text = || of_input(self, "the program's path is not UTF-8");
            *program = path.to_str().map(str::to_owned).ok_or_else(text)?;
        }
        let template = Template::new(words);
        template.check(false).at(RUN, &self.input)?;
        Ok(template)
    }

    fn run_here(
        &self,
        context: &TrialContext<'_>,
        output: &Output<'_>,
        template: &Template,
        options: &RunOptions,
    ) -> Result<()> {
        let ledger = context.run.ledger();
        let launch = self.limits.launch(
            template.clone(),
            Box::new(Folders(context.folder.to_owned())),
            ledger.path(),
            options,
        )?;
        let watch = if self.of_run { None } else { Some(output.watch_memory()?) };
        let runner = Runner::new(*context, launch)?;
        output.workers(options.workers);
        let work = Work { ledger, rows: None, observer: output, stop: output.stop(), is_silent: self.of_run };
        work.until_asked_to_end(options, &runner)?;
        drop((runner, watch));
        Ok(())
    }

    /// Works in a process of a run that another process has begun.
    fn work(&self, ensemble: &Ensemble, template: &Template) -> Result<Exit> {
        if self.of_run {
            super::run::signals::end_with_parent();
        }
        let attempts = self.limits.max_attempts.unwrap_or(ATTEMPTS);
        let run = Checkpointed::join(&ensemble.checkpoint(), &ensemble.trials(), attempts, &self.limits.patience())?;
        let archiver = open_archive(self, ensemble)?;
        let options = RunOptions { linger: self.of_run, ..self.limits.run_options(self.cores().unwrap_or(1)) };
        let (folders, stop) = (Folders(ensemble.folder.clone()), Arc::new(Stop::new()));
        // The run prints the lines of its workers.
        let is_verbose = self.verbose && !self.of_run;
        let watching = self.watching(run.ledger(), &folders, &stop, options.workers);
        let output = Output::new(watching, &folders, is_verbose);
        let context = context(&run, ensemble, archiver.as_ref(), &output);
        let done = self.run_here(&context, &output, template, &options);
        let _ = output.end();
        let settled = run.settle();
        done.and(settled)?;
        let tally = run.ledger().tally()?;
        // Trials that others run are their responsibility.
        Ok(if self.of_run || tally.failed + tally.waiting == 0 { Exit::Success } else { Exit::Found })
    }

    fn run_elsewhere(&self, mode: Mode, asked: &Asked, run: &Checkpointed, folders: &Folders) -> Result<Outcome> {
        let workers = Workers { args: self, run, folders };
        if mode == Mode::Slurm {
            return Ok(self
                .slurm
                .run(&workers, self.cores())?
                .map_or(Outcome::Ended(Ending::default()), Outcome::Told));
        }
        let place = asked.settle(mode, run.ledger())?;
        place.warnings.iter().for_each(|text| say(format_args!("warning: {text}")));
        if self.verbose {
            output::starting(place.jobs);
        }
        pool::run(&workers, place.jobs, &[]).map(Outcome::Ended)
    }

    fn all_done(&self, run: &Checkpointed, folders: &Folders, began: Began) -> Result<Exit> {
        if self.json {
            json(&RunReport::of(run.ledger(), folders, &Reasons::OfLedger, began, Ending::default())?)?;
        } else if !self.quiet {
            output::print("All simulations have been ran");
        }
        Ok(Exit::Success)
    }

    /// Reports the results of the trials.
    fn finish(&self, run: &Checkpointed, folders: &Folders, began: Began, ending: Ending) -> Result<Exit> {
        let summary = RunReport::of(run.ledger(), folders, &Reasons::OfLedger, began, ending)?;
        let tally = summary.tally;
        if self.json {
            json(&summary)?;
        } else {
            summary.tell_failures();
            if !self.quiet {
                // Standard output has only the lines of multiplanet.
                summary.lines().iter().for_each(say);
                if tally.waiting > 0 {
                    say(format_args!("{} of {} trials are not done: start again to go on", tally.waiting, tally.total));
                }
            }
        }
        Ok(if tally.done == tally.total { Exit::Success } else { Exit::Found })
    }
}

/// What is left to do after the trials were run.
enum Outcome {
    /// Nothing: the result was reported.
    Told(Exit),
    /// Report the result.
    Ended(Ending),
}

/// An error about the input file.
fn of_input(args: &Args, text: &str) -> h5part::Error {
    ErrorKind::BadRequest(text.to_owned()).at(RUN, &args.input)
}

fn context<'a>(
    run: &'a Checkpointed,
    ensemble: &'a Ensemble,
    archive: Option<&'a Archiver>,
    output: &'a Output<'a>,
) -> TrialContext<'a> {
    TrialContext { run, folder: &ensemble.folder, archive, observer: output }
}
