//! The metadata that a layout rests on.

use crate::h5::{Failed, H5File};
use crc_fast::{CrcAlgorithm, checksum};
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;

/// The metadata that a layout rests on. While these bytes are unchanged, the layout holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataFingerprint {
    /// Merged extents (byte address, length), ascending. Empty: unknown, so it never counts as unchanged.
    extents: Vec<(u64, usize)>,
    digest: u64,
}

impl MetadataFingerprint {
    /// Extents closer than this are read together.
    const GAP: u64 = 2048;

    fn record(mut extents: Vec<(u64, usize)>, len: u64, file: &dyn StorageFile) -> Result<Self, Failed> {
        extents.sort_unstable();
        let mut merged: Vec<(u64, usize)> = Vec::new();
        for (address, size) in extents {
            // The library reads ahead, sometimes past the end.
            let size = size.min(to_usize(len.saturating_sub(address)));
            match merged.last_mut() {
                Some((start, n)) if address <= *start + *n as u64 + Self::GAP => {
                    *n = (*n).max(to_usize(address - *start) + size);
                }
                _ => merged.push((address, size)),
            }
        }
        let digest = Self::digest(&merged, file)?;
        Ok(Self { extents: merged, digest })
    }

    /// Whether the metadata is unchanged.
    ///
    /// # Errors
    /// As pread(2).
    pub fn is_unchanged(&self, file: &dyn StorageFile) -> Result<bool, Failed> {
        Ok(!self.extents.is_empty() && Self::digest(&self.extents, file)? == self.digest)
    }

    fn digest(extents: &[(u64, usize)], file: &dyn StorageFile) -> Result<u64, Failed> {
        let mut digest = 0;
        let mut buf = Vec::new();
        for &(address, size) in extents {
            buf.resize(size, 0);
            file.read_at(&mut buf, address)?;
            digest = checksum(CrcAlgorithm::Crc64Nvme, &buf) ^ u64::rotate_left(digest, 1);
        }
        Ok(digest)
    }
}

impl H5File {
    /// Fingerprint of what the library has read since the file was opened. Ends the recording: call it once per open.
    ///
    /// # Errors
    /// As pread(2).
    pub fn fingerprint(&self, storage: &dyn StorageFile) -> Result<MetadataFingerprint, Failed> {
        MetadataFingerprint::record(self.source.take_extents(), self.len, storage)
    }
}
