//! The file while several commits are made together: what lies together is read and written by one call.

use h5part_base::num::to_usize;
use h5part_base::storage::{Identity, StorageFile};
use h5part_base::sync;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Mutex;

/// Bytes that are read at once.
const BLOCK: u64 = 64 << 10;

/// Use it while the rows of the commits are locked, and only for them: it does not notice what others change.
#[derive(Debug)]
pub(super) struct Joined<'a> {
    file: &'a dyn StorageFile,
    /// Length of the file. It cannot become shorter meanwhile.
    end: u64,
    /// Blocks that were read, by their number.
    blocks: Mutex<BTreeMap<u64, Vec<u8>>>,
    /// What is to be written, in the order in which it came.
    pending: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl<'a> Joined<'a> {
    pub(super) fn new(file: &'a dyn StorageFile) -> io::Result<Self> {
        Ok(Self { file, end: file.identity()?.len, blocks: Mutex::default(), pending: Mutex::default() })
    }

    /// Forgets what was read. Call this when locks were released.
    pub(super) fn forget(&self) {
        sync::lock(&self.blocks).clear();
    }

    /// Writes what is pending, neighbours by one call.
    pub(super) fn write_out(&self) -> io::Result<()> {
        let mut pending = std::mem::take(&mut *sync::lock(&self.pending));
        // Of two writes to one place the later one stays the later one.
        pending.sort_by_key(|(address, _)| *address);
        let mut pending = pending.into_iter().peekable();
        while let Some((address, mut bytes)) = pending.next() {
            while let Some((_, more)) = pending.next_if(|(next, _)| *next == address + bytes.len() as u64) {
                bytes.extend(more);
            }
            self.file.write_at(&bytes, address)?;
        }
        Ok(())
    }
}

impl StorageFile for Joined<'_> {
    fn read_at(&self, buf: &mut [u8], address: u64) -> io::Result<()> {
        let (number, at) = (address / BLOCK, to_usize(address % BLOCK));
        let mut blocks = sync::lock(&self.blocks);
        if let Entry::Vacant(place) = blocks.entry(number) {
            let start = number * BLOCK;
            let mut block = vec![0; to_usize(self.end.saturating_sub(start).min(BLOCK))];
            self.file.read_at(&mut block, start)?;
            place.insert(block);
        }
        match blocks.get(&number).and_then(|block| block.get(at..at + buf.len())) {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => self.file.read_at(buf, address),
        }
    }

    fn write_at(&self, buf: &[u8], address: u64) -> io::Result<()> {
        sync::lock(&self.pending).push((address, buf.to_vec()));
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.write_out()?;
        self.file.sync()
    }

    fn identity(&self) -> io::Result<Identity> {
        self.file.identity()
    }
}
