//! Finds out whether a job is gone, which proves that its workers are dead.

use super::call::call;
use super::queue::{Element, Phase, look_soon};
use super::submit::setting;
use crate::ledger::SlurmJob;
use h5part_base::sync;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long one answer is used for all elements of an array, since a controller must answer many.
const FRESH: Duration = Duration::from_secs(5);

/// The queue's last answer for each array. `None`: an unusable answer.
type Seen = HashMap<String, (Instant, Option<Vec<Element>>)>;

/// Whether SLURM says that a job is gone: it has ended, was requeued since, or is no longer known. `None`: unknown,
/// since there is no SLURM here, it does not answer, or the job belongs to another cluster.
#[must_use]
pub fn job_is_gone(job: &SlurmJob) -> Option<bool> {
    static SEEN: Mutex<Option<Seen>> = Mutex::new(None);
    if job.cluster.is_some() && job.cluster.as_deref() != this_cluster() {
        return None;
    }
    let array = job.id.split('_').next().unwrap_or_default();
    let mut seen = sync::lock(&SEEN);
    let seen = seen.get_or_insert_default();
    seen.retain(|_, (at, _)| at.elapsed() < FRESH);
    let ask = || (Instant::now(), look_soon(array).ok());
    let (_, elements) = seen.entry(array.to_owned()).or_insert_with(ask);
    let is_ours = job.user.is_none_or(|user| Some(user) == this_user());
    is_gone(job, elements.as_deref()?, is_ours)
}

/// A missing job proves something only if we would see it: queues may hide jobs of other users.
fn is_gone(job: &SlurmJob, elements: &[Element], is_ours: bool) -> Option<bool> {
    match elements.iter().find(|element| element.id == job.id) {
        // Processes of a job that was just requeued may still exist.
        Some(element) if element.state == "COMPLETING" => Some(false),
        Some(element) => Some(element.phase() != Phase::Runs || element.restarts > job.restarts),
        None => is_ours.then_some(true),
    }
}

/// Name of the cluster whose queue is visible here.
fn this_cluster() -> Option<&'static str> {
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    let ask = || {
        let mut command = Command::new("scontrol");
        command.args(["show", "config"]);
        setting(&call(command, b"").ok()?, "ClusterName")
    };
    NAME.get_or_init(ask).as_deref()
}

fn this_user() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &str, state: &str, restarts: u32) -> Element {
        Element { id: id.to_owned(), state: state.to_owned(), restarts, reason: String::new() }
    }

    fn job(id: &str, restarts: u32) -> SlurmJob {
        SlurmJob { id: id.to_owned(), restarts, cluster: None, user: None }
    }

    #[test]
    fn gone_is_what_has_ended_or_begun_anew_or_is_not_known() {
        let queue = [
            element("12_1", "RUNNING", 0),
            element("12_2", "CANCELLED", 0),
            element("12_3", "PENDING", 1),
            element("12_4", "RUNNING", 2),
            element("12_5", "COMPLETING", 1),
            element("12_10", "SUSPENDED", 0),
        ];
        let gone = |id, restarts| is_gone(&job(id, restarts), &queue, true);
        assert_eq!(gone("12_1", 0), Some(false));
        assert_eq!(gone("12_2", 0), Some(true));
        assert_eq!(gone("12_3", 0), Some(true), "it waits to be started again");
        assert_eq!(gone("12_4", 1), Some(true), "that start is over");
        assert_eq!(gone("12_4", 2), Some(false));
        assert_eq!(gone("12_5", 0), Some(false), "processes of it may still be there");
        assert_eq!(gone("12_10", 0), Some(false));
        assert_eq!(gone("12_6", 0), Some(true));
        assert_eq!(is_gone(&job("12_6", 0), &queue, false), None, "jobs of others may be hidden");
        assert_eq!(is_gone(&job("12_2", 0), &queue, false), Some(true));
    }
}
