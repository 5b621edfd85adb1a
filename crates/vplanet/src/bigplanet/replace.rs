//! Decides which files may be overwritten: only those that were made here, and none that is an input.

use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::storage::{Disk, Mode, Storage};
use h5part_engine::h5::check_superblock;
use h5part_engine::store::AsStore;
use std::fs::metadata;
use std::io;
use std::path::{Path, absolute};

const REPLACE: &str = "replace";

/// Refuses to write to the archive, whatever the path to it is.
///
/// # Errors
/// [`ErrorKind::BadRequest`]
pub fn check_apart(output: &Path, archive: &Path) -> Result<()> {
    let same = match (Disk.identity(output), Disk.identity(archive)) {
        (Ok(output), Ok(archive)) => output.same_file(&archive),
        _ => absolute(output).ok() == absolute(archive).ok(),
    };
    if same {
        let text = "it is the archive: name another file with sOutputFile".to_owned();
        return Err(ErrorKind::BadRequest(text).at(REPLACE, output));
    }
    Ok(())
}

/// Refuses a path that exists but is not an HDF5 file. A missing or an empty file may be created.
///
/// # Errors
/// [`ErrorKind::BadRequest`]; as reading it.
pub fn check_hdf5(path: &Path) -> Result<()> {
    let check = || match metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
        Ok(metadata) if !metadata.is_file() => Err(ErrorKind::BadRequest("it is not a file".to_owned())),
        Ok(metadata) if metadata.len() == 0 => Ok(()),
        Ok(_) => match check_superblock(Disk.open(path, Mode::Read)?.as_ref()) {
            Err(ErrorKind::NotHdf5(_)) => {
                let text = "it is not an HDF5 file: name another one, or move it away if it is not needed";
                Err(ErrorKind::BadRequest(text.to_owned()))
            }
            // A truncated HDF5 file is still one.
            Err(ErrorKind::Cut { .. }) => Ok(()),
            other => other.map(|_| ()),
        },
    };
    check().at(REPLACE, path)
}

/// Refuses to overwrite a file that is not a filtered one, since its root holds something other than datasets. A file
/// that cannot be opened has nothing to lose.
///
/// # Errors
/// [`ErrorKind::BadRequest`]
pub fn check_filtered(store: &impl AsStore) -> Result<()> {
    let store = store.as_store();
    let listed = store.with_h5(|h5, _| Ok((h5.root_names()?, h5.members_of("")?)));
    let Ok((names, datasets)) = listed else { return Ok(()) };
    match names.into_iter().find(|named| !datasets.contains(&named.name)) {
        Some(named) => {
            let text = format!("it is not a filtered file: '{}' in it is not a dataset", named.name.escape_debug());
            Err(ErrorKind::BadRequest(text).at(REPLACE, store.path()))
        }
        None => Ok(()),
    }
}
