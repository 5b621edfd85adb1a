//! Another list of tasks in the place of a ledger that nobody works on.

use super::owner::Owner;
use super::scan::Standing;
use super::{Ledger, NewLedger};
use h5part_base::error::{At, ErrorKind, Result};

/// What became of a wish to change the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Nothing was to be changed.
    Kept,
    /// Another ledger has the name now: open it.
    Replaced,
    /// Somebody works on it, and goes on with the list as it is.
    InUse(Owner),
}

impl Ledger {
    /// Puts another ledger in the place of this one if nobody works on it: `plan` says which, from what there is,
    /// in the order of the list; `None`: this one stays. Who is dead is seen by [`Ledger::reap`], which comes first.
    ///
    /// **Concurrency.** Beside anything: `plan` is called under the ledger's lock, and whoever comes to work on
    /// this one later is told that it was replaced. A kill leaves the one or the other.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`]: another has the name already. Those of `plan` and of [`NewLedger::create`].
    pub fn renew(&self, plan: impl FnOnce(Vec<Standing>) -> Result<Option<NewLedger>>) -> Result<Renewed> {
        const RENEW: &str = "renew ledger";
        let _held = self.hold().at(RENEW, &self.path)?;
        self.still_named().at(RENEW, &self.path)?;
        let entries = self.entries().at(RENEW, &self.path)?;
        // An entry that is damaged is nobody's: under the lock no entry is being written.
        let worker = entries.into_iter().flatten().filter(|entry| !entry.given_up).find_map(|entry| entry.owner);
        if let Some(worker) = worker {
            return Ok(Renewed::InUse(worker));
        }
        let standing = self.standing_locked().at(RENEW, &self.path)?;
        let Some(new) = plan(standing)? else { return Ok(Renewed::Kept) };
        new.take_place(&self.path, self.storage.as_ref()).at(RENEW, &self.path)?;
        Ok(Renewed::Replaced)
    }

    /// Whether the file is still the one under its name.
    pub(super) fn still_named(&self) -> Result<(), ErrorKind> {
        let (here, named) = (self.file.identity()?, self.storage.identity(&self.path)?);
        if here.same_file(&named) { Ok(()) } else { Err(ErrorKind::Replaced) }
    }
}
