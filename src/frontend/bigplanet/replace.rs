//! Which files may be made anew: such as are made here, and none that is read.

use crate::error::{At, ErrorKind, Result};
use crate::storage::{Disk, Storage};
use crate::store::Store;
use std::fs::{File, metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, absolute};

const REPLACE: &str = "make anew";
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Refuses to write where the archive is, under whatever name.
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

/// Refuses what is no HDF5 file. What is not there, and a file in which there is nothing, may be made.
///
/// # Errors
/// [`ErrorKind::BadRequest`]; as reading it.
pub fn check_hdf5(path: &Path) -> Result<()> {
    let check = || match metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e.into()),
        Ok(metadata) if !metadata.is_file() => Err(ErrorKind::BadRequest("it is no file".to_owned())),
        Ok(metadata) if metadata.len() == 0 || is_hdf5(&File::open(path)?, metadata.len())? => Ok(()),
        Ok(_) => {
            let text = "it is no HDF5 file: name another one, or move it away if it is not needed";
            Err(ErrorKind::BadRequest(text.to_owned()))
        }
    };
    check().at(REPLACE, path)
}

/// The signature is at 0, or after a user block of 512, 1024, ... bytes.
fn is_hdf5(mut file: &File, len: u64) -> io::Result<bool> {
    let places = std::iter::once(0).chain(std::iter::successors(Some(512_u64), |at| at.checked_mul(2)));
    for at in places.take_while(|at| at.saturating_add(SIGNATURE.len() as u64) <= len) {
        let mut head = [0; SIGNATURE.len()];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        if head == SIGNATURE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses a file that is no filtered one: something in its root is no dataset. Of one that cannot be opened nothing
/// can be lost.
///
/// # Errors
/// [`ErrorKind::BadRequest`]
pub fn check_filtered(store: &Store) -> Result<()> {
    let listed = store.look(|h5, _| Ok((h5.root_names()?, h5.members_of("")?)));
    let Ok((names, datasets)) = listed else { return Ok(()) };
    match names.into_iter().find(|named| !datasets.contains(&named.name)) {
        Some(named) => {
            let text = format!("it is no filtered file: '{}' in it is no dataset", named.name.escape_debug());
            Err(ErrorKind::BadRequest(text).at(REPLACE, store.path()))
        }
        None => Ok(()),
    }
}
