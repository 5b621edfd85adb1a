//! A run whose workers are other processes.

use super::progress::Voice;
use super::told::Told;
use h5part::Result;
use h5part::ledger::{Ledger, Watch};
use h5part_tasks::program::Homes;
use h5part_tasks::run::Observer;
use std::ffi::OsString;
use std::time::Duration;

/// What the code that starts workers and waits for them must know of the run.
pub trait ProcessRun {
    /// Its ledger.
    fn ledger(&self) -> &Ledger;

    /// Arguments of this program that start a worker.
    fn worker_args(&self, kind: Kind) -> Vec<OsString>;

    /// How much to print, and in which form.
    fn voice(&self) -> Voice;

    /// Whether the final report is JSON.
    fn is_json(&self) -> bool;

    /// Where the logs of tasks are.
    fn homes(&self) -> &dyn Homes;

    /// Whether the run goes on although its first tasks all fail for the same reason.
    fn keeps_going(&self) -> bool;

    /// Treat a worker on another host as dead after this long without a heartbeat.
    fn stale_after(&self) -> Duration;

    /// Takes back the tasks of dead workers.
    fn reap(&self, watch: &mut Watch, observer: &dyn Observer) -> Result<()>;

    /// Called for each event that a worker reports.
    fn told(&self, told: &Told) {
        let _ = told;
    }

    /// Called a few times per second.
    fn tick(&self) {}
}

/// The kind of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It ends with the run, which reports for it.
    OfRun,
    /// An element of a job array, which runs this many programs at once.
    Element {
        /// Default: one.
        jobs: Option<u16>,
    },
}
