//! A run whose workers are other processes.

use h5part::Result;
use h5part::ledger::{Ledger, Watch};
use h5part_tasks::run::Observer;
use std::ffi::OsString;
use std::time::Duration;

/// What those who start workers, and wait for them, have to know of the run.
pub trait ProcessRun {
    /// Its ledger.
    fn ledger(&self) -> &Ledger;

    /// Arguments of this program that make it a worker.
    fn worker_args(&self, kind: Kind) -> Vec<OsString>;

    /// Whether nothing is to be said but what went wrong.
    fn is_quiet(&self) -> bool;

    /// Whether what is said at the end is JSON.
    fn is_json(&self) -> bool;

    /// A worker on another host counts as dead after this long without a heartbeat.
    fn stale_after(&self) -> Duration;

    /// Takes back what dead workers held.
    fn reap(&self, watch: &mut Watch, observer: &dyn Observer) -> Result<()>;

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
