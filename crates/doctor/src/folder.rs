//! The folder of a test's files. Whoever is last clears it away.

use super::desk;
use std::io;
use std::path::{Path, PathBuf};

/// Names of such folders begin so.
pub(super) const PREFIX: &str = ".h5part-doctor-";

/// Files of a test, which vanish with this.
#[derive(Debug)]
pub(super) struct TestFolder(PathBuf);

impl TestFolder {
    /// Makes them, in a folder of a new name within `folder`.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let made = Self(folder.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple())));
        std::fs::create_dir(made.path())?;
        desk::make(made.path())?;
        Ok(made)
    }

    /// Where they are.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        clear(&self.0);
    }
}

/// Removes a folder of tests, and no other.
pub(super) fn clear(folder: &Path) {
    if is_ours(folder) {
        // Somebody else may have been first; there is nobody to tell here.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// Whether a folder is one of tests, by its name.
pub(super) fn is_ours(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}
