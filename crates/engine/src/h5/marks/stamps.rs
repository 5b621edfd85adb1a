//! What h5part adds to a file: stamps of a table, the uuid and the structural generation.

use crate::h5::Failed;
use crate::h5::H5Change;
use crate::h5::cells::library_cells::fill_rows;
use crate::h5::change::column::{Filters, Make, chunk_rows, make_column};
use crate::h5::marks::format::{
    COLUMNS_ATTRIBUTE, FORMAT, FORMAT_ATTRIBUTE, GENERATION_ATTRIBUTE, PATH_ATTRIBUTE, SOFT_ATTRIBUTE, STAMPS_GROUP,
    TABLE_ATTRIBUTE, TYPES_ATTRIBUTE, UUID_ATTRIBUTE, has_soft_columns, read_uuid,
};
use crate::h5::marks::guards::{self, GuardSpec};
use crate::h5::marks::texts::{write_text, write_texts};
use crate::h5::read::load::{open_stamps, stamps_of, type_of, type_text};
use h5part_base::dataspace::{ColumnSpec, Dtype, SECTOR_STAMPS, Stamps, Table};
use h5part_base::error::{ErrorKind, Item};
use hdf5::{Dataset, Group, LinkType};
use uuid::Uuid;

/// Attribute of the group of stamps: the largest number that a table ever got.
const LARGEST_ATTRIBUTE: &str = "largest";

/// The most stamped columns that a table can have.
pub const MOST_COLUMNS: usize = 4096;
/// Advice for more columns.
pub(crate) const TOO_MANY_COLUMNS: &str =
    "divide them among several tables, or make columns of one type one column with longer cells";
/// Format of a file with a table whose stamps of one row exceed a sector.
const WIDE: u64 = 3;
/// Format of a file with stamps for columns that are neither numbers of 8 to 64 bits nor bool. Versions that only know
/// those types would take such a column for a replaced one.
const TYPED: u64 = 4;
/// Types of earlier formats.
const PLAIN: [&str; 11] = ["f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool"];

/// Stamps to make.
#[derive(Debug)]
pub struct StampsSpec<'a> {
    /// Path of the table.
    pub path: &'a str,
    /// Number of its rows.
    pub rows: u64,
    /// Its columns that get stamps, in the order of the stamps.
    pub names: Vec<String>,
    /// Its guard columns.
    pub guards: Vec<GuardSpec>,
}

/// Whether the recorded type of a column belongs to earlier formats, or is missing.
fn is_plain(noted: &str) -> bool {
    noted.split(' ').next().is_none_or(|name| name.is_empty() || PLAIN.contains(&name))
}

/// Stamps per row: the number of columns, rounded up to a power of two.
pub(in crate::h5) fn width(columns: usize) -> usize {
    columns.next_power_of_two()
}

impl H5Change {
    /// The file's uuid. A file without one gets one.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`], library errors.
    pub fn ensure_uuid(&self) -> Result<Uuid, Failed> {
        if let Some(uuid) = read_uuid(&self.file)? {
            return Ok(uuid);
        }
        let uuid = Uuid::new_v4();
        write_text(&self.file, UUID_ATTRIBUTE, &uuid.to_string())?;
        self.file.new_attr::<u64>().create(FORMAT_ATTRIBUTE)?.write_scalar(&FORMAT)?;
        self.file.new_attr::<u64>().create(GENERATION_ATTRIBUTE)?.write_scalar(&0u64)?;
        Ok(uuid)
    }

