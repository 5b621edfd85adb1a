//! Bits that say which tasks may be waiting: one bit per task, and one per sector of these. They are hints, which make
//! a claim as cheap among ten million tasks as among ten. Only the slots say which tasks wait.
//!
//! A bit is set before its task waits, and cleared after the task stops waiting. A process that dies in between leaves
//! a bit that the next one clears. If a loss of power hides a waiting task, it is found when no bit is left
//! ([`super::Ledger::claim`] then reads the slots).

use super::header::{SECTOR, SECTOR_LEN, Shape};
use h5part_base::storage::StorageFile;
use std::io;
use std::ops::Range;

const BITS: u64 = SECTOR * 8;
const WORDS: usize = SECTOR_LEN / 8;

type Words = [u64; WORDS];

/// The two levels of bits, in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    shape: Shape,
    tasks: u64,
}

fn read(file: &dyn StorageFile, at: u64) -> io::Result<Words> {
    let mut words = [0; WORDS];
    file.read_at(bytemuck::cast_slice_mut(&mut words), at)?;
    Ok(words)
}

/// The first set bit from `from` on.
fn first(words: &Words, from: u64) -> Option<u64> {
    let (start, shift) = (usize::try_from(from / 64).unwrap_or(WORDS), from % 64);
    for (k, word) in words.iter().enumerate().skip(start) {
        let word = if k == start { word & (!0 << shift) } else { *word };
        if word != 0 {
            return Some(k as u64 * 64 + u64::from(word.trailing_zeros()));
        }
    }
    None
}

fn change(words: &mut Words, range: Range<u64>, set: bool) {
    for bit in range {
        let word = &mut words[usize::try_from(bit / 64).unwrap_or(0)];
        *word = if set { *word | 1 << (bit % 64) } else { *word & !(1 << (bit % 64)) };
    }
}

impl Bits {
    pub(super) fn new(shape: Shape, tasks: u64) -> Self {
        Self { shape, tasks }
    }

    /// The first task from `from` on that may be waiting.
    pub(super) fn next(&self, file: &dyn StorageFile, from: u64) -> io::Result<Option<u64>> {
        let leaf_sectors = self.tasks.div_ceil(BITS);
        let mut leaf = from / BITS;
        while leaf < leaf_sectors {
            let top = leaf / BITS;
            let words = read(file, self.shape.top + top * SECTOR)?;
            let Some(bit) = first(&words, leaf % BITS) else {
                leaf = (top + 1) * BITS;
                continue;
            };
            leaf = top * BITS + bit;
            if leaf >= leaf_sectors {
                break;
            }
            let words = read(file, self.shape.leaves + leaf * SECTOR)?;
            let start = from.saturating_sub(leaf * BITS);
            match first(&words, start) {
                Some(bit) if leaf * BITS + bit < self.tasks => return Ok(Some(leaf * BITS + bit)),
                _ => leaf += 1,
            }
        }
        Ok(None)
    }

    /// Marks tasks as possibly waiting. The upper level comes first, so that no death hides a bit.
    pub(super) fn set(&self, file: &dyn StorageFile, tasks: Range<u64>) -> io::Result<()> {
        self.each_leaf(tasks, |leaf, bits| {
            let top = self.shape.top + leaf / BITS * SECTOR;
            let mut words = read(file, top)?;
            if first(&words, leaf % BITS) != Some(leaf % BITS) {
                change(&mut words, leaf % BITS..leaf % BITS + 1, true);
                file.write_at(bytemuck::cast_slice(&words), top)?;
            }
            let at = self.shape.leaves + leaf * SECTOR;
            let mut words = read(file, at)?;
            change(&mut words, bits, true);
            file.write_at(bytemuck::cast_slice(&words), at)
        })
    }

    /// Marks tasks as not waiting.
    pub(super) fn clear(&self, file: &dyn StorageFile, tasks: Range<u64>) -> io::Result<()> {
        self.each_leaf(tasks, |leaf, bits| {
            let at = self.shape.leaves + leaf * SECTOR;
            let mut words = read(file, at)?;
            change(&mut words, bits, false);
            file.write_at(bytemuck::cast_slice(&words), at)?;
            if first(&words, 0).is_none() {
                let top = self.shape.top + leaf / BITS * SECTOR;
                let mut words = read(file, top)?;
                change(&mut words, leaf % BITS..leaf % BITS + 1, false);
                file.write_at(bytemuck::cast_slice(&words), top)?;
            }
            Ok(())
        })
    }

    fn each_leaf(&self, tasks: Range<u64>, mut f: impl FnMut(u64, Range<u64>) -> io::Result<()>) -> io::Result<()> {
        let mut at = tasks.start;
        let end = tasks.end.min(self.tasks);
        while at < end {
            let leaf = at / BITS;
            let stop = end.min((leaf + 1) * BITS);
            f(leaf, at - leaf * BITS..stop - leaf * BITS)?;
            at = stop;
        }
        Ok(())
    }
}
