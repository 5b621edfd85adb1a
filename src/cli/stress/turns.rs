//! Decides which rows a worker commits next, and makes their values.

use super::board::{Acknowledged, Board};
use super::job::{StressRun, Work};
use super::values::{Batch, Token};
use h5part_base::dataspace::Rows;
use h5part_base::num::to_usize;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Values are made before the clock starts, as far as they fit into this many bytes.
const MADE_BEFORE: u64 = 256 << 20;

/// A commit to make.
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

/// The sequence of commits.
pub struct Turns<'a> {
    job: &'a StressRun,
    writer: u64,
    sequence: u64,
    left: Option<u64>,
    /// Rows of each commit in a pass over this writer's rows.
    pass: Vec<Vec<u64>>,
    at: usize,
    /// Turns that are reused in order, since freeing memory takes time, too.
    made: Vec<Rc<Turn>>,
    handed_out: usize,
}

impl<'a> Turns<'a> {
    pub fn new(job: &'a StressRun, writer: u64, first_sequence: u64, board: &Board) -> Self {
        let mut rows: Vec<u64> = job.rows_of(writer).collect();
        if matches!(job.work, Work::EachRowOnce) {
            rows.retain(|&row| job.overlap || board.get(writer, row).is_none());
        } else {
            // Every writer starts at a different row.
            let by = rows.len().max(1);
            rows.rotate_left(usize::try_from(job.seed.wrapping_mul(writer + 1) % by as u64).unwrap_or(0));
        }
        let pass: Vec<Vec<u64>> = rows.chunks(to_usize(job.batch)).map(<[u64]>::to_vec).collect();
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

pub fn now_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}
