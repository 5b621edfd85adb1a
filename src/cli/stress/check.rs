//! Checks after the run that every row holds exactly what was acknowledged last.

use super::board::{Acknowledged, Board, Boards};
use super::job::StressRun;
use super::values::Token;
use h5part::{ErrorKind, Result};
use h5part_base::dataspace::Rows;
use h5part_base::error::At;
use h5part_base::num::to_usize;
use h5part_engine::store::{Block, CellState, Reader, Store};
use rayon::prelude::*;
use std::ops::Range;

/// Values are checked in portions of about this many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// Counts of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// A row as it is in the file.
pub struct Row<'a> {
    row: u64,
    energy: f64,
    forces: &'a [f64],
    status: i64,
    states: [CellState; 3],
}

pub fn check(job: &StressRun, store: &Store) -> Result<Found> {
    let boards = Boards::open(job)?;
    let portion = (PORTION_BYTES / job.row_bytes()).max(1);
    let portions: Vec<u64> = (0..job.rows.div_ceil(portion)).collect();
    let found = portions.into_par_iter().map(|k| {
        let rows = k * portion..((k + 1) * portion).min(job.rows);
        check_portion(job, store, &boards, rows)
    });
    Ok(found.reduce(Found::default, |a, b| a + b))
}

fn check_portion(job: &StressRun, store: &Store, boards: &Boards, rows: Range<u64>) -> Found {
    let read = store.reader(&job.table).and_then(|mut reader| read_rows(job, &mut reader, rows.clone()));
    match read {
        Ok(block) => {
            let acknowledged = rows.clone().map(|row| acknowledged(job, row, |writer| boards.of(job, writer)));
            rows.clone()
                .zip(acknowledged)
                .fold(Found::default(), |all, (row, acks)| all + check_row(job, &acks, &block.row(row)))
        }
        Err(error) => {
            eprintln!("h5part: {error}");
            Found { unreadable: rows.end - rows.start, ..Found::default() }
        }
    }
}

impl Row<'_> {
    /// Whether all of its cells have a value.
    pub fn is_there(&self) -> bool {
        self.states.iter().all(|state| state.is_present())
    }
}

/// Some rows that were read together.
pub struct Seen {
    first: u64,
    elements: usize,
    energies: Vec<f64>,
    forces: Vec<f64>,
    statuses: Vec<i64>,
    states: [Vec<CellState>; 3],
}

impl Seen {
    pub fn row(&self, row: u64) -> Row<'_> {
        let k = to_usize(row - self.first);
        Row {
            row,
            energy: self.energies[k],
            forces: &self.forces[k * self.elements..(k + 1) * self.elements],
            status: self.statuses[k],
            states: [self.states[0][k], self.states[1][k], self.states[2][k]],
        }
    }
}

pub fn read_rows(job: &StressRun, reader: &mut Reader, rows: Range<u64>) -> Result<Seen> {
    let first = rows.start;
    let blocks = reader.read_columns(&["E", "F", "status"], &Rows::range(rows))?;
    Ok(Seen {
        first,
        elements: job.elements(),
        energies: values::<f64>(&blocks[0], job)?,
        forces: values::<f64>(&blocks[1], job)?,
        statuses: values::<i64>(&blocks[2], job)?,
        states: [0, 1, 2].map(|k: usize| blocks[k].states().to_vec()),
    })
}

/// The last acknowledged commits of a row, one per writer. `board` gives the board of a writer.
pub fn acknowledged<'a>(job: &StressRun, row: u64, board: impl Fn(u64) -> &'a Board) -> Vec<Acknowledged> {
    let writers = (0..job.writers).filter(|&w| job.rows_of(w).contains(&row));
    writers.filter_map(|w| board(w).get(w, row)).collect()
}

fn values<T: h5part_engine::store::Element>(block: &Block, job: &StressRun) -> Result<Vec<T>> {
    let array = block.array::<T>().at("check", &job.dir)?;
    array.as_slice().map(<[T]>::to_vec).ok_or_else(|| ErrorKind::BadRequest("layout".to_owned())).at("check", &job.dir)
}

/// Checks that the row is whole, and that it holds what was acknowledged.
pub fn check_row(job: &StressRun, acknowledged: &[Acknowledged], row: &Row<'_>) -> Found {
    let mut found = Found { acknowledged: u64::from(!acknowledged.is_empty()), ..Found::default() };
    if row.states.contains(&CellState::Changed) {
        found.torn = 1;
        return found;
    }
    if row.states.iter().any(|s| !s.is_present()) {
        // A commit covers all columns or none.
        found.torn = u64::from(row.states.iter().any(|s| s.is_present()));
        found.lost = found.acknowledged;
        return found;
    }
    let Some(token) = Token::of_status(row.status, job.writers).filter(|&t| is_whole(t, row)) else {
        found.torn = 1;
        return found;
    };
    found.lost = u64::from(acknowledged.iter().any(|last| is_lost(token, last, acknowledged)));
    found
}

#[expect(clippy::float_cmp, reason = "the very same bits are expected")]
fn is_whole(token: Token, row: &Row<'_>) -> bool {
    row.energy == token.energy(row.row) && row.forces.iter().enumerate().all(|(j, &f)| f == token.force(row.row, j))
}

/// Whether an acknowledged commit should be there instead of `token`.
fn is_lost(token: Token, last: &Acknowledged, all: &[Acknowledged]) -> bool {
    let acknowledged = Token(last.token);
    if acknowledged.writer() == token.writer() {
        // A later commit of the same writer may be there without an acknowledgement.
        return token < acknowledged;
    }
    // The value is another writer's. Its commit must not have ended before this one began.
    let other = all.iter().find(|a| Token(a.token).writer() == token.writer());
    other.is_some_and(|other| other.token == token.0 && other.end_ns < last.start_ns)
}
