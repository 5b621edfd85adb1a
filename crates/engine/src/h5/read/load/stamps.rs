//! Finds the stamps of a table, and reads what they say of its columns.

use super::dataset::{first_axis, locate, type_text};
use crate::h5::Failed;
use crate::h5::marks::format::{COLUMNS_ATTRIBUTE, PATH_ATTRIBUTE, STAMPS_GROUP, TABLE_ATTRIBUTE, TYPES_ATTRIBUTE};
use crate::h5::marks::texts::{read_text, read_texts};
use h5part_base::dataspace::{Column, Dtype, Guard, Loss, LostColumn, Stamps, shape_text};
use h5part_base::error::{ErrorKind, Item};
use hdf5::{Dataset, Group};
use std::collections::HashMap;

/// What the stamps of a table say of its columns.
#[derive(Default)]
pub(in crate::h5) struct Stamped {
    /// Name of the column of each stamp; empty if it has none any more.
    pub(in crate::h5) names: Vec<String>,
    /// Type and cell shape of each column when it was stamped; empty if unknown.
    types: Vec<String>,
}

impl Stamped {
    pub(in crate::h5) fn read(stamps: &Dataset) -> Result<Self, Failed> {
        let types = if stamps.attr_names()?.iter().any(|name| name == TYPES_ATTRIBUTE) {
            read_texts(stamps, TYPES_ATTRIBUTE)?
        } else {
            Vec::new()
        };
        Ok(Self { names: read_texts(stamps, COLUMNS_ATTRIBUTE)?, types })
    }

    /// Takes out the columns that have changed since they were stamped, and says what became of them.
    pub(in crate::h5) fn take_lost(
        &self,
        columns: &mut Vec<(Column, Dataset)>,
        rows: u64,
    ) -> Vec<(LostColumn, Option<Dataset>)> {
        let mut lost = Vec::new();
        let at: HashMap<usize, usize> =
            columns.iter().enumerate().filter_map(|(k, (column, _))| Some((column.stamp?, k))).collect();
        // Index of each removed column, with the number of its loss.
        let mut gone: HashMap<usize, usize> = HashMap::new();
        for (place, name) in self.names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let was = self.types.get(place).filter(|text| !text.is_empty());
            let here = at.get(&place).copied();
            let loss = match here.and_then(|k| columns.get(k)) {
                None => Loss::Gone { renamed: was.and_then(|was| unstamped_like(columns, was, rows)) },
                Some((column, _)) if was.is_some_and(|was| *was != type_text(column)) => {
                    let dtype = column.dtype.as_ref().map_or_else(Clone::clone, Dtype::to_string);
                    Loss::Retyped { now: format!("{dtype} and shape {}", shape_text(&column.shape)) }
                }
                Some((_, dataset)) if first_axis(dataset) < rows => Loss::Shortened { rows: first_axis(dataset) },
                Some(_) => continue,
            };
            gone.extend(here.map(|k| (k, lost.len())));
            let shortened = matches!(loss, Loss::Shortened { .. });
            lost.push((LostColumn { name: name.clone(), place, loss, rest: None }, None));
            if !shortened {
                gone.extend(here.map(|k| (k, usize::MAX)));
            }
        }
        for (k, (column, dataset)) in std::mem::take(columns).into_iter().enumerate() {
            match gone.get(&k) {
                None => columns.push((column, dataset)),
                // The rows that a shortened column still has are read.
                Some(&number) => {
                    if let Some((lost, left)) = lost.get_mut(number) {
                        (lost.rest, *left) = (Some(Box::new(column)), Some(dataset));
                    }
                }
            }
        }
        lost
    }
}

/// A dataset without stamps that may be the renamed one, since it has the same type.
fn unstamped_like(columns: &[(Column, Dataset)], was: &str, rows: u64) -> Option<String> {
    let like = |(column, dataset): &&(Column, Dataset)| {
        column.stamp.is_none() && first_axis(dataset) == rows && type_text(column) == was
    };
    columns.iter().find(like).map(|(column, _)| column.name.clone())
}

/// The stamps of a table that just got them.
pub(in crate::h5) fn stamps_of(file: &hdf5::File, group: &Group) -> Result<Stamps, Failed> {
    let (table, dataset) = open_stamps(file, group, group.name().trim_start_matches('/'))?
        .ok_or_else(|| ErrorKind::Unstamped(Item::Table(group.name())))?;
    locate_stamps(table, &dataset, Vec::new())
}

pub(in crate::h5) fn locate_stamps(table: u64, dataset: &Dataset, guards: Vec<Guard>) -> Result<Stamps, Failed> {
    let width = dataset.shape().get(1).copied().unwrap_or(0);
    let chunk = dataset.chunk().map(|chunk| chunk.iter().map(|&n| n as u64).collect::<Vec<_>>());
    let layout = locate(dataset, chunk.as_deref(), width as u64 * 8)?;
    let layout = layout.map_err(|reason| ErrorKind::LibraryColumn { column: STAMPS_GROUP.to_owned(), reason })?;
    Ok(Stamps { table, layout, width, guards })
}

/// Number of a table, and its stamps. If another program copied a table, the copy has its number but no stamps: those
/// belong to the original, or to no table of this file.
pub(in crate::h5) fn open_stamps(
    file: &hdf5::File,
    group: &Group,
    path: &str,
) -> Result<Option<(u64, Dataset)>, Failed> {
    let Some(number) = number_of(group)? else { return Ok(None) };
    if !are_there(file, number)? {
        return Ok(None);
    }
    let stamps = file.dataset(&format!("/{STAMPS_GROUP}/{number}"))?;
    let Some(of) = table_of_stamps(&stamps).filter(|of| of != path) else { return Ok(Some((number, stamps))) };
    // A table that was moved, or that has several names, is still the one that the stamps belong to.
    let Ok(other) = file.group(&format!("/{of}")) else { return Ok(Some((number, stamps))) };
    let same = other.loc_info()?.token == group.loc_info()?.token;
    Ok((same || number_of(&other)? != Some(number)).then_some((number, stamps)))
}

/// Whether the file has stamps of this number.
pub(in crate::h5) fn are_there(file: &hdf5::File, number: u64) -> Result<bool, Failed> {
    Ok(file.link_exists(STAMPS_GROUP) && file.group(STAMPS_GROUP)?.link_exists(&number.to_string()))
}

pub(in crate::h5) fn number_of(table: &Group) -> Result<Option<u64>, Failed> {
    if table.attr_names()?.iter().all(|name| name != TABLE_ATTRIBUTE) {
        return Ok(None);
    }
    Ok(Some(table.attr(TABLE_ATTRIBUTE)?.read_scalar()?))
}

/// Where the table is, as its stamps record it.
pub(in crate::h5) fn table_of_stamps(stamps: &Dataset) -> Option<String> {
    read_text(stamps, PATH_ATTRIBUTE).ok()
}