    /// Counts a structural change of a store.
    pub(in crate::h5) fn count_generation(&self) -> Result<(), Failed> {
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

    /// Whether a table with stamps exists at this path.
    #[must_use]
    pub fn is_stamped(&self, table: &str) -> bool {
        let group = self.file.group(&format!("/{table}"));
        group.is_ok_and(|group| open_stamps(&self.file, &group, table).is_ok_and(|stamps| stamps.is_some()))
    }

    /// Gives stamps, all zero, to a table that another program made.
    ///
    /// # Errors
    /// I/O and library errors.
    pub fn add_stamps(&self, spec: &StampsSpec<'_>) -> Result<Stamps, Failed> {
        self.ensure_uuid()?;
        let group = self.file.group(&format!("/{}", spec.path))?;
        self.make_stamps(&group, spec, None)?;
        stamps_of(&self.file, &group)
    }

    /// Gives stamps to a table with the same columns as `like`. It reads only the length of the first column, which it
    /// returns as the number of rows.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], I/O and library errors.
    pub fn add_stamps_like(&self, like: &Table, names: Vec<String>) -> Result<u64, Failed> {
        let types = names.iter().map(|name| Ok(type_text(like.column(name)?)));
        let types = types.collect::<Result<Vec<_>, Failed>>()?;
        let guards = like.stamps.iter().flat_map(|stamps| &stamps.guards);
        let guards = guards.map(|guard| GuardSpec::of(guard, &like.columns)).collect::<Result<_, _>>()?;
        let group = self.file.group(&format!("/{}", like.path))?;
        let first = names.first().map(|name| group.dataset(name)).transpose()?;
        let rows = first.and_then(|first| first.shape().first().copied()).unwrap_or(0) as u64;
        self.make_stamps(&group, &StampsSpec { path: &like.path, rows, names, guards }, Some(types))?;
        for guard in like.stamps.iter().flat_map(|stamps| &stamps.guards) {
            let column = like.column_at(guard.place)?;
            // The fill of a guard may mean "complete".
            if column.fill != guard.undefined {
                fill_rows(&group.dataset(&column.name)?, column.dtype()?, 0..rows, &guard.undefined)?;
            }
        }
        Ok(rows)
    }

    /// Removes the stamps of this number.
    ///
    /// # Errors
    /// Library errors.
    pub fn drop_stamps(&self, number: u64) -> Result<(), Failed> {
        Ok(self.file.group(STAMPS_GROUP)?.unlink(&number.to_string())?)
    }

    /// Makes the dataset of stamps and gives the table its number. `types`: those of its columns, if known.
    pub(in crate::h5) fn make_stamps(
        &self,
        table: &Group,
        spec: &StampsSpec<'_>,
        types: Option<Vec<String>>,
    ) -> Result<(), Failed> {
        let group = if self.file.link_exists(STAMPS_GROUP) {
            self.file.group(STAMPS_GROUP)?
        } else {
            self.file.create_group_builder().obj_track_times(false).create(STAMPS_GROUP)?
        };
        let id = next_number(&group)?;
        make_words(&group, &id.to_string(), spec)?;
        let stamps = group.dataset(&id.to_string())?;
        self.describe_stamps(&stamps, spec, types)?;
        // A copy of a table carries the number of the original.
        if table.attr_names()?.iter().any(|name| name == TABLE_ATTRIBUTE) {
            table.delete_attr(TABLE_ATTRIBUTE)?;
        }
        table.new_attr::<u64>().create(TABLE_ATTRIBUTE)?.write_scalar(&id)?;
        Ok(())
    }

    /// Records which columns the stamps belong to, and what guards them.
    fn describe_stamps(
        &self,
        stamps: &Dataset,
        spec: &StampsSpec<'_>,
        types: Option<Vec<String>>,
    ) -> Result<(), Failed> {
        if stamps.attr_names()?.iter().all(|name| name != COLUMNS_ATTRIBUTE) {
            write_text(stamps, PATH_ATTRIBUTE, spec.path)?;
        }
        write_texts(stamps, COLUMNS_ATTRIBUTE, &spec.names)?;
        self.note_soft_columns(spec)?;
        let types = types.map_or_else(|| self.types_of(spec), Ok)?;
        write_texts(stamps, TYPES_ATTRIBUTE, &types)?;
        let wide = if spec.names.len() > SECTOR_STAMPS { WIDE } else { 0 };
        let typed = if types.iter().all(|text| is_plain(text)) { 0 } else { TYPED };
        let format = guards::write(stamps, &spec.names, &spec.guards)?.max(wide).max(typed);
        let attribute = self.file.attr(FORMAT_ATTRIBUTE)?;
        let found: u64 = attribute.read_scalar()?;
        if found < format {
            attribute.write_scalar(&format)?;
        }
        Ok(())
    }

    /// Marks the file if a column is reached by a soft link only.
    fn note_soft_columns(&self, spec: &StampsSpec<'_>) -> Result<(), Failed> {
        let table = self.file.group(&format!("/{}", spec.path))?;
        let links = table.links(hdf5::IndexType::Name, hdf5::IterationOrder::Native)?;
        let soft =
            |(name, link): &(String, hdf5::LinkInfo)| link.link_type == LinkType::Soft && spec.names.contains(name);
        let all = self.file.group(STAMPS_GROUP)?;
        if links.iter().any(soft) && !has_soft_columns(&all)? {
            all.new_attr::<u64>().create(SOFT_ATTRIBUTE)?.write_scalar(&1u64)?;
        }
        Ok(())
    }

    fn types_of(&self, spec: &StampsSpec<'_>) -> Result<Vec<String>, Failed> {
        let table = self.file.group(&format!("/{}", spec.path))?;
        spec.names.iter().map(|name| type_of(&table, name)).collect()
    }

    /// Records again which columns the stamps of a table belong to. An empty name stands for no column.
    ///
    /// # Errors
    /// Library errors.
    pub fn name_stamps(&self, number: u64, spec: &StampsSpec<'_>) -> Result<Stamps, Failed> {
        self.describe_stamps(&self.file.dataset(&format!("/{STAMPS_GROUP}/{number}"))?, spec, None)?;
        stamps_of(&self.file, &self.file.group(&format!("/{}", spec.path))?)
    }

    /// Makes room for the stamps of more columns, after the existing ones. If this needs a new dataset, it is all zero,
    /// and the caller must copy the old stamps.
    ///
    /// # Errors
    /// I/O and library errors.
    pub fn widen_stamps(&self, table: &Table, spec: &StampsSpec<'_>) -> Result<Stamps, Failed> {
        let before = table.stamps.as_ref().ok_or_else(|| ErrorKind::Unstamped(Item::Table(table.path.clone())))?;
        let group = self.file.group(STAMPS_GROUP)?;
        let name = before.table.to_string();
        if width(spec.names.len()) > before.width {
            // The old dataset is removed last: HDF5 reuses freed space, and the old stamps are still to be read.
            let wider = format!("{name} wider");
            make_words(&group, &wider, spec)?;
            group.unlink(&name)?;
            group.relink(&wider, &name)?;
        }
        self.describe_stamps(&group.dataset(&name)?, spec, None)?;
        stamps_of(&self.file, &self.file.group(&format!("/{}", table.path))?)
    }
}

/// The number of the next table: one more than the largest ever given. The group stores it, so that not all names must
/// be searched. An older version that does not know of it may have given larger ones.
fn next_number(group: &Group) -> Result<u64, Failed> {
    let kept = group.attr(LARGEST_ATTRIBUTE).ok();
    let mut largest = match &kept {
        Some(kept) => kept.read_scalar()?,
        None => group.member_names()?.iter().filter_map(|n| n.parse::<u64>().ok()).max().unwrap_or(0),
    };
    while group.link_exists(&(largest + 1).to_string()) {
        largest += 1;
    }
    let next = largest + 1;
    match kept {
        Some(kept) => kept.write_scalar(&next)?,
        None => group.new_attr::<u64>().create(LARGEST_ATTRIBUTE)?.write_scalar(&next)?,
    }
    Ok(next)
}

/// A dataset of stamps, all zero.
fn make_words(group: &Group, name: &str, spec: &StampsSpec<'_>) -> Result<(), Failed> {
    let width = width(spec.names.len()) as u64;
    let column = ColumnSpec::new(name, Dtype::U64, &[width]);
    let chunk_rows = Some(chunk_rows(spec.rows, width * 8, None));
    make_column(group, &column, Make { rows: spec.rows, chunk_rows, filters: Filters::default() })
}
