//! Reads tables, their columns and their layout from an open file.

mod dataset;
mod names;
mod parts;
mod stamps;

use crate::h5::marks::format::{GENERATION_ATTRIBUTE, STAMPS_GROUP, read_uuid};
use crate::h5::read::fingerprint::MetadataFingerprint;
use crate::h5::read::groups::{Groups, members, object_id};
use crate::h5::{Failed, H5File};
use h5part_base::dataspace::{Table, path_below};
use h5part_base::error::{ErrorKind, Item};
use h5part_base::storage::StorageFile;
use hdf5::{Group, LocationType};
use stamps::{are_there, number_of};
use std::collections::HashSet;
use uuid::Uuid;

pub(in crate::h5) use dataset::{chunks_end, fill_of, read_column, type_of, type_text};
pub(in crate::h5) use parts::Parts;
pub(in crate::h5) use stamps::{open_stamps, stamps_of, table_of_stamps};

/// A table in the overview of a file.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The table.
    pub table: Table,
    /// Number of attributes of its group.
    pub attributes: u64,
}

impl H5File {
    /// The file's uuid, if h5part has written one.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`], library errors.
    pub fn uuid(&self) -> Result<Option<Uuid>, Failed> {
        self.ask(|| read_uuid(&self.file))
    }

    /// How often h5part has changed the structure of the file.
    ///
    /// # Errors
    /// Library errors.
    pub fn generation(&self) -> Result<u64, Failed> {
        self.ask(|| {
            if self.file.attr_names()?.iter().all(|name| name != GENERATION_ATTRIBUTE) {
                return Ok(0);
            }
            Ok(self.file.attr(GENERATION_ATTRIBUTE)?.read_scalar()?)
        })
    }

    /// Reads one table with its layout, and fingerprints the metadata that it rests on. Ends the recording: call it
    /// once per open.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::WrongObject`], [`ErrorKind::Cut`], library errors.
    pub fn table(&self, path: &str, storage: &dyn StorageFile) -> Result<(Table, MetadataFingerprint), Failed> {
        self.ask(|| self.load(path, storage))
    }

    /// Reads a table without its fingerprint. This is for callers inside the gate, who may read several tables one by
    /// one. Shortened columns are included, since their first rows are still there.
    ///
    /// # Errors
    /// As [`H5File::table`].
    pub fn table_of_still(&self, path: &str) -> Result<Table, Failed> {
        drop(self.source.take_extents());
        self.ask(|| {
            let group = self.group(path)?;
            Ok(self.check_table(Parts::read(&self.file, path, &group)?)?.with_rest())
        })
    }

    fn load(&self, path: &str, storage: &dyn StorageFile) -> Result<(Table, MetadataFingerprint), Failed> {
        let group = self.group(path)?;
        let parts = Parts::read(&self.file, path, &group)?;
        let fingerprint = self.fingerprint(storage)?;
        Ok((self.check_table(parts)?, fingerprint))
    }

    fn check_table(&self, parts: Parts) -> Result<Table, Failed> {
        let table = parts.locate()?;
        if table.columns.is_empty() && table.lost.is_empty() {
            return Err(ErrorKind::WrongObject {
                name: table.path,
                found: "a group without columns",
                expected: "a table",
            }
            .into());
        }
        let (expected, found) = (table.end(), self.len);
        if expected > found {
            return Err(ErrorKind::Cut { expected, found }.into());
        }
        Ok(table)
    }

    /// Whether this file has stamps of the table's number, whichever table they belong to.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::WrongObject`], library errors.
    pub fn has_number_of_stamps(&self, path: &str) -> Result<bool, Failed> {
        self.ask(|| {
            let number = number_of(&self.group(path)?)?;
            Ok(number.map(|number| are_there(&self.file, number)).transpose()?.unwrap_or(false))
        })
    }

    /// Checks that a group exists at `path`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::WrongObject`], library errors.
    pub fn expect_group(&self, path: &str) -> Result<(), Failed> {
        self.ask(|| self.group(path).map(|_| ()))
    }

    pub(in crate::h5) fn group(&self, path: &str) -> Result<Group, Failed> {
        if let Some(group) = self.find_group(path)? {
            return Ok(group);
        }
        let known = self.list()?.into_iter().map(|t| t.table.path).collect();
        Err(ErrorKind::NotFound { what: Item::Table(path.to_owned()), known }.into())
    }

    /// The group at a path, if anything is there. The cost does not depend on the number of tables.
    fn find_group(&self, path: &str) -> Result<Option<Group>, Failed> {
        if path.is_empty() {
            return Ok(Some(self.file.group("/")?));
        }
        let (mut walked, mut here) = (String::new(), self.file.group("/")?);
        for part in path.split('/') {
            if !here.link_exists(part) {
                return Ok(None);
            }
            walked = path_below(&walked, part);
            let Ok(group) = here.group(part) else {
                return Err(ErrorKind::WrongObject { name: walked, found: "a dataset", expected: "a table" }.into());
            };
            here = group;
        }
        Ok(Some(here))
    }

    /// Lists all tables: groups that hold datasets with a common first axis.
    ///
    /// # Errors
    /// Library errors.
    pub fn tables(&self) -> Result<Vec<Listing>, Failed> {
        self.ask(|| self.list())
    }

    fn list(&self) -> Result<Vec<Listing>, Failed> {
        let mut listings = Vec::new();
        let mut groups = Groups::of(&self.file)?;
        let mut seen = HashSet::new();
        while let Some((path, group)) = groups.next() {
            let group = group?;
            // Links may form cycles, or give a group several names. The first name counts.
            if !seen.insert(object_id(&group.loc_info()?)) {
                continue;
            }
            let parts = Parts::read(&self.file, &path, &group)?;
            if !(parts.columns.is_empty() && parts.lost.is_empty()) {
                listings.push(Listing { table: parts.locate()?, attributes: group.attr_names()?.len() as u64 });
            }
            let mut below = members(&group, LocationType::Group)?;
            below.retain(|name| !(path.is_empty() && name == STAMPS_GROUP));
            below.sort_unstable_by(|a, b| b.cmp(a));
            for name in below {
                groups.push(&group, &path, name);
            }
        }
        Ok(listings)
    }

    /// Checks that a table can be made at `path`: nothing is there, or only groups without datasets.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::WrongObject`].
    pub fn may_add(&self, path: &str) -> Result<(), Failed> {
        self.ask(|| {
            let Some(group) = self.find_group(path)? else { return Ok(()) };
            if members(&group, LocationType::Dataset)?.is_empty() {
                Ok(())
            } else {
                Err(ErrorKind::AlreadyExists(Item::Table(path.to_owned())).into())
            }
        })
    }

    /// Whether the name is that of a group within the table.
    #[must_use]
    pub fn is_group(&self, table: &str, name: &str) -> bool {
        self.file.group(&format!("/{table}/{name}")).is_ok()
    }
}
