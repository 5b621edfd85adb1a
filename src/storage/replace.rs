//! The one way in which a finished file takes its name.

use super::{Mode, Storage};
use std::io;
use std::path::Path;

/// Syncs `from`, renames it to `to` (replacing what is there) and syncs the folder. A crash leaves
/// the old file or the new one under the name, never a part.
///
/// # Errors
/// As the calls named; after an error from the folder's sync the name may be either.
pub fn replace(storage: &dyn Storage, from: &Path, to: &Path) -> io::Result<()> {
    storage.open(from, Mode::Write)?.sync()?;
    storage.rename(from, to)?;
    match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => storage.sync_folder(folder),
        _ => storage.sync_folder(Path::new(".")),
    }
}
