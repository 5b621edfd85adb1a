//! Reading rows of a library column: one union selection, converted by the library.

use super::H5File;
use crate::dataspace::{Column, Dtype, Runs};
use crate::error::ErrorKind;
use hdf5::{H5Type, Hyperslab, SliceOrIndex};
use ndarray::ArrayD;

impl H5File {
    /// Little-endian bytes of the rows, in ascending order of rows.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedType`], library errors.
    pub fn read_rows(&self, table: &str, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        let dataset = self.file.dataset(&format!("/{table}/{}", column.name))?;
        let mut bytes = Vec::new();
        for run in runs.as_slice() {
            let rows = SliceOrIndex::SliceTo {
                start: usize::try_from(run.row).unwrap_or(usize::MAX),
                step: 1,
                end: usize::try_from(run.end()).unwrap_or(usize::MAX),
                block: 1,
            };
            let mut axes = vec![rows];
            axes.extend(column.shape.iter().map(|_| SliceOrIndex::Unlimited { start: 0, step: 1, block: 1 }));
            read_slab(&dataset, column.dtype()?, &Hyperslab::from(axes), &mut bytes)?;
        }
        Ok(bytes)
    }
}

fn read_slab(dataset: &hdf5::Dataset, dtype: Dtype, slab: &Hyperslab, bytes: &mut Vec<u8>) -> Result<(), ErrorKind> {
    fn read<T: H5Type, const N: usize>(
        dataset: &hdf5::Dataset,
        slab: &Hyperslab,
        bytes: &mut Vec<u8>,
        le: fn(T) -> [u8; N],
    ) -> Result<(), ErrorKind> {
        let values: ArrayD<T> = dataset.read_slice(slab.clone())?;
        bytes.extend(values.into_iter().flat_map(le));
        Ok(())
    }
    match dtype {
        Dtype::F32 => read(dataset, slab, bytes, f32::to_le_bytes),
        Dtype::F64 => read(dataset, slab, bytes, f64::to_le_bytes),
        Dtype::I8 => read(dataset, slab, bytes, i8::to_le_bytes),
        Dtype::I16 => read(dataset, slab, bytes, i16::to_le_bytes),
        Dtype::I32 => read(dataset, slab, bytes, i32::to_le_bytes),
        Dtype::I64 => read(dataset, slab, bytes, i64::to_le_bytes),
        Dtype::U8 => read(dataset, slab, bytes, u8::to_le_bytes),
        Dtype::U16 => read(dataset, slab, bytes, u16::to_le_bytes),
        Dtype::U32 => read(dataset, slab, bytes, u32::to_le_bytes),
        Dtype::U64 => read(dataset, slab, bytes, u64::to_le_bytes),
        Dtype::Bool => read(dataset, slab, bytes, |b: bool| [u8::from(b)]),
    }
}
