//! The file that was published before under the same name. Unchanged chunks are taken from it.

use super::error::ErrorKind::NotPublished;
use crate::filter::Encoded;
use crate::h5::{Digest, H5File};
use crate::store::Store;
use h5part_base::dataspace::{ChunkTable, Filter};
use h5part_base::error::ErrorKind;
use h5part_base::storage::{Mode, StorageFile};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The file that was published before.
pub(super) struct Earlier {
    file: Arc<dyn StorageFile>,
    columns: HashMap<String, (ChunkTable, Vec<Digest>)>,
}

/// Digests of a chunk: that of its values, and that of its stored bytes.
pub(super) fn digest_of(values: u128, stored: &[u8]) -> Digest {
    let [low, high] = bytemuck::cast::<u128, [u64; 2]>(values);
    [low, high, xxh3_64(stored)]
}

/// Digest of a chunk's values.
pub(super) fn values_of(chunk: &[u8]) -> u128 {
    xxh3_128(chunk)
}

impl Earlier {
    /// Opens the earlier file. `None`: no file has that name, or it cannot be reused.
    pub(super) fn open(out: &Store, uuid: Option<Uuid>) -> Result<Option<Self>, ErrorKind> {
        if !out.path().exists() {
            return Ok(None);
        }
        let ours = |h5: &H5File| Ok::<_, ErrorKind>(h5.is_published()? && h5.uuid()? == uuid);
        match out.with_h5(|h5, _| ours(h5)) {
            Ok(true) => {}
            Ok(false) | Err(ErrorKind::NotHdf5(_) | ErrorKind::Cut { .. }) => return Err(NotPublished.into()),
            Err(e) => return Err(e),
        }
        // A damaged file is not reused. Everything is then compressed again.
        Ok(Self::load(out).ok())
    }

    fn load(out: &Store) -> Result<Self, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(out.storage.open(out.path(), Mode::Read)?);
        let h5 = H5File::open(&file, out.path())?;
        let mut digests = h5.digests()?;
        let mut columns = HashMap::new();
        for listing in h5.tables()? {
            for column in listing.table.columns.iter().filter(|c| c.layout.is_err() && c.filters.is_some()) {
                let path = format!("{}/{}", listing.table.path, column.name);
                if let Some(digests) = digests.remove(&path) {
                    let (table, _) = h5.chunks(&listing.table.path, column, file.as_ref())?;
                    columns.insert(path, (table, digests));
                }
            }
        }
        Ok(Self { file, columns })
    }

    /// The stored bytes of a chunk with these values, if it exists and is undamaged.
    pub(super) fn chunk(
        &self,
        column: &str,
        filters: &[Filter],
        chunk_bytes: usize,
        band: u64,
        values: u128,
    ) -> Option<(Encoded, Digest)> {
        let (table, digests) = self.columns.get(column)?;
        if table.filters != filters || table.grid.chunk_bytes() != chunk_bytes {
            return None;
        }
        let digest = *digests.get(usize::try_from(band).ok()?)?;
        let [chunk] = table.of_band(band) else { return None };
        let chunk = (*chunk)?;
        if digest_of(values, &[])[..2] != digest[..2] {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(chunk.bytes).ok()?];
        self.file.read_at(&mut bytes, chunk.address).ok()?;
        (digest_of(values, &bytes) == digest).then_some((Encoded { mask: chunk.mask, bytes }, digest))
    }
}
