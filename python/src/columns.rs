//! Tables and columns as Python describes them, and as it is told of them.

use crate::errors::OrRaise;
use h5part::{Attribute, ColumnInfo, ColumnSpec, Coordinates, Dimensions, Dtype, ErrorKind, Table, TableInfo};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

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

/// Adds to the description of a table.
type Setter = Box<dyn FnOnce(Table) -> Table + Send>;

/// What a table, or columns that are added to one, are to be: columns, and options by the names of the arguments of
/// `h5part.create`.
pub struct NewColumns(Vec<Setter>);

impl NewColumns {
    pub fn parse(py: Python<'_>, columns: Vec<Described>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut setters: Vec<Setter> = Vec::new();
        for column in columns {
            let spec = spec(py, column)?;
            setters.push(Box::new(|table| table.column_spec(spec)));
        }
        for (option, value) in options {
            if !value.is_none() {
                parse_option(py, &mut setters, &option.extract::<String>()?, &value)?;
            }
        }
        Ok(Self(setters))
    }

    pub fn describe(self, table: Table) -> Table {
        self.0.into_iter().fold(table, |table, set| set(table))
    }
}

fn parse_option(py: Python<'_>, setters: &mut Vec<Setter>, option: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut set = |setter: Setter| setters.push(setter);
    match option {
        "chunk_rows" => {
            let rows: u64 = value.extract()?;
            set(Box::new(move |table| table.chunk_rows(rows)));
        }
        "contiguous" => {
            if value.extract::<bool>()? {
                set(Box::new(Table::contiguous));
            }
        }
        "gzip" => {
            let level: u8 = value.extract()?;
            set(Box::new(move |table| table.gzip(level)));
        }
        "guard" => {
            let column: String = value.extract()?;
            set(Box::new(move |table| table.guard(&column)));
        }
        "guard_complete" => {
            let text: String = value.extract()?;
            set(Box::new(move |table| table.guard_complete(&text)));
        }
        "attrs" => {
            for (name, value) in value.cast::<PyDict>()? {
                let (name, value) = (name.extract::<String>()?, attribute(&value)?);
                set(Box::new(move |table| table.attribute(&name, value)));
            }
        }
        "column_attrs" => {
            for (column, name, value) in value.extract::<Vec<(String, String, Bound<'_, PyAny>)>>()? {
                let value = attribute(&value)?;
                set(Box::new(move |table| table.column_attribute(&column, &name, value)));
            }
        }
        "row_dim" => {
            let name: String = value.extract()?;
            set(Box::new(move |table| table.row_dim(&name)));
        }
        "dims" => {
            for (column, names) in value.extract::<Vec<(String, Vec<String>)>>()? {
                set(Box::new(move |table| table.dims(&column, names)));
            }
        }
        "coords" => {
            for (dimension, values) in value.extract::<Vec<(String, Bound<'_, PyAny>)>>()? {
                let coordinates = coordinates(py, &dimension, &values)?;
                set(Box::new(|table| table.coordinates(coordinates)));
            }
        }
        other => return Err(PyTypeError::new_err(format!("no such option: {other}"))),
    }
    Ok(())
}

/// A list of texts; or the name of an element type, and bytes.
fn coordinates(py: Python<'_>, dimension: &str, values: &Bound<'_, PyAny>) -> PyResult<Coordinates> {
    if let Ok(texts) = values.extract::<Vec<String>>() {
        return Ok(Coordinates::texts(dimension, &texts));
    }
    let (dtype, values): (String, Vec<u8>) = values.extract()?;
    let dtype: Result<Dtype, ErrorKind> = dtype.parse();
    Ok(Coordinates { dimension: dimension.to_owned(), dtype: dtype.or_raise(py)?, values })
}

/// Names of the axes of each column; and for each dimension with coordinates its name, the name and numpy's description
/// of their type, and their bytes.
pub type Named<'py> = (Vec<(String, Vec<String>)>, Vec<(String, String, String, Bound<'py, PyBytes>)>);

pub fn named(py: Python<'_>, dimensions: Dimensions) -> Named<'_> {
    let coordinates = dimensions.coordinates.into_iter().map(|Coordinates { dimension, dtype, values }| {
        (dimension, dtype.to_string(), dtype.numpy(), PyBytes::new(py, &values))
    });
    (dimensions.columns, coordinates.collect())
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
        entry.set_item("fill", PyBytes::new(py, &column.fill))?;
        entry.set_item("is_direct", column.is_direct)?;
        entry.set_item("has_stamp", column.has_stamp)?;
        columns.append(entry)?;
    }
    table.set_item("columns", columns)?;
    Ok(table)
}
