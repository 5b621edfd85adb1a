//! What a `bpl.in` asks for, step by step: archive the trials, filter datasets, delete raw data that is archived.

use super::archive::{Archiver, sound_names};
use super::changed::changed_wait_again;
use super::{Bpl, Key, filter, trials};
use crate::checkpoint::{Checkpointed, Files, Opened, Trials};
use crate::vplanet::{Gatherer, System, Trial, UnitRule, vplanet_options};
use h5part_base::error::{At, Error, ErrorKind, Result};
use h5part_base::lock::Patience;
use h5part_engine::store::Store;
use h5part_tasks::ledger::Watch;
use rayon::prelude::*;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A trial that cannot be read now cannot be read later.
const ATTEMPTS: u16 = 1;
/// A run on another host counts as dead after this long without a heartbeat.
const STALE: Duration = Duration::from_secs(300);
const DELETE: &str = "delete raw data of";

/// A `bpl.in`, and how its trials are read.
#[derive(Clone, Debug)]
pub struct Project {
    /// The input file itself.
    pub input: PathBuf,
    /// What it says.
    pub bpl: Bpl,
    /// The vplanet program to ask once for its options.
    pub vplanet: PathBuf,
    /// Where its answer is kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// How values get their units.
    pub units: UnitRule,
    /// Number of trials read at a time; `None`: one per core.
    pub workers: Option<NonZeroUsize>,
}

/// The trials of a folder, sorted by whether the archive has them as their files say.
#[derive(Debug)]
pub struct Compared {
    /// Those that the archive has.
    pub archived: Vec<String>,
    /// Those that it does not have, or has otherwise; with the error, where they could not be compared.
    pub others: Vec<(String, Option<Error>)>,
}

impl Project {
    /// Reads the input file. Asks `vplanet` on the PATH, and uses one worker per core.
    ///
    /// # Errors
    /// As [`Bpl::read`].
    pub fn read(input: &Path) -> Result<Self> {
        let (bpl, vplanet) = (Bpl::read(input)?, PathBuf::from("vplanet"));
        Ok(Self { input: input.to_owned(), bpl, vplanet, cache: None, units: UnitRule::BigPlanet, workers: None })
    }

    /// The names of all trials, in order.
    ///
    /// # Errors
    /// As [`trials`].
    pub fn trials(&self) -> Result<Vec<String>> {
        trials(&self.bpl.folder)
    }

    /// The trials whose names contain `sSimName`, or all of them.
    ///
    /// # Errors
    /// As [`trials`]; [`ErrorKind::BadRequest`] where no name contains it.
    pub fn chosen(&self) -> Result<Vec<String>> {
        let mut names = self.trials()?;
        if let Some(part) = &self.bpl.trial {
            names.retain(|name| name.contains(part.as_str()));
            if names.is_empty() {
                let text = format!("no trial of {} has '{part}' in its name", self.bpl.folder.display());
                return Err(ErrorKind::BadRequest(text).at("filter by", &self.input));
            }
        }
        Ok(names)
    }

    /// How many workers read this many trials.
    #[must_use]
    pub fn workers_for(&self, trials: usize) -> usize {
        let cores = self.workers.or_else(|| std::thread::available_parallelism().ok());
        cores.map_or(1, NonZeroUsize::get).min(trials.max(1))
    }

    /// What reads these trials, by the system of the first one.
    ///
    /// # Errors
    /// As [`System::of_first`] and [`vplanet_options`].
    pub fn gatherer(&self, names: &[String]) -> Result<Gatherer> {
        let bpl = &self.bpl;
        let system = System::of_first(&bpl.folder, names, &bpl.bodies, &bpl.primary)?;
        let options = vplanet_options(&self.vplanet, self.cache.as_deref())?;
        Ok(Gatherer::new(system, options, self.units))
    }

    /// Rebuilds the archive from the raw data, beside the old file, which is replaced when the new one is complete.
    /// Calls `told` after each trial, from any thread.
    ///
    /// **Concurrency.** As [`Archiver::rebuild`].
    ///
    /// # Errors
    /// As [`Archiver::rebuild`].
    pub fn rebuild(
        &self,
        store: &Store,
        gatherer: Gatherer,
        names: &[String],
        told: &(dyn Fn() + Sync),
    ) -> Result<Archiver> {
        let archiver = Archiver::new(store, gatherer);
        self.on_cores(names.len(), || archiver.rebuild(&self.bpl.folder, names, told))?;
        Ok(archiver)
    }

