//! The folder of a test's files. Whoever finishes last removes it.

use super::desk;
use std::io;
use std::path::{Path, PathBuf};

/// Prefix of the names of such folders.
pub(super) const PREFIX: &str = ".h5part-doctor-";

/// Files of a test, which are removed when this is dropped.
#[derive(Debug)]
pub(super) struct TestFolder(PathBuf);

impl TestFolder {
    /// Creates them, in a folder with a new name inside `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let made = Self(folder.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple())));
        std::fs::create_dir(made.path())?;
        desk::make(made.path())?;
        Ok(made)
    }

    /// Path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        clear(&self.0);
    }
}

/// Removes a folder of tests, and nothing else.
pub(super) fn clear(folder: &Path) {
    if is_ours(folder) {
        // Someone else may have removed it first, and there is nobody to report to.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Whether a folder is one of tests, by its name.
pub(super) fn is_ours(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}
