//! What the datasets of a group tell about which of their cells were ever written, and why some cannot get stamps.
#![expect(unsafe_code, reason = "the safe wrapper reads no attribute of a type that is known at run time alone")]

use crate::h5::Failed;
use crate::h5::H5File;
use crate::h5::cells::chunks::each_chunk;
use crate::h5::dimensions::Marked;
use crate::h5::library::raw::call;
use crate::h5::read::groups::{members, object_id};
use crate::h5::read::load::fill_of;
use crate::h5::types::made_type::made_type;
use h5part_base::dataspace::{Column, Dtype, OUTSIDE, Table, push_range};
use h5part_base::num::to_usize;
use hdf5::plist::DatasetCreate;
use hdf5::plist::dataset_create::{AllocTime, FillValue, Layout};
use hdf5::types::VarLenUnicode;
use hdf5::{Dataset, LocationType};
use hdf5_sys::h5a::H5Aread;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Longer attributes are not read for marks.
const MOST_MARK_BYTES: usize = 64 << 10;

/// What is known of a column before its values are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Little-endian elements that mean "no value": its own fill value, and those in netCDF's attributes.
    pub marks: Vec<Vec<u8>>,
    /// Its own fill value, even if HDF5 was told not to write it.
    pub chosen: Option<Vec<u8>>,
    /// Which part of it has space in the file.
    pub stored: Stored,
    /// Its space was allocated at creation, so space proves nothing.
    pub early: bool,
}

/// The rows of a column that have space in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// All rows.
    #[default]
    All,
    /// These rows, ascending; empty if nothing was ever written.
    Only(Vec<Range<u64>>),
}

impl Stored {
    /// Whether a row has space.
    #[must_use]
    pub fn contains(&self, row: u64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ranges) => {
                let next = ranges.partition_point(|range| range.end <= row);
                ranges.get(next).is_some_and(|range| range.start <= row)
            }
        }
    }
}

/// A dataset of a group that may get stamps, or the reason why it may not.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Name of the dataset.
    pub name: String,
    /// What is known of it, or why it cannot get stamps.
    pub evidence: Result<Evidence, String>,
}

impl H5File {
    /// All datasets in a table's group, sorted by name. Those of other lengths are included.
    ///
    /// # Errors
    /// Library errors.
    pub fn candidates(&self, table: &Table) -> Result<Vec<Candidate>, Failed> {
        self.ask(|| {
            let group = self.file.group(&format!("/{}", table.path))?;
            let netcdf = self.file.attr_names()?.iter().any(|name| name == "_NCProperties");
            let mut names = members(&group, LocationType::Dataset)?;
            // Stamped ones come first, so that their other names count as the aliases.
            let stamped = |name: &String| table.columns.iter().any(|c| c.name == *name && c.stamp.is_some());
            names.sort_by_cached_key(|name| (!stamped(name), name.clone()));
            let mut seen: HashMap<String, String> = HashMap::new();
            let mut candidates = Vec::with_capacity(names.len());
            for name in names {
                let Ok(dataset) = group.dataset(&name) else {
                    candidates.push(Candidate { name, evidence: Err("HDF5 cannot open it".to_owned()) });
                    continue;
                };
                let token = object_id(&dataset.loc_info()?);
                let first = seen.entry(token).or_insert_with(|| name.clone());
                let evidence = if *first == name {
                    look_at(&dataset, &name, table, netcdf)?
                } else {
                    Err(format!("another name of '{first}'"))
                };
                candidates.push(Candidate { name, evidence });
            }
            candidates.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(candidates)
        })
    }
}

fn look_at(dataset: &Dataset, name: &str, table: &Table, netcdf: bool) -> Result<Result<Evidence, String>, Failed> {
    if table.column(name).is_err() && Marked::is_dimension(dataset)? {
        return Ok(Err("a dimension of the table, not a column".to_owned()));
    }
    let Some(&rows) = dataset.shape().first() else { return Ok(Err("a single value, without rows".to_owned())) };
    let Ok(column) = table.column(name) else {
        return Ok(Err(format!("it has {rows} rows, and the table {}", table.rows)));
    };
    let plist = dataset.dcpl()?;
    let obstacle = match (&column.dtype, &column.layout) {
        (Err(dtype), _) => Some(format!("values of type {dtype} are not supported")),
        (_, Err(reason)) if reason == OUTSIDE => Some(reason.clone()),
        // netCDF keeps a dataset for a dimension that has no variable.
        _ if text(dataset, "NAME").is_some_and(|text| text.starts_with("This is a netCDF dimension but not")) => {
            Some("a netCDF dimension, which holds no values".to_owned())
        }
        _ => column.frozen.clone(),
    };
    if let Some(obstacle) = obstacle {
        return Ok(Err(obstacle));
    }
    Ok(Ok(Evidence {
        marks: marks(dataset, column, &plist, netcdf)?,
        chosen: chosen_fill(column, &plist)?,
        stored: stored(dataset, column, plist.get_layout()?, table.rows)?,
        early: plist.get_alloc_time()? == AllocTime::Early && plist.get_layout()? != Layout::Compact,
    }))
}

/// The fill element that the dataset was given, even if HDF5 does not write it.
fn chosen_fill(column: &Column, plist: &DatasetCreate) -> Result<Option<Vec<u8>>, Failed> {
    match column.dtype {
        Ok(dtype) if plist.get_fill_value_defined()? == FillValue::UserDefined => Ok(Some(fill_of(plist, dtype)?)),
        _ => Ok(None),
    }
}

