//! The mark of a published file, and digests of the sources of its chunks.

use crate::h5::Failed;
use crate::h5::marks::format::STAMPS_GROUP;
use crate::h5::marks::texts::{read_text, write_text};
use crate::h5::read::groups::object_id;
use crate::h5::read::load::Parts;
use crate::h5::{H5Change, H5File};
use h5part_base::dataspace::Table;
use h5part_base::error::ErrorKind;
use ndarray::Array2;
use std::collections::HashMap;

/// Attribute of the root: the file is published and never changed in place.
pub(in crate::h5) const MARK: &str = "h5part_published";
/// Group of the digests, inside the group of stamps.
const DIGESTS: &str = "published";
/// Attribute of a dataset of digests: the path of its column.
const COLUMN: &str = "column";

/// Digests of a chunk: that of its values, as two words, and that of its stored bytes.
pub type Digest = [u64; 3];

impl H5File {
    /// Whether this is a file that h5part published.
    ///
    /// # Errors
    /// Library errors.
    pub fn is_published(&self) -> Result<bool, Failed> {
        self.ask(|| Ok(self.file.attr_names()?.iter().any(|name| name == MARK)))
    }

    /// Identifies the object at a path, whatever its other names are.
    ///
    /// # Errors
    /// Library errors.
    pub fn object(&self, path: &str) -> Result<String, Failed> {
        self.ask(|| Ok(object_id(&self.file.loc_info_by_name(path)?)))
    }

    /// Digests of the chunks of each column of a published file, by the column's path.
    ///
    /// # Errors
    /// Library errors.
    pub fn digests(&self) -> Result<HashMap<String, Vec<Digest>>, Failed> {
        self.ask(|| {
            let Ok(group) = self.file.group(&format!("/{STAMPS_GROUP}/{DIGESTS}")) else { return Ok(HashMap::new()) };
            let mut found = HashMap::new();
            for dataset in group.datasets()? {
                let column = read_text(&dataset, COLUMN)?;
                let values: Array2<u64> = dataset.read_2d()?;
                let digests = values.rows().into_iter().map(|row| [row[0], row[1], row[2]]);
                found.insert(column, digests.collect());
            }
            Ok(found)
        })
    }
}

impl H5Change {
    /// Marks the file as published, with the digests of the chunks of its columns.
    ///
    /// # Errors
    /// Library errors.
    pub fn mark_published(&self, columns: &[(String, Vec<Digest>)]) -> Result<(), Failed> {
        if !self.file.attr_names()?.iter().any(|name| name == MARK) {
            self.file.new_attr::<u64>().create(MARK)?.write_scalar(&1u64)?;
        }
        let make = |name: &str| self.file.create_group_builder().obj_track_times(false).create(name);
        if !self.file.link_exists(STAMPS_GROUP) {
            make(STAMPS_GROUP)?;
        }
        let path = format!("{STAMPS_GROUP}/{DIGESTS}");
        if self.file.link_exists(&path) {
            self.file.unlink(&path)?;
        }
        make(&path)?;
        let group = self.file.group(&path)?;
        for (k, (column, digests)) in columns.iter().enumerate() {
            let values: Vec<u64> = digests.iter().flatten().copied().collect();
            let values = Array2::from_shape_vec((digests.len(), 3), values)
                .map_err(|e| ErrorKind::Hdf5(format!("digests: {e}")))?;
            let builder = group.new_dataset_builder().obj_track_times(false).with_data(&values);
            let dataset = builder.create(k.to_string().as_str())?;
            write_text(&dataset, COLUMN, column)?;
        }
        Ok(())
    }

    /// A table as it lies in the file so far.
    ///
    /// # Errors
    /// Library errors.
    pub fn locate(&self, table: &str) -> Result<Table, Failed> {
        let group = self.file.group(&format!("/{table}"))?;
        Parts::read(&self.file, table, &group)?.locate()
    }

    /// The stamped columns of a table that was just made, in the order of their stamps. The rest of the table is not
    /// read.
    ///
    /// # Errors
    /// [`ErrorKind::Unstamped`], library errors.
    pub fn locate_stamped(&self, table: &str, columns: &[String]) -> Result<Table, Failed> {
        let group = self.file.group(&format!("/{table}"))?;
        Parts::just_made(&self.file, table, &group, columns)?.locate()
    }

    /// Tells the watchdog that work goes on while the library has nothing to do.
    pub fn touch(&self) {
        self.source.touch();
    }
}
