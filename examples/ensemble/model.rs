//! Data, probabilities, and the steps of a walker.

#![expect(clippy::cast_precision_loss, reason = "small counts, and 53 bits of random numbers")]

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// State `k`: polynomials of degree `k`.
pub const STATES: usize = 4;
pub const NAMES: [&str; STATES] = ["constant", "line", "parabola", "cubic"];

/// Points that were "measured", of a line.
const POINTS: usize = 40;
const TRUTH: [f64; 2] = [1.0, 2.0];
const NOISE: f64 = 0.3;
/// Width of what is known of a parameter before.
const PRIOR: f64 = 10.0;
/// Width of a step.
const STRIDE: f64 = 0.1;

/// Number of parameters of a state.
pub fn parameters(state: usize) -> usize {
    state + 1
}

/// Uniform in (0, 1].
fn unit(random: &mut ChaCha8Rng) -> f64 {
    ((random.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Of the normal distribution (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    (-2.0 * unit(random).ln()).sqrt() * (std::f64::consts::TAU * unit(random)).cos()
}

fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
}

/// The data: the same in every process.
fn data() -> Vec<(f64, f64)> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let x = |k: usize| 2.0 * k as f64 / (POINTS - 1) as f64 - 1.0;
    (0..POINTS).map(|k| (x(k), polynomial(&TRUTH, x(k)) + NOISE * normal(&mut random))).collect()
}

/// The logarithm of likelihood times prior, up to a constant.
fn log_probability(position: &[f64], data: &[(f64, f64)]) -> f64 {
    let square = |x: f64| x * x;
    let misfit: f64 = data.iter().map(|(x, y)| square((y - polynomial(position, *x)) / NOISE)).sum();
    let prior: f64 = position.iter().map(|c| square(c / PRIOR)).sum();
    -0.5 * (misfit + prior)
}

/// Schwarz's criterion: what a state needs is worth its parameters if this is small.
pub fn bic(state: usize, best_log_probability: f64) -> f64 {
    parameters(state) as f64 * (POINTS as f64).ln() - 2.0 * best_log_probability
}

/// Steps of a walker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Steps {
    /// Position after each step, one after the other.
    pub positions: Vec<f64>,
    /// Log probability there.
    pub log_probabilities: Vec<f64>,
}

impl Steps {
    /// Walks from a position, or from anywhere (Metropolis). What comes of it depends on these arguments
    /// alone.
    pub fn walk(state: usize, from: Option<Vec<f64>>, steps: usize, seed: u64) -> Self {
        let (mut random, data) = (ChaCha8Rng::seed_from_u64(seed), data());
        let mut here = from.unwrap_or_else(|| (0..parameters(state)).map(|_| normal(&mut random)).collect());
        let mut value = log_probability(&here, &data);
        let mut walked = Self { positions: Vec::new(), log_probabilities: Vec::new() };
        for _ in 0..steps {
            let there: Vec<f64> = here.iter().map(|x| x + STRIDE * normal(&mut random)).collect();
            let other = log_probability(&there, &data);
            if unit(&mut random).ln() < other - value {
                (here, value) = (there, other);
            }
            walked.positions.extend(&here);
            walked.log_probabilities.push(value);
        }
        walked
    }

    /// Where the walker stands now.
    pub fn last_position(&self) -> &[f64] {
        let parameters = self.positions.len() / self.log_probabilities.len();
        &self.positions[self.positions.len() - parameters..]
    }
}
