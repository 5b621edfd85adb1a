//! Small structural changes: extending tables, and setting attributes.

use super::handle::{Store, trim_slashes};
use super::table_view::TableView;
use crate::h5::{Attribute, Dimensions, H5File, NewArray};
use h5part_base::dataspace::refuse_reserved;
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::storage::{Mode, StorageFile};
use std::sync::Arc;

impl Store {
    /// Extends a table to `rows` rows; new ones hold fill. The cost depends on the rows that are added: if the last
    /// chunk has room, a few hundred bytes of metadata. Returns the former number of rows.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see
    /// [`Store::change`]. Writers and readers of the table go on, and see the new rows.
    ///
    /// # Errors
    /// [`ErrorKind::CannotGrow`], [`ErrorKind::NotFound`], and those of [`Store::change`].
    pub fn extend(&self, table: &str, rows: u64) -> Result<u64> {
        let table = trim_slashes(table);
        let extend = || {
            self.change_beside_readers(|exclusive| {
                self.expect_table(table)?;
                self.check_room(0, rows)?;
                self.change_exclusively(exclusive, |site| Ok(site.h5.extend(table, rows)?))
            })
        };
        extend().at("extend a table of", &self.paths.file)
    }

    /// Gives stamps to the rows that another program appended to all columns of a table.
    pub(super) fn take_in_rows(&self, table: &str) -> Result<(), ErrorKind> {
        self.change_beside_readers(|exclusive| {
            let view = TableView::load_inside(self, table, exclusive.gate.file())?;
            if view.table.rows == view.table.stamped_rows() {
                return Ok(());
            }
            self.change_exclusively(exclusive, |site| Ok(site.h5.extend(table, view.table.rows)?)).map(|_| ())
        })
    }

    /// The named dimensions of a table, whoever made them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`Store::reader`].
    pub fn dimensions(&self, table: &str) -> Result<Dimensions> {
        self.with_h5(|h5, _| Ok(h5.dimensions(trim_slashes(table))?)).at("read", &self.paths.file)
    }

    /// Sets attributes of a table's group or of a column. `path` is that of the table or the dataset. Existing
    /// attributes are replaced.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see
    /// [`Store::change`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], and those of [`Store::change`].
    pub fn set_attributes(&self, path: &str, attributes: &[(String, Attribute)]) -> Result<()> {
        let path = trim_slashes(path);
        let set = || {
            attributes.iter().try_for_each(|(name, _)| refuse_reserved(name))?;
            refuse_reserved(path)?;
            self.change_beside_readers(|exclusive| {
                let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
                H5File::open(&file, &self.paths.file)?.expect_object(path)?;
                self.change_exclusively(exclusive, |site| Ok(site.h5.set_attributes(path, attributes)?))
            })
        };
        set().at("set attributes in", &self.paths.file)
    }

    /// An attribute of a table's group or of a column. `None`: it does not exist, or [`Attribute`] has no variant for
    /// its kind.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], those of [`Store::reader`].
    pub fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>> {
        self.with_h5(|h5, _| Ok(h5.attribute_of(trim_slashes(path), name)?)).at("read", &self.paths.file)
    }

    /// Names of the attributes of a table or a column, sorted.
    ///
    /// # Errors
    /// As [`Store::attribute`].
    pub fn attribute_names(&self, path: &str) -> Result<Vec<String>> {
        self.with_h5(|h5, _| Ok(h5.attribute_names(trim_slashes(path))?)).at("read", &self.paths.file)
    }

    /// Creates a group of plain datasets with their values, contiguous and without stamps, as other programs do. If the
    /// file does not exist, it is created.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. A new
    /// file exists before the change, empty.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::NoSpace`] before anything is written, those of the values, and
    /// those of [`Store::change`].
    pub fn add_arrays(
        &self,
        group: &str,
        mut arrays: Vec<NewArray<'_>>,
        attributes: &[(String, Attribute)],
    ) -> Result<()> {
        let group = trim_slashes(group);
        refuse_reserved(group).at("add to", &self.paths.file)?;
        self.create_empty()?;
        let mut add = || {
            let bytes = arrays.iter().try_fold(0u64, |n, array| n.checked_add(array.bytes()?));
            self.check_room(bytes.unwrap_or(u64::MAX), 0)?;
            let exclusive = self.enter_exclusively()?;
            self.change_exclusively(&exclusive, |site| Ok(site.h5.add_arrays(group, &mut arrays, attributes)?))
        };
        add().at("add to", &self.paths.file)
    }

    fn expect_table(&self, table: &str) -> Result<(), ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        Ok(H5File::open(&file, &self.paths.file)?.expect_group(table)?)
    }
}
