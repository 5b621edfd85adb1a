//! Ground truth of `mbe_automation`.

use crate::convert;
use crate::errors::OrRaise;
use crate::handle::Handle;
use crate::rows::rows;
use crate::store::options;
use crate::values::Given;
use h5part::Result;
use h5part::mbe::{self, Chunk, FrameStatus, Method, Prepared, Quantity, Results, Structure};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::path::PathBuf;

/// Energies and forces of a structure at a level of theory: see `h5part.mbe.GroundTruth`.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct GroundTruth {
    truth: mbe::GroundTruth,
}

/// Saves results of frames: see `h5part.mbe.GroundTruth.save`.
#[pyclass(frozen, module = "h5part._h5part")]
#[derive(Debug)]
pub struct Saver(Handle<mbe::Saver>);

fn quantities(names: &[String]) -> PyResult<Vec<Quantity>> {
    let quantity = |name: &String| Quantity::ALL.into_iter().find(|quantity| quantity.word() == name);
    let unknown = |name: &String| PyValueError::new_err(format!("a quantity is 'energies' or 'forces', not '{name}'"));
    names.iter().map(|name| quantity(name).ok_or_else(|| unknown(name))).collect()
}

fn bytes_of<'py, const N: usize, T>(py: Python<'py>, values: &[T], bytes: fn(&T) -> [u8; N]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &values.iter().flat_map(bytes).collect::<Vec<u8>>())
}

#[pymethods]
impl GroundTruth {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, key: &str, method: &str, timeout: f64, trust_locks: bool) -> PyResult<Self> {
        let options = options(timeout, trust_locks, None, None, None)?;
        let open = || -> Result<_> {
            let structure = Structure::open(&options.open(path)?, key)?;
            Ok(structure.ground_truth(&Method::new(method)?))
        };
        Ok(Self { truth: py.detach(open).or_raise(py)? })
    }

    #[getter]
    fn frames(&self) -> u64 {
        self.truth.structure().frames()
    }

    #[getter]
    fn atoms(&self) -> u64 {
        self.truth.structure().atoms()
    }

    /// The quantities that have a dataset.
    fn quantities(&self, py: Python<'_>) -> PyResult<Vec<&'static str>> {
        let present = py.detach(|| self.truth.present()).or_raise(py)?;
        Ok(present.quantities.iter().map(|quantity| quantity.word()).collect())
    }

    /// Makes or adopts the datasets. Returns what was done.
    fn prepare(&self, py: Python<'_>, names: Vec<String>) -> PyResult<&'static str> {
        let quantities = quantities(&names)?;
        Ok(match py.detach(|| self.truth.prepare(&quantities)).or_raise(py)? {
            Prepared::AlreadyThere => "already there",
            Prepared::Made => "made",
            Prepared::Adopted => "adopted",
        })
    }

    /// Bytes of the numbers (u64) of the frames that are to be computed.
    fn todo<'py>(
        &self,
        py: Python<'py>,
        selection: Option<&Bound<'py, PyAny>>,
        chunk: Option<(u64, u64)>,
        overwrite: bool,
        lacking: Vec<String>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let selection = selection.map(rows).transpose()?;
        let lacking = quantities(&lacking)?;
        let chunk = chunk.map(|(index, of)| Chunk::new(index, of)).transpose().or_raise(py)?;
        let look = || self.truth.reader()?.to_compute(selection.as_ref(), chunk, overwrite, &lacking);
        let frames = py.detach(look).or_raise(py)?;
        Ok(bytes_of(py, &frames, |frame| frame.to_le_bytes()))
    }

    /// Statuses (i64) and values (f64) of frames, as bytes.
    fn read<'py>(
        &self,
        py: Python<'py>,
        selection: &Bound<'py, PyAny>,
        names: Vec<String>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (rows, quantities) = (rows(selection)?, quantities(&names)?);
        let read = py.detach(|| self.truth.reader()?.read(&rows, &quantities)).or_raise(py)?;
        let out = PyDict::new(py);
        out.set_item("status", bytes_of(py, &read.statuses, |status| status.number().to_le_bytes()))?;
        for (name, values) in [("energies", read.energies), ("forces", read.forces)] {
            if let Some(values) = values {
                out.set_item(name, bytes_of(py, &values, |value| value.to_le_bytes()))?;
            }
        }
        Ok(out)
    }

    /// Opens it for saving.
    fn saver(&self, py: Python<'_>, durability: &str, overwrite: bool) -> PyResult<Saver> {
        let durability = convert::durability(durability)?;
        let mut saver = py.detach(|| self.truth.saver()).or_raise(py)?;
        saver.set_durability(durability);
        saver.set_overwrite(overwrite);
        Ok(Saver(Handle::new("saver", saver)))
    }
}

#[pymethods]
impl Saver {
    fn is_ours(&self) -> bool {
        self.0.is_ours()
    }

    /// Saves frames. Returns how many were written, marked with their status alone, and left as they are.
    fn save(
        &self,
        py: Python<'_>,
        frames: &Bound<'_, PyAny>,
        statuses: Vec<i64>,
        energies: Option<&Bound<'_, PyAny>>,
        forces: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u64, u64, u64)> {
        let frames = rows(frames)?;
        let (energies, forces) = (given(energies)?, given(forces)?);
        let results = Results {
            statuses: statuses.into_iter().map(FrameStatus::from).collect(),
            energies: energies.as_ref().map(Given::values).transpose().or_raise(py)?,
            forces: forces.as_ref().map(Given::values).transpose().or_raise(py)?,
        };
        let saved = self.0.with(py, |saver| saver.save(&frames, &results))?.or_raise(py)?;
        Ok((saved.completed, saved.marked, saved.left))
    }
}

fn given(values: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Given>> {
    let Some(values) = values else { return Ok(None) };
    match Given::array(values) {
        Some(given) => Ok(Some(given)),
        None => Err(PyTypeError::new_err("values are C-contiguous arrays of float64")),
    }
}
