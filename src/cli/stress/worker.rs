//! One writer process of a stress run.

use super::board::{Acknowledged, Board};
use super::job::{Job, TABLE, Work};
use super::values::{Batch, Token};
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
    writer: u64,
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
        let mut target = Target::open(&job)?;
        let mut turns = Turns::new(&job, self, &board);
        board.touch(&job, self.writer);
        line("ready")?;
        let mut start = String::new();
        std::io::stdin().lock().read_line(&mut start).map_err(ErrorKind::Io).at("read", "standard input")?;
        let start_ns: u64 = start.trim().parse().unwrap_or(0);
        wait_until(start_ns);
        let mut done = Done { end_ns: start_ns };
        while let Some(turn) = turns.next(start_ns) {
            let begun = now_ns();
            target.commit(&turn.rows, &turn.batch, &job)?;
            done = Done { end_ns: now_ns() };
            board.count(self.writer, turn.rows.len());
            for row in turn.rows.iter() {
                board.set(self.writer, row, Acknowledged { token: turn.token.0, start_ns: begun, end_ns: done.end_ns });
            }
        }
        drop(target);
        json(&done)?;
        Ok(Exit::Success)
    }
}

/// One commit to make.
struct Turn {
    rows: Rows,
    token: Token,
    batch: Batch,
}

/// Which rows come next, and their values.
struct Turns<'a> {
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
    fn new(job: &'a Job, args: &WorkerArgs, board: &Board) -> Self {
        let mut rows: Vec<u64> = job.rows_of(args.writer).collect();
        if matches!(job.work, Work::EachRowOnce) {
            rows.retain(|&row| job.overlap || board.get(args.writer, row).is_none());
        } else {
            // Every writer goes its own way round the rows.
            let by = rows.len().max(1);
            rows.rotate_left(usize::try_from(job.seed.wrapping_mul(args.writer + 1) % by as u64).unwrap_or(0));
        }
        let pass: Vec<Vec<u64>> =
            rows.chunks(usize::try_from(job.batch).unwrap_or(usize::MAX)).map(<[u64]>::to_vec).collect();
        let left = match job.work {
            Work::EachRowOnce => Some(pass.len() as u64),
            Work::Commits(commits) => {
                Some(job.share(commits, args.writer).saturating_sub(board.counted(args.writer).0))
            }
            Work::Seconds(_) => None,
        };
        let mut turns = Self {
            job,
            writer: args.writer,
            sequence: args.first_sequence,
            left,
            pass,
            at: 0,
            made: Vec::new(),
            handed_out: 0,
        };
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

    fn next(&mut self, start_ns: u64) -> Option<Rc<Turn>> {
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
            let reader = store.reader(TABLE)?;
            let layout =
                |name: &str| reader.table().column(name).and_then(|c| c.direct().cloned()).at("stress", job.file());
            let layouts = ["E", "F", "status"].into_iter().map(layout).collect::<Result<Vec<_>>>()?;
            let file = Disk.open(&job.file(), Mode::Write).at("open", job.file())?;
            return Ok(Self::Bare(Bare { file, layouts, plan: Vec::new() }));
        }
        let mut writer = store.writer(TABLE)?;
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
