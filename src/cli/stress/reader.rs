//! A process that reads beside the writers and checks every row that it sees.

use super::board::{Board, Word};
use super::check::{acknowledged, check_row, read_rows};
use super::job::StressRun;
use super::turns::now_ns;
use h5part::Result;
use h5part_engine::store::{Reader, Store};
use std::sync::atomic::Ordering;

/// Rows per read.
const BLOCK: u64 = 64;

/// Reads until the parent says stop. Returns when it ended.
pub fn run(job: &StressRun, board: &Board, seed: u64, ready: fn() -> Result<u64>) -> Result<u64> {
    let store = Store::open(job.file())?;
    let library = job.library();
    let mut direct = store.reader(&job.table)?;
    let mut compressed =
        if job.changers > 0 { Some((store.reader(&library.table)?, Board::open(&library, 0)?)) } else { None };
    ready()?;
    let mut random = seed | 1;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below.max(1)
    };
    while !board.is_stopped() {
        for _ in 0..8 {
            look(job, board, board, &mut direct, next(job.rows))?;
        }
        if let Some((reader, theirs)) = &mut compressed {
            look(&library, theirs, board, reader, next(library.rows))?;
        }
    }
    Ok(now_ns())
}

/// Reads a block of rows. Each must be whole, and no older than what was acknowledged before. A row that is not there
/// may be one that a dead writer left and nobody has recovered yet.
fn look(job: &StressRun, board: &Board, counts: &Board, reader: &mut Reader, first: u64) -> Result<()> {
    let rows = first..(first + BLOCK).min(job.rows);
    let before: Vec<_> = rows.clone().map(|row| acknowledged(job, row, |_| board)).collect();
    let block = read_rows(job, reader, rows.clone())?;
    for (row, before) in rows.clone().zip(&before) {
        let seen = block.row(row);
        let found = check_row(job, before, &seen);
        counts.word_of_all(Word::TornRead).fetch_add(found.torn, Ordering::Relaxed);
        if seen.is_there() && found.torn == 0 {
            counts.word_of_all(Word::LostRead).fetch_add(found.lost, Ordering::Relaxed);
        }
    }
    counts.word_of_all(Word::RowsRead).fetch_add(rows.end - rows.start, Ordering::Relaxed);
    Ok(())
}
