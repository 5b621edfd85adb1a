//! Replaces the list of tasks of a ledger that nobody works on.

use super::owner::Owner;
use super::scan::Standing;
use super::{Ledger, NewLedger};
use h5part_base::error::{At, ErrorKind, Gone, Result};

/// The result of a renewal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Nothing had to be changed.
    Kept,
    /// Another ledger has the name now. Open that one.
    Replaced,
    /// This owner works on the ledger, which keeps its list.
    InUse(Owner),
}

impl Ledger {
    /// Replaces this ledger if nobody works on it. `plan` gets the tasks in the order of the list and returns the new
    /// ledger; `None` keeps this one. Call [`Ledger::reap`] first, which finds the dead workers.
    ///
    /// **Concurrency.** Beside anything. `plan` is called under the ledger's lock, and whoever uses this ledger later
    /// gets an error that it was replaced. A kill leaves the old one or the new one.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`]: another ledger already has the name. Those of `plan` and of [`NewLedger::create`].
    pub fn renew(&self, plan: impl FnOnce(Vec<Standing>) -> Result<Option<NewLedger>>) -> Result<Renewed> {
        const RENEW: &str = "renew ledger";
        let _held = self.hold().at(RENEW, &self.path)?;
        self.still_named().at(RENEW, &self.path)?;
        let entries = self.entries().at(RENEW, &self.path)?;
        // Under the lock no entry is being written, so a damaged entry has no owner.
        let worker = entries.into_iter().flatten().filter(|entry| !entry.given_up).find_map(|entry| entry.owner);
        if let Some(worker) = worker {
            return Ok(Renewed::InUse(worker));
        }
        let standing = self.standing_locked().at(RENEW, &self.path)?;
        let Some(new) = plan(standing)? else { return Ok(Renewed::Kept) };
        new.take_place(&self.path, self.storage.as_ref()).at(RENEW, &self.path)?;
        Ok(Renewed::Replaced)
    }

    /// Checks that the file still has its name.
    pub(super) fn still_named(&self) -> Result<(), ErrorKind> {
        let (here, named) = (self.file.identity()?, self.storage.identity(&self.path)?);
        if here.same_file(&named) { Ok(()) } else { Err(ErrorKind::Replaced(Gone::File)) }
    }
}