    /// Opens the checkpoint of an archive, or begins one. Trials whose files were changed since they were archived
    /// wait again.
    ///
    /// **Concurrency.** Beside other runs of the same trials, which share them.
    ///
    /// # Errors
    /// As [`Checkpointed::open`].
    pub fn checkpoint(&self, names: &[String], patience: &Patience) -> Result<Opened> {
        const BEGIN: &str = "begin to archive";
        let here = std::env::current_dir().at(BEGIN, &self.input)?;
        let folder = std::path::absolute(&self.bpl.folder).at(BEGIN, &self.bpl.folder)?;
        let origin = here.join(&self.input).to_string_lossy().into_owned();
        let all = Trials { origin, folder, names: names.to_vec() };
        let files = Files::of_text(&here.join(self.bpl.checkpoint()));
        changed_wait_again(&files, &self.bpl.folder)?;
        Checkpointed::open(&files, &all, ATTEMPTS, patience, &mut Watch::new(STALE, |_| None))
    }

    /// The datasets that `keys` name: from the archive if there is one, else from raw data.
    ///
    /// # Errors
    /// As [`filter::from_archive`], [`filter::from_raw`] and [`Project::chosen`].
    pub fn filter(&self, archive: Option<&Store>, keys: &[Key]) -> Result<Trial> {
        let bpl = &self.bpl;
        if let Some(archive) = archive {
            let only = bpl.trial.as_deref().filter(|_| bpl.ulysses);
            return filter::from_archive(archive, &bpl.primary, keys, only);
        }
        let names = self.chosen()?;
        let gatherer = self.gatherer(&names)?;
        self.on_cores(names.len(), || filter::from_raw(&gatherer, &bpl.folder, &names, keys))
    }

    /// Compares each trial of the folder with the archive.
    ///
    /// # Errors
    /// As [`sound_names`] and [`Project::gatherer`]. What is wrong with one trial is in its place.
    pub fn compare(&self, archive: &Store) -> Result<Compared> {
        sound_names(archive, &self.bpl.primary)?;
        let names = self.trials()?;
        let archiver = Archiver::new(archive, self.gatherer(&names)?);
        let holds = |name: &String| archiver.holds(&self.bpl.folder.join(name));
        let held = self.on_cores(names.len(), || Ok(names.par_iter().map(holds).collect::<Vec<_>>()))?;
        let (mut archived, mut others) = (Vec::new(), Vec::new());
        for (name, held) in names.into_iter().zip(held) {
            match held {
                Ok(true) => archived.push(name),
                Ok(false) => others.push((name, None)),
                Err(e) => others.push((name, Some(e))),
            }
        }
        Ok(Compared { archived, others })
    }

    /// Deletes the folders of the archived trials. Where no others are left, the checkpoint of `multiplanet` goes, too,
    /// and the folder of the trials, if nothing else is in it.
    ///
    /// # Errors
    /// As deleting files. What was deleted before stays deleted.
    pub fn delete(&self, compared: &Compared) -> Result<()> {
        for name in &compared.archived {
            let path = self.bpl.folder.join(name);
            std::fs::remove_dir_all(&path).at(DELETE, &path)?;
        }
        if compared.others.is_empty() { forget(&self.bpl.folder) } else { Ok(()) }
    }

    /// Work that is shared out by itself uses this many threads.
    fn on_cores<T: Send>(&self, trials: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.workers_for(trials)).build();
        let pool = pool.map_err(|e| ErrorKind::Io(io::Error::other(e))).at("start threads for", &self.input)?;
        pool.install(work)
    }
}

/// Removes the checkpoint of `multiplanet`, and the folder of the trials if it is empty.
fn forget(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let Files { text, ledger } = Files::of_text(&PathBuf::from(format!(".{name}")));
    let sidecar = PathBuf::from(format!("{}.part", ledger.display()));
    for gone in [
        (std::fs::remove_file(&text), &text),
        (std::fs::remove_file(&ledger), &ledger),
        (std::fs::remove_dir_all(&sidecar), &sidecar),
    ] {
        match gone {
            (Err(e), path) if e.kind() != io::ErrorKind::NotFound => return Err(e).at(DELETE, path),
            _ => {}
        }
    }
    // The list of trials that vspace wrote, for one, is in no archive.
    let _ = std::fs::remove_dir(folder);
    Ok(())
}
