//! Datasets with several names, in one group or in several tables. Each is one column with one set of stamps.

use super::dataset::read_column;
use super::stamps::{Stamped, open_stamps, table_of_stamps};
use crate::h5::Failed;
use crate::h5::dimensions::Marked;
use crate::h5::marks::format::{STAMPS_GROUP, has_soft_columns};
use crate::h5::read::groups::{members, object_id};
use h5part_base::dataspace::{Column, path_below};
use hdf5::{Dataset, Group, LocationType};
use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// What [`datasets`] returns.
#[derive(Default)]
pub(super) struct Datasets {
    pub(super) columns: Vec<(Column, Dataset)>,
    pub(super) aliases: Vec<(String, String)>,
    /// Named dimensions that h5part made.
    pub(super) dimensions: Vec<Dataset>,
    pub(super) unopenable: Vec<String>,
}

/// The stamped columns of all other tables. They are looked up only if a dataset may be one of them.
pub(super) struct Elsewhere<'f> {
    file: &'f hdf5::File,
    /// Number of this table, if it has stamps.
    own: Option<u64>,
    /// Whether another table may reach its column by a soft link, which the column's count of links does not tell.
    soft: OnceCell<bool>,
    columns: OnceCell<HashMap<String, String>>,
}

impl<'f> Elsewhere<'f> {
    pub(super) fn new(file: &'f hdf5::File, own: Option<u64>) -> Self {
        Self { file, own, soft: OnceCell::new(), columns: OnceCell::new() }
    }

    /// Whether a dataset with one hard link may be a stamped column of another table.
    fn may_be_soft(&self) -> bool {
        let look = || self.file.group(STAMPS_GROUP).is_ok_and(|all| has_soft_columns(&all).unwrap_or(true));
        *self.soft.get_or_init(|| self.file.link_exists(STAMPS_GROUP) && look())
    }

    /// Path of the other table's stamped column that is this dataset, if any.
    pub(super) fn of(&self, object: &str) -> Option<&String> {
        self.columns.get_or_init(|| self.look().unwrap_or_default()).get(object)
    }

    /// Columns by object. Tables, stamps and columns that cannot be opened are left out, each by itself.
    fn look(&self) -> Result<HashMap<String, String>, Failed> {
        let mut columns = HashMap::new();
        if !self.file.link_exists(STAMPS_GROUP) {
            return Ok(columns);
        }
        let all = self.file.group(STAMPS_GROUP)?;
        let mut numbers: Vec<u64> = all.member_names()?.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.retain(|number| Some(*number) != self.own);
        // If two tables claim a dataset, it belongs to the older one.
        numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
        for number in numbers {
            let Ok(stamps) = all.dataset(&number.to_string()) else { continue };
            let Some(path) = table_of_stamps(&stamps) else { continue };
            let Ok(table) = self.file.group(&format!("/{path}")) else { continue };
            let Ok(Some((_, stamps))) = open_stamps(self.file, &table, &path) else { continue };
            let Ok(stamped) = Stamped::read(&stamps) else { continue };
            for name in stamped.names.into_iter().filter(|name| !name.is_empty()) {
                let Ok(dataset) = table.dataset(&name) else { continue };
                let Ok(object) = object(&dataset) else { continue };
                columns.insert(object, format!("/{}", path_below(&path, &name)));
            }
        }
        Ok(columns)
    }
}

/// Identifies a dataset, whatever its names are.
fn object(dataset: &Dataset) -> Result<String, Failed> {
    let info = dataset.loc_info()?;
    Ok(format!("{} {}", info.fileno, object_id(&info)))
}

/// Collects the datasets of a group that have rows, each once under the name that counts: the stamped name, else the
/// first hard link. The other names become aliases.
pub(super) fn datasets(group: &Group, stamped: &[String], elsewhere: &Elsewhere<'_>) -> Result<Datasets, Failed> {
    let links = group.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)?;
    let hard: HashSet<String> =
        links.into_iter().filter(|(_, link)| link.link_type == hdf5::LinkType::Hard).map(|(name, _)| name).collect();
    // The first place counts for a name that occurs twice.
    let places: HashMap<&String, usize> = stamped.iter().enumerate().rev().map(|(place, name)| (name, place)).collect();
    let place = |name: &String| places.get(name).copied();
    let mut names = members(group, LocationType::Dataset)?;
    names.sort_by_cached_key(|name| (place(name).is_none(), !hard.contains(name), name.clone()));
    let mut first: HashMap<String, String> = HashMap::new();
    let mut found = Datasets::default();
    for name in names {
        // A damaged dataset must not make the others unreadable.
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
                let may_be_elsewhere = stamp.is_none()
                    && (!hard.contains(&name) || dataset.loc_info()?.num_links > 1 || elsewhere.may_be_soft());
                if let Some(other) = may_be_elsewhere.then(|| elsewhere.of(new.key())).flatten() {
                    column.frozen = Some(format!("another name of '{other}', which has stamps"));
                }
                new.insert(name);
                found.columns.push((column, dataset));
            }
        }
    }
    Ok(found)
}
