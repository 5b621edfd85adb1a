//! Opens a file for reading through the library.

use crate::h5::Failed;
use crate::h5::library::driver;
use crate::h5::library::limits::Look;
use crate::h5::read::superblock;
use h5part_base::error::ErrorKind;
use h5part_base::storage::StorageFile;
use std::path::Path;
use std::sync::Arc;

/// A file open for reading in the HDF5 library. Each open sees the bytes as they are at that time.
#[derive(Debug)]
pub struct H5File {
    pub(in crate::h5) file: hdf5::File,
    pub(in crate::h5) len: u64,
    pub(in crate::h5) source: Arc<driver::FileSource>,
    _look: Look,
}

impl H5File {
    /// Checks the superblock, then opens the file. The library takes no lock.
    ///
    /// # Errors
    /// [`ErrorKind::NotHdf5`], [`ErrorKind::Cut`], I/O errors.
    pub fn open(storage: &Arc<dyn StorageFile>, path: &Path) -> Result<Self, Failed> {
        superblock::check(storage.as_ref())?;
        let len = storage.identity()?.len;
        Self::open_checked(storage, path, len)
    }

    /// Runs a query of the library. If the system failed to read, that is the error returned, not what the library
    /// reports.
    pub(in crate::h5) fn ask<T>(&self, question: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
        let answer = question();
        if let Some(e) = self.source.take_failure() {
            return Err(e.into());
        }
        answer
    }

    #[expect(unsafe_code, reason = "the safe wrapper knows no driver but HDF5's own")]
    fn open_checked(storage: &Arc<dyn StorageFile>, path: &Path, len: u64) -> Result<Self, Failed> {
        let look = Look::begin(len);
        let source = Arc::new(driver::FileSource::reading(Arc::clone(storage), path)?);
        let name = driver::c_path(path)?;
        let fapl = hdf5::plist::FileAccess::build().file_locking(false).finish()?;
        driver::set(fapl.id(), &source)?;
        let opened = hdf5::sync::sync(|| {
            // SAFETY: name and property list are alive; H5F_ACC_RDONLY is 0.
            let id = hdf5::h5check(unsafe { hdf5_sys::h5f::H5Fopen(name.as_ptr(), 0, fapl.id()) })?;
            // SAFETY: a fresh file id that nobody else owns.
            unsafe { hdf5::from_id::<hdf5::File>(id) }
        });
        match opened {
            Ok(file) => Ok(Self { file, len, source, _look: look }),
            Err(e) => Err(source.take_failure().map_or_else(|| not_hdf5(&e).into(), Failed::from)),
        }
    }
}

fn not_hdf5(e: &hdf5::Error) -> ErrorKind {
    ErrorKind::NotHdf5(e.to_string().lines().next().unwrap_or_default().to_owned())
}

/// Version of the linked library, as `major.minor.release`.
#[must_use]
pub fn library_version() -> String {
    let (major, minor, release) = hdf5::library_version();
    format!("{major}.{minor}.{release}")
}
