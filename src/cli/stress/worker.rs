//! One writer process of a stress run.

use super::board::{Board, Word};
use super::job::{Role, StressRun};
use super::turns::{Turns, now_ns};
use super::values::Batch;
use super::{changer, reader};
use crate::cli::exit::Exit;
use crate::cli::output::{json, line};
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::{ColumnLayout, Piece, Rows, pieces};
use h5part_base::error::At;
use h5part_base::storage::{Disk, Mode, Storage, StorageFile};
use h5part_engine::store::{Store, Writer};
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    dir: PathBuf,
    #[arg(value_enum)]
    role: Role,
    number: u64,
    /// First sequence number. Later lives of a worker do not repeat tokens.
    first_sequence: u64,
}

/// The last message of a worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    pub end_ns: u64,
}

/// The two ways to write a batch.
enum Target {
    Store(Box<Writer>),
    Bare(Bare),
}

/// Only addresses and a descriptor.
struct Bare {
    file: Box<dyn StorageFile>,
    layouts: Vec<ColumnLayout>,
    plan: Vec<Piece>,
}

impl super::super::Subcommand for WorkerArgs {
    fn run(&self) -> Result<Exit> {
        // A worker must not outlive a killed runner.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(std::io::Error::from)
            .at("start", &self.dir)?;
        let job = StressRun::load(&self.dir)?;
        let host = if self.role == Role::Writer { job.host_of(self.number) } else { 0 };
        let board = Board::open(&job, host)?;
        let end_ns = match self.role {
            Role::Writer => self.write(&job, &board)?,
            Role::Changer => changer::run(&job, &board, self.number, self.first_sequence, ready)?,
            Role::Reader => reader::run(&job, &board, job.seed ^ self.first_sequence, ready)?,
        };
        json(&Done { end_ns })?;
        Ok(Exit::Success)
    }
}

impl WorkerArgs {
    fn write(&self, job: &StressRun, board: &Board) -> Result<u64> {
        let mut target = Target::open(job)?;
        let mut turns = Turns::new(job, self.number, self.first_sequence, board);
        board.touch(job, self.number);
        let start_ns = ready()?;
        if job.host_of(self.number) > 0 {
            stop_with_input(Board::open(job, job.host_of(self.number))?);
        }
        let mut end_ns = start_ns;
        while let Some(turn) = turns.next(start_ns).filter(|_| !board.is_stopped()) {
            let begun = now_ns();
            target.commit(&turn.rows, &turn.batch, job)?;
            end_ns = now_ns();
            turn.acknowledge(board, self.number, begun, end_ns);
        }
        if !job.peers.is_empty() {
            board.write_out().at("write", &job.dir)?;
        }
        Ok(end_ns)
    }
}

/// Ends the writers of this host when standard input is closed. The parent is on another host, and cannot tell them by the
/// board.
fn stop_with_input(board: Board) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        board.word_of_all(Word::Stop).store(1, Ordering::Release);
    });
}

/// Reports that everything is set up, and waits for the common start.
fn ready() -> Result<u64> {
    line(format!("ready {}", std::process::id()))?;
    let mut start = String::new();
    std::io::stdin().lock().read_line(&mut start).map_err(ErrorKind::Io).at("read", "standard input")?;
    let start_ns: u64 = start.trim().parse().unwrap_or(0);
    wait_until(start_ns);
    Ok(start_ns)
}

impl Target {
    fn open(job: &StressRun) -> Result<Self> {
        let store = Store::open(job.file())?;
        if job.bare {
            let reader = store.reader(&job.table)?;
            let layout =
                |name: &str| reader.table().column(name).and_then(|c| c.direct().cloned()).at("stress", job.file());
            let layouts = ["E", "F", "status"].into_iter().map(layout).collect::<Result<Vec<_>>>()?;
            let file = Disk.open(&job.file(), Mode::Write).at("open", job.file())?;
            return Ok(Self::Bare(Bare { file, layouts, plan: Vec::new() }));
        }
        let mut writer = store.writer(&job.table)?;
        writer.set_durability(job.durability.into());
        Ok(Self::Store(Box::new(writer)))
    }

    fn commit(&mut self, rows: &Rows, batch: &Batch, job: &StressRun) -> Result<()> {
        match self {
            Self::Store(writer) => writer.commit(rows, &batch.sets()).map(|_| ()),
            Self::Bare(bare) => bare.write(rows, batch).at("stress", job.file()),
        }
    }
}

impl Bare {
    fn write(&mut self, rows: &Rows, batch: &Batch) -> Result<(), ErrorKind> {
        let runs = rows.runs()?;
        let columns: [&[u8]; 3] = [
            bytemuck::cast_slice(batch.energies.as_slice().unwrap_or_default()),
            bytemuck::cast_slice(batch.forces.as_slice().unwrap_or_default()),
            bytemuck::cast_slice(batch.statuses.as_slice().unwrap_or_default()),
        ];
        for (layout, bytes) in self.layouts.iter().zip(columns) {
            pieces(layout, &runs, &mut self.plan);
            for &Piece { address, value, len } in &self.plan {
                self.file.write_at(&bytes[value..value + len], address)?;
            }
        }
        Ok(())
    }
}

/// Sleeps, and spins only for the last moment, since there are fewer processors than writers.
fn wait_until(start_ns: u64) {
    const SPIN_NS: u64 = 200_000;
    let left = start_ns.saturating_sub(now_ns());
    std::thread::sleep(Duration::from_nanos(left.saturating_sub(SPIN_NS)));
    while now_ns() < start_ns {
        std::hint::spin_loop();
    }
}
