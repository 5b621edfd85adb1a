//! `h5part ledger`: one file per group of subcommands. This one only dispatches.

mod change;
mod claim;
mod finish;
mod init;
mod list;
mod reconcile;
mod text;

use super::common::seconds;
use super::exit::Exit;
use clap::Subcommand;
use h5part::Result;
use h5part::ledger::{Expired, Ledger, Watch};
use h5part_base::lock::Patience;
use h5part_tasks::slurm::job_is_gone;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval between checks of heartbeats.
const LOOK: Duration = Duration::from_millis(500);

/// Share tasks among any number of workers, with one file and no server.
///
/// Every task is waiting, running, done or failed. Each claim has a number, its fence. Reports and commits
/// for a task that has been claimed again since are refused.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Claim(claim::Args),
    Done(finish::DoneArgs),
    Fail(finish::FailArgs),
    Release(finish::ReleaseArgs),
    Beat(finish::BeatArgs),
    Status(list::StatusArgs),
    List(list::ListArgs),
    Requeue(change::RequeueArgs),
    Cancel(change::CancelArgs),
    Reconcile(reconcile::Args),
    Import(text::ImportArgs),
    Export(text::ExportArgs),
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        match &self.command {
            Command::Init(args) => args.run(),
            Command::Claim(args) => args.run(),
            Command::Done(args) => args.run(),
            Command::Fail(args) => args.run(),
            Command::Release(args) => args.run(),
            Command::Beat(args) => args.run(),
            Command::Status(args) => args.run(),
            Command::List(args) => args.run(),
            Command::Requeue(args) => args.run(),
            Command::Cancel(args) => args.run(),
            Command::Reconcile(args) => args.run(),
            Command::Import(args) => args.run(),
            Command::Export(args) => args.run(),
        }
    }
}

/// An existing ledger.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// The ledger.
    pub ledger: PathBuf,
    /// Give up when the ledger's lock is not released within this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300.0, value_parser = seconds)]
    pub timeout: f64,
}

impl Which {
    pub fn open(&self) -> Result<Ledger> {
        open(&self.ledger, self.timeout)
    }

    /// Opens the ledger for reading, which needs no write permission.
    pub fn open_to_read(&self) -> Result<Ledger> {
        Ledger::open_to_read(&self.ledger)
    }
}

/// Opens a ledger, and reports long waits for its lock.
pub fn open(path: &Path, timeout_s: f64) -> Result<Ledger> {
    Ok(Ledger::open(path)?.with_patience(Patience::telling(Duration::from_secs_f64(timeout_s))))
}

/// An observer that treats owners as dead on proof, or after this long without a heartbeat.
pub fn watch(stale_after: Duration) -> Watch {
    Watch::new(stale_after, job_is_gone)
}

/// Takes back tasks of dead owners. Proof of death counts at once. After `stale_after_s` seconds of watching, silence
/// counts too; 0: it never does.
fn reap(ledger: &Ledger, stale_after_s: f64, mut each: impl FnMut(Expired) -> Result<()>) -> Result<()> {
    let stale_after = Duration::from_secs_f64(stale_after_s);
    let mut watch = watch(if stale_after.is_zero() { Duration::MAX } else { stale_after });
    let mut end = None;
    loop {
        let over = end.is_some_and(|end| Instant::now() >= end);
        ledger.reap(&mut watch)?.into_iter().try_for_each(&mut each)?;
        if over || stale_after.is_zero() {
            return Ok(());
        }
        // The first look may have waited for the ledger's lock. The time counts from there.
        let end = *end.get_or_insert_with(|| Instant::now() + stale_after);
        ledger.pause(LOOK.min(end.saturating_duration_since(Instant::now())));
    }
}
