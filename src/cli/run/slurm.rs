//! Mode `slurm`: workers of a ledger as elements of a job array.

mod wait;

use super::super::exit::Exit;
use super::super::output::{json, line};
use super::RUN;
use super::journal;
use super::progress::Voice;
use super::workers::{Kind, ProcessRun};
use h5part::ledger::Ledger;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use h5part_tasks::run::Stop;
use h5part_tasks::slurm::{Array, Element, Phase, Submitted, look, submit};
use serde::Serialize;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use wait::Waiting;

/// How to submit workers.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "With --mode slurm")]
pub struct Options {
    /// Elements of the job array, each a worker. If there are more than -j, the others begin when some have ended,
    /// e.g. at their time limit [default: -j].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    array_size: Option<u64>,
    /// Elements that run at a time [default: -j, if --array-size is larger].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    throttle: Option<u64>,
    /// Programs at a time per element, which asks for as many processors [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    per_job: Option<u16>,
    /// Partition to submit to.
    #[arg(long, value_name = "NAME")]
    partition: Option<String>,
    /// Time limit of each element, as for sbatch, e.g. 2:00:00. Workers stop claiming shortly before it.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Jobs that the array waits for, as for sbatch, e.g. afterok:1234.
    #[arg(long, value_name = "LIST")]
    dependency: Option<String>,
    /// Add an #SBATCH line, e.g. '--account=x --mem=4G'; may be repeated.
    #[arg(long, value_name = "OPTIONS", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// Submit the array and return at once.
    #[arg(long)]
    no_wait: bool,
    /// Wait for jobs that earlier runs of this ledger left in the queue. Submit only if there are none.
    #[arg(long, conflicts_with = "no_wait")]
    join: bool,
    /// Print the job script and submit nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct NotWaited<'a> {
    submitted: &'a [Submitted],
}

impl Options {
    /// Whether any of these options was given.
    pub fn is_any_given(&self) -> bool {
        let Self { array_size, throttle, per_job, partition, time, dependency, sbatch, no_wait, join, dry_run } = self;
        let texts = [partition, time, dependency].iter().any(|text| text.is_some());
        let numbers = array_size.is_some() || throttle.is_some() || per_job.is_some();
        texts || numbers || !sbatch.is_empty() || *no_wait || *join || *dry_run
    }

    /// Submits workers, and waits for them. `None`: the tasks have ended, and the caller reports the result.
    pub fn run(&self, run: &dyn ProcessRun, jobs: Option<usize>) -> Result<Option<Exit>> {
        let ledger = run.ledger();
        let plan = Plan { options: self, run, ledger, jobs: jobs.map(|jobs| jobs.max(1) as u64) };
        if self.dry_run {
            return plan.show().map(Some);
        }
        let earlier = if self.join { plan.earlier()? } else { Vec::new() };
        if ledger.tally()?.has_ended() {
            return Ok(None);
        }
        let submitted = if earlier.is_empty() { plan.submit()? } else { earlier };
        if self.no_wait {
            return plan.tell(&submitted).map(Some);
        }
        Waiting::new(&plan, &Arc::new(Stop::new()), submitted).until_ended()?;
        Ok(None)
    }
}

/// What to submit.
struct Plan<'a> {
    options: &'a Options,
    run: &'a dyn ProcessRun,
    ledger: &'a Ledger,
    jobs: Option<u64>,
}

impl Plan<'_> {
    /// Submits workers, but no more than there are tasks left.
    fn submit(&self) -> Result<Vec<Submitted>> {
        let size = self.size()?;
        journal::note(self.ledger);
        submit(&self.array()?, size).at("submit workers of", self.ledger.path())
    }

    fn size(&self) -> Result<u64> {
        let asked = self.options.array_size.or(self.jobs).ok_or_else(|| {
            let text = "--mode slurm needs the number of workers: -j N, or --array-size N".to_owned();
            ErrorKind::BadRequest(text).at(RUN, self.ledger.path())
        })?;
        let tally = self.ledger.tally()?;
        Ok(asked.min(tally.waiting + tally.running).max(1))
    }

    fn array(&self) -> Result<Array> {
        let options = self.options;
        let path = self.ledger.path();
        let program = std::env::current_exe().at("find the program for workers of", path)?;
        let mut worker = vec![program.into_os_string()];
        worker.extend(self.run.worker_args(Kind::Element { jobs: options.per_job }));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.trim_start_matches('.');
        // Control characters are not allowed in names of jobs.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        Ok(Array {
            name: format!("h5part-{name}"),
            throttle: options.throttle.or(self.jobs.filter(|_| options.array_size.is_some())),
            partition: options.partition.clone(),
            time: options.time.clone(),
            dependency: options.dependency.clone(),
            cpus: options.per_job.map(usize::from),
            extra: options.sbatch.clone(),
            environment: Vec::new(),
            folder: std::env::current_dir().at("find the folder for workers of", path)?,
            logs: self.folder(),
            worker,
        })
    }

    /// Folder of the workers' scripts and logs.
    fn folder(&self) -> PathBuf {
        self.ledger.sidecar().join("slurm")
    }

    fn show(&self) -> Result<Exit> {
        let script = self.array()?.script(self.size()?).at("write a script for", self.ledger.path())?;
        std::io::stdout().write_all(&script).at("write to", "standard output")?;
        Ok(Exit::Success)
    }

    fn tell(&self, submitted: &[Submitted]) -> Result<Exit> {
        if self.run.is_json() {
            json(&NotWaited { submitted })?;
        } else if self.run.voice() != Voice::Quiet {
            for Submitted { id, elements } in submitted {
                line(format!("submitted job {id}: {elements} workers"))?;
            }
        }
        Ok(Exit::Success)
    }

    /// Jobs of earlier runs that have not ended. Each of them left its script.
    fn earlier(&self) -> Result<Vec<Submitted>> {
        let folder = self.folder();
        let Ok(entries) = std::fs::read_dir(&folder) else { return Ok(Vec::new()) };
        let is_script = |path: &PathBuf| path.extension().is_some_and(|e| e == "sbatch");
        let ids: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.path()).filter(is_script))
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        let queue = look(&ids).at("look for jobs of", self.ledger.path())?;
        let is_left = |element: &Element, id: &str| element.job() == id && element.phase() != Phase::Ended;
        let elements = |id: &str| queue.iter().filter(|element| is_left(element, id)).count() as u64;
        let found = ids.into_iter().map(|id| Submitted { elements: elements(&id), id });
        Ok(found.filter(|job| job.elements > 0).collect())
    }
}
