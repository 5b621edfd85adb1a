//! Datasets that have several names, in a group or in several tables: one column, with one set of stamps.

use super::dataset::read_column;
use super::stamps::{Stamped, open_stamps, table_of_stamps};
use crate::h5::Failed;
use crate::h5::dimensions::Marked;
use crate::h5::format::STAMPS_GROUP;
use crate::h5::groups::{members, object_id};
use h5part_base::dataspace::{Column, path_below};
use hdf5::{Dataset, Group, LocationType};
use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// What [`datasets`] finds.
#[derive(Default)]
pub(super) struct Datasets {
    pub(super) columns: Vec<(Column, Dataset)>,
    pub(super) aliases: Vec<(String, String)>,
    /// Named dimensions that h5part made.
    pub(super) dimensions: Vec<Dataset>,
    pub(super) unopenable: Vec<String>,
}

/// The stamped columns of all other tables, which are looked up only where a dataset may be one of them.
pub(super) struct Elsewhere<'f> {
    file: &'f hdf5::File,
    /// Number of the table that asks, if it has stamps.
    own: Option<u64>,
    columns: OnceCell<HashMap<String, String>>,
}

impl<'f> Elsewhere<'f> {
    pub(super) fn new(file: &'f hdf5::File, own: Option<u64>) -> Self {
        Self { file, own, columns: OnceCell::new() }
    }

    /// Path of the stamped column of another table that the dataset is.
    pub(super) fn of(&self, object: &str) -> Option<&String> {
        self.columns.get_or_init(|| self.look().unwrap_or_default()).get(object)
    }

    /// What cannot be opened belongs to nobody.
    fn look(&self) -> Result<HashMap<String, String>, Failed> {
        let mut columns = HashMap::new();
        if !self.file.link_exists(STAMPS_GROUP) {
            return Ok(columns);
        }
        let all = self.file.group(STAMPS_GROUP)?;
        let mut numbers: Vec<u64> = all.member_names()?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.retain(|number| Some(*number) != self.own);
        // Where two tables claim a dataset, it is the older one's.
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        for number in numbers {
            let stamps = all.dataset(&number.to_string())?;
            let Some(path) = table_of_stamps(&stamps) else { continue };
            let Ok(table) = self.file.group(&format!("/{path}")) else { continue };
            let Ok(Some((_, stamps))) = open_stamps(self.file, &table, &path) else { continue };
            for name in Stamped::read(&stamps)?.names.into_iter().filter(|name| !name.is_empty()) {
                let Ok(dataset) = table.dataset(&name) else { continue };
                columns.insert(object(&dataset)?, format!("/{}", path_below(&path, &name)));
            }
        }
        Ok(columns)
    }
}

/// What tells one dataset from another, under whatever name.
fn object(dataset: &Dataset) -> Result<String, Failed> {
    let info = dataset.loc_info()?;
    Ok(format!("{} {}", info.fileno, object_id(&info)))
}

/// The datasets of a group that have rows, each once; and their further names, each with the name that counts: the
/// stamped one, else the first by hard links.
pub(super) fn datasets(group: &Group, stamped: &[String], elsewhere: &Elsewhere<'_>) -> Result<Datasets, Failed> {
    let links = group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)?;
    let hard: HashSet<String> =
        links.into_iter().filter(|(_, link)| link.link_type == hdf5::LinkType::Hard).map(|(name, _)| name).collect();
    // A name that is there twice is that of the first place.
    let places: HashMap<&String, usize> = stamped.iter().enumerate().rev().map(|(place, name)| (name, place)).collect();
    let place = |name: &String| places.get(name).copied();
    let mut names = members(group, LocationType::Dataset)?;
    names.sort_by_cached_key(|name| (place(name).is_none(), !hard.contains(name), name.clone()));
    let mut first: HashMap<String, String> = HashMap::new();
    let mut found = Datasets::default();
    for name in names {
        // One that is damaged keeps nobody from the others.
        let Ok(dataset) = group.dataset(&name) else {
            found.unopenable.push(name);
            continue;
        };
        if dataset.shape().is_empty() {
            continue;
        }
        if place(&name).is_none() && Marked::is_dimension(&dataset)? {
            found.dimensions.push(dataset);
            continue;
        }
        match first.entry(object(&dataset)?) {
            Entry::Occupied(column) => found.aliases.push((name, column.get().clone())),
            Entry::Vacant(new) => {
                let stamp = place(&name);
                let mut column = read_column(&dataset, name.clone(), stamp)?;
                let has_names = !hard.contains(&name) || dataset.loc_info()?.num_links > 1;
                if let Some(other) = (stamp.is_none() && has_names).then(|| elsewhere.of(new.key())).flatten() {
                    column.frozen = Some(format!("another name of '{other}', which has stamps"));
                }
                new.insert(name);
                found.columns.push((column, dataset));
            }
        }
    }
    Ok(found)
}
