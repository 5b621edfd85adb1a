//! Options that name the dimensions of a table.

use super::common::{split_first, split_last};
use h5part::ErrorKind;
use h5part_base::dataspace::Dtype;
use h5part_engine::h5::{Coordinates, NewDimensions};
use h5part_input::npy::RowSource;
use std::path::Path;

/// Names of the axes of a table, as netCDF and xarray read them.
#[derive(Debug, clap::Args)]
pub struct DimensionArgs {
    /// Name the dimension of rows, for netCDF and xarray. A column of this name holds its coordinates [default with
    /// --dims: row].
    #[arg(long, value_name = "NAME")]
    row_dim: Option<String>,
    /// Name the axes of one row of a column, as in F=atom,xyz; repeat for each column with a shape.
    #[arg(long, value_name = "COLUMN=NAME,NAME", value_parser = split_last)]
    dims: Vec<(String, String)>,
    /// Values along a dimension, as in xyz=x,y,z or r=@r.npy; repeat for each dimension that has them.
    #[arg(long, value_name = "NAME=VALUE,VALUE", value_parser = split_first)]
    coords: Vec<(String, String)>,
}

impl DimensionArgs {
    /// What they say.
    ///
    /// # Errors
    /// Those of the .npy files.
    pub fn parse(&self) -> Result<NewDimensions, ErrorKind> {
        let names = |list: &String| list.split(',').map(str::to_owned).collect();
        Ok(NewDimensions {
            rows: self.row_dim.clone(),
            columns: self.dims.iter().map(|(column, list)| (column.clone(), names(list))).collect(),
            coordinates: self
                .coords
                .iter()
                .map(|(name, values)| coordinates(name, values))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Whole numbers, else floats, else texts; or the values of a .npy file.
fn coordinates(dimension: &str, values: &str) -> Result<Coordinates, ErrorKind> {
    if let Some(path) = values.strip_prefix('@') {
        return from_npy(dimension, Path::new(path));
    }
    let texts: Vec<&str> = values.split(',').collect();
    let numbers = |dtype: Dtype| texts.iter().map(|text| dtype.parse_element(text)).collect::<Option<Vec<_>>>();
    let of = |dtype| numbers(dtype).map(|values| (dtype, values.concat()));
    let found = of(Dtype::I64).or_else(|| of(Dtype::F64));
    Ok(match found {
        Some((dtype, values)) => Coordinates { dimension: dimension.to_owned(), dtype, values },
        None => Coordinates::texts(dimension, &texts),
    })
}

fn from_npy(dimension: &str, path: &Path) -> Result<Coordinates, ErrorKind> {
    let mut source = RowSource::open(path)?;
    let [len] = *source.shape() else {
        let text = format!("coordinates are an array of one axis, and {} has {}", path.display(), source.shape().len());
        return Err(ErrorKind::BadRequest(text));
    };
    let dtype = source.dtype_out();
    let values = source.next_rows(len, 1)?;
    source.expect_end()?;
    Ok(Coordinates { dimension: dimension.to_owned(), dtype, values })
}
