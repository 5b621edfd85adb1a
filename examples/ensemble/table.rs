//! What is in the file: a table for each state that grows by blocks, a row for each step of all walkers.

use crate::Result;
use crate::model::{self, STATES, Steps};
use h5part::{Attribute, Block, Reader, Store, Table, Writer};
use ndarray::{Array2, Array3};
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;
use std::path::Path;

/// Walkers in a state.
pub const WALKERS: usize = 8;
/// Steps in a block: rows of a commit.
pub const BLOCK: usize = 50;

/// f64, (steps, walkers, parameters).
const SAMPLES: &str = "samples";
/// f64, (steps, walkers).
const LOG_PROBABILITY: &str = "log probability";
const SEED: &str = "seed";

fn path(state: usize) -> String {
    format!("states/{}", model::NAMES[state])
}

/// Makes the tables, each with room for a block. Those that are there must be of the same seed.
pub fn make(file: &Path, seed: u32) -> Result<()> {
    for state in 0..STATES {
        let path = path(state);
        let store = Store::require(file, description(&path, state, seed))?;
        let found = store.attribute(&path, SEED)?;
        if !matches!(found, Some(Attribute::Int(found)) if found == i64::from(seed)) {
            return Err(format!("{}: another seed than {seed}: {found:?}", file.display()).into());
        }
    }
    Ok(())
}

fn description(path: &str, state: usize, seed: u32) -> Table {
    Table::new(path, BLOCK as u64)
        .column::<f64>(SAMPLES, [WALKERS as u64, model::parameters(state) as u64])
        .column::<f64>(LOG_PROBABILITY, [WALKERS as u64])
        .chunk_rows(BLOCK as u64)
        .attribute(SEED, i64::from(seed))
}

fn rows(block: u64) -> Range<u64> {
    block * BLOCK as u64..(block + 1) * BLOCK as u64
}

/// The table of a state.
pub struct Chains {
    store: Store,
    path: String,
    parameters: usize,
    reader: Reader,
    writer: Writer,
}

/// What is in the table of a state.
pub struct Found {
    /// Positions of all walkers.
    pub samples: usize,
    /// The largest log probability.
    pub best: f64,
    /// Of all bits.
    pub digest: u64,
}

impl Chains {
    pub fn open(store: &Store, state: usize) -> Result<Self> {
        let path = path(state);
        let (reader, writer) = (store.reader(&path)?, store.writer(&path)?);
        Ok(Self { store: store.clone(), path, parameters: model::parameters(state), reader, writer })
    }

    /// A block's samples and log probabilities, if all of it was committed.
    fn columns(&mut self, block: u64) -> Result<Option<Vec<Block>>> {
        if self.reader.rows() < (block + 1) * BLOCK as u64 {
            return Ok(None);
        }
        let columns = self.reader.read_columns(&[SAMPLES, LOG_PROBABILITY], rows(block))?;
        let is_there = columns.iter().all(|column| column.mask().iter().all(|there| *there));
        Ok(is_there.then_some(columns))
    }

    /// Steps of all walkers, if the block is there.
    pub fn read(&mut self, block: u64) -> Result<Option<Vec<Steps>>> {
        let Some(columns) = self.columns(block)? else { return Ok(None) };
        let samples = columns[0].array::<f64>()?.into_shape_with_order((BLOCK, WALKERS, self.parameters))?;
        let values = columns[1].array::<f64>()?.into_shape_with_order((BLOCK, WALKERS))?;
        let steps = |walker: usize| Steps {
            positions: samples.slice(ndarray::s![.., walker, ..]).iter().copied().collect(),
            log_probabilities: values.column(walker).to_vec(),
        };
        Ok(Some((0..WALKERS).map(steps).collect()))
    }

    /// Commits a block, for which the table grows if it has to. Other processes commit to other tables of
    /// the file meanwhile. Returns when the block survives a loss of power.
    pub fn commit(&mut self, block: u64, steps: &[Steps]) -> Result<()> {
        let needed = (block + 1) * BLOCK as u64;
        if self.writer.rows() < needed {
            self.store.extend(&self.path, needed)?;
        }
        let n = self.parameters;
        let sample = |(step, walker, k): (usize, usize, usize)| steps[walker].positions[step * n + k];
        let samples = Array3::from_shape_fn((BLOCK, WALKERS, n), sample);
        let value = |(step, walker): (usize, usize)| steps[walker].log_probabilities[step];
        let values = Array2::from_shape_fn((BLOCK, WALKERS), value);
        self.writer.commit(rows(block)).set(SAMPLES, &samples).set(LOG_PROBABILITY, &values).run()?;
        Ok(())
    }

    pub fn look(&mut self, blocks: u64) -> Result<Found> {
        let (mut found, mut hasher) = (Found { samples: 0, best: f64::MIN, digest: 0 }, DefaultHasher::new());
        for block in 0..blocks {
            let columns = self.columns(block)?.ok_or_else(|| format!("block {block} of {} is not there", self.path))?;
            for column in &columns {
                hasher.write(column.bytes());
            }
            let values = columns[1].array::<f64>()?;
            found.samples += values.len();
            found.best = values.iter().copied().fold(found.best, f64::max);
        }
        found.digest = hasher.finish();
        Ok(found)
    }
}
