//! Two files that are read as one: the working file, and the file that was published before.

use super::handle::{Store, trim_slashes};
use super::read::Reader;
use crate::h5::Listing;
use h5part_base::error::{Error, ErrorKind, Item, Result};
use std::mem::discriminant;

/// A working file and its published parent. A name is looked up in the working file first, then in the parent. So
/// current results are read from the file where they are written, and everything else from a file that nobody writes
/// to.
///
/// **Concurrency.** As with [`Reader`]: beside any number of writers. Each call checks both files for changes.
#[derive(Clone, Debug)]
pub struct StorePair {
    work: Store,
    parent: Store,
}

/// Which file of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The working file.
    Work,
    /// Its parent.
    Parent,
}

impl StorePair {
    /// A pair of stores.
    #[must_use]
    pub fn new(work: Store, parent: Store) -> Self {
        Self { work, parent }
    }

    /// One of the two.
    #[must_use]
    pub fn store(&self, side: Side) -> &Store {
        match side {
            Side::Work => &self.work,
            Side::Parent => &self.parent,
        }
    }

    /// Which file has the table `table`, and the column `column` if one is given: the working file first, else the
    /// parent.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] of the working file, which lists what both files have; others as [`Store::reader`].
    pub fn find(&self, table: &str, column: Option<&str>) -> Result<Side> {
        self.look_up(table, column).map(|(side, _)| side)
    }

    /// Opens a table where [`StorePair::find`] finds it.
    ///
    /// # Errors
    /// As [`StorePair::find`].
    pub fn reader(&self, table: &str) -> Result<Reader> {
        self.look_up(table, None).map(|(_, reader)| reader)
    }

    /// Opens the table that has a column, where [`StorePair::find`] finds it.
    ///
    /// # Errors
    /// As [`StorePair::find`].
    pub fn reader_of(&self, table: &str, column: &str) -> Result<Reader> {
        self.look_up(table, Some(column)).map(|(_, reader)| reader)
    }

    /// The tables of both files, each with its file: those of the working file, then those that only the parent has.
    ///
    /// # Errors
    /// As [`Store::tables`].
    pub fn tables(&self) -> Result<Vec<(Side, Listing)>> {
        let work = self.work.tables()?;
        let mut parent = self.parent.tables()?;
        parent.retain(|listing| work.iter().all(|other| other.table.path != listing.table.path));
        let of = |side| move |listing| (side, listing);
        Ok(work.into_iter().map(of(Side::Work)).chain(parent.into_iter().map(of(Side::Parent))).collect())
    }

    fn look_up(&self, table: &str, column: Option<&str>) -> Result<(Side, Reader)> {
        let table = trim_slashes(table);
        match open(&self.work, table, column) {
            Err(missing) if is_missing(&missing) => match open(&self.parent, table, column) {
                Ok(reader) => Ok((Side::Parent, reader)),
                Err(also) if is_missing(&also) => Err(neither(missing, &also)),
                Err(e) => Err(e),
            },
            found => found.map(|reader| (Side::Work, reader)),
        }
    }
}

fn open(store: &Store, table: &str, column: Option<&str>) -> Result<Reader> {
    let reader = store.reader(table)?;
    if let Some(column) = column {
        reader.table().readable(column).map_err(|kind| kind.at("read", store.path()))?;
    }
    Ok(reader)
}

fn is_missing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound { what: Item::Table(_), .. }
            | ErrorKind::WrongObject { .. }
            | ErrorKind::NotFound { what: Item::Column { .. }, .. }
    )
}

/// The working file's error, extended by what the parent has.
fn neither(missing: Error, also: &Error) -> Error {
    let add = |known: &mut Vec<String>, more: &[String]| {
        known.extend(more.iter().cloned());
        known.sort_unstable();
        known.dedup();
    };
    let (operation, path) = (missing.operation(), missing.path().to_owned());
    let mut kind = missing.into_kind();
    match (&mut kind, also.kind()) {
        (ErrorKind::NotFound { what, known }, ErrorKind::NotFound { what: other, known: more })
            if discriminant(what) == discriminant(other) =>
        {
            add(known, more);
        }
        _ => {}
    }
    kind.at(operation, path)
}
