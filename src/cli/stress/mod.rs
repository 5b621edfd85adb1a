//! `h5part stress`: real processes commit to one file. At the end every row is checked.

mod board;
mod changer;
mod check;
mod job;
mod parent;
mod reader;
mod turns;
mod values;
mod worker;

pub use worker::WorkerArgs;

use super::common::{DurabilityArg, SharedArg, request, seconds};
use super::exit::Exit;
use super::output::{json, line};
use h5part::{ErrorKind, Result, Shared};
use h5part_base::dataspace::{ColumnSpec, Dtype};
use h5part_base::error::At;
use h5part_base::lock::{Gate, Paths, Patience, RowLocks};
use h5part_base::num::to_usize;
use h5part_base::storage::{Disk, Storage};
use h5part_engine::h5::{Filters, NewTable};
use h5part_engine::store::Store;
use job::{StressRun, Work};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const STRESS: &str = "stress";

/// Commit to one file from several processes at once, and check every row at the end.
///
/// Creates stress.h5 in DIR: table 'stress', columns E (f64), F (f64, row shape), status (i64). Commits each
/// row once unless --commits, --seconds or --kills is given. Exit code 1: an acknowledged row was lost, a row
/// was a mixture, even for a moment, or something could not be read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to work in; it must be empty or not exist.
    dir: PathBuf,
    /// Number of writer processes, on each host.
    #[arg(long, value_name = "P", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=512))]
    writers: u64,
    /// Number of rows.
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    rows: u64,
    /// Shape of a cell of F.
    #[arg(long, value_name = "SHAPE", default_value = "100x3")]
    row_shape: String,
    /// Rows per commit.
    #[arg(long, value_name = "B", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    batch: u64,
    /// Stop after this many commits in total, going over the rows repeatedly.
    #[arg(long, value_name = "C", conflicts_with = "seconds")]
    commits: Option<u64>,
    /// Commit for this many seconds, going over the rows repeatedly.
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<f64>,
    /// Let all writers commit to all rows, instead of each to its own.
    #[arg(long)]
    overlap: bool,
    /// Kill a random writer or changer about every MS milliseconds, and restart it.
    #[arg(long, value_name = "MS", conflicts_with = "bare", value_parser = clap::value_parser!(u64).range(1..))]
    kill_every: Option<u64>,
    /// Stop after K kills, going over the rows repeatedly.
    #[arg(long, value_name = "K", requires = "kill_every", conflicts_with_all = ["commits", "seconds"])]
    kills: Option<u64>,
    /// Number of processes that add tables, extend one, set attributes, commit to compressed columns, and
    /// recover [default: 1 with --kill-every, else 0].
    #[arg(long, value_name = "C", conflicts_with = "bare", value_parser = clap::value_parser!(u64).range(0..=64))]
    changers: Option<u64>,
    /// Number of processes that read and check every row [default: 1 with --kill-every, else 0].
    #[arg(long, value_name = "R", conflicts_with = "bare", value_parser = clap::value_parser!(u64).range(0..=64))]
    readers: Option<u64>,
    /// Also run writers on this host, which sees DIR under the same name. Can be given several times.
    #[arg(long, value_name = "HOST", conflicts_with_all = ["overlap", "bare"])]
    peer: Vec<String>,
    /// How to run a program on another host. {host} stands for its name; program and arguments follow.
    #[arg(long, value_name = "COMMAND", default_value = "ssh -o BatchMode=yes {host}", requires = "peer")]
    launch: String,
    /// Share the file between hosts in this way.
    #[arg(long, value_name = "KIND", env = "H5PART_SHARED", hide_env_values = true)]
    shared: Option<SharedArg>,
    /// What an acknowledged commit survives.
    #[arg(long, value_enum, default_value_t)]
    durability: DurabilityArg,
    /// Write the same bytes without locks, stamps and checksums, as a baseline for benchmarks.
    #[arg(long, conflicts_with_all = ["overlap", "commits", "seconds"])]
    bare: bool,
    /// Seed of all random choices [default: from the clock; reported].
    #[arg(long)]
    seed: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// The results.
#[derive(Debug, Serialize)]
struct Report {
    writers: u64,
    rows: u64,
    batch: u64,
    commits: u64,
    wall_s: f64,
    us_per_commit: f64,
    mb_per_s: f64,
    kills: u64,
    /// Rows with at least one acknowledged commit.
    acknowledged: u64,
    /// Acknowledged rows that do not hold what was acknowledged last.
    lost: u64,
    /// Rows that hold a mixture, or bytes that nobody wrote.
    torn: u64,
    /// Rows that cannot be read.
    unreadable: u64,
    /// Acknowledged structural changes, commits to compressed columns and recoveries.
    changes: u64,
    /// Rows that were read and checked during the run.
    rows_read: u64,
    seed: u64,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let job = self.job()?;
        prepare_folder(&self.dir)?;
        let shared = SharedArg::kind(self.shared);
        let store = Store::new(job.file())?.with_shared(shared);
        store.create(&table(&job), &|_, _| ())?;
        if job.changers > 0 {
            let filters = Filters { gzip: Some(1), shuffle: true };
            store.create(&NewTable { filters, ..table(&job.library()) }, &|_, _| ())?;
        }
        for changer in 0..job.changers {
            let column = ColumnSpec::new("x", Dtype::F64, &[10]);
            store.create(&NewTable::new(&changer::grows(changer), 25, vec![column]), &|_, _| ())?;
        }
        if shared == Shared::Local {
            dirty_pages(&job.file()).at("prepare", job.file())?;
        }
        let kills = parent::Kills { every: self.kill_every.map(Duration::from_millis), rounds: self.kills };
        let ran = parent::run(&job, kills)?;
        let found = check_all(&job, &store, &ran)?;
        let report = self.report(&job, &ran, &found);
        if self.json {
            json(&report)?;
        } else {
            report.print()?;
        }
        let sound = report.lost == 0 && report.torn == 0 && report.unreadable == 0;
        Ok(if sound { Exit::Success } else { Exit::Found })
    }
}

