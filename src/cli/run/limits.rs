//! Options of all commands that start programs of tasks: retries, limits, timeouts.

use super::super::common::seconds;
use h5part::{ErrorKind, Item, Result};
use h5part_base::error::{At, Kind};
use h5part_base::lock::Patience;
use h5part_tasks::program::{Homes, Keeper, Memory, Template};
use h5part_tasks::run::{Launch, RunOptions};
use h5part_tasks::slurm::job_is_gone;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct Limits {
    /// Give up on a task after K failed attempts [default: the ledger's setting, usually 3].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_attempts: Option<u16>,
    /// Wait this many seconds before retrying a failed task.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    retry_delay: f64,
    /// Kill a program that runs longer than this; its task counts as failed.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time_limit: Option<f64>,
    /// Memory limit of each program, e.g. 2G.
    #[arg(long, value_name = "M")]
    pub memory: Option<Memory>,
    /// Treat a worker on another host as dead after this many seconds without a heartbeat.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    stale_after: f64,
    /// Go on even if the first tasks all fail for one and the same reason.
    #[arg(long)]
    pub keep_going: bool,
    /// Give up when the ledger's lock is not released within this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    pub timeout: f64,
}

impl Limits {
    pub fn run_options(&self, workers: usize) -> RunOptions {
        RunOptions {
            workers,
            retry_delay: Duration::from_secs_f64(self.retry_delay),
            stale_after: self.stale_after(),
            job_is_gone,
            ..RunOptions::default()
        }
    }

    /// How to start programs. `path` appears in errors.
    pub fn launch(
        &self,
        template: Template,
        homes: Box<dyn Homes>,
        path: &Path,
        options: &RunOptions,
    ) -> Result<Launch> {
        let keeper = || {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("keeper");
            Keeper::start(command)
        };
        Ok(Launch {
            template,
            homes,
            time_limit: self.time_limit.map(Duration::from_secs_f64),
            memory: self.memory,
            cores: cores_of_each(options),
            keeper: Some(keeper().at("start a keeper for", path)?),
            patience: self.patience(),
        })
    }

    pub fn patience(&self) -> Patience {
        Patience::telling(Duration::from_secs_f64(self.timeout))
    }

    pub fn stale_after(&self) -> Duration {
        Duration::from_secs_f64(self.stale_after)
    }

    /// These options as arguments for another process.
    pub fn args(&self) -> Vec<OsString> {
        let mut args = Vec::new();
        let mut option = |name: &str, value: String| args.extend([OsString::from(name), OsString::from(value)]);
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
        args.extend(self.keep_going.then(|| OsString::from("--keep-going")));
        args
    }
}

/// Processors for each program: those that it is pinned to, else its share of those that SLURM gave this process, else
/// its number of threads.
fn cores_of_each(options: &RunOptions) -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.trim().parse::<usize>().ok());
    let pinned = options.cores.first().map(Vec::len).filter(|cores| *cores > 0);
    let given = || number("SLURM_CPUS_PER_TASK").map(|cores| cores / options.workers.max(1));
    let cores = pinned.or_else(given).or_else(|| number("OMP_NUM_THREADS")).unwrap_or(1);
    u32::try_from(cores.max(1)).unwrap_or(u32::MAX)
}

/// Refuses a program that does not exist. `path` appears in errors.
pub fn check_program(template: &Template, path: &Path) -> Result<()> {
    if template.program().is_some() {
        return Ok(());
    }
    let name = template.name();
    let kind = match Path::new(name) {
        _ if name.is_empty() => ErrorKind::not_found(Item::File).at("start", path),
        file if file.exists() => ErrorKind::BadRequest("it may not be executed".to_owned()).at("start", file),
        file if name.contains('/') => ErrorKind::not_found(Item::File).at("start", file),
        file => h5part_tasks::ErrorKind::NoProgram(name.to_owned()).at("start", file),
    };
    Err(kind)
}
