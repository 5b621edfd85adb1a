//! Where targets make their files.

use std::path::Path;
use std::sync::LazyLock;

/// A folder of this process, in memory where there is such a place.
pub fn folder() -> &'static Path {
    static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("folder")
    });
    FOLDER.path()
}
