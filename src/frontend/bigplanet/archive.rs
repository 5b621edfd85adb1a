//! The archive: each trial of an ensemble is a group of datasets.

use crate::error::{At, ErrorKind, Result};
use crate::frontend::vplanet::Gatherer;
use crate::store::{Bundle, Named, Store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Puts trials into an archive. Any number of threads may share one.
///
/// **Concurrency.** Any number of threads and processes may archive into one file: what a trial left is gathered
/// outside any lock, its group is one structural change ([`Store::change`]). **Survives** a kill at any instant, and
/// loss of power: a trial is there as a whole, or not at all.
#[derive(Clone, Debug)]
pub struct Archiver {
    store: Store,
    gatherer: Gatherer,
    /// Threads take turns with the library, which lets only one of them in: here they wait without asking the gate
    /// again and again.
    turn: Arc<Mutex<()>>,
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was added.
    Added,
    /// It was there, as its files say.
    Same,
    /// It was there, other than its files say, and was replaced.
    Replaced,
}

impl Archiver {
    /// Opens the archive, or makes an empty one. An archive that is there is looked over: names that lead to one
    /// object, or to nothing, as kills of the original leave them, are refused.
    ///
    /// # Errors
    /// [`ErrorKind::DamagedArchive`] with the names; those of [`Store::create_empty`] and [`Store::reader`].
    pub fn open(store: Store, gatherer: Gatherer) -> Result<Self> {
        if !store.create_empty()? {
            check_names(&store)?;
        }
        Ok(Self::new(store, gatherer))
    }

    /// An archive that is yet to make, or to be made anew.
    #[must_use]
    pub fn new(store: Store, gatherer: Gatherer) -> Self {
        Self { store, gatherer, turn: Arc::default() }
    }

    /// What reads the trials.
    #[must_use]
    pub fn gatherer(&self) -> &Gatherer {
        &self.gatherer
    }

    /// The file.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Gathers what the trial left, adds it to the archive, and reads it back: afterwards it is there, whole, equal
    /// and durable. A trial that is there already is compared, and replaced where it differs: its files count.
    ///
    /// # Errors
    /// Those of [`Gatherer::gather`] and [`Store::add_bundle`]; [`ErrorKind::BundleChanged`]: it read back otherwise.
    pub fn archive(&self, folder: &Path) -> Result<Kept> {
        let trial = self.gatherer.gather(folder)?;
        let name = trial.name.clone();
        let bundle = trial.into_bundle();
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = match self.store.add_bundle(&name, &bundle, false) {
            Ok(()) => Kept::Added,
            Err(e) if matches!(e.kind(), ErrorKind::BundleExists(_)) => {
                if self.is_same(&name, &bundle) {
                    return Ok(Kept::Same);
                }
                self.store.add_bundle(&name, &bundle, true)?;
                Kept::Replaced
            }
            Err(e) => return Err(e),
        };
        self.store.check_bundle(&name, &bundle)?;
        Ok(kept)
    }

    /// Whether the archive has the trial, equal to what its files say.
    ///
    /// # Errors
    /// Those of [`Gatherer::gather`].
    pub fn holds(&self, folder: &Path) -> Result<bool> {
        let trial = self.gatherer.gather(folder)?;
        let name = trial.name.clone();
        Ok(self.is_same(&name, &trial.into_bundle()))
    }

    /// Also of what the original has written, which has no checksum.
    fn is_same(&self, name: &str, bundle: &Bundle) -> bool {
        self.store.read_bundle(name, None).is_ok_and(|there| there.sum() == bundle.sum())
    }

    /// Names of the trials that are there.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn trials(&self) -> Result<Vec<String>> {
        Ok(self.store.root_names()?.into_iter().map(|named| named.name).collect())
    }

    /// Whether the archive has a trial of this name: the last part of its folder's path.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn has(&self, trial: &str) -> Result<bool> {
        match self.store.read_bundle(trial, Some(&[])) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::NoSuchGroup(_)) => Ok(false),
            Err(e) => Err(e),
        }
    }
}

/// Refuses an archive whose names lead astray.
///
/// # Errors
/// [`ErrorKind::DamagedArchive`], those of [`Store::reader`].
pub fn check_names(store: &Store) -> Result<()> {
    match astray(&store.root_names()?) {
        faults if faults.is_empty() => Ok(()),
        faults => Err(ErrorKind::DamagedArchive(faults.join("; "))).at("use the archive", store.path()),
    }
}

fn astray(names: &[Named]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut objects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Named { name, object } in names {
        match object {
            Ok(object) => objects.entry(object).or_default().push(name),
            Err(why) => faults.push(format!("'{name}' cannot be opened ({why})")),
        }
    }
    for names in objects.into_values().filter(|names| names.len() > 1) {
        faults.push(format!("'{}' are names of the same data", names.join("' and '")));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_astray_are_told() {
        let named = |name: &str, object: Result<&str, &str>| Named {
            name: name.to_owned(),
            object: object.map(str::to_owned).map_err(str::to_owned),
        };
        assert!(astray(&[named("a", Ok("1")), named("b", Ok("2"))]).is_empty());
        let found = astray(&[named("a6", Ok("7")), named("a7", Ok("7")), named("a8", Err("no object header"))]);
        assert_eq!(found, ["'a8' cannot be opened (no object header)", "'a6' and 'a7' are names of the same data"]);
    }
}