/// The elements that mean "no value".
fn marks(dataset: &Dataset, column: &Column, plist: &DatasetCreate, netcdf: bool) -> Result<Vec<Vec<u8>>, Failed> {
    let Ok(dtype) = column.dtype else { return Ok(Vec::new()) };
    let named = ["_FillValue", "missing_value"].map(|name| elements(dataset, name, dtype)).concat();
    // netCDF defines a default for bytes too, but reads every byte as a value unless an attribute names a fill.
    let of_bytes = netcdf && dtype.size() == 1 && named.is_empty();
    // PyTables sets zero as the fill of every array that can be enlarged or has chunks. Nobody chose it.
    let of_pytables = matches!(text(dataset, "CLASS").as_deref(), Some("EARRAY" | "CARRAY" | "VLARRAY" | "ARRAY"));
    let own = chosen_fill(column, plist)?;
    let nobodys = |fill: &Vec<u8>| of_bytes || (of_pytables && fill.iter().all(|&byte| byte == 0));
    let mut marks: Vec<Vec<u8>> = own.into_iter().filter(|fill| !nobodys(fill)).chain(named).collect();
    marks.sort_unstable();
    marks.dedup();
    Ok(marks)
}

/// The elements of an attribute, converted to the column's type. Empty if they are of another kind.
fn elements(dataset: &Dataset, attribute: &str, dtype: Dtype) -> Vec<Vec<u8>> {
    if dataset.attr_names().is_ok_and(|names| names.iter().all(|name| name != attribute)) {
        return Vec::new();
    }
    let Ok(attribute) = dataset.attr(attribute) else { return Vec::new() };
    macro_rules! read {
        ($type:ty) => {
            attribute.read_raw::<$type>().unwrap_or_default().iter().map(|v| v.to_le_bytes().to_vec()).collect()
        };
    }
    match dtype {
        Dtype::F32 => read!(f32),
        Dtype::F64 => read!(f64),
        Dtype::I8 => read!(i8),
        Dtype::I16 => read!(i16),
        Dtype::I32 => read!(i32),
        Dtype::I64 => read!(i64),
        Dtype::U8 => read!(u8),
        Dtype::U16 => read!(u16),
        Dtype::U32 => read!(u32),
        Dtype::U64 => read!(u64),
        Dtype::F16 | Dtype::C64 | Dtype::C128 | Dtype::Bytes(_) | Dtype::Text(_) => {
            raw_elements(&attribute, dtype, dtype).unwrap_or_default()
        }
        Dtype::Enum(kind) => raw_elements(&attribute, dtype, kind.base()).unwrap_or_default(),
        Dtype::Bool | Dtype::Compound(_) => Vec::new(),
    }
}

/// The elements of an attribute, which the library converts to `stored`.
fn raw_elements(attribute: &hdf5::Attribute, dtype: Dtype, stored: Dtype) -> Result<Vec<Vec<u8>>, Failed> {
    let (size, datatype) = (to_usize(dtype.size()), made_type(stored)?);
    let mut bytes = vec![0; attribute.size().saturating_mul(size)];
    if datatype.size() != size || bytes.len() > MOST_MARK_BYTES {
        return Ok(Vec::new());
    }
    call!(H5Aread, attribute.id(), datatype.id(), bytes.as_mut_ptr().cast())?;
    Ok(bytes.chunks_exact(size.max(1)).map(<[u8]>::to_vec).collect())
}

/// Reads a text attribute of fixed or variable length.
fn text(dataset: &Dataset, name: &str) -> Option<String> {
    let attribute = dataset.attr_names().ok()?.iter().any(|other| other == name).then(|| dataset.attr(name).ok())??;
    if let Ok(text) = attribute.read_scalar::<VarLenUnicode>() {
        return Some(text.as_str().to_owned());
    }
    let fixed = attribute.read_scalar::<hdf5::types::FixedAscii<128>>().ok()?;
    Some(fixed.as_str().trim_end_matches('\0').to_owned())
}

fn stored(dataset: &Dataset, column: &Column, layout: Layout, rows: u64) -> Result<Stored, Failed> {
    // Direct columns and compact datasets have space for all of their cells.
    if column.layout.is_ok() || layout == Layout::Compact {
        return Ok(Stored::All);
    }
    let Some(chunk) = &column.chunk else {
        return Ok(if dataset.offset().is_some() { Stored::All } else { Stored::Only(Vec::new()) });
    };
    let per_chunk = chunk.first().copied().unwrap_or(1).max(1);
    let mut starts = BTreeSet::new();
    each_chunk(dataset, |offset, _| {
        starts.extend(offset.first().copied());
    })?;
    if starts.len() as u64 >= rows.div_ceil(per_chunk) {
        return Ok(Stored::All);
    }
    let mut ranges = Vec::new();
    for start in starts {
        let end = start.saturating_add(per_chunk).min(rows);
        push_range(&mut ranges, start..end);
    }
    Ok(Stored::Only(ranges))
}

#[cfg(test)]
mod tests {
    use super::Stored;

    #[test]
    fn rows_with_space() {
        let some = Stored::Only(vec![2..4, 6..9]);
        let found: Vec<u64> = (0..12).filter(|&row| some.contains(row)).collect();
        assert_eq!(found, [2, 3, 6, 7, 8]);
        assert!(Stored::All.contains(7) && !Stored::Only(Vec::new()).contains(0));
    }
}
