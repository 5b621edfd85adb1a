//! Bundles: groups of small datasets, each added as one structural change, with a checksum.

use super::handle::{Store, trim_slashes};
use crate::h5::{Bundle, H5Change, H5File, Named};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{self, CreationLock};
use h5part_base::storage::{Mode, StorageFile};
use std::sync::Arc;
use tempfile::NamedTempFile;

/// Adds a bundle at a path to a file under construction.
pub type AddBundle<'a> = &'a (dyn Fn(&str, &Bundle) -> Result<()> + Sync);

impl Store {
    /// Creates an empty file, unless it exists. Returns whether it did.
    ///
    /// **Concurrency.** Any number of processes may call it at the same time; one creates the file, which is built
    /// beside its name and renamed. **Survives** a kill at any instant and loss of power: the file exists as a whole,
    /// or not at all.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`], I/O errors.
    pub fn create_empty(&self) -> Result<bool> {
        self.make_if_missing(|| self.build_beside(|_| Ok(()))).at("create", &self.paths.file)
    }

    /// Adds a bundle as a group at this path, with a checksum over its content that [`Store::verify`] checks. With
    /// `replace`, whatever has the name is removed in the same change.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: a structural change, see [`Store::change`]. Other
    /// processes see the whole bundle or nothing, whatever is killed.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`], [`ErrorKind::BadRequest`] for what HDF5 cannot store, and those of
    /// [`Store::change`].
    pub fn add_bundle(&self, path: &str, bundle: &Bundle, replace: bool) -> Result<()> {
        let path = trim_slashes(path);
        let add = || {
            bundle.check()?;
            self.change_beside_readers(|exclusive| {
                self.change_exclusively(exclusive, |site| Ok(site.h5.add_bundle(path, bundle, replace)?))
            })
        };
        add().at("add to", &self.paths.file)
    }

    /// Reads a bundle and compares it with the one given.
    ///
    /// # Errors
    /// [`ErrorKind::BundleChanged`], [`ErrorKind::NotFound`] if it does not exist; those of [`Store::reader`].
    pub fn check_bundle(&self, path: &str, bundle: &Bundle) -> Result<()> {
        let path = trim_slashes(path);
        let check = |h5: &H5File| {
            let (found, sum) = (h5.read_bundle(path, None)?.sum(), bundle.sum());
            let changed = |how: &str| Err(ErrorKind::BundleChanged { path: path.to_owned(), how: how.to_owned() });
            if found != sum {
                return changed("does not read back as written");
            }
            if h5.bundle_sum(path)? == Some(sum) {
                Ok(())
            } else {
                changed("does not match the checksum it was written with")
            }
        };
        self.with_h5(|h5, _| check(h5)).at("read back from", &self.paths.file)
    }

    /// Reads the datasets of a group, whoever made it: all of them, or those of `names` that exist.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::UnsupportedColumn`], those of
    /// [`Store::reader`].
    pub fn read_bundle(&self, path: &str, names: Option<&[String]>) -> Result<Bundle> {
        self.with_h5(|h5, _| Ok(h5.read_bundle(trim_slashes(path), names)?)).at("read", &self.paths.file)
    }

    /// The names in the root group, each with the object that it leads to, or the reason why that cannot be opened.
    ///
    /// # Errors
    /// Those of [`Store::reader`].
    pub fn root_names(&self) -> Result<Vec<Named>> {
        self.with_h5(|h5, _| Ok(h5.root_names()?)).at("read", &self.paths.file)
    }

    /// Creates a file of one bundle, whose datasets lie in the root group, and replaces whatever had the name.
    ///
    /// **Concurrency**, what is **atomic** and what **survives**: as with [`Store::replace_with_bundles`].
    ///
    /// # Errors
    /// As [`Store::replace_with_bundles`].
    pub fn replace_with_bundle(&self, bundle: &Bundle) -> Result<()> {
        self.replace_with_bundles(|add| add("", bundle))
    }

    /// Creates a file of the bundles that `fill` adds, each with its path, and replaces whatever had the name.
    ///
    /// **Concurrency.** `fill` may add from any number of threads. Once the new file is complete, the call waits for
    /// writers of the old one, and new writers wait for the call. Readers keep the file that they have open.
    /// **Atomic**: the whole call. **Survives** a kill at any instant and loss of power: the name refers to the old
    /// file, or to the new one.
    ///
    /// # Errors
    /// Those of `fill`; [`ErrorKind::BadRequest`], [`ErrorKind::LockTimeout`], [`ErrorKind::NoSpace`], I/O and library
    /// errors. After an error the old file is unchanged.
    pub fn replace_with_bundles(&self, fill: impl FnOnce(AddBundle<'_>) -> Result<()>) -> Result<()> {
        let mut at_fill = None;
        let build = || {
            let add = |path: &str, bundle: &Bundle, h5: &H5Change| {
                h5.add_bundle(trim_slashes(path), bundle, false).at("add to", &self.paths.file)
            };
            self.clear_unfinished();
            let new = self.build_beside(|h5| {
                fill(&|path, bundle| add(path, bundle, h5)).map_err(|e| {
                    let said = ErrorKind::GroupFailed(e.to_string());
                    at_fill = Some(e);
                    said
                })
            })?;
            let lock = CreationLock::take(&self.paths, &self.patience)?;
            lock::clear_store_uuid(&self.paths)?;
            self.rename_into_place(new)?;
            lock.hand_over(&self.paths)?;
            Ok::<_, ErrorKind>(self.shared.mark(&self.paths)?)
        };
        // An error of `fill` keeps its own operation and path.
        build().map_err(|kind: ErrorKind| at_fill.unwrap_or_else(|| kind.at("make", &self.paths.file)))
    }

    fn build_beside(&self, work: impl FnOnce(&H5Change) -> Result<(), ErrorKind>) -> Result<NamedTempFile, ErrorKind> {
        let new = self.temporary()?;
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(new.path(), Mode::Write)?);
        H5Change::open(&file, new.path(), true)?.run(|h5| {
            h5.ensure_uuid()?;
            work(h5)
        })?;
        Ok(new)
    }
}
