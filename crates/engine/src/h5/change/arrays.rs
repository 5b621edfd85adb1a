//! Groups of plain datasets as other programs make them: contiguous, filled with their values, without stamps.

use crate::h5::Failed;
use crate::h5::cells::select;
use crate::h5::change::attribute::Attribute;
use crate::h5::change::column::{Filters, Make, make_column};
use crate::h5::change::create::table_group;
use crate::h5::change::open::H5Change;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows, refuse_reserved};
use h5part_base::error::{ErrorKind, Item};
use h5part_base::num::to_usize;
use hdf5::Group;
use std::fmt;

/// Values are written in portions of about this many bytes.
const PORTION_BYTES: u64 = 8 << 20;

/// Gives the little-endian bytes of this many more rows.
pub type NextRows<'v> = Box<dyn FnMut(u64) -> Result<Vec<u8>, ErrorKind> + 'v>;

/// A dataset to be made, with at least one axis.
pub struct NewArray<'v> {
    /// Its name.
    pub name: String,
    /// Type of an element.
    pub dtype: Dtype,
    /// Shape. The first axis counts rows.
    pub shape: Vec<u64>,
    /// Its values, rows in order.
    pub values: NextRows<'v>,
}

impl fmt::Debug for NewArray<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewArray {{ {:?}: {} x {:?} }}", self.name, self.dtype, self.shape)
    }
}

impl NewArray<'_> {
    /// Bytes of its values, unless they overflow.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.shape.iter().try_fold(self.dtype.size(), |n, &k| n.checked_mul(k))
    }
}

impl H5Change {
    /// Makes a group of these datasets, and the groups on the way to it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::WrongObject`], those of the values, I/O and library errors.
    pub fn add_arrays(
        &self,
        group: &str,
        arrays: &mut [NewArray<'_>],
        attributes: &[(String, Attribute)],
    ) -> Result<(), Failed> {
        let place = table_group(&self.file, group)?;
        arrays.iter_mut().try_for_each(|array| write_array(&place, array))?;
        drop(place);
        self.set_attributes(group, attributes)
    }

    /// Makes a dataset in an existing group.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], those of the values, I/O and library errors.
    pub fn add_array(&self, group: &str, array: &mut NewArray<'_>) -> Result<(), Failed> {
        let place = self.file.group(&format!("/{group}"))?;
        if place.link_exists(&array.name) {
            return Err(
                ErrorKind::AlreadyExists(Item::Column { table: group.to_owned(), column: array.name.clone() }).into()
            );
        }
        write_array(&place, array)
    }
}

fn write_array(place: &Group, array: &mut NewArray<'_>) -> Result<(), Failed> {
    refuse_reserved(&array.name)?;
    let Some((&rows, cell)) = array.shape.split_first() else {
        return Err(ErrorKind::BadRequest(format!("dataset '{}' has no axis", array.name)).into());
    };
    let zeros = vec![0; usize::try_from(array.dtype.size()).unwrap_or(8)];
    let spec = ColumnSpec { fill: zeros, ..ColumnSpec::new(&array.name, array.dtype, cell) };
    make_column(place, &spec, Make { rows, chunk_rows: None, filters: Filters::default() })?;
    let dataset = place.dataset(&array.name)?;
    let portion = (PORTION_BYTES / spec.cell_bytes().unwrap_or(u64::MAX).max(1)).max(1);
    for start in (0..rows).step_by(to_usize(portion)) {
        let here = start..rows.min(start + portion);
        let bytes = (array.values)(here.end - here.start)?;
        select::write(&dataset, array.dtype, &Rows::range(here).runs()?, &bytes)?;
    }
    Ok(())
}
