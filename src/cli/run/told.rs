//! Events of a run as they are reported: to people, as JSON lines to scripts, and by worker processes to their run.

use h5part_tasks::ledger::Claim;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One attempt at a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Name of the task.
    pub task: String,
    /// Number of the task, from 0.
    pub index: u32,
    /// Counted from 1.
    pub attempt: u32,
}

impl From<&Claim> for Attempt {
    fn from(claim: &Claim) -> Self {
        Self { task: claim.name.clone(), index: claim.index, attempt: u32::from(claim.attempts) + 1 }
    }
}

/// A failed attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    #[serde(flatten)]
    pub attempt: Attempt,
    /// The cause, equal for all tasks that fail for this reason.
    pub cause: String,
    /// What happened to this task: `exited with 0, but ...`.
    pub what: String,
    /// How its program ended, as in Python: an exit code, or a signal as a negative number.
    pub code: Option<i32>,
    /// The log with its program's output.
    pub log: Option<PathBuf>,
    /// Whether it is retried.
    pub retried: bool,
    pub wall_s: Option<f64>,
}

/// An event, written as one JSON line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Told {
    Begun(Attempt),
    Done {
        #[serde(flatten)]
        attempt: Attempt,
        wall_s: Option<f64>,
    },
    Failed(Failed),
    /// Released without a failed attempt.
    Released(Attempt),
    /// Someone else has taken the task over.
    Lost {
        error: String,
    },
    /// It was taken from a dead worker.
    Taken {
        task: String,
        owner: String,
        reason: String,
        state: String,
    },
    /// A dead worker's task whose rows are committed.
    Completed {
        task: String,
    },
    Warning {
        text: String,
    },
    /// Progress of the run.
    Progress {
        total: u64,
        done: u64,
        failed: u64,
        running: u64,
    },
    /// No more tasks are begun: the first ones all failed for the same reason.
    Stopped {
        tasks: u64,
        cause: String,
        first: String,
        log: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_s_line_is_read_back() {
        let attempt = Attempt { task: "0:2\n".to_owned(), index: 7, attempt: 1 };
        let failed = Failed {
            attempt: attempt.clone(),
            cause: "exit code 1".to_owned(),
            what: "failed: exit code 1".to_owned(),
            code: Some(-9),
            log: Some("a b".into()),
            retried: true,
            wall_s: Some(0.25),
        };
        let told = [
            Told::Begun(attempt.clone()),
            Told::Done { attempt, wall_s: None },
            Told::Failed(failed),
            Told::Warning { text: "x".to_owned() },
        ];
        for told in told {
            let line = serde_json::to_string(&told).expect("JSON");
            assert!(line.starts_with("{\"event\":\"") && !line.contains('\n'), "{line}");
            assert_eq!(serde_json::from_str::<Told>(&line).expect("comes back"), told);
        }
    }
}
