//! Reading.

use crate::bytes::Bytes;
use crate::columns::described;
use crate::errors::OrRaise;
use crate::handle::Handle;
use crate::rows::rows;
use h5part::{Block, CellState};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Reads rows of one table: see `h5part.Table.read`.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Reader(Handle<h5part::Reader>);

/// Memory, name of the element type, the same as numpy describes it, shape, states (one byte a row).
type Read<'py> = (Bytes, String, String, Vec<u64>, Bound<'py, PyBytes>);

impl Reader {
    pub fn new(reader: h5part::Reader) -> Self {
        Self(Handle::new("reader", reader))
    }
}

#[pymethods]
impl Reader {
    /// Whether this process opened it.
    fn is_ours(&self) -> bool {
        self.0.is_ours()
    }

    /// Looks at the file again. Returns the number of rows.
    fn refresh(&self, py: Python<'_>) -> PyResult<u64> {
        let rows = self.0.with(py, |reader| reader.refresh().map(|_| reader.rows()))?;
        rows.or_raise(py)
    }

    /// The table when it was last looked at.
    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let info = self.0.with(py, |reader| reader.table())?;
        described(py, &info)
    }

    /// Reads rows of columns, of each row all columns as one commit left them.
    fn read<'py>(
        &self,
        py: Python<'py>,
        columns: Vec<String>,
        selection: &Bound<'py, PyAny>,
        part: Option<String>,
    ) -> PyResult<Vec<Read<'py>>> {
        let rows = rows(selection)?;
        let blocks = self.0.with(py, |reader| match part {
            Some(part) => columns.iter().map(|column| reader.read_part(column, &rows, &part)).collect(),
            None => reader.read_columns(&columns.iter().map(String::as_str).collect::<Vec<_>>(), &rows),
        })?;
        blocks.or_raise(py)?.into_iter().map(|block| Ok(out(py, block))).collect()
    }

    /// Number of rows up to the last one of which any column has a value.
    fn used(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.with(py, used)?.or_raise(py)
    }

    /// Lets go of the file.
    fn close(&self, py: Python<'_>) {
        drop(self.0.close(py));
    }
}

/// Rows that are looked at together.
const STEP: u64 = 1 << 16;

fn used(reader: &mut h5part::Reader) -> h5part::Result<u64> {
    reader.refresh()?;
    let mut end = reader.rows();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        if !is_empty(reader, start, end)? {
            return last_used(reader, start, end);
        }
        end = start;
    }
    Ok(0)
}

/// The same among rows that are not all empty.
fn last_used(reader: &mut h5part::Reader, mut start: u64, mut end: u64) -> h5part::Result<u64> {
    while end - start > 1 {
        let middle = start.midpoint(end);
        if is_empty(reader, middle, end)? {
            end = middle;
        } else {
            start = middle;
        }
    }
    Ok(end)
}

fn is_empty(reader: &mut h5part::Reader, start: u64, end: u64) -> h5part::Result<bool> {
    Ok(reader.presence(start..end)?.empty == end - start)
}

pub fn out(py: Python<'_>, block: Block) -> Read<'_> {
    let states: Vec<u8> = block.states().iter().map(|&state| number(state)).collect();
    let (dtype, shape) = (block.dtype(), block.shape().to_vec());
    (Bytes::from(block.into_bytes()), dtype.to_string(), dtype.numpy(), shape, PyBytes::new(py, &states))
}

/// As `h5part.CellState` has them.
fn number(state: CellState) -> u8 {
    match state {
        CellState::Missing => 0,
        CellState::Committed => 1,
        CellState::Plain => 2,
        CellState::Writing => 3,
        CellState::Changed => 4,
    }
}
