//! The dimensions of a table, whoever made them.

use super::{CLASS, Coordinates, IS_SCALE, LIST, NAME, NO_COORDINATES, has};
use crate::h5::marks::texts::read_text;
use crate::h5::read::groups::object_id;
use crate::h5::read::load::{Parts, read_column};
use crate::h5::{Failed, H5File, cells::select};
use h5part_base::dataspace::Rows;
use h5part_base::num::to_usize;
use hdf5::types::VarLenArray;
use hdf5::{Dataset, H5Type, ObjectReference1, ReferencedObject};
use std::collections::HashMap;

/// The dimensions of a table's columns, as dimension scales name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dimensions {
    /// For each column of which every axis has a name: the names, that of the axis of rows first.
    pub columns: Vec<(String, Vec<String>)>,
    /// The values along dimensions, where there are any and they are not a column of the table.
    pub coordinates: Vec<Coordinates>,
}

impl H5File {
    /// The dimensions of a table's columns.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](h5part_base::error::ErrorKind::NotFound), library errors.
    pub fn dimensions(&self, path: &str) -> Result<Dimensions, Failed> {
        self.ask(|| {
            let group = self.group(path)?;
            let parts = Parts::read(&self.file, path, &group)?;
            let mut scales = Scales::default();
            let mut columns = Vec::new();
            for (column, dataset) in &parts.columns {
                scales.names.insert(object_id(&dataset.loc_info()?), column.name.clone());
            }
            for (column, dataset) in &parts.columns {
                let names = if is_scale(dataset)? { Some(vec![column.name.clone()]) } else { scales.of(dataset)? };
                columns.extend(names.filter(|names| names.len() == dataset.ndim()).map(|n| (column.name.clone(), n)));
            }
            Ok(Dimensions { columns, coordinates: scales.coordinates })
        })
    }
}

/// The scales that were met.
#[derive(Default)]
struct Scales {
    /// The name of each object.
    names: HashMap<String, String>,
    coordinates: Vec<Coordinates>,
}

impl Scales {
    /// Names of the dimensions of a dataset; `None` where an axis has none.
    fn of(&mut self, dataset: &Dataset) -> Result<Option<Vec<String>>, Failed> {
        let scales = attached(dataset)?.into_iter().map(|scale| scale.map(|scale| self.name(&scale)).transpose());
        let names: Option<Vec<String>> = scales.collect::<Result<_, Failed>>()?;
        Ok(names.filter(|names| !names.is_empty()))
    }

    fn name(&mut self, scale: &Dataset) -> Result<String, Failed> {
        let object = object_id(&scale.loc_info()?);
        if let Some(name) = self.names.get(&object) {
            return Ok(name.clone());
        }
        let path = scale.name();
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        self.coordinates.extend(coordinates(scale, &name)?);
        self.names.insert(object, name.clone());
        Ok(name)
    }
}

/// The scale of each axis of a dataset: the last one, as netCDF takes it. Empty: it has no list of them.
fn attached(dataset: &Dataset) -> Result<Vec<Option<Dataset>>, Failed> {
    if !has(dataset, LIST)? {
        return Ok(Vec::new());
    }
    let list = dataset.attr(LIST)?;
    if list.dtype()?.to_descriptor().ok() != Some(VarLenArray::<ObjectReference1>::type_descriptor()) {
        return Ok(Vec::new());
    }
    let scale = |references: &VarLenArray<ObjectReference1>| match dataset.dereference(references.last()?) {
        Ok(ReferencedObject::Dataset(scale)) => Some(scale),
        // It leads nowhere, or to something else.
        _ => None,
    };
    Ok(list.read_raw::<VarLenArray<ObjectReference1>>()?.iter().map(scale).collect())
}

/// The values of a scale, if it has values that h5part reads.
fn coordinates(scale: &Dataset, name: &str) -> Result<Option<Coordinates>, Failed> {
    let named = has(scale, NAME)?.then(|| read_text(scale, NAME).ok()).flatten();
    if scale.ndim() != 1 || named.is_some_and(|text| text.starts_with(NO_COORDINATES)) {
        return Ok(None);
    }
    let Ok(dtype) = read_column(scale, name.to_owned(), None)?.dtype else { return Ok(None) };
    let len = scale.shape().first().map_or(0, |&n| n as u64);
    let mut values = vec![0; to_usize(len * dtype.size())];
    if len > 0 {
        select::read(scale, dtype, &Rows::range(0..len).runs()?, &mut values)?;
    }
    Ok(Some(Coordinates { dimension: name.to_owned(), dtype, values }))
}

fn is_scale(dataset: &Dataset) -> Result<bool, Failed> {
    Ok(has(dataset, CLASS)? && read_text(dataset, CLASS).is_ok_and(|class| class == IS_SCALE))
}
