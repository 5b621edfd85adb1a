//! Files built beside their name, and the one way in which they take it.

use super::{Mode, Storage};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Files are filled in pieces of this. The page cache keeps a file in folios as
/// large as the writes that made it, and small writes into large folios are slow: on ext4 (Linux
/// 6.18) 8 bytes take 2.4 us in folios of 1 MiB and 0.9 us in folios of 64 KiB.
pub const PIECE: usize = 64 << 10;

/// A new file in the folder of `path`, which is to take that name later. Its name begins with `prefix` and ends in
/// `suffix`; its permissions are those that open(2) would give, so that the user's umask decides.
///
/// # Errors
/// As open(2).
pub fn beside(path: &Path, prefix: &str, suffix: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix).suffix(suffix).permissions(Permissions::from_mode(0o666)).tempfile_in(folder)
}

/// As [`replace`], but fails with `AlreadyExists` where there is something of the name `to`.
///
/// # Errors
/// As [`replace`].
pub fn take_name(storage: &dyn Storage, from: &Path, to: &Path) -> io::Result<()> {
    storage.open(from, Mode::Write)?.sync()?;
    storage.rename_new(from, to)?;
    sync_folder_of(storage, to)
}

/// Syncs `from`, renames it to `to` (replacing what is there) and syncs the folder. A crash leaves
/// the old file or the new one under the name, never a part.
///
/// # Errors
/// As the calls named; after an error from the folder's sync the name may be either.
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
