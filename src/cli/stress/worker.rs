//! One writer process of a stress run.

use super::board::{Acknowledged, Board};
use super::job::{Job, Role, Work};
use super::values::{Batch, Token};
use super::{changer, reader};
use crate::cli::exit::Exit;
use crate::cli::output::{json, line};
use h5part::dataspace::{ColumnLayout, Piece, Rows, pieces};
use h5part::error::At;
use h5part::storage::{Disk, Mode, Storage, StorageFile};
use h5part::store::{Store, Writer};
use h5part::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Values are made before the clock starts as far as they fit into this, in bytes.
const MADE_BEFORE: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub struct WorkerArgs {
    dir: PathBuf,
    #[arg(value_enum)]
    role: Role,
    number: u64,
    /// Sequence numbers start here: later lives of a worker don't repeat tokens.
    first_sequence: u64,
}

/// A worker's last word.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    pub end_ns: u64,
}

/// Either way to write a batch.
enum Target {
    Store(Box<Writer>),
    Bare(Bare),
}

/// Addresses and a descriptor: nothing else.
struct Bare {
    file: Box<dyn StorageFile>,
    layouts: Vec<ColumnLayout>,
    plan: Vec<Piece>,
}

impl WorkerArgs {
    pub fn run(&self) -> Result<Exit> {
        // A worker must not outlive a runner that was killed.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(std::io::Error::from)
            .at("start", &self.dir)?;
        let job = Job::load(&self.dir)?;
        let board = Board::open(&job)?;
        let end_ns = match self.role {
            Role::Writer => self.write(&job, &board)?,
            Role::Changer => changer::run(&job, &board, self.number, self.first_sequence, ready)?,
            Role::Reader => reader::run(&job, &board, job.seed ^ self.first_sequence, ready)?,
        };
        json(&Done { end_ns })?;
        Ok(Exit::Success)
    }

    fn write(&self, job: &Job, board: &Board) -> Result<u64> {
        let mut target = Target::open(job)?;
        let mut turns = Turns::new(job, self.number, self.first_sequence, board);
        board.touch(job, self.number);
        let start_ns = ready()?;
        let mut end_ns = start_ns;
        while let Some(turn) = turns.next(start_ns).filter(|_| !board.is_stopped()) {
            let begun = now_ns();
            target.commit(&turn.rows, &turn.batch, job)?;
            end_ns = now_ns();
            turn.acknowledge(board, self.number, begun, end_ns);
        }
        Ok(end_ns)
    }
}

/// Says that all is set up, and waits for the common start.
fn ready() -> Result<u64> {
    line("ready")?;
    let mut start = String::new();
    std::io::stdin().lock().read_line(&mut start).map_err(ErrorKind::Io).at("read", "standard input")?;
    let start_ns: u64 = start.trim().parse().unwrap_or(0);
    wait_until(start_ns);
    Ok(start_ns)
}

/// One commit to make.
pub struct Turn {
    pub rows: Rows,
    pub token: Token,
    pub batch: Batch,
}

impl Turn {
    pub fn acknowledge(&self, board: &Board, writer: u64, start_ns: u64, end_ns: u64) {
        board.count(writer, self.rows.len());
        for row in self.rows.iter() {
            board.set(writer, row, Acknowledged { token: self.token.0, start_ns, end_ns });
        }
    }
}

/// Which rows come next, and their values.
pub struct Turns<'a> {
    job: &'a Job,
    writer: u64,
    sequence: u64,
    left: Option<u64>,
    /// Rows of each commit of a pass over this writer's rows.
    pass: Vec<Vec<u64>>,
    at: usize,
    /// Handed out in turn and kept: giving memory back takes time, too.
    made: Vec<Rc<Turn>>,
    handed_out: usize,
}

impl<'a> Turns<'a> {
    pub fn new(job: &'a Job, writer: u64, first_sequence: u64, board: &Board) -> Self {
        let mut rows: Vec<u64> = job.rows_of(writer).collect();
        if matches!(job.work, Work::EachRowOnce) {
            rows.retain(|&row| job.overlap || board.get(writer, row).is_none());
        } else {
            // Every writer goes its own way round the rows.
            let by = rows.len().max(1);
            rows.rotate_left(usize::try_from(job.seed.wrapping_mul(writer + 1) % by as u64).unwrap_or(0));
        }
        let pass: Vec<Vec<u64>> =
            rows.chunks(usize::try_from(job.batch).unwrap_or(usize::MAX)).map(<[u64]>::to_vec).collect();
        let left = match job.work {
            Work::EachRowOnce => Some(pass.len() as u64),
            Work::Commits(commits) => Some(job.share(commits, writer).saturating_sub(board.counted(writer).0)),
            Work::Seconds(_) | Work::UntilStopped => None,
        };
        let mut turns =
            Self { job, writer, sequence: first_sequence, left, pass, at: 0, made: Vec::new(), handed_out: 0 };
        turns.make_before();
        turns
    }

    fn make_before(&mut self) {
        let bytes = self.job.row_bytes() * self.job.batch;
        let count = self.left.unwrap_or(0);
        if count.saturating_mul(bytes) <= MADE_BEFORE {
            self.made = (0..count).map_while(|_| self.make()).collect();
        }
    }

    fn make(&mut self) -> Option<Rc<Turn>> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(1)?;
        }
        let rows = self.pass.get(self.at % self.pass.len().max(1))?;
        let token = Token::new(self.writer, self.sequence);
        let batch = Batch::new(token, rows, &self.job.row_shape, self.job.elements());
        self.at += 1;
        self.sequence += 1;
        Some(Rc::new(Turn { rows: Rows::list(rows), token, batch }))
    }

    pub fn next(&mut self, start_ns: u64) -> Option<Rc<Turn>> {
        if let Work::Seconds(seconds) = self.job.work
            && Duration::from_nanos(now_ns().saturating_sub(start_ns)).as_secs_f64() >= seconds
        {
            return None;
        }
        self.handed_out += 1;
        self.made.get(self.handed_out - 1).cloned().or_else(|| self.make())
    }
}

impl Target {
    fn open(job: &Job) -> Result<Self> {
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

    fn commit(&mut self, rows: &Rows, batch: &Batch, job: &Job) -> Result<()> {
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

pub fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Sleeps, and spins for the last moment only: all writers together have fewer processors.
fn wait_until(start_ns: u64) {
    const SPIN_NS: u64 = 200_000;
    let left = start_ns.saturating_sub(now_ns());
    std::thread::sleep(Duration::from_nanos(left.saturating_sub(SPIN_NS)));
    while now_ns() < start_ns {
        std::hint::spin_loop();
    }
}
