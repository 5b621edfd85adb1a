//! Named dimensions of tables: HDF5's dimension scales, as netCDF and xarray read them.
//!
//! A dimension is a dataset in the table's group, of the dimension's name and length. It holds the coordinates along the
//! dimension, or nothing. Columns refer to their dimensions. See `docs/design/formats.md`, "Dimensions".
#![expect(unsafe_code, reason = "the macros call the library")]

mod make;
mod plan;
mod read;

pub use read::Dimensions;

pub(super) use make::{add_dimensions, are_same, lengthen, make_dimensions};

use crate::h5::Failed;
use crate::h5::library::raw::call;
use h5part_base::dataspace::Dtype;
use hdf5::Dataset;
use hdf5_sys::h5a::H5Aexists;
use std::ffi::CString;

/// Name of the dimension of rows where others have names and it has none.
pub const ROWS: &str = "row";
/// How netCDF names the scale of a dimension that has no coordinates.
const NO_COORDINATES: &str = "This is a netCDF dimension but not a netCDF variable.";
/// A dataset with this attribute is a dimension that h5part made, and what its value says.
const MARK: &str = "h5part_dimension";
/// Lists the scales of a dataset, one list per axis.
const LIST: &str = "DIMENSION_LIST";
/// What a scale has, and the value of it.
const CLASS: &str = "CLASS";
const IS_SCALE: &str = "DIMENSION_SCALE";
/// Name of a scale.
const NAME: &str = "NAME";
/// netCDF takes text of one byte for a character.
const LEAST_TEXT: usize = 2;

/// Dimensions of a table to be made. Where one axis has a name, all axes of all columns need one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewDimensions {
    /// Name of the dimension of rows. A column of this name holds its coordinates. Default: [`ROWS`].
    pub rows: Option<String>,
    /// For each column with a shape the names of the axes of one row.
    pub columns: Vec<(String, Vec<String>)>,
    /// Coordinates along dimensions other than that of rows.
    pub coordinates: Vec<Coordinates>,
}

impl NewDimensions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Values along a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinates {
    /// Name of the dimension.
    pub dimension: String,
    /// Type of a value.
    pub dtype: Dtype,
    /// Little-endian bytes of the values.
    pub values: Vec<u8>,
}

impl Coordinates {
    /// Texts along a dimension.
    #[must_use]
    pub fn texts<T: AsRef<str>>(dimension: &str, texts: &[T]) -> Self {
        let longest = texts.iter().map(|text| text.as_ref().len()).max().unwrap_or(0);
        let width = longest.max(LEAST_TEXT);
        let mut values = Vec::with_capacity(texts.len() * width);
        for (k, text) in texts.iter().enumerate() {
            values.extend(text.as_ref().bytes());
            values.resize((k + 1) * width, 0);
        }
        let dtype = Dtype::Text(u32::try_from(width).unwrap_or(u32::MAX));
        Self { dimension: dimension.to_owned(), dtype, values }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.values.len() as u64 / self.dtype.size().max(1)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// What the mark of a dataset says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marked {
    /// A dimension within rows.
    Inner,
    /// The dimension of rows.
    Rows,
    /// A column that holds the coordinates of the dimension of rows.
    Column,
}

impl Marked {
    /// The mark of a dataset, if it has one. Whatever it says that is not known here: it is on something else than a
    /// column.
    pub(super) fn of(dataset: &Dataset) -> Result<Option<Self>, Failed> {
        if !has(dataset, MARK)? {
            return Ok(None);
        }
        Ok(Some(match dataset.attr(MARK).and_then(|mark| mark.read_scalar::<u64>()) {
            Ok(2) => Self::Rows,
            Ok(3) => Self::Column,
            _ => Self::Inner,
        }))
    }

    /// Whether a dataset is a dimension, and not a column.
    pub(super) fn is_dimension(dataset: &Dataset) -> Result<bool, Failed> {
        Ok(Self::of(dataset)?.is_some_and(|marked| marked != Self::Column))
    }

    fn write(self, dataset: &Dataset) -> Result<(), Failed> {
        let value: u64 = match self {
            Self::Inner => 1,
            Self::Rows => 2,
            Self::Column => 3,
        };
        Ok(dataset.new_attr::<u64>().create(MARK)?.write_scalar(&value)?)
    }
}

/// Whether a dataset has an attribute, without a look at the others.
fn has(dataset: &Dataset, attribute: &str) -> Result<bool, Failed> {
    let name = CString::new(attribute).unwrap_or_default();
    Ok(call!(H5Aexists, dataset.id(), name.as_ptr())? > 0)
}
