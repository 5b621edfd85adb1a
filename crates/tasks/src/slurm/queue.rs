//! Reads the queue.

use super::call::call;
use h5part_base::error::{ErrorKind, Result};
use std::process::Command;

/// The columns requested from squeue(1). State and reason are words, and widths need only be large enough.
const COLUMNS: &str = "JobArrayID:48,State:24,RestartCnt:12,Reason:64";
/// Time limit of [`look_soon`], in seconds.
const SOON_S: &str = "10";

/// An element of a job array, or a job without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// `JOB_TASK` or `JOB`.
    pub id: String,
    /// State in SLURM's words.
    pub state: String,
    /// How many times it was requeued.
    pub restarts: u32,
    /// Why it waits, or how it ended.
    pub reason: String,
}

/// What a state means for workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun, or will begin again.
    Waits,
    /// Some of its processes may exist.
    Runs,
    /// Nothing of it is left.
    Ended,
}

impl Element {
    /// The meaning of its state.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state.as_str() {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => Phase::Waits,
            "COMPLETED" | "CANCELLED" | "FAILED" | "TIMEOUT" | "NODE_FAIL" | "PREEMPTED" | "BOOT_FAIL" | "DEADLINE"
            | "OUT_OF_MEMORY" | "REVOKED" => Phase::Ended,
            // An unknown state proves nothing.
            _ => Phase::Runs,
        }
    }

    /// Number of its job.
    #[must_use]
    pub fn job(&self) -> &str {
        self.id.split('_').next().unwrap_or_default()
    }
}

/// All elements of these jobs that SLURM still knows. It knows ended ones for a few more minutes.
///
/// # Errors
/// [`crate::ErrorKind::NoSlurm`]; [`crate::ErrorKind::Slurm`]: for example, the controller does not answer.
pub fn look(jobs: &[String]) -> Result<Vec<Element>, ErrorKind> {
    if jobs.is_empty() { Ok(Vec::new()) } else { ask(Command::new("squeue"), &jobs.join(",")) }
}

/// The elements of one job, for callers that cannot wait for a controller in trouble.
pub(super) fn look_soon(job: &str) -> Result<Vec<Element>, ErrorKind> {
    let mut command = Command::new("timeout");
    command.args([SOON_S, "squeue"]);
    ask(command, job)
}

fn ask(mut command: Command, list: &str) -> Result<Vec<Element>, ErrorKind> {
    command.args(["--noheader", "--array", "--states=all", "--jobs", list, "--Format", COLUMNS]);
    // These variables may hide jobs, or show those of other clusters.
    for name in ["ACCOUNT", "NAMES", "PARTITION", "QOS", "STATES", "USERS", "CLUSTERS", "FORMAT", "FORMAT2", "SORT"] {
        command.env_remove(format!("SQUEUE_{name}"));
    }
    match call(command, b"") {
        Ok(said) => Ok(said.lines().filter_map(element).collect()),
        Err(e) if matches!(e.of(), Some(crate::ErrorKind::Slurm { message, .. }) if message.contains("Invalid job id")) => {
            Ok(Vec::new())
        }
        Err(e) => Err(e),
    }
}

fn element(line: &str) -> Option<Element> {
    let mut words = line.split_whitespace();
    let (id, state, restarts) = (words.next()?, words.next()?, words.next()?);
    let reason: Vec<_> = words.collect();
    Some(Element {
        id: id.to_owned(),
        state: state.to_owned(),
        restarts: restarts.parse().ok()?,
        reason: reason.join(" "),
    })
}

/// Cancels jobs, whatever their state.
///
/// # Errors
/// As [`look`].
pub fn cancel(jobs: &[String]) -> Result<(), ErrorKind> {
    cancel_with(&[], jobs)
}

/// Cancels the elements that have not begun.
///
/// # Errors
/// As [`look`].
pub fn cancel_waiting(jobs: &[String]) -> Result<(), ErrorKind> {
    cancel_with(&["--state=PENDING"], jobs)
}

fn cancel_with(options: &[&str], jobs: &[String]) -> Result<(), ErrorKind> {
    if jobs.is_empty() {
        return Ok(());
    }
    let mut command = Command::new("scancel");
    command.arg("--quiet").args(options).args(jobs);
    call(command, b"").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_squeue() {
        let line = "12_3                 PENDING             1         Nodes required for job are DOWN   ";
        let read = element(line).expect("an element");
        let reason = "Nodes required for job are DOWN".to_owned();
        assert_eq!(read, Element { id: "12_3".to_owned(), state: "PENDING".to_owned(), restarts: 1, reason });
        assert_eq!(element("7 RUNNING 0").map(|e| (e.id.clone(), e.phase())), Some(("7".to_owned(), Phase::Runs)));
        assert_eq!(element("   "), None);
        assert_eq!(element("slurm_load_jobs error"), None);
    }

    #[test]
    fn what_is_not_known_proves_nothing() {
        let phase = |state: &str| {
            Element { id: String::new(), state: state.to_owned(), restarts: 0, reason: String::new() }.phase()
        };
        for (state, expected) in [
            ("PENDING", Phase::Waits),
            ("CANCELLED", Phase::Ended),
            ("TIMEOUT", Phase::Ended),
            ("COMPLETING", Phase::Runs),
            ("SUSPENDED", Phase::Runs),
            ("STOPPED", Phase::Runs),
            ("NEW_WORD", Phase::Runs),
        ] {
            assert_eq!(phase(state), expected, "{state}");
        }
    }
}
