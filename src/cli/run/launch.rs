//! What `run` and `work` have in common: which ledger, which program, how it is started.

use super::super::common::seconds;
use super::super::ledger::open;
use super::{RUN, Rows};
use h5part::executor::ledgered::{Launch, Terms};
use h5part::executor::program::{Keeper, Memory, Template};
use h5part::executor::slurm::job_is_gone;
use h5part::ledger::{Ledger, StoreTasks};
use h5part::lock::Patience;
use h5part::store::Store;
use h5part::{ErrorKind, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Launching {
    /// The ledger.
    ledger: PathBuf,
    /// The program and its arguments, with {name}, {rows} and {index} for the task.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Tasks that a worker claims at once.
    #[arg(short = 'n', long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    block: u64,
    /// A task that failed so often stays failed. Default: as the ledger says.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    max_attempts: Option<u16>,
    /// A task that failed rests for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    retry_delay: f64,
    /// A program that takes longer is ended, and its task failed.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<f64>,
    /// Memory that a program may use, e.g. 2G.
    #[arg(long, value_name = "M")]
    pub memory: Option<Memory>,
    /// The store that the tasks fill: a task is done when its rows are there. Default: as the ledger says.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// Path of the table in the store.
    #[arg(long, value_name = "TABLE", requires = "store")]
    table: Option<String>,
    /// Workers of other hosts whose beat stands still for so long are dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    stale_after: f64,
    /// Give up when the ledger's lock is not released within this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    timeout: f64,
    /// Say nothing but what went wrong.
    #[arg(short, long)]
    pub quiet: bool,
    /// Print at the end what became of the tasks, as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Launching {
    pub fn ledger(&self) -> &Path {
        &self.ledger
    }

    pub fn open(&self) -> Result<Ledger> {
        let ledger = open(&self.ledger, self.timeout)?;
        let attempts = self.max_attempts.unwrap_or(ledger.max_attempts());
        Ok(ledger.with_max_attempts(attempts))
    }

    /// Says once, before anything is claimed, that there is no such program.
    pub fn check_program(&self, ledger: &Ledger) -> Result<()> {
        if self.template().program().is_some() {
            return Ok(());
        }
        let name = self.command.first().cloned().unwrap_or_default();
        let found = Path::new(&name).exists();
        Err(if found { ErrorKind::BadRequest("it may not be executed".to_owned()) } else { ErrorKind::NoSuchFile }
            .at("start", if name.is_empty() { ledger.path().to_owned() } else { PathBuf::from(name) }))
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

    pub fn terms(&self, workers: usize) -> Terms {
        Terms {
            workers,
            block: self.block,
            retry_delay: Duration::from_secs_f64(self.retry_delay),
            stale_after: self.stale_after(),
            job_is_gone,
            ..Terms::default()
        }
    }

    pub fn launch(&self) -> Result<Launch> {
        let keeper = || {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("keeper");
            Keeper::start(command)
        };
        Ok(Launch {
            template: self.template(),
            time_limit: self.time_limit.map(Duration::from_secs_f64),
            memory: self.memory,
            keeper: Some(keeper().map_err(|e| ErrorKind::Io(e).at("start a keeper for", &self.ledger))?),
            patience: Patience::telling(Duration::from_secs_f64(self.timeout)),
        })
    }

    pub fn stale_after(&self) -> Duration {
        Duration::from_secs_f64(self.stale_after)
    }

    /// The arguments of `h5part work` that make it a worker for this; `more` are options of its own.
    pub fn worker_args(&self, ledger: &Ledger, more: &[OsString]) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["work".into(), ledger.path().into()];
        args.extend_from_slice(more);
        let mut option = |name: &str, value: String| args.extend([OsString::from(name), OsString::from(value)]);
        option("--block", self.block.to_string());
        option("--retry-delay", self.retry_delay.to_string());
        option("--stale-after", self.stale_after.to_string());
        option("--timeout", self.timeout.to_string());
        if let Some(attempts) = self.max_attempts {
            option("--max-attempts", attempts.to_string());
        }
        if let Some(limit) = self.time_limit {
            option("--time-limit", limit.to_string());
        }
        if let Some(memory) = self.memory {
            option("--memory", memory.0.to_string());
        }
        if let Some(table) = &self.table {
            option("--table", table.clone());
        }
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
