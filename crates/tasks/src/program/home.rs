//! Where the program of a task works, and where what it says goes.

use crate::ledger::Ledger;
use std::fmt::Debug;
use std::path::PathBuf;

/// Logs in a folder.
const LOGS: u32 = 1000;

/// What a task's program has for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its working folder; else that of the runner.
    pub folder: Option<PathBuf>,
    /// What it says is added here.
    pub log: PathBuf,
    /// Its errors are added first and, when it has ended, its output; the log stays though it said nothing. When its
    /// runner is killed, what it put out is lost.
    pub apart: bool,
}

/// Homes of tasks.
pub trait Homes: Debug + Send + Sync {
    /// That of the task with this number and name.
    fn of(&self, ledger: &Ledger, index: u32, name: &str) -> Home;
}

/// Programs work where the runner does; what they say goes to the ledger's own folder, as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BesideLedger;

impl Homes for BesideLedger {
    fn of(&self, ledger: &Ledger, index: u32, _name: &str) -> Home {
        let log = ledger.sidecar().join("logs").join(format!("{:04}", index / LOGS)).join(format!("{index}.log"));
        Home { folder: None, log, apart: false }
    }
}
