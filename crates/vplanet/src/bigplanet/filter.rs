//! Filters trials: one dataset per key, one row per trial.

use super::archive::sound_names;
use super::key::{Key, Kind};
use crate::vplanet::{Dataset, Gatherer, Trial};
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_engine::store::{AsStore, Content};
use rayon::prelude::*;
use std::collections::HashSet;
use std::path::Path;

const FILTER: &str = "filter";

/// Where trials come from. The two differ in details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrialSource {
    /// Numeric values become numbers, and orders are one list.
    Archive,
    /// Values are texts, as in the files.
    Raw,
}

/// Filters an archive: all of its trials sorted by name, or only one. `primary`: the name of vplanet's primary input
/// file.
///
/// # Errors
/// Those of [`sound_names`]; [`ErrorKind::NotFound`]: a trial has no such dataset;
/// [`ErrorKind::BadValues`]: trials differ in length; those of
/// [`Store::reader`](h5part_engine::store::Store::reader).
pub fn from_archive(store: &impl AsStore, primary: &str, keys: &[Key], only: Option<&str>) -> Result<Trial> {
    let store = store.as_store();
    let all = sound_names(store, primary)?;
    let trials = only.map_or(all, |name| vec![name.to_owned()]);
    let names: Vec<String> = wanted(keys).into_iter().collect();
    let mut filtered = Trial::new(String::new());
    for name in trials {
        // In errors, the trial looks like a file in a folder.
        let place = store.path().join(&name);
        let bundle = store.with_h5(|h5, _| Ok(h5.read_bundle(&name, Some(&names))?)).at("read", &place)?;
        add(&mut filtered, &Trial::of_bundle(name, bundle), keys, TrialSource::Archive).at(FILTER, place)?;
    }
    Ok(filtered)
}

/// Filters the raw output of trials, in the order given; they are read in parallel.
///
/// # Errors
/// Those of [`Gatherer::gather`]; [`ErrorKind::NotFound`], [`ErrorKind::BadValues`] as above.
pub fn from_raw(gatherer: &Gatherer, folder: &Path, trials: &[String], keys: &[Key]) -> Result<Trial> {
    let wanted = wanted(keys);
    let read = trials.par_iter().map(|name| gatherer.gather_some(&folder.join(name), &wanted));
    let mut filtered = Trial::new(String::new());
    for trial in read.collect::<Result<Vec<_>>>()? {
        add(&mut filtered, &trial, keys, TrialSource::Raw).at(FILTER, folder.join(&trial.name))?;
    }
    Ok(filtered)
}

fn wanted(keys: &[Key]) -> HashSet<String> {
    keys.iter().map(|key| key.dataset.clone()).collect()
}

fn add(filtered: &mut Trial, trial: &Trial, keys: &[Key], source: TrialSource) -> Result<(), ErrorKind> {
    for key in keys {
        let missing = || ErrorKind::not_found(Item::Column { table: trial.name.clone(), column: key.dataset.clone() });
        let set = trial.get(&key.dataset).ok_or_else(missing)?;
        let again = filtered.has(&key.name);
        if let Some(content) = row_of(key, &set.content, source, again) {
            filtered.push(Dataset { name: key.name.clone(), units: set.units.clone(), content })?;
        }
    }
    Ok(())
}

/// What a trial adds to a dataset. `again`: other trials have added to it before.
fn row_of(key: &Key, content: &Content, source: TrialSource, again: bool) -> Option<Content> {
    Some(match (&key.kind, content) {
        // All trials share it.
        (Kind::Order, _) if again => return None,
        (Kind::Order, Content::Texts { values, .. }) if source == TrialSource::Archive => list(values.clone()),
        (Kind::Value, Content::Texts { values, .. }) if source == TrialSource::Archive => numbers(values),
        // The unit of such an option is its first value, which is added once for all trials.
        (Kind::Value, Content::Texts { values, .. }) if again && values.len() == 2 && is_list(&key.name) => {
            list(values.iter().skip(1).cloned().collect())
        }
        (Kind::Statistic(statistic), Content::Floats { shape, values }) => {
            let len = shape.last().and_then(|&n| usize::try_from(n).ok()).unwrap_or(0).max(1);
            let found: Vec<Vec<f64>> = values.chunks(len).map(|series| statistic.of(series)).collect();
            let rows = found.len() as u64;
            let each = found.first().map_or(1, Vec::len) as u64;
            let shape = if each == 1 { vec![rows] } else { vec![rows, each] };
            Content::Floats { shape, values: found.into_iter().flatten().collect() }
        }
        (_, content) => content.clone(),
    })
}

fn is_list(name: &str) -> bool {
    name.contains(":saOutputOrder:") || name.contains(":saGridOutput:")
}

fn list(values: Vec<String>) -> Content {
    Content::Texts { shape: vec![values.len() as u64], values }
}

/// Numbers, if all texts are numbers.
fn numbers(texts: &[String]) -> Content {
    let parsed: Option<Vec<f64>> = texts.iter().map(|text| text.trim().parse().ok()).collect();
    match parsed {
        Some(values) => Content::Floats { shape: vec![values.len() as u64], values },
        None => list(texts.to_vec()),
    }
}
