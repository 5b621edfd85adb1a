//! A run whose workers are other processes.

use super::progress::Voice;
use super::told::Told;
use h5part::Result;
use h5part::ledger::{Ledger, Watch};
use h5part_tasks::program::Homes;
use h5part_tasks::run::Observer;
use std::ffi::OsString;
use std::time::Duration;

/// What those who start workers, and wait for them, have to know of the run.
pub trait ProcessRun {
    /// Its ledger.
    fn ledger(&self) -> &Ledger;

    /// Arguments of this program that make it a worker.
    fn worker_args(&self, kind: Kind) -> Vec<OsString>;

    /// How much is told, and how.
    fn voice(&self) -> Voice;

    /// Whether what is printed at the end is JSON.
    fn is_json(&self) -> bool;

    /// Where the logs of tasks are.
    fn homes(&self) -> &dyn Homes;

    /// Whether it goes on though its first tasks all fail for one reason.
    fn keeps_going(&self) -> bool;

    /// A worker on another host counts as dead after this long without a heartbeat.
    fn stale_after(&self) -> Duration;

    /// Takes back what dead workers held.
    fn reap(&self, watch: &mut Watch, observer: &dyn Observer) -> Result<()>;

    /// Called for what its workers tell.
    fn told(&self, told: &Told) {
        let _ = told;
    }

    /// Called a few times a second.
    fn tick(&self) {}
}

/// What a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It ends with the run, which speaks for it.
    OfRun,
    /// An element of a job array, with this many programs at a time.
    Element {
        /// Default: one.
        jobs: Option<u16>,
    },
}
