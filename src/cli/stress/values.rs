//! Values that identify their writer. All values of a row follow from one token, so a mixture of two commits, or of two
//! rows, cannot pass for either.

use h5part_base::num::to_usize;
use h5part_engine::store::Values;
use ndarray::{Array1, ArrayD, IxDyn};

/// Number of a commit: `sequence * 512 + writer`, sequences counting from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

const WRITERS: u64 = 512;

impl Token {
    pub fn new(writer: u64, sequence: u64) -> Self {
        Self(sequence * WRITERS + writer)
    }

    pub fn writer(self) -> u64 {
        self.0 % WRITERS
    }

    pub fn sequence(self) -> u64 {
        self.0 / WRITERS
    }

    /// The token that a row's status names, if it is a possible one.
    pub fn of_status(status: i64, writers: u64) -> Option<Self> {
        let token = Self(u64::try_from(status).ok()?);
        (token.sequence() > 0 && token.writer() < writers).then_some(token)
    }

    #[expect(clippy::cast_precision_loss, reason = "any function of token and row will do")]
    pub fn energy(self, row: u64) -> f64 {
        self.0 as f64 + row as f64 / 8.0
    }

    /// Element `j` of the row's cell of F.
    #[expect(clippy::cast_precision_loss, reason = "any function of token and row will do")]
    pub fn force(self, row: u64, j: usize) -> f64 {
        self.energy(row) + j as f64 * 1e-3
    }

    #[expect(clippy::cast_possible_wrap, reason = "tokens are far below 2^63")]
    pub fn status(self) -> i64 {
        self.0 as i64
    }
}

/// Values of one commit.
#[derive(Debug)]
pub struct Batch {
    pub energies: Array1<f64>,
    pub forces: ArrayD<f64>,
    pub statuses: Array1<i64>,
}

impl Batch {
    pub fn new(token: Token, rows: &[u64], row_shape: &[u64], elements: usize) -> Self {
        let mut shape = vec![rows.len()];
        shape.extend(row_shape.iter().map(|&n| to_usize(n)));
        let mut forces = Vec::with_capacity(rows.len() * elements);
        for &row in rows {
            forces.extend((0..elements).map(|j| token.force(row, j)));
        }
        Self {
            energies: rows.iter().map(|&row| token.energy(row)).collect(),
            // By construction the length is the product of the shape.
            forces: ArrayD::from_shape_vec(IxDyn(&shape), forces).unwrap_or_default(),
            statuses: Array1::from_elem(rows.len(), token.status()),
        }
    }

    pub fn sets(&self) -> [(&'static str, Values<'_>); 3] {
        [
            ("E", Values::from(&self.energies)),
            ("F", Values::from(&self.forces)),
            ("status", Values::from(&self.statuses)),
        ]
    }
}
