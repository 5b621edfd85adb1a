//! Stamps of a table, the file's uuid and its structural generation: what h5part adds to a file.

use super::H5Change;
use super::attribute::{Attribute, text, write_attribute};
use super::column::{Filters, Make, chunk_rows, make_column};
use super::load::{
    COLUMNS_ATTRIBUTE, COMPLETE_ATTRIBUTE, FORMAT, FORMAT_ATTRIBUTE, GENERATION_ATTRIBUTE, GUARD_ATTRIBUTE,
    STAMPS_GROUP, TABLE_ATTRIBUTE, UNDEFINED_ATTRIBUTE, UUID_ATTRIBUTE, read_uuid,
};
use crate::dataspace::{ColumnSpec, Dtype, Stamps};
use crate::error::ErrorKind;
use hdf5::Group;
use uuid::Uuid;

/// Stamps of a row lie within a sector of 512 bytes.
pub const MOST_COLUMNS: usize = 64;

/// Stamps to be made.
#[derive(Debug)]
pub struct StampsSpec<'a> {
    /// Path of the table.
    pub path: &'a str,
    /// Number of its rows.
    pub rows: u64,
    /// Its columns that get stamps, in the order of the stamps.
    pub names: Vec<&'a str>,
    /// The guard column.
    pub guard: Option<GuardSpec<'a>>,
}

/// A guard column, with the texts of its undefined value and, where it is known, of the one that says
/// "complete".
#[derive(Debug)]
pub struct GuardSpec<'a> {
    /// Name of the column.
    pub name: &'a str,
    /// Undefined value.
    pub undefined: String,
    /// Value of complete rows.
    pub complete: Option<&'a str>,
}

/// Stamps a row: the columns padded to a power of two.
pub(super) fn width(columns: usize) -> usize {
    columns.next_power_of_two()
}

impl H5Change {
    /// The file's uuid, which it gets if it has none.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`], library errors.
    pub fn ensure_uuid(&self) -> Result<Uuid, ErrorKind> {
        if let Some(uuid) = read_uuid(&self.file)? {
            return Ok(uuid);
        }
        let uuid = Uuid::new_v4();
        write_attribute(&self.file, UUID_ATTRIBUTE, &Attribute::Text(uuid.to_string()))?;
        self.file.new_attr::<u64>().create(FORMAT_ATTRIBUTE)?.write_scalar(&FORMAT)?;
        self.file.new_attr::<u64>().create(GENERATION_ATTRIBUTE)?.write_scalar(&0u64)?;
        Ok(uuid)
    }

    /// Every structural change of a store is counted.
    pub(super) fn count_generation(&self) -> Result<(), ErrorKind> {
        let names = self.file.attr_names()?;
        let has = |name: &str| names.iter().any(|n| n == name);
        if has(GENERATION_ATTRIBUTE) {
            let attribute = self.file.attr(GENERATION_ATTRIBUTE)?;
            let generation: u64 = attribute.read_scalar()?;
            attribute.write_scalar(&(generation + 1))?;
        } else if has(UUID_ATTRIBUTE) {
            self.file.new_attr::<u64>().create(GENERATION_ATTRIBUTE)?.write_scalar(&1u64)?;
        }
        Ok(())
    }

    /// Whether there is a table of this path that has stamps.
    #[must_use]
    pub fn is_stamped(&self, table: &str) -> bool {
        let group = self.file.group(&format!("/{table}"));
        group.and_then(|group| group.attr_names()).is_ok_and(|names| names.iter().any(|name| name == TABLE_ATTRIBUTE))
    }

    /// Gives stamps, all zero, to a table that others made.
    ///
    /// # Errors
    /// I/O and library errors.
    pub fn add_stamps(&self, spec: &StampsSpec<'_>) -> Result<Stamps, ErrorKind> {
        self.ensure_uuid()?;
        let group = self.file.group(&format!("/{}", spec.path))?;
        self.make_stamps(&group, spec)?;
        super::load::stamps_of(&self.file, &group)
    }

    /// Makes the dataset of stamps and gives the table its number.
    pub(super) fn make_stamps(&self, table: &Group, spec: &StampsSpec<'_>) -> Result<(), ErrorKind> {
        let group = if self.file.link_exists(STAMPS_GROUP) {
            self.file.group(STAMPS_GROUP)?
        } else {
            self.file.create_group_builder().obj_track_times(false).create(STAMPS_GROUP)?
        };
        let taken = group.member_names()?.iter().filter_map(|n| n.parse::<u64>().ok()).max().unwrap_or(0);
        let id = taken + 1;
        let width = width(spec.names.len()) as u64;
        let column = ColumnSpec::new(&id.to_string(), Dtype::U64, &[width]);
        let chunk_rows = Some(chunk_rows(spec.rows, width * 8, None));
        make_column(&group, &column, Make { rows: spec.rows, chunk_rows, filters: Filters::default() })?;
        let names = spec.names.iter().map(|name| text(name)).collect::<Result<Vec<_>, _>>()?;
        let stamps = group.dataset(&column.name)?;
        stamps.new_attr_builder().with_data(&names).create(COLUMNS_ATTRIBUTE)?;
        write_attribute(&stamps, "table", &Attribute::Text(spec.path.to_owned()))?;
        if let Some(GuardSpec { name, undefined, complete }) = &spec.guard {
            write_attribute(&stamps, GUARD_ATTRIBUTE, &Attribute::Text((*name).to_owned()))?;
            write_attribute(&stamps, UNDEFINED_ATTRIBUTE, &Attribute::Text(undefined.clone()))?;
            if let Some(complete) = complete {
                write_attribute(&stamps, COMPLETE_ATTRIBUTE, &Attribute::Text((*complete).to_owned()))?;
            }
        }
        table.new_attr::<u64>().create(TABLE_ATTRIBUTE)?.write_scalar(&id)?;
        Ok(())
    }
}
