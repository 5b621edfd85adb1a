//! After the run: does every row hold exactly what was acknowledged last?

use super::board::{Acknowledged, Board};
use super::job::{Job, TABLE};
use super::values::Token;
use h5part::dataspace::Rows;
use h5part::error::At;
use h5part::store::{Block, CellState, Store};
use h5part::{ErrorKind, Result};
use rayon::prelude::*;

/// Values are checked in portions of about this, in bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// Counts of rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub acknowledged: u64,
    pub lost: u64,
    pub torn: u64,
    pub unreadable: u64,
}

impl std::ops::Add for Found {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + other.acknowledged,
            lost: self.lost + other.lost,
            torn: self.torn + other.torn,
            unreadable: self.unreadable + other.unreadable,
        }
    }
}

/// One row as it is in the file.
struct Row<'a> {
    row: u64,
    energy: f64,
    forces: &'a [f64],
    status: i64,
    states: [CellState; 3],
}

pub fn check(job: &Job, store: &Store) -> Result<Found> {
    let board = Board::open(job)?;
    let portion = (PORTION_BYTES / job.row_bytes()).max(1);
    let portions: Vec<u64> = (0..job.rows.div_ceil(portion)).collect();
    let found = portions.into_par_iter().map(|k| {
        let rows = k * portion..((k + 1) * portion).min(job.rows);
        check_portion(job, store, &board, rows)
    });
    found.try_reduce(Found::default, |a, b| Ok(a + b))
}

fn check_portion(job: &Job, store: &Store, board: &Board, rows: std::ops::Range<u64>) -> Result<Found> {
    let mut reader = match store.reader(TABLE) {
        Ok(reader) => reader,
        Err(e) => {
            eprintln!("h5part: {e}");
            return Ok(Found { unreadable: rows.end - rows.start, ..Found::default() });
        }
    };
    let selection = Rows::range(rows.clone());
    let mut read = |name| reader.read(name, &selection);
    let (e, f, s) = match (read("E"), read("F"), read("status")) {
        (Ok(e), Ok(f), Ok(s)) => (e, f, s),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
            eprintln!("h5part: {error}");
            return Ok(Found { unreadable: rows.end - rows.start, ..Found::default() });
        }
    };
    let (energies, forces, statuses) = (values::<f64>(&e, job)?, values::<f64>(&f, job)?, values::<i64>(&s, job)?);
    let elements = job.elements();
    let mut found = Found::default();
    for (k, row) in rows.enumerate() {
        let forces = &forces[k * elements..(k + 1) * elements];
        let states = [e.states()[k], f.states()[k], s.states()[k]];
        found = found + check_row(job, board, &Row { row, energy: energies[k], forces, status: statuses[k], states });
    }
    Ok(found)
}

fn values<T: h5part::store::Element>(block: &Block, job: &Job) -> Result<Vec<T>> {
    let array = block.array::<T>().at("check", &job.dir)?;
    array.as_slice().map(<[T]>::to_vec).ok_or_else(|| ErrorKind::BadRequest("layout".to_owned())).at("check", &job.dir)
}

fn check_row(job: &Job, board: &Board, row: &Row<'_>) -> Found {
    let writers = (0..job.writers).filter(|&w| job.rows_of(w).contains(&row.row));
    let acknowledged: Vec<Acknowledged> = writers.filter_map(|w| board.get(w, row.row)).collect();
    let mut found = Found { acknowledged: u64::from(!acknowledged.is_empty()), ..Found::default() };
    if row.states.contains(&CellState::Changed) {
        found.torn = 1;
        return found;
    }
    if row.states.iter().any(|s| !s.is_present()) {
        // All or nothing, over all columns.
        found.torn = u64::from(row.states.iter().any(|s| s.is_present()));
        found.lost = found.acknowledged;
        return found;
    }
    let Some(token) = Token::of_status(row.status, job.writers).filter(|&t| is_whole(t, row)) else {
        found.torn = 1;
        return found;
    };
    found.lost = u64::from(acknowledged.iter().any(|last| is_lost(token, last, &acknowledged)));
    found
}

#[expect(clippy::float_cmp, reason = "the very same bits are expected")]
fn is_whole(token: Token, row: &Row<'_>) -> bool {
    row.energy == token.energy(row.row) && row.forces.iter().enumerate().all(|(j, &f)| f == token.force(row.row, j))
}

/// Whether an acknowledged commit should have been there instead of `token`.
fn is_lost(token: Token, last: &Acknowledged, all: &[Acknowledged]) -> bool {
    let acknowledged = Token(last.token);
    if acknowledged.writer() == token.writer() {
        // A later one of the same writer may be there without having been acknowledged.
        return token < acknowledged;
    }
    // Another writer's value is there: it must not have ended before this commit began.
    let other = all.iter().find(|a| Token(a.token).writer() == token.writer());
    other.is_some_and(|other| other.token == token.0 && other.end_ns < last.start_ns)
}
