//! Failures counted by cause, so that a thousand of one kind are one line.

use super::told::Failed;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A run is stopped when this many tasks, and twice as many as run at a time, have failed for one reason.
const FEW: u64 = 5;
/// So many causes are told when they are met.
pub const TOLD: usize = 20;

/// Causes in the order in which they were met.
#[derive(Debug, Default)]
pub struct Causes {
    places: BTreeMap<String, usize>,
    all: Vec<Cause>,
    /// A task was done.
    any_done: bool,
    asked: bool,
}

/// All tasks that failed for one reason.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    pub text: String,
    /// Attempts.
    pub attempts: u64,
    /// A failure of this cause was told.
    pub told: bool,
    /// The tasks by their numbers, as long as it matters that they differ.
    pub tasks: BTreeSet<u32>,
    /// Name of the first of them.
    pub first: String,
    /// A log of one of them.
    pub log: Option<PathBuf>,
}

impl Causes {
    /// Causes that were not told one by one, since there are many.
    pub fn untold(&self) -> usize {
        self.all.len().saturating_sub(TOLD)
    }

    /// One more has failed. Whether that is to be told: it is the first of its cause, and there are few of these.
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

    /// One is done: the reason why others fail is not one for all.
    pub fn done(&mut self) {
        self.any_done = true;
    }

    /// The one reason for which all of the first tasks failed, when there were enough of them. Says it once.
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
