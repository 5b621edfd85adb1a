//! Values on their way in: the memory of arrays, without a copy where type and layout allow it.

use crate::columns::find;
use h5part::{Dtype, TableInfo, Values};
use pyo3::buffer::{ElementType, PyUntypedBuffer};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// Values of one column, alive as long as this.
#[derive(Debug)]
pub struct Given {
    buffer: PyUntypedBuffer,
    dtype: Dtype,
    shape: Vec<u64>,
}

impl Given {
    /// An array of numpy that can be taken as it is; `None` for everything else.
    pub fn array(value: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if !value.get_type().is(ndarray(value.py())?) {
            return Ok(None);
        }
        let Ok(buffer) = PyUntypedBuffer::get(value) else { return Ok(None) };
        let Some(dtype) = dtype_of(&buffer).filter(|_| buffer.is_c_contiguous()) else { return Ok(None) };
        let shape = buffer.shape().iter().map(|&n| n as u64).collect();
        Ok(Some(Self { buffer, dtype, shape }))
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    #[expect(unsafe_code, reason = "the memory of an array, without a copy")]
    pub fn bytes(&self) -> &[u8] {
        let len = self.buffer.len_bytes();
        if len == 0 {
            return &[];
        }
        // SAFETY: the buffer is contiguous, and keeps its memory alive. Another thread of the program may write to the
        // array meanwhile: then it is not known which values are taken, as with every function of numpy that lets go of
        // the GIL.
        unsafe { std::slice::from_raw_parts(self.buffer.buf_ptr().cast::<u8>(), len) }
    }

    pub fn values(&self) -> Result<Values<'_>, h5part::ErrorKind> {
        Values::new(self.dtype, &self.shape, self.bytes())
    }
}

/// The values of a commit, with the names of their columns. What cannot be taken as it is goes through
/// `h5part._values.convert`. `None` if the table has no such column.
pub fn given(info: &TableInfo, rows: u64, values: &Bound<'_, PyDict>) -> PyResult<Option<Vec<(String, Given)>>> {
    values.iter().map(|(name, value)| one(info, rows, name.extract()?, &value)).collect()
}

fn one(info: &TableInfo, rows: u64, name: String, value: &Bound<'_, PyAny>) -> PyResult<Option<(String, Given)>> {
    let Some(column) = find(info, &name) else { return Ok(None) };
    if let Some(given) = Given::array(value)?
        && column.dtype == Some(given.dtype)
    {
        return Ok(Some((name, given)));
    }
    let py = value.py();
    let Some(dtype) = column.dtype else { return Err(unread(py, &name)?) };
    let arguments = (&name, dtype.to_string(), dtype.numpy(), &column.shape, rows, value);
    let (shape, memory): (Vec<u64>, Bound<'_, PyAny>) = convert(py)?.call1(arguments)?.extract()?;
    Ok(Some((name, Given { buffer: PyUntypedBuffer::get(&memory)?, dtype, shape })))
}

fn dtype_of(buffer: &PyUntypedBuffer) -> Option<Dtype> {
    let format = buffer.format();
    if matches!(format.to_bytes().first(), Some(b'>' | b'!')) {
        return None;
    }
    if let Some(kind) = complex(format.to_bytes()).or_else(|| bytes(format.to_bytes())) {
        return Some(kind);
    }
    Some(match ElementType::from_format(format) {
        ElementType::Float { bytes: 2 } => Dtype::F16,
        ElementType::Float { bytes: 4 } => Dtype::F32,
        ElementType::Float { bytes: 8 } => Dtype::F64,
        ElementType::SignedInteger { bytes: 1 } => Dtype::I8,
        ElementType::SignedInteger { bytes: 2 } => Dtype::I16,
        ElementType::SignedInteger { bytes: 4 } => Dtype::I32,
        ElementType::SignedInteger { bytes: 8 } => Dtype::I64,
        ElementType::UnsignedInteger { bytes: 1 } => Dtype::U8,
        ElementType::UnsignedInteger { bytes: 2 } => Dtype::U16,
        ElementType::UnsignedInteger { bytes: 4 } => Dtype::U32,
        ElementType::UnsignedInteger { bytes: 8 } => Dtype::U64,
        ElementType::Bool => Dtype::Bool,
        _ => return None,
    })
}

/// How numpy writes complex numbers in the formats of buffers.
fn complex(format: &[u8]) -> Option<Dtype> {
    match format {
        b"Zf" => Some(Dtype::C64),
        b"Zd" => Some(Dtype::C128),
        _ => None,
    }
}

/// `20s`: bytes of a fixed length.
fn bytes(format: &[u8]) -> Option<Dtype> {
    let length = std::str::from_utf8(format.strip_suffix(b"s")?).ok()?;
    length.parse().ok().map(Dtype::Bytes)
}

/// The class `numpy.ndarray`. Masked arrays and the like are subclasses of it, and need more care.
fn ndarray(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    CLASS.import(py, "numpy", "ndarray")
}

/// The error for a column of a type that h5part does not read or write.
fn unread(py: Python<'_>, column: &str) -> PyResult<PyErr> {
    static UNREAD: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    Ok(PyErr::from_value(UNREAD.import(py, "h5part._dtypes", "unread")?.call1((column,))?))
}

fn convert(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static CONVERT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    CONVERT.import(py, "h5part._values", "convert")
}
