//! Records which store the sidecar belongs to, so that another file in its place is noticed.

use super::paths::Paths;
use std::fs;
use std::io;
use uuid::Uuid;

/// Writes the uuid of the store, unless one is written already.
///
/// # Errors
/// As open(2) and write(2).
pub fn write_store_uuid(paths: &Paths, uuid: Uuid) -> io::Result<()> {
    if fs::exists(&paths.uuid)? { Ok(()) } else { fs::write(&paths.uuid, uuid.to_string()) }
}

/// The uuid of the store; `None` if there is none, or if a loss of power cut it.
///
/// # Errors
/// As open(2) and read(2).
pub fn read_store_uuid(paths: &Paths) -> io::Result<Option<Uuid>> {
    match fs::read(&paths.uuid) {
        Ok(text) => Ok(Uuid::try_parse_ascii(&text).ok()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Removes the uuid, before another store takes the name.
///
/// # Errors
/// As unlink(2).
pub fn clear_store_uuid(paths: &Paths) -> io::Result<()> {
    match fs::remove_file(&paths.uuid) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
