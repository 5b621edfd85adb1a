//! `h5part ledger claim`

use super::super::common::{request, seconds};
use super::super::exit::Exit;
use super::super::output::{json, line, say};
use super::{Which, watch};
use h5part::ErrorKind;
use h5part::Result;
use h5part::ledger::StoreTasks;
use h5part::ledger::{Claim, ClaimOptions, Claimed, End, Ledger, Owner, OwnerId, SlurmJob};
use h5part_base::error::At;
use h5part_base::lock::ProcessId;
use serde::Serialize;
use std::time::Duration;

/// Interval between attempts of a caller that waits for tasks.
const LOOK: Duration = Duration::from_millis(200);

/// Claim tasks and print one line per task: fence, index, rows and name, separated by tabs.
///
/// The tasks belong to their owner until they are reported as done or failed, or the owner ends. Exit code 1: nothing
/// is left to claim.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// Claim up to K neighbouring tasks.
    #[arg(short = 'n', long, value_name = "K", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    /// The process that owns the tasks, e.g. $$ [default: the SLURM job, else the parent process].
    #[arg(long, value_name = "PID")]
    owner: Option<i32>,
    /// Wait this many seconds before retrying a failed task.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    retry_delay: f64,
    /// Wait while tasks are running elsewhere, since they may be requeued.
    #[arg(long)]
    wait: bool,
    /// Print one JSON object per line: name, index, rows, fence, attempts.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Printed<'a> {
    name: &'a str,
    index: u32,
    rows: Option<String>,
    fence: u64,
    attempts: u16,
}

impl Args {
    pub fn run(&self) -> Result<Exit> {
        let ledger = self.which.open()?;
        let owner = ledger.register(&self.owner()?)?;
        let Some(claims) = self.claim(&ledger, owner)? else {
            say(format_args!("nothing is left to claim in {}", self.which.ledger.display()));
            return Ok(Exit::Found);
        };
        if let Err(e) = self.begin(&ledger, &claims) {
            // Nobody would learn of them before their owner ends.
            ledger.finish_all(&claims, End::Released)?;
            return Err(e);
        }
        claims.iter().try_for_each(|claim| self.print(claim))?;
        Ok(Exit::Success)
    }

    /// Checks and prepares claims before they are printed.
    fn begin(&self, ledger: &Ledger, claims: &[Claim]) -> Result<()> {
        let of_lines = |claim: &&Claim| !self.json && claim.name.contains(['\n', '\t']);
        if let Some(Claim { index, .. }) = claims.iter().find(of_lines) {
            let text = format!("task {index} has a name with line ends or tabs: claim it with --json");
            return Err(ErrorKind::BadRequest(text)).at("print a claim of", &self.which.ledger);
        }
        if ledger.header().store.is_some() {
            let rows = StoreTasks::open(ledger, None)?;
            claims.iter().try_for_each(|claim| rows.begin(claim))?;
        }
        Ok(())
    }

    fn owner(&self) -> Result<Owner> {
        let pid = self.owner.unwrap_or_else(|| nix::unistd::getppid().as_raw());
        let process =
            ProcessId::of(pid).ok_or_else(|| request("claim for", &self.which.ledger, format!("no process {pid}")))?;
        Ok(match SlurmJob::this() {
            Some(job) if self.owner.is_none() => Owner::of_job(job, process),
            _ => Owner::of(process),
        })
    }

    fn claim(&self, ledger: &Ledger, owner: OwnerId) -> Result<Option<Vec<Claim>>> {
        let terms = ClaimOptions { count: self.number, delay: Duration::from_secs_f64(self.retry_delay) };
        let mut watch = watch(Duration::from_secs(300));
        loop {
            match ledger.claim(owner, &terms)? {
                Claimed::Tasks(claims) => return Ok(Some(claims)),
                Claimed::Nothing { resting, running } => {
                    // The tasks of dead workers may be claimed at once.
                    let back = !ledger.reap(&mut watch)?.is_empty();
                    if !back && (!self.wait || resting + running == 0) {
                        return Ok(None);
                    }
                    if !back {
                        ledger.pause(LOOK);
                    }
                }
            }
        }
    }

    fn print(&self, claim: &Claim) -> Result<()> {
        let rows = claim.rows.as_ref().map(|rows| format!("{}:{}", rows.start, rows.end));
        let Claim { name, index, fence, attempts, .. } = claim;
        if self.json {
            return json(&Printed { name, index: *index, rows, fence: *fence, attempts: *attempts });
        }
        line(format!("{fence}\t{index}\t{}\t{name}", rows.as_deref().unwrap_or("-")))
    }
}
