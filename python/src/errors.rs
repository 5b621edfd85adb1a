//! Errors become Python's exceptions: `h5part.errors` has a class for each sort.

use h5part::exit::Exit;
use h5part::{Error, ErrorKind};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::cell::RefCell;

thread_local! {
    /// What a signal handler raised while this thread waited for a lock.
    static PENDING: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// What a callback raised, while this thread waits for a lock. Ctrl-C may fall into it: it is raised again, where it ends
/// the wait. Other exceptions stop nothing, and Python tells them on standard error.
pub fn keep(py: Python<'_>, raised: PyErr) {
    let again = || py.import("_thread")?.call_method0("interrupt_main");
    if !raised.is_instance_of::<PyKeyboardInterrupt>(py) || again().is_err() {
        raised.write_unraisable(py, None);
    }
}

/// Runs the handlers of signals that have come. Whether one of them raised an exception, as Ctrl-C does.
pub fn interrupted() -> bool {
    Python::attach(|py| match py.check_signals() {
        Ok(()) => false,
        Err(raised) => {
            PENDING.with(|pending| *pending.borrow_mut() = Some(raised));
            true
        }
    })
}

/// An exception for an error of the crate.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    if matches!(error.kind(), ErrorKind::Interrupted(_))
        && let Some(raised) = PENDING.with(|pending| pending.borrow_mut().take())
    {
        return raised;
    }
    make(py, error).unwrap_or_else(|failed| failed)
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.get_or_try_init(py, || Ok::<_, PyErr>(py.import("h5part.errors")?.getattr("_make")?.unbind()))?;
    let number = match error.kind() {
        ErrorKind::Io(e) => e.raw_os_error(),
        _ => None,
    };
    let item = match error.kind() {
        ErrorKind::NotFound { what, .. } | ErrorKind::AlreadyExists(what) => Some(format!("{what:?}")),
        _ => None,
    };
    let path = error.path().to_string_lossy();
    let arguments = (
        error.name(),
        Exit::of(error) as u8,
        error.operation(),
        (!path.is_empty()).then_some(path),
        error.to_string(),
        number,
        item,
    );
    Ok(PyErr::from_value(make.bind(py).call1(arguments)?))
}

/// Errors of the crate, with `?`.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}

impl<T> OrRaise<T> for Result<T, ErrorKind> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|kind| exception(py, &Error::from(kind)))
    }
}

/// The names and numbers of all exit codes, for the test that compares them with the classes of exceptions.
#[pyfunction]
pub fn exit_codes() -> Vec<(String, u8)> {
    Exit::ALL.into_iter().map(|exit| (format!("{exit:?}"), exit as u8)).collect()
}
