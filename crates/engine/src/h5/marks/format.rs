//! What h5part adds to a file: names of attributes, and the version of the format.

use crate::h5::Failed;
use crate::h5::marks::texts::read_text;
use h5part_base::error::ErrorKind;
use uuid::Uuid;

pub(in crate::h5) use h5part_base::dataspace::STAMPS_GROUP;
/// Format of new files, unless something in them needs a newer one.
pub(in crate::h5) const FORMAT: u64 = 1;
/// Newest format that this version reads.
const NEWEST: u64 = 4;
pub(in crate::h5) const UUID_ATTRIBUTE: &str = "h5part_uuid";
pub(in crate::h5) const FORMAT_ATTRIBUTE: &str = "h5part_format";
pub(in crate::h5) const TABLE_ATTRIBUTE: &str = "h5part_table";
/// Path of the table when its stamps were made.
pub(in crate::h5) const PATH_ATTRIBUTE: &str = "table";
pub(in crate::h5) const COLUMNS_ATTRIBUTE: &str = "columns";
/// Type and cell shape of each stamped column, so that a replaced dataset is noticed.
pub(in crate::h5) const TYPES_ATTRIBUTE: &str = "column_types";
/// Of the group of stamps: a stamped column is a soft link, so that its dataset may have one hard link in another table.
pub(in crate::h5) const SOFT_ATTRIBUTE: &str = "soft_columns";
pub(in crate::h5) const GENERATION_ATTRIBUTE: &str = "h5part_generation";

pub(in crate::h5) fn read_uuid(file: &hdf5::File) -> Result<Option<Uuid>, Failed> {
    if file.attr_names()?.iter().all(|name| name != UUID_ATTRIBUTE) {
        return Ok(None);
    }
    let found: u64 = file.attr(FORMAT_ATTRIBUTE)?.read_scalar()?;
    if found > NEWEST {
        return Err(ErrorKind::NewerFormat { found, known: NEWEST }.into());
    }
    Ok(Uuid::parse_str(&read_text(file, UUID_ATTRIBUTE)?).ok())
}

/// Whether a stamped column of the file may be a soft link. `all`: the group of stamps.
pub(in crate::h5) fn has_soft_columns(all: &hdf5::Group) -> Result<bool, Failed> {
    Ok(all.attr_names()?.iter().any(|name| name == SOFT_ATTRIBUTE))
}
