//! Files that are built beside their name, and the one way in which they are renamed into place.

use super::{Mode, Storage};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Files are filled in pieces of this length. The page cache keeps a file in folios as large as the writes that made
/// it, and small writes into large folios are slow: on ext4 (Linux 6.18) 8 bytes take 2.4 us in folios of 1 MiB and 0.9
/// us in folios of 64 KiB.
pub const PIECE: usize = 64 << 10;

/// A new file in the folder of `path`, to be renamed to that name later. Its name begins with `prefix` and ends in
/// `suffix`. Its permissions are those that open(2) would give, so the user's umask decides.
///
/// # Errors
/// As open(2).
pub fn beside(path: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(suffix).permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// As [`replace`], but fails with `AlreadyExists` if the name `to` exists.
///
/// # Errors
/// As [`replace`].
pub fn take_name(storage: &dyn Storage, from: &Path, to: &Path) -> io::Result<()> {
    storage.open(from, Mode::Write)?.sync()?;
    storage.rename_new(from, to)?;
    sync_folder_of(storage, to)
}

/// Syncs `from`, renames it to `to` (replacing any existing file) and syncs the folder. After a crash the name refers
/// to the old file or to the new one, never to a part.
///
/// # Errors
/// As the calls named. If the sync of the folder fails, the name may refer to either file.
pub fn replace(storage: &dyn Storage, from: &Path, to: &Path) -> io::Result<()> {
    storage.open(from, Mode::Write)?.sync()?;
    storage.rename(from, to)?;
    sync_folder_of(storage, to)
}

fn sync_folder_of(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => storage.sync_folder(folder),
        _ => storage.sync_folder(Path::new(".")),
    }
}
