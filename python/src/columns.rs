//! Tables and columns as Python describes them, and as it is told of them.

use crate::errors::OrRaise;
use h5part::{Attribute, ColumnInfo, ColumnSpec, Dtype, ErrorKind, Table, TableInfo};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString};

/// Name, name of the element type, shape of one row, bytes of the fill.
pub type Described = (String, String, Vec<u64>, Option<Vec<u8>>);

pub fn find<'a>(info: &'a TableInfo, name: &str) -> Option<&'a ColumnInfo> {
    info.columns.iter().find(|column| column.name == name)
}

pub fn spec(py: Python<'_>, described: Described) -> PyResult<ColumnSpec> {
    let (name, dtype, shape, fill) = described;
    let parsed: Result<Dtype, ErrorKind> = dtype.parse();
    let mut spec = ColumnSpec::new(&name, parsed.or_raise(py)?, &shape);
    if let Some(fill) = fill {
        spec.fill = fill;
    }
    Ok(spec)
}

/// Options of a table to be made, by the names of the arguments of `h5part.create`.
pub fn table(
    py: Python<'_>,
    name: &str,
    rows: u64,
    columns: Vec<Described>,
    options: &Bound<'_, PyDict>,
) -> PyResult<Table> {
    let mut table = Table::new(name, rows);
    for column in columns {
        table = table.column_spec(spec(py, column)?);
    }
    for (option, value) in options {
        if value.is_none() {
            continue;
        }
        table = match option.extract::<String>()?.as_str() {
            "chunk_rows" => table.chunk_rows(value.extract()?),
            "contiguous" if value.extract()? => table.contiguous(),
            "contiguous" => table,
            "gzip" => table.gzip(value.extract()?),
            "guard" => table.guard(&value.extract::<String>()?),
            "guard_complete" => table.guard_complete(&value.extract::<String>()?),
            "attrs" => {
                let attributes = value.cast::<PyDict>()?;
                attributes.iter().try_fold(table, |table, (name, value)| {
                    Ok::<_, PyErr>(table.attribute(&name.extract::<String>()?, attribute(&value)?))
                })?
            }
            "column_attrs" => {
                let attributes: Vec<(String, String, Bound<'_, PyAny>)> = value.extract()?;
                attributes.iter().try_fold(table, |table, (column, name, value)| {
                    Ok::<_, PyErr>(table.column_attribute(column, name, attribute(value)?))
                })?
            }
            other => return Err(PyTypeError::new_err(format!("no such option: {other}"))),
        };
    }
    Ok(table)
}

/// An attribute from a bool, an int, a float, a str or a list of str.
pub fn attribute(value: &Bound<'_, PyAny>) -> PyResult<Attribute> {
    if value.is_instance_of::<PyBool>() {
        return Ok(Attribute::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        return Ok(Attribute::Int(value.extract()?));
    }
    if value.is_instance_of::<PyFloat>() {
        return Ok(Attribute::Float(value.extract()?));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Attribute::Text(value.extract()?));
    }
    if let Ok(texts) = value.cast::<PyList>() {
        return Ok(Attribute::Texts(texts.extract()?));
    }
    let text = format!("an attribute is a bool, int, float, str or list of str, not {}", value.get_type().name()?);
    Err(PyTypeError::new_err(text))
}

pub fn attribute_value<'py>(py: Python<'py>, attribute: &Attribute) -> PyResult<Bound<'py, PyAny>> {
    Ok(match attribute {
        Attribute::Bool(value) => PyBool::new(py, *value).to_owned().into_any(),
        Attribute::Int(value) => value.into_pyobject(py)?.into_any(),
        Attribute::Float(value) => PyFloat::new(py, *value).into_any(),
        Attribute::Text(value) => PyString::new(py, value).into_any(),
        Attribute::Texts(values) => PyList::new(py, values)?.into_any(),
    })
}

/// A table as a dictionary.
pub fn described<'py>(py: Python<'py>, info: &TableInfo) -> PyResult<Bound<'py, PyDict>> {
    let table = PyDict::new(py);
    table.set_item("path", &info.path)?;
    table.set_item("rows", info.rows)?;
    table.set_item("has_stamps", info.has_stamps)?;
    table.set_item("lost", &info.lost)?;
    table.set_item("aliases", &info.aliases)?;
    let columns = PyList::empty(py);
    for column in &info.columns {
        let entry = PyDict::new(py);
        entry.set_item("name", &column.name)?;
        entry.set_item("dtype", column.dtype.map(|dtype| dtype.to_string()))?;
        entry.set_item("numpy", column.dtype.map(Dtype::numpy))?;
        if let Some(Dtype::Enum(kind)) = column.dtype {
            let members: Vec<(&str, String)> =
                kind.members().iter().map(|(name, value)| (name.as_str(), value.to_string())).collect();
            entry.set_item("members", members)?;
        }
        entry.set_item("shape", &column.shape)?;
        entry.set_item("fill", pyo3::types::PyBytes::new(py, &column.fill))?;
        entry.set_item("is_direct", column.is_direct)?;
        entry.set_item("has_stamp", column.has_stamp)?;
        columns.append(entry)?;
    }
    table.set_item("columns", columns)?;
    Ok(table)
}
