//! Where the program of a task runs, and where its output goes.

use crate::ledger::Ledger;
use std::fmt::Debug;
use std::path::PathBuf;

/// Logs per folder.
const LOGS: u32 = 1000;

/// The folder and log of a task's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Its working folder. `None`: that of the runner.
    pub folder: Option<PathBuf>,
    /// The log that its output is appended to.
    pub log: PathBuf,
    /// Append its errors first, and its output when it has ended; keep the log even if it is empty. If the runner is
    /// killed, the output is lost.
    pub apart: bool,
}

/// The homes of tasks.
pub trait Homes: Debug + Send + Sync {
    /// The home of the task with this number and name.
    fn of(&self, ledger: &Ledger, index: u32, name: &str) -> Home;
}

/// Programs run in the runner's folder, and their output goes to the ledger's own folder as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct BesideLedger;

impl Homes for BesideLedger {
    fn of(&self, ledger: &Ledger, index: u32, _name: &str) -> Home {
        let log = ledger.sidecar().join("logs").join(format!("{:04}", index / LOGS)).join(format!("{index}.log"));
        Home { folder: None, log, apart: false }
    }
}
