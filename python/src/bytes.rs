//! Bytes that numpy takes over without a copy.

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use std::cell::UnsafeCell;
use std::ffi::c_int;

/// Memory that was read into. It supports the buffer protocol, and may be written to.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Bytes(UnsafeCell<Vec<u8>>);

#[expect(unsafe_code, reason = "Python's buffers are shared memory, as all arrays of numpy are")]
// SAFETY: Rust never touches the bytes again after they were handed to Python; the vector itself never changes.
unsafe impl Sync for Bytes {}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(UnsafeCell::new(bytes))
    }
}

#[pymethods]
#[expect(unsafe_code, reason = "the buffer protocol is one of raw pointers")]
impl Bytes {
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no view"));
        }
        // SAFETY: nobody holds a reference to the vector; the address and the length of its bytes never change.
        let (start, len) = unsafe {
            let bytes = &mut *slf.get().0.get();
            (bytes.as_mut_ptr(), bytes.len())
        };
        let len = isize::try_from(len).map_err(|_| PyBufferError::new_err("too long"))?;
        // SAFETY: the view keeps `slf` alive, and with it the bytes.
        match unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start.cast(), len, 0, flags) } {
            0 => Ok(()),
            _ => Err(PyErr::fetch(slf.py())),
        }
    }
}
