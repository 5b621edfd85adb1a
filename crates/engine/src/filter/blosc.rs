//! The registered filter 32001: a container of Blosc 1, whose header says everything that decoding needs. (There is a
//! binding to c-blosc, but it would bring second copies of zlib, zstd and lz4.)

use super::blocks::{Reader, lz4, zstd};
use libdeflater::Decompressor;

/// Bytes of the header.
const HEADER: usize = 16;
/// Blocks are split into byte planes only if elements have at most `MOST_SPLITS` bytes and planes at least
/// `LEAST_SPLIT`.
const MOST_SPLITS: usize = 16;
const LEAST_SPLIT: usize = 128;
/// Bits of the flags.
const SHUFFLED: u8 = 1;
const COPIED: u8 = 2;
const BITSHUFFLED: u8 = 4;
const NOT_SPLIT: u8 = 16;

struct Container<'a> {
    bytes: &'a [u8],
    flags: u8,
    element: usize,
}

/// Decodes into `out`. `false`: the bytes do not decode to exactly that length.
pub(super) fn unpack(stored: &[u8], out: &mut [u8]) -> bool {
    try_unpack(stored, out).is_some()
}

fn try_unpack(stored: &[u8], out: &mut [u8]) -> Option<()> {
    let mut header = Reader(stored);
    let &[version, _, flags, element] = header.take(4)? else { return None };
    let (bytes, block, packed) = (header.le32()?, header.le32()?, header.le32()?);
    // Version 2 is the last one of Blosc 1.
    if version > 2 || bytes != out.len() {
        return None;
    }
    let container = Container { bytes: stored.get(..packed)?, flags, element: usize::from(element).max(1) };
    if bytes == 0 {
        return Some(());
    }
    if flags & COPIED != 0 {
        return super::copy(container.bytes.get(HEADER..)?.get(..bytes)?, out).then_some(());
    }
    if block == 0 {
        return None;
    }
    for out in out.chunks_mut(block) {
        let at = header.le32()?;
        container.block(at, out.len() < block, out)?;
    }
    Some(())
}

impl Container<'_> {
    /// Decodes the block that starts at `at` into `out`. The last block may be shorter than the others.
    fn block(&self, at: usize, is_short: bool, out: &mut [u8]) -> Option<()> {
        let shuffled = self.flags & SHUFFLED != 0 && self.element > 1;
        let bitshuffled = self.flags & BITSHUFFLED != 0 && out.len() >= self.element;
        if !shuffled && !bitshuffled {
            return self.streams(at, is_short, out);
        }
        let mut bytes = vec![0; out.len()];
        self.streams(at, is_short, &mut bytes)?;
        if shuffled {
            super::shuffle::backward(self.element, &bytes, out);
            return Some(());
        }
        let elements = out.len() / self.element;
        // Bits are not shuffled if the number of elements is not a multiple of eight.
        let whole = if elements.is_multiple_of(8) { elements * self.element } else { 0 };
        super::bitshuffle::backward(self.element, &bytes[..whole], &mut out[..whole]);
        super::copy(&bytes[whole..], &mut out[whole..]).then_some(())
    }

    fn streams(&self, at: usize, is_short: bool, out: &mut [u8]) -> Option<()> {
        let split = self.flags & NOT_SPLIT == 0
            && self.element <= MOST_SPLITS
            && out.len() / self.element >= LEAST_SPLIT
            && !is_short;
        let each = if split { out.len() / self.element } else { out.len() };
        let mut stored = Reader(self.bytes.get(at..)?);
        // Bytes that do not fill a stream are not stored: blocks are multiples of elements.
        for out in out.chunks_exact_mut(each) {
            let len = stored.le32()?;
            let packed = stored.take(len)?;
            let done = if len == out.len() { super::copy(packed, out) } else { self.decompress(packed, out) };
            done.then_some(())?;
        }
        Some(())
    }

    fn decompress(&self, packed: &[u8], out: &mut [u8]) -> bool {
        match self.flags >> 5 {
            0 => lz(packed, out).is_some(),
            1 => lz4(packed, out),
            2 => snap::raw::Decoder::new().decompress(packed, out) == Ok(out.len()),
            3 => Decompressor::new().zlib_decompress(packed, out) == Ok(out.len()),
            4 => zstd(packed, out),
            _ => false,
        }
    }
}

/// Decodes a stream of `BloscLZ` into `out`: literals, and copies of earlier bytes.
fn lz(packed: &[u8], out: &mut [u8]) -> Option<()> {
    const FARTHEST: usize = 8191;
    let mut bytes = packed.iter().copied().map(usize::from);
    let mut done = 0;
    let mut control = bytes.next()? & 31;
    loop {
        if control < 32 {
            for to in out.get_mut(done..=done + control)? {
                *to = u8::try_from(bytes.next()?).ok()?;
            }
            done += control + 1;
        } else {
            let (mut len, mut distance) = ((control >> 5) - 1, (control & 31) << 8);
            if len == 6 {
                loop {
                    let more = bytes.next()?;
                    len += more;
                    if more != 255 {
                        break;
                    }
                }
            }
            let low = bytes.next()?;
            distance += low;
            if low == 255 && distance == FARTHEST {
                distance = FARTHEST + (bytes.next()? << 8) + bytes.next()?;
            }
            len += 3;
            let from = done.checked_sub(distance + 1)?;
            out.get(..done + len)?;
            for i in 0..len {
                out[done + i] = out[from + i];
            }
            done += len;
        }
        match bytes.next() {
            Some(next) => control = next,
            None => return (done == out.len()).then_some(()),
        }
    }
}
