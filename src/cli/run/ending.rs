//! What a run leaves to report at its end.

use super::told::Attempt;
use serde::Serialize;
use std::fs::OpenOptions;
use std::path::Path;

/// Number of slowest tasks to report.
pub const SLOWEST: usize = 5;

/// What a run leaves to report at its end.
#[derive(Debug, Default)]
pub struct Ending {
    /// Why it was stopped early.
    pub stopped: Option<String>,
    /// The slowest attempts seen.
    pub slowest: Vec<Slow>,
}

/// One attempt at a task.
#[derive(Clone, Debug, Serialize)]
pub struct Slow {
    pub name: String,
    pub wall_s: f64,
    pub failed: bool,
}

/// A log that cannot be written to does not belong to this run.
pub fn is_ours(log: &Path) -> bool {
    OpenOptions::new().append(true).open(log).is_ok()
}

/// Keeps an attempt if it is one of the slowest.
pub fn add_slow(slowest: &mut Vec<Slow>, attempt: &Attempt, wall_s: f64, failed: bool) {
    if slowest.len() < SLOWEST || slowest.last().is_some_and(|last| wall_s > last.wall_s) {
        slowest.push(Slow { name: attempt.task.clone(), wall_s, failed });
        slowest.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
        slowest.truncate(SLOWEST);
    }
}
