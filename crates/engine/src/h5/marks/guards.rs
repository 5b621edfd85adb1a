//! Guards of a table, stored as attributes of its dataset of stamps.
//!
//! A single guard of all columns is stored as in format 1. Several guards are stored in two lists, which programs of
//! format 1 do not know.

use crate::h5::Failed;
use crate::h5::marks::texts::{read_text, read_texts, remove, write_text, write_texts};
use h5part_base::dataspace::{Column, Guard, Places};
use h5part_base::error::{ErrorKind, Gone};
use hdf5::Dataset;
use ndarray::Array1;

const GUARD: &str = "guard";
const UNDEFINED: &str = "guard_undefined";
const COMPLETE: &str = "guard_complete";
/// Three texts per guard: name, undefined value, and value of complete rows or nothing.
const GUARDS: &str = "guards";
/// The number of the guard of each stamped column, counted from 1; 0 for none.
const COVERED: &str = "guard_of_columns";

/// A guard column, with the text of its undefined value and, if known, the text of the value that means "complete".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardSpec {
    /// Name of the column.
    pub name: String,
    /// Undefined value.
    pub undefined: String,
    /// Value of complete rows.
    pub complete: Option<String>,
    /// Names of the columns that it covers; it always covers itself. `None`: all.
    pub covers: Option<Vec<String>>,
}

impl GuardSpec {
    /// Turns a guard that was read into the specification that would make it. `columns` are those of its table.
    ///
    /// # Errors
    /// [`ErrorKind::Replaced`], [`ErrorKind::UnsupportedColumn`].
    pub fn of(guard: &Guard, columns: &[Column]) -> Result<Self, Failed> {
        let is_it = |column: &&Column| column.stamp == Some(guard.place);
        let column = columns.iter().find(is_it).ok_or_else(|| ErrorKind::Replaced(Gone::Column("guard".to_owned())))?;
        let dtype = column.dtype()?;
        let covered = columns.iter().filter(|column| column.stamp.is_some_and(|place| guard.covers(place)));
        Ok(Self {
            name: column.name.clone(),
            undefined: dtype.format_element(&guard.undefined),
            complete: guard.complete.as_ref().map(|bytes| dtype.format_element(bytes)),
            covers: Some(covered.map(|column| column.name.clone()).collect()),
        })
    }

    fn covers(&self, name: &str) -> bool {
        self.name == name || self.covers.as_ref().is_none_or(|covers| covers.iter().any(|other| other == name))
    }
}

/// Writes the guards of columns with these names, in place of earlier ones. Returns the lowest format that the file
/// then has.
pub(in crate::h5) fn write(stamps: &Dataset, names: &[String], guards: &[GuardSpec]) -> Result<u64, Failed> {
    [GUARD, UNDEFINED, COMPLETE, GUARDS, COVERED].iter().try_for_each(|name| remove(stamps, name))?;
    match guards {
        [] => Ok(1),
        [one] if names.iter().all(|name| one.covers(name)) => write_one(stamps, one).map(|()| 1),
        several => write_several(stamps, names, several).map(|()| 2),
    }
}

fn write_one(stamps: &Dataset, guard: &GuardSpec) -> Result<(), Failed> {
    write_text(stamps, GUARD, &guard.name)?;
    write_text(stamps, UNDEFINED, &guard.undefined)?;
    guard.complete.iter().try_for_each(|value| write_text(stamps, COMPLETE, value))
}

fn write_several(stamps: &Dataset, names: &[String], guards: &[GuardSpec]) -> Result<(), Failed> {
    let texts = guards.iter().flat_map(|guard| {
        [guard.name.as_str(), guard.undefined.as_str(), guard.complete.as_deref().unwrap_or_default()]
    });
    write_texts(stamps, GUARDS, &texts.collect::<Vec<_>>())?;
    let number = |name: &String| guards.iter().position(|guard| guard.covers(name)).map_or(0, |k| k as u64 + 1);
    let covered: Array1<u64> = names.iter().map(number).collect();
    stamps.new_attr_builder().with_data(&covered).create(COVERED)?;
    Ok(())
}

/// Reads the guards, with their places and values.
pub(in crate::h5) fn read(stamps: &Dataset, columns: &[&Column]) -> Result<Vec<Guard>, Failed> {
    let attributes = stamps.attr_names()?;
    let has = |name: &str| attributes.iter().any(|other| other == name);
    let stamped = columns.iter().filter_map(|column| column.stamp);
    if has(GUARDS) {
        let texts = read_texts(stamps, GUARDS)?;
        let covered: Array1<u64> = stamps.attr(COVERED)?.read_1d()?;
        let covered_by = |number: usize| -> Places {
            let places = covered.iter().enumerate().filter(|(_, of)| **of == number as u64 + 1);
            places.map(|(place, _)| place).collect()
        };
        return texts
            .chunks_exact(3)
            .enumerate()
            .map(|(k, row)| {
                let [name, undefined, complete] = [0, 1, 2].map(|i| row.get(i).map_or("", String::as_str));
                guard(columns, name, undefined, Some(complete).filter(|text| !text.is_empty()), covered_by(k))
            })
            .filter_map(Result::transpose)
            .collect();
    }
    if !has(GUARD) {
        return Ok(Vec::new());
    }
    let (name, undefined) = (read_text(stamps, GUARD)?, read_text(stamps, UNDEFINED)?);
    let complete = if has(COMPLETE) { Some(read_text(stamps, COMPLETE)?) } else { None };
    Ok(guard(columns, &name, &undefined, complete.as_deref(), stamped.collect())?.into_iter().collect())
}

/// Reads one guard. `None`: its column is gone or was changed, so it no longer says anything.
fn guard(
    columns: &[&Column],
    name: &str,
    undefined: &str,
    complete: Option<&str>,
    covers: Places,
) -> Result<Option<Guard>, Failed> {
    let moved = || ErrorKind::Replaced(Gone::Column(name.to_owned()));
    let Some(column) = columns.iter().find(|column| column.name == name) else { return Ok(None) };
    let dtype = column.dtype()?;
    let Some(place) = column.stamp else { return Ok(None) };
    let undefined = dtype.parse_element(undefined).ok_or_else(moved)?;
    Ok(Some(Guard { place, covers, undefined, complete: complete.and_then(|text| dtype.parse_element(text)) }))
}
