//! What the first bytes of a file say, before the library is asked: is it HDF5, is it whole?

use crate::error::ErrorKind;
use crate::storage::StorageFile;

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// Longest superblock up to its end-of-file address (v0/v1 with 8-byte addresses).
const LONGEST: usize = 64;

/// Checks signature and length.
///
/// # Errors
/// [`ErrorKind::NotHdf5`], [`ErrorKind::Cut`], I/O errors.
pub fn check(file: &dyn StorageFile) -> Result<(), ErrorKind> {
    let len = file.identity()?.len;
    if len == 0 {
        return Err(ErrorKind::NotHdf5("the file is empty".to_owned()));
    }
    // The signature is at 0, or after a user block of 512, 1024, ... bytes.
    let mut at = 0;
    while at + SIGNATURE.len() as u64 <= len {
        let mut head = [0; LONGEST];
        let here = usize::try_from((len - at).min(LONGEST as u64)).unwrap_or(LONGEST);
        file.read_at(&mut head[..here], at)?;
        if head.starts_with(&SIGNATURE) {
            return match end_of_file(&head) {
                Some(end) if end > len => Err(ErrorKind::Cut { expected: end, found: len }),
                _ => Ok(()),
            };
        }
        at = if at == 0 { 512 } else { at * 2 };
    }
    Err(ErrorKind::NotHdf5("it has no HDF5 signature".to_owned()))
}

/// Where the file ends by its own word: the end of its allocations. `None`: it does not say, or there is
/// a user block before it.
///
/// # Errors
/// As pread(2).
pub fn stored_end(file: &dyn StorageFile) -> std::io::Result<Option<u64>> {
    let mut head = [0; LONGEST];
    if file.identity()?.len < LONGEST as u64 {
        return Ok(None);
    }
    file.read_at(&mut head, 0)?;
    Ok(if head.starts_with(&SIGNATURE) { end_of_file(&head) } else { None })
}

/// The end-of-file address, where the superblock is of a known version with 8-byte addresses.
fn end_of_file(head: &[u8; LONGEST]) -> Option<u64> {
    let (size_at, address_at) = match head[8] {
        0 => (13, 24 + 16),
        1 => (13, 28 + 16),
        2 | 3 => (9, 12 + 16),
        _ => return None,
    };
    let address = head.get(address_at..address_at + 8)?;
    (head[size_at] == 8).then(|| u64::from_le_bytes(address.try_into().unwrap_or_default()))
}