impl Args {
    fn job(&self) -> Result<StressRun> {
        let spec: ColumnSpec = format!("F:f64:{}", self.row_shape).parse().at(STRESS, &self.dir)?;
        let work = match (self.commits, self.seconds, self.kills) {
            (Some(commits), ..) => Work::Commits(commits),
            (_, Some(seconds), _) => Work::Seconds(seconds),
            (.., Some(_)) => Work::UntilStopped,
            _ => Work::EachRowOnce,
        };
        let companions = u64::from(self.kill_every.is_some());
        let hosts = 1 + self.peer.len() as u64;
        let launch = shlex::split(&self.launch).filter(|words| !words.is_empty());
        let launch = launch.ok_or_else(|| request(STRESS, &self.dir, "--launch is not a command"))?;
        if self.rows < self.writers * hosts && !self.overlap {
            return Err(request(STRESS, &self.dir, "each writer needs at least one row of its own"));
        }
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |t| t.as_nanos());
        Ok(StressRun {
            dir: std::path::absolute(&self.dir).at(STRESS, &self.dir)?,
            table: "stress".to_owned(),
            changers: self.changers.unwrap_or(companions),
            readers: self.readers.unwrap_or(companions),
            writers: self.writers * hosts,
            writers_per_host: self.writers,
            peers: self.peer.clone(),
            launch,
            rows: self.rows,
            row_shape: spec.shape,
            batch: self.batch,
            work,
            overlap: self.overlap,
            bare: self.bare,
            durability: self.durability,
            seed: self.seed.unwrap_or(u64::try_from(clock & u128::from(u32::MAX)).unwrap_or(1)),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn report(&self, job: &StressRun, ran: &parent::Ran, found: &check::Found) -> Report {
        let bytes = ran.rows * job.row_bytes();
        let commits = ran.commits.max(1) as f64;
        Report {
            writers: job.writers,
            rows: self.rows,
            batch: self.batch,
            commits: ran.commits,
            wall_s: ran.wall_s,
            us_per_commit: ran.wall_s / commits * 1e6,
            mb_per_s: bytes as f64 / ran.wall_s.max(1e-9) / 1e6,
            kills: ran.kills,
            acknowledged: found.acknowledged,
            lost: found.lost,
            torn: found.torn,
            unreadable: found.unreadable,
            changes: ran.changes,
            rows_read: ran.rows_read,
            seed: job.seed,
        }
    }
}

/// Checks that everything acknowledged is there for the next reader.
fn check_all(job: &StressRun, store: &Store, ran: &parent::Ran) -> Result<check::Found> {
    store.recover()?;
    let mut found = check::check(job, store)?;
    if job.changers > 0 {
        let library = check::check(&job.library(), store)?;
        found = found + check::Found { acknowledged: 0, ..library };
        found.lost += changer::missing(job, store)?;
    }
    found.torn += ran.torn_read;
    found.lost += ran.lost_read;
    Ok(found)
}

impl Report {
    fn print(&self) -> Result<()> {
        line(format!(
            "{} writers, {} commits of {} rows in {:.3} s: {:.1} us a commit, {:.0} MB/s, {} kills (seed {})",
            self.writers,
            self.commits,
            self.batch,
            self.wall_s,
            self.us_per_commit,
            self.mb_per_s,
            self.kills,
            self.seed
        ))?;
        if self.changes + self.rows_read > 0 {
            line(format!("{} structural changes, {} rows read meanwhile", self.changes, self.rows_read))?;
        }
        line(format!(
            "{} rows acknowledged; lost {}, torn {}, unreadable {}",
            self.acknowledged, self.lost, self.torn, self.unreadable
        ))
    }
}

/// Dirties the pages of the file. `create` syncs it, and the first write to a clean page costs the kernel much more
/// than later ones. Files that others just created (the peers' in `make bench-peers`) have dirty pages. Without this,
/// the benchmark would measure the page cache.
fn dirty_pages(path: &Path) -> Result<(), ErrorKind> {
    // This is done inside the gate, since it would otherwise look like a foreign write.
    let paths = Paths::of(path)?;
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let gate = Gate::open(&paths, &storage, Arc::new(RowLocks::open(&paths)?))?;
    let _gate = gate.enter_shared(&Patience::default())?;
    let file = gate.file();
    let len = file.identity()?.len;
    let mut buf = vec![0; 1 << 20];
    for address in (0..len).step_by(buf.len()) {
        let here = to_usize(len - address).min(buf.len());
        file.read_at(&mut buf[..here], address)?;
        file.write_at(&buf[..here], address)?;
    }
    Ok(())
}

fn prepare_folder(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).at("make", dir)?;
    match std::fs::read_dir(dir).at("look into", dir)?.next() {
        None => Ok(()),
        Some(_) => Err(request(STRESS, dir, "the folder is not empty")),
    }
}

fn table(job: &StressRun) -> NewTable {
    let fill_none = ColumnSpec { fill: (-1i64).to_le_bytes().to_vec(), ..ColumnSpec::new("status", Dtype::I64, &[]) };
    let columns =
        vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &job.row_shape), fill_none];
    NewTable::new(&job.table, job.rows, columns)
}
