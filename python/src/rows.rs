//! Rows as Python names them. What has negative numbers, open ends, steps or masks was resolved in Python before.

use crate::values::Given;
use h5part::{Dtype, Rows};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PySlice};

/// One row, a slice `start:stop`, or an array of row numbers (int64 or uint64, one axis, none negative).
pub fn rows(selection: &Bound<'_, PyAny>) -> PyResult<Rows> {
    if selection.is_instance_of::<PyInt>() {
        return Ok(Rows::one(selection.extract()?));
    }
    if let Ok(slice) = selection.cast::<PySlice>() {
        let (start, stop) = (slice.getattr("start")?, slice.getattr("stop")?);
        let start = if start.is_none() { 0 } else { start.extract()? };
        return Ok(Rows::range(start..stop.extract()?));
    }
    let Some(given) = Given::array(selection) else {
        return Err(PyTypeError::new_err("rows are named by an int, a slice or an array of ints"));
    };
    if given.shape().len() != 1 || !matches!(given.dtype(), Dtype::I64 | Dtype::U64) {
        return Err(PyTypeError::new_err("an array of rows has one axis and type int64"));
    }
    let numbers = given.bytes().chunks_exact(8).map(|bytes| bytes.try_into().map_or(0, u64::from_le_bytes));
    // A negative number becomes one that is out of range in every table.
    Ok(Rows::list(&numbers.collect::<Vec<u64>>()))
}
