//! The gate for another program that changes the file.

use super::handle::Store;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{Gate, HeldGate, Patience};
use std::sync::Arc;
use std::time::Duration;

impl Store {
    /// Takes the gate, so that a program which knows nothing of h5part may change the file. Waits for at most `timeout`,
    /// by default as long as for any other lock. A structural change that a dead process left is finished or undone
    /// before, since it would not fit the changed file.
    ///
    /// **Concurrency.** Excludes commits, structural changes, and everybody who loads a layout, in all processes. Does
    /// not exclude reads by readers that are open already, nor programs that know nothing of the gate.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], and those of [`Store::change`].
    pub fn gate(&self, timeout: Option<Duration>) -> Result<HeldGate> {
        let patience = Patience { timeout: timeout.unwrap_or(self.patience.timeout), ..self.patience.clone() };
        self.clone().with_patience(patience).try_gate().at("take the gate of", &self.paths.file)
    }

    fn try_gate(&self) -> Result<HeldGate, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        loop {
            if self.change_waits()? {
                drop(self.enter_exclusively()?);
            }
            let held = Gate::open(&self.paths, &self.storage, Arc::clone(&locks))?.hold(&self.patience)?;
            // While we waited, another file may have taken the name, or another process may have died in a change.
            if held.is_named()? && !self.change_waits()? {
                return Ok(held);
            }
        }
    }
}
