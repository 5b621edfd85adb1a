//! The archive of an ensemble: each trial is a group of datasets.

use crate::vplanet::Gatherer;
use h5part_base::error::{At, ErrorKind, Item, Kind, Result};
use h5part_base::sync;
use h5part_engine::h5::H5File;
use h5part_engine::store::{AsStore, Bundle, Named, Store};
use h5part_tasks::ledger::{Ledger, TaskState};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

const USE: &str = "use as an archive";

/// Adds trials to an archive. Any number of threads may share one archiver.
///
/// **Concurrency.** Any number of threads and processes may archive into one file. The output of a trial is gathered
/// outside any lock, and its group is one structural change ([`Store::change`]). **Survives** a kill at any instant,
/// and loss of power: a trial is in the archive as a whole, or not at all.
#[derive(Clone, Debug)]
pub struct Archiver {
    store: Store,
    gatherer: Gatherer,
    /// Trials that were seen in the archive. Threads that write take turns with this lock: the library lets only one of
    /// them in, and here they wait without trying the gate again and again.
    seen: Arc<Mutex<HashSet<String>>>,
}

/// What happened to a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was added.
    Added,
    /// It existed, and its files say the same.
    Same,
    /// It existed, but its files say something else, so it was replaced.
    Replaced,
}

impl Archiver {
    /// Opens the archive, or creates an empty one. An existing archive is checked: several names for one object, and
    /// names that lead to nothing, as kills of the original leave them, are refused.
    ///
    /// # Errors
    /// [`crate::ErrorKind::DamagedArchive`] with the names; [`ErrorKind::BadRequest`]: it is not an archive; those of
    /// [`Store::create_empty`] and [`Store::reader`].
    pub fn open(store: &impl AsStore, gatherer: Gatherer) -> Result<Self> {
        let seen = if store.as_store().create_empty()? {
            HashSet::new()
        } else {
            sound_names(store, gatherer.system().primary())?.into_iter().collect()
        };
        Ok(Self { seen: Arc::new(Mutex::new(seen)), ..Self::new(store, gatherer) })
    }

    /// An archive that does not exist yet, or is about to be rebuilt.
    #[must_use]
    pub fn new(store: &impl AsStore, gatherer: Gatherer) -> Self {
        Self { store: store.as_store().clone(), gatherer, seen: Arc::default() }
    }

    /// The reader of trials.
    #[must_use]
    pub fn gatherer(&self) -> &Gatherer {
        &self.gatherer
    }

    /// The file, for the programs of this project.
    #[doc(hidden)]
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Gathers the output of a trial, adds it to the archive, and reads it back. After this it is complete, equal and
    /// durable in the archive. An existing trial is compared and, if it differs, replaced: the files take precedence.
    ///
    /// # Errors
    /// Those of [`Gatherer::gather`] and [`Store::add_bundle`]; [`ErrorKind::BundleChanged`]: it does not read back as
    /// written.
    pub fn archive(&self, folder: &Path) -> Result<Kept> {
        let trial = self.gatherer.gather(folder)?;
        let name = trial.name.clone();
        let bundle = trial.into_bundle();
        let mut seen = self.seen();
        let kept = if !seen.contains(&name) && self.add(&name, &bundle)? {
            Kept::Added
        } else if self.is_same(&name, &bundle) {
            return Ok(Kept::Same);
        } else {
            self.store.add_bundle(&name, &bundle, true)?;
            Kept::Replaced
        };
        self.store.check_bundle(&name, &bundle)?;
        seen.insert(name);
        Ok(kept)
    }

