//! Counts failures by cause, so that a thousand of one kind make one line.

use super::told::Failed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A run is stopped when this many tasks, and twice as many as run at once, have failed for the same reason.
const FEW: u64 = 5;
/// Most causes that are reported when they first occur.
pub const TOLD: usize = 20;

/// Causes in the order in which they first occurred.
#[derive(Debug, Default)]
pub struct Causes {
    places: BTreeMap<String, usize>,
    all: Vec<Cause>,
    /// Whether any task was done.
    any_done: bool,
    asked: bool,
}

/// All tasks that failed for the same reason.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    pub text: String,
    /// Number of failed attempts.
    pub attempts: u64,
    /// Whether a failure with this cause was reported.
    pub told: bool,
    /// Numbers of the tasks, kept as long as it matters whether they differ.
    pub tasks: BTreeSet<u32>,
    /// Name of the first of them.
    pub first: String,
    /// A log of one of them.
    pub log: Option<PathBuf>,
}

impl Causes {
    /// Number of causes that were not reported individually, because there are too many.
    pub fn untold(&self) -> usize {
        self.all.len().saturating_sub(TOLD)
    }

    /// Counts a failure. Returns whether to report it: it is the first with its cause, and there are few causes.
    pub fn add(&mut self, failed: &Failed, may_tell: bool) -> bool {
        let (place, count) = (self.places.get(&failed.cause).copied(), self.all.len());
        let place = place.unwrap_or_else(|| {
            self.places.insert(failed.cause.clone(), count);
            let first = failed.attempt.task.clone();
            self.all.push(Cause { text: failed.cause.clone(), first, ..Cause::default() });
            count
        });
        let cause = &mut self.all[place];
        cause.attempts += 1;
        if !self.asked {
            cause.tasks.insert(failed.attempt.index);
        }
        cause.log = cause.log.take().or_else(|| failed.log.clone());
        let is_told = may_tell && !cause.told && place < TOLD;
        cause.told |= is_told;
        is_told
    }

    /// A task is done, so not all tasks fail for the same reason.
    pub fn done(&mut self) {
        self.any_done = true;
    }

    /// The reason for which all of the first tasks failed, if there were enough of them. It is returned only once.
    pub fn hopeless(&mut self, at_a_time: usize) -> Option<Cause> {
        let enough = FEW.max(2 * at_a_time as u64);
        match self.all.as_slice() {
            [one] if !self.any_done && !self.asked && one.tasks.len() as u64 >= enough => {
                self.asked = true;
                Some(one.clone())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::told::Attempt;
    use super::*;

    fn failed(index: u32, cause: &str) -> Failed {
        let attempt = Attempt { task: format!("t {index}"), index, attempt: 1 };
        let (cause, what) = (cause.to_owned(), String::new());
        Failed { attempt, cause, what, code: Some(1), log: None, retried: true, wall_s: None }
    }

    #[test]
    fn several_tasks_that_all_fail_for_one_reason_are_hopeless() {
        let mut causes = Causes::default();
        for index in 0..4 {
            assert_eq!(causes.add(&failed(index, "exit code 1"), true), index == 0);
            assert!(!causes.add(&failed(index, "exit code 1"), true), "its second attempt");
            assert!(causes.hopeless(1).is_none(), "{index}");
        }
        causes.add(&failed(4, "exit code 1"), true);
        assert!(causes.hopeless(3).is_none(), "three at a time: six are needed");
        let one = causes.hopeless(2).expect("hopeless");
        assert_eq!((one.text.as_str(), one.first.as_str(), one.attempts), ("exit code 1", "t 0", 9));
        assert!(causes.hopeless(2).is_none(), "it is said once");
    }

    #[test]
    fn another_reason_or_a_task_that_is_done_is_hope() {
        let mut mixed = Causes::default();
        for index in 0..20 {
            mixed.add(&failed(index, if index == 3 { "exit code 2" } else { "exit code 1" }), true);
        }
        assert!(mixed.hopeless(1).is_none());
        let mut done = Causes::default();
        done.done();
        (0..20).for_each(|index| _ = done.add(&failed(index, "exit code 1"), true));
        assert!(done.hopeless(1).is_none());
    }
}
