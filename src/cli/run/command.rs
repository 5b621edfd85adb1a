//! What `run` and `work` share: the ledger, the program, and how to start it.

use super::super::ledger::open;
use super::limits::{Limits, check_program};
use super::progress::{Voice, Watching};
use super::{RUN, Rows};
use h5part::ledger::Ledger;
use h5part::ledger::StoreTasks;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_engine::store::Store;
use h5part_tasks::program::{BesideLedger, Homes, Template};
use h5part_tasks::run::{Launch, RunOptions, Stop};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub struct CommandArgs {
    /// The ledger.
    ledger: PathBuf,
    /// The program and its arguments, with {name}, {rows} and {index} for the task.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Tasks per claim.
    #[arg(short = 'n', long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    block: u64,
    /// The store that the tasks fill. A task is done when its rows are there [default: as set in the ledger].
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Path of the table in the store.
    #[arg(long, value_name = "TABLE", requires = "store")]
    table: Option<String>,
    #[command(flatten)]
    pub limits: Limits,
    /// Print only errors.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print the outcome of each task.
    #[arg(short, long, conflicts_with_all = ["quiet", "json"])]
    pub verbose: bool,
    /// Print each event as a JSON line, and the summary as the last one. With --quiet: the summary alone.
    #[arg(long)]
    pub json: bool,
}

impl CommandArgs {
    pub fn ledger(&self) -> &Path {
        &self.ledger
    }

    pub fn open(&self) -> Result<Ledger> {
        let ledger = open(&self.ledger, self.limits.timeout)?;
        let attempts = self.limits.max_attempts.unwrap_or(ledger.max_attempts());
        Ok(ledger.with_max_attempts(attempts))
    }

    /// Reports a missing program once, before anything is claimed.
    pub fn check_program(&self, ledger: &Ledger) -> Result<()> {
        self.template().check(ledger.header().rows > 0).at(RUN, ledger.path())?;
        check_program(&self.template(), ledger.path())
    }

    fn template(&self) -> Template {
        Template::new(self.command.clone())
    }

    pub fn rows<'a>(&self, ledger: &'a Ledger) -> Result<Rows<'a>> {
        match (&self.store, &self.table, &ledger.header().store) {
            (Some(file), Some(table), _) => StoreTasks::open_as(ledger, &Store::open(file)?, table).map(Some),
            (file, _, Some(_)) => StoreTasks::open(ledger, file.as_deref()).map(Some),
            (Some(_), None, None) => {
                let text = "--table is needed: the ledger was made without a store".to_owned();
                Err(ErrorKind::BadRequest(text).at(RUN, ledger.path()))
            }
            (None, _, None) => Ok(None),
        }
    }

    pub fn voice(&self) -> Voice {
        Voice::of(self.quiet, self.verbose, self.json)
    }

    /// How to watch a run of these tasks.
    pub fn watching<'a>(
        &self,
        ledger: &'a Ledger,
        homes: &'a dyn Homes,
        stop: &'a Arc<Stop>,
        at_a_time: usize,
    ) -> Watching<'a> {
        let (voice, keep_going) = (self.voice(), self.limits.keep_going);
        Watching { ledger, homes, voice, counts: true, at_a_time, keep_going, stop }
    }

    pub fn run_options(&self, workers: usize) -> RunOptions {
        RunOptions { block: self.block, ..self.limits.run_options(workers) }
    }

    pub fn launch(&self, options: &RunOptions) -> Result<Launch> {
        self.limits.launch(self.template(), Box::new(BesideLedger), &self.ledger, options)
    }

    /// The arguments of `h5part work` that start a worker for this command. `more` are options of the worker's own.
    pub fn worker_args(&self, ledger: &Ledger, more: &[OsString]) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["work".into(), ledger.path().into()];
        args.extend_from_slice(more);
        let mut option = |name: &str, value: String| args.extend([OsString::from(name), OsString::from(value)]);
        option("--block", self.block.to_string());
        if let Some(table) = &self.table {
            option("--table", table.clone());
        }
        args.extend(self.limits.args());
        if let Some(store) = &self.store {
            args.extend(["--store".into(), store.into()]);
        }
        if self.quiet {
            args.push("--quiet".into());
        }
        args.push("--".into());
        args.extend(self.command.iter().map(OsString::from));
        args
    }
}
