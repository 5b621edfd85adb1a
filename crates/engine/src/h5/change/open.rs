//! Opens a file for changes through the library.

use crate::h5::Failed;
use crate::h5::library::driver;
use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;
use hdf5::plist::FileCreate;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Raw data begins at multiples of this many bytes.
pub(in crate::h5) const ALIGNMENT: u64 = 4096;

/// Allocations of at least `from` bytes begin at a multiple of `to`.
#[derive(Clone, Copy, Debug)]
pub(in crate::h5) struct Alignment {
    from: u64,
    to: u64,
}

/// Aligns raw data to pages.
pub(in crate::h5) const PAGES: Alignment = Alignment { from: ALIGNMENT, to: ALIGNMENT };
/// Aligns everything as numbers need it in memory. Readers that map the file see values in place, those of small
/// datasets too, whatever the lengths of the names before them are.
pub(in crate::h5) const NUMBERS: Alignment = Alignment { from: 1, to: 8 };

/// A file that the library changes: one that is built beside its final name, or one under an overlay. Nothing in it
/// counts before [`H5Change::run`] has closed it.
#[derive(Debug)]
pub struct H5Change {
    pub(in crate::h5) file: hdf5::File,
    /// Library columns in use. They stay open so that a chunk is decompressed once, however often it is touched.
    pub(in crate::h5) open: Mutex<BTreeMap<String, hdf5::Dataset>>,
    pub(in crate::h5) source: Arc<driver::FileSource>,
}

impl H5Change {
    /// Makes an empty HDF5 file (`new`), or opens the existing one. The library takes no lock.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn open(storage: &Arc<dyn StorageFile>, path: &Path, new: bool) -> Result<Self, Failed> {
        let creation = if new { Some(FileCreate::build().obj_track_times(false).finish()?) } else { None };
        Self::enter(storage, path, creation.as_ref(), PAGES, false)
    }

    /// Opens the existing file and keeps all of its bytes, wherever its superblock says that it ends.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn open_whole(storage: &Arc<dyn StorageFile>, path: &Path) -> Result<Self, Failed> {
        Self::enter(storage, path, None, PAGES, true)
    }

    /// Makes an empty file with these properties.
    pub(in crate::h5) fn create(
        storage: &Arc<dyn StorageFile>,
        path: &Path,
        how: &FileCreate,
        alignment: Alignment,
    ) -> Result<Self, Failed> {
        Self::enter(storage, path, Some(how), alignment, false)
    }

    #[expect(unsafe_code, reason = "the safe wrapper knows no driver but HDF5's own")]
    fn enter(
        storage: &Arc<dyn StorageFile>,
        path: &Path,
        creation: Option<&FileCreate>,
        alignment: Alignment,
        whole: bool,
    ) -> Result<Self, Failed> {
        const READ_WRITE: u32 = 1;
        const TRUNCATE: u32 = 2;
        let make = if whole { driver::FileSource::keeping_all } else { driver::FileSource::writing };
        let source = Arc::new(make(Arc::clone(storage), path)?);
        let name = driver::c_path(path)?;
        let mut builder = hdf5::plist::FileAccess::build();
        prepared(builder.file_locking(false), alignment);
        let fapl = builder.finish()?;
        driver::set(fapl.id(), &source)?;
        let opened = hdf5::sync::sync(|| {
            // SAFETY: name and property lists are alive.
            let id = unsafe {
                match creation {
                    Some(how) => hdf5_sys::h5f::H5Fcreate(name.as_ptr(), TRUNCATE, how.id(), fapl.id()),
                    None => hdf5_sys::h5f::H5Fopen(name.as_ptr(), READ_WRITE, fapl.id()),
                }
            };
            // SAFETY: a fresh file id that nobody else owns.
            hdf5::h5check(id).and_then(|id| unsafe { hdf5::from_id::<hdf5::File>(id) })
        });
        match opened {
            Ok(file) => Ok(Self { file, open: Mutex::default(), source }),
            Err(e) => Err(source.take_failure().map_or_else(|| e.into(), Failed::from)),
        }
    }

    /// Runs `work`, then closes the file. A failed write is reported even if the library ignored it.
    ///
    /// # Errors
    /// Those of the work; [`ErrorKind::StillOpen`] where it kept a handle; library and I/O errors.
    pub fn run<T, E: From<Failed>>(self, work: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        let outcome = work(&self).and_then(|done| Ok(self.count_generation().map(|()| done)?));
        drop(self.open);
        let closed = self.file.close().map_err(Failed::from);
        if let Some(e) = self.source.take_failure() {
            return Err(Failed::from(e).into());
        }
        let done = outcome?;
        closed?;
        if self.source.is_open() {
            return Err(Failed::from(ErrorKind::StillOpen).into());
        }
        Ok(done)
    }

    /// Writes everything that the library caches to the storage.
    ///
    /// # Errors
    /// Library and I/O errors.
    pub fn flush(&self) -> Result<(), Failed> {
        let flushed = self.file.flush();
        if let Some(e) = self.source.take_failure() {
            return Err(e.into());
        }
        Ok(flushed?)
    }

    /// The file as the library sees it, for changes of any kind.
    #[must_use]
    pub fn library(&self) -> &hdf5::File {
        &self.file
    }
}

/// Sets which versions of the format the library may write. A new file has superblock 2, which every HDF5 since 1.8
/// reads. New objects in an existing file are of the same version, whatever else the file holds. Only copied objects
/// keep a newer form.
fn prepared(
    p: &mut hdf5::plist::FileAccessBuilder,
    Alignment { from, to }: Alignment,
) -> &mut hdf5::plist::FileAccessBuilder {
    use hdf5::file::LibraryVersion;
    crate::h5::library::codecs::register();
    p.alignment(from, to).libver_bounds(LibraryVersion::V18, LibraryVersion::latest())
}