    /// Adds a trial. `false`: the name exists.
    fn add(&self, name: &str, bundle: &Bundle) -> Result<bool> {
        match self.store.add_bundle(name, bundle, false) {
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists(Item::Group(_))) => Ok(false),
            added => added.map(|()| true),
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashSet<String>> {
        sync::lock(&self.seen)
    }

    /// Whether the archive has the trial with the content of its files.
    ///
    /// # Errors
    /// Those of [`Gatherer::gather`].
    pub fn holds(&self, folder: &Path) -> Result<bool> {
        let trial = self.gatherer.gather(folder)?;
        let name = trial.name.clone();
        Ok(self.is_same(&name, &trial.into_bundle()))
    }

    /// Whether an archived trial is the same. This also works for the original's archives, which have no checksums.
    fn is_same(&self, name: &str, bundle: &Bundle) -> bool {
        self.store.read_bundle(name, None).is_ok_and(|there| there.sum() == bundle.sum())
    }

    /// Tasks that are done but whose trials were not seen in the archive, either when it was opened or since. Each
    /// comes with its position and its trial.
    ///
    /// # Errors
    /// As reading the ledger.
    pub fn missing(&self, ledger: &Ledger) -> Result<Vec<(u64, String)>> {
        let (seen, mut missing) = (self.seen(), Vec::new());
        ledger.each(|place, task| {
            if let Some(task) = task.filter(|task| task.state == TaskState::Done) {
                missing.push((place, ledger.listed(place, task)?.name));
            }
            Ok(())
        })?;
        missing.retain(|(_, name)| !seen.contains(name));
        Ok(missing)
    }

    /// Trials that were seen in the archive but are not in this sorted list.
    #[must_use]
    pub fn others(&self, trials: &[String]) -> Vec<String> {
        let mut others = self.seen().clone().into_iter().collect::<Vec<_>>();
        others.retain(|name| trials.binary_search(name).is_err());
        others.sort_unstable();
        others
    }

    /// Rebuilds the archive from raw data. It is built beside its name, and renamed once it has all trials. `told` is
    /// called for each trial.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: see [`Store::replace_with_bundles`].
    ///
    /// # Errors
    /// The old archive is then unchanged. [`ErrorKind::BadRequest`]: it is not an archive;
    /// [`crate::ErrorKind::NoRawData`]: it has trials that would be lost; the first trial that cannot be gathered;
    /// those of [`Store::replace_with_bundles`].
    pub fn rebuild(&self, folder: &Path, trials: &[String], told: &(dyn Fn() + Sync)) -> Result<()> {
        // A file that cannot be opened at all has nothing to lose.
        let mut names = self.store.root_names().unwrap_or_default();
        names.retain(|named| named.object.is_ok());
        check_trials(&self.store, self.gatherer.system().primary(), &names)?;
        let mut lost = names_of(names);
        lost.retain(|name| trials.binary_search(name).is_err());
        if !lost.is_empty() {
            let kind = crate::ErrorKind::NoRawData { folder: folder.to_owned(), trials: lost };
            return Err(kind.at("replace", self.store.path()));
        }
        self.store.replace_with_bundles(|add| {
            trials.par_iter().try_for_each(|name| {
                let bundle = self.gatherer.gather(&folder.join(name))?.into_bundle();
                add(name, &bundle)?;
                told();
                Ok(())
            })
        })?;
        self.seen().extend(trials.iter().cloned());
        Ok(())
    }
}

/// Names of the trials of an archive, in order. Refuses invalid names, and a file whose root holds anything else.
/// `primary`: the name of vplanet's primary input file.
///
/// # Errors
/// [`crate::ErrorKind::DamagedArchive`], [`ErrorKind::BadRequest`]: it is not an archive; those of [`Store::reader`].
pub fn sound_names(store: &impl AsStore, primary: &str) -> Result<Vec<String>> {
    let store = store.as_store();
    let names = store.root_names()?;
    let faults = astray(&names);
    if !faults.is_empty() {
        return Err(crate::ErrorKind::DamagedArchive(faults.join("; "))).at(USE, store.path());
    }
    check_trials(store, primary, &names)?;
    Ok(names_of(names))
}

/// Refuses a file whose root holds anything but trials.
fn check_trials(store: &Store, primary: &str, names: &[Named]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let probe = format!("{}:sSystemName:option", primary.split('.').next().unwrap_or_default());
    let probe = [probe];
    let other = store.with_h5(|h5, _| Ok(names.iter().find(|named| !is_trial(h5, &named.name, &probe))));
    match other.at(USE, store.path())? {
        None => Ok(()),
        Some(other) => {
            let text = format!(
                "'{}' is not a trial, so this is not a BigPlanet archive; name another one with sArchiveFile",
                other.name.escape_debug()
            );
            Err(ErrorKind::BadRequest(text).at(USE, store.path()))
        }
    }
}

/// Whether a name is that of a trial, whoever archived it. Cheap checks come first.
fn is_trial(h5: &H5File, name: &str, probe: &[String; 1]) -> bool {
    h5.bundle_sum(name).is_ok_and(|sum| sum.is_some())
        || h5.read_bundle(name, Some(probe)).is_ok_and(|found| !found.members.is_empty())
        || h5.members_of(name).is_ok_and(|members| members.iter().any(|member| member.contains(':')))
}

fn names_of(names: Vec<Named>) -> Vec<String> {
    names.into_iter().map(|named| named.name).collect()
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
