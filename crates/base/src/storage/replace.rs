//! Files built beside: how they are copied, and the one way in which they take their name.

use super::{Mode, Storage, StorageFile};
use std::io;
use std::path::Path;

/// Bytes are copied, and files filled, in pieces of this. The page cache keeps a file in folios as
/// large as the writes that made it, and small writes into large folios are slow: on ext4 (Linux
/// 6.18) 8 bytes take 2.4 us in folios of 1 MiB and 0.9 us in folios of 64 KiB.
pub const PIECE: usize = 64 << 10;

/// Copies `len` bytes from the start of one file to the start of another.
///
/// # Errors
/// As pread(2) and pwrite(2).
pub fn copy(from: &dyn StorageFile, to: &dyn StorageFile, len: u64) -> io::Result<()> {
    let mut buf = vec![0; PIECE];
    for address in (0..len).step_by(PIECE) {
        let here = usize::try_from(len - address).unwrap_or(PIECE).min(PIECE);
        from.read_at(&mut buf[..here], address)?;
        to.write_at(&buf[..here], address)?;
    }
    Ok(())
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
