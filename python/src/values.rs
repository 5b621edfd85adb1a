//! Values on their way in: the memory of arrays, without a copy where type and layout allow it.

use crate::columns::find;
use h5part::{Dtype, TableInfo, Values};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::buffer::PyUntypedBuffer;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString};

/// Values of one column, alive as long as this.
#[derive(Debug)]
pub struct Given {
    memory: Memory,
    dtype: Dtype,
    shape: Vec<u64>,
}

/// Who keeps the values alive.
#[derive(Debug)]
enum Memory {
    /// An array of numpy's own class. Its buffer would cost as much as the rest of this module.
    Array {
        _owner: Py<PyUntypedArray>,
        data: *const u8,
        len: usize,
    },
    Buffer(PyUntypedBuffer),
}

impl Given {
    /// An array of numpy that can be taken as it is; `None` for everything else, also for subclasses such as masked
    /// arrays, which need more care.
    #[expect(unsafe_code, reason = "where the values of an array are")]
    pub fn array(value: &Bound<'_, PyAny>) -> Option<Self> {
        let array = value.cast_exact::<PyUntypedArray>().ok()?;
        let descriptor = array.dtype();
        let dtype = dtype_of_array(&descriptor).filter(|_| array.is_c_contiguous())?;
        let shape: Vec<u64> = array.shape().iter().map(|&n| n as u64).collect();
        // SAFETY: the array is alive.
        let data = unsafe { (*array.as_array_ptr()).fields.data };
        let len = array.len() * descriptor.itemsize();
        let memory = Memory::Array { _owner: array.clone().unbind(), data: data.cast(), len };
        Some(Self { memory, dtype, shape })
    }

    /// A buffer of this type.
    fn converted(memory: &Bound<'_, PyAny>, dtype: Dtype, shape: Vec<u64>) -> PyResult<Self> {
        Ok(Self { memory: Memory::Buffer(PyUntypedBuffer::get(memory)?), dtype, shape })
    }

    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    #[expect(unsafe_code, reason = "the memory of an array, without a copy")]
    pub fn bytes(&self) -> &[u8] {
        let (data, len) = match &self.memory {
            Memory::Array { data, len, .. } => (*data, *len),
            Memory::Buffer(buffer) => (buffer.buf_ptr().cast::<u8>().cast_const(), buffer.len_bytes()),
        };
        if len == 0 {
            return &[];
        }
        // SAFETY: the values are contiguous, and their owner is kept alive. Another thread of the program may write to
        // the array meanwhile: then it is not known which values are taken, as with every function of numpy that lets go
        // of the GIL.
        unsafe { std::slice::from_raw_parts(data, len) }
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

/// The same if all of it can be taken as it is, with the names as the table has them.
pub fn plain<'t>(info: &'t TableInfo, values: &Bound<'_, PyDict>) -> Option<Vec<(&'t str, Given)>> {
    let column = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let column = find(info, name.cast::<PyString>().ok()?.to_str().ok()?)?;
        let given = Given::array(&value).filter(|given| column.dtype == Some(given.dtype))?;
        Some((column.name.as_str(), given))
    };
    values.iter().map(column).collect()
}

fn one(info: &TableInfo, rows: u64, name: String, value: &Bound<'_, PyAny>) -> PyResult<Option<(String, Given)>> {
    let Some(column) = find(info, &name) else { return Ok(None) };
    if let Some(given) = Given::array(value)
        && column.dtype == Some(given.dtype)
    {
        return Ok(Some((name, given)));
    }
    let py = value.py();
    let Some(dtype) = column.dtype else { return Err(unread(py, &name)?) };
    let arguments = (&name, dtype.to_string(), dtype.numpy(), &column.shape, rows, value);
    let (shape, memory): (Vec<u64>, Bound<'_, PyAny>) = convert(py)?.call1(arguments)?.extract()?;
    Ok(Some((name, Given::converted(&memory, dtype, shape)?)))
}

/// The element type of an array. `None` for other byte orders, and types that are converted first.
fn dtype_of_array(descriptor: &Bound<'_, PyArrayDescr>) -> Option<Dtype> {
    if descriptor.byteorder() == b'>' {
        return None;
    }
    Some(match (descriptor.kind(), descriptor.itemsize()) {
        (b'f', 2) => Dtype::F16,
        (b'f', 4) => Dtype::F32,
        (b'f', 8) => Dtype::F64,
        (b'c', 8) => Dtype::C64,
        (b'c', 16) => Dtype::C128,
        (b'i', 1) => Dtype::I8,
        (b'i', 2) => Dtype::I16,
        (b'i', 4) => Dtype::I32,
        (b'i', 8) => Dtype::I64,
        (b'u', 1) => Dtype::U8,
        (b'u', 2) => Dtype::U16,
        (b'u', 4) => Dtype::U32,
        (b'u', 8) => Dtype::U64,
        (b'b', 1) => Dtype::Bool,
        (b'S', length) if length > 0 => Dtype::Bytes(u32::try_from(length).ok()?),
        _ => return None,
    })
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
