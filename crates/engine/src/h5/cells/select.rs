//! Reads and writes rows of a dataset through the library, as one union selection.
//!
//! One call per run would be slow (20,000 scattered rows: 4.1 s instead of 0.1 s), and would compress chunks again and
//! again.
#![expect(unsafe_code, reason = "the safe wrapper has no unions of hyperslabs")]

use crate::h5::Failed;
use crate::h5::types::made_type::made_type;
use h5part_base::dataspace::{Dtype, Runs};
use h5part_base::error::ErrorKind;
use hdf5::{Dataset, Dataspace, Datatype};
use hdf5_sys::h5d::{H5Dread, H5Dwrite};
use hdf5_sys::h5p::H5P_DEFAULT;
use hdf5_sys::h5s::{H5S_SELECT_OR, H5S_SELECT_SET, H5Sselect_hyperslab};

/// Reads the rows into `out`, whose length must match: little-endian, ascending order of rows.
pub(in crate::h5) fn read(dataset: &Dataset, dtype: Dtype, runs: &Runs, out: &mut [u8]) -> Result<(), Failed> {
    let (memory, selected) = spaces(dataset, runs)?;
    let datatype = in_memory(dataset, dtype)?;
    check_len(dtype, &memory, out.len())?;
    hdf5::sync::sync(|| {
        // SAFETY: all ids are alive, and `out` is as long as the memory space says (checked).
        hdf5::h5check(unsafe {
            H5Dread(dataset.id(), datatype.id(), memory.id(), selected.id(), H5P_DEFAULT, out.as_mut_ptr().cast())
        })
    })?;
    Ok(())
}

/// Writes the rows: little-endian, ascending order of rows.
pub(in crate::h5) fn write(dataset: &Dataset, dtype: Dtype, runs: &Runs, bytes: &[u8]) -> Result<(), Failed> {
    let (memory, selected) = spaces(dataset, runs)?;
    let datatype = in_memory(dataset, dtype)?;
    check_len(dtype, &memory, bytes.len())?;
    hdf5::sync::sync(|| {
        // SAFETY: all ids are alive, and `bytes` are as many as the memory space says (checked).
        hdf5::h5check(unsafe {
            H5Dwrite(dataset.id(), datatype.id(), memory.id(), selected.id(), H5P_DEFAULT, bytes.as_ptr().cast())
        })
    })?;
    Ok(())
}

fn check_len(dtype: Dtype, memory: &Dataspace, len: usize) -> Result<(), Failed> {
    let expected = (memory.size() as u64).checked_mul(dtype.size());
    if expected == Some(len as u64) {
        Ok(())
    } else {
        Err(ErrorKind::Hdf5("a selection of another length".to_owned()).into())
    }
}

/// A plain space for the memory, and the dataset's own space with the rows selected.
fn spaces(dataset: &Dataset, runs: &Runs) -> Result<(Dataspace, Dataspace), Failed> {
    let selected = dataset.space()?;
    let shape: Vec<u64> = selected.shape().iter().map(|&n| n as u64).collect();
    for (k, run) in runs.as_slice().iter().enumerate() {
        let mut start = vec![0; shape.len()];
        let mut count = shape.clone();
        (start[0], count[0]) = (run.row, run.count);
        let how = if k == 0 { H5S_SELECT_SET } else { H5S_SELECT_OR };
        let (no_stride, no_block) = (std::ptr::null(), std::ptr::null());
        hdf5::sync::sync(|| {
            // SAFETY: start and count have as many elements as the space has axes; null: ones.
            hdf5::h5check(unsafe {
                H5Sselect_hyperslab(selected.id(), how, start.as_ptr(), no_stride, count.as_ptr(), no_block)
            })
        })?;
    }
    let elements = shape[1..].iter().try_fold(runs.len(), |n, &k| n.checked_mul(k));
    let elements = elements.and_then(|n| usize::try_from(n).ok());
    let too_large = || ErrorKind::BadRequest("the selection is too large for this machine's memory".to_owned());
    Ok((Dataspace::try_new(elements.ok_or_else(too_large)?)?, selected))
}

/// The type of values in memory. Types that cannot be converted stay as they are stored: other programs may pad texts
/// differently, or order members of enums and fields differently.
fn in_memory(dataset: &Dataset, dtype: Dtype) -> Result<Datatype, Failed> {
    let datatype = match dtype {
        Dtype::Bytes(_) | Dtype::Text(_) | Dtype::Enum(_) | Dtype::Compound(_) => dataset.dtype()?,
        _ => made_type(dtype)?,
    };
    if datatype.size() as u64 != dtype.size() {
        return Err(ErrorKind::Hdf5("elements of another size".to_owned()).into());
    }
    Ok(datatype)
}
