//! The registered filter 32008: bits of equal weight are stored together, in blocks that may each be compressed.

use super::blocks::{Reader, lz4, zstd};
use h5part_base::dataspace::{Bitshuffle, BlockCodec};

/// The elements of a block are a multiple of this. Elements left over after the last block are not shuffled.
const GROUP: usize = 8;
/// Default size of a block in bytes.
const BLOCK_BYTES: usize = 8192;
const LEAST_BLOCK: usize = 128;

/// Decodes into `out`. `false`: the bytes do not decode to exactly that length.
pub(super) fn unpack(how: Bitshuffle, stored: &[u8], out: &mut [u8]) -> bool {
    try_unpack(how, stored, out).is_some()
}

fn try_unpack(how: Bitshuffle, stored: &[u8], out: &mut [u8]) -> Option<()> {
    let element = how.element as usize;
    let mut stored = Reader(stored);
    let mut block = how.block as usize;
    if how.inside.is_some() {
        let (bytes, block_bytes) = (stored.be64()?, stored.be32()?);
        if bytes != out.len() as u64 || block_bytes % element != 0 {
            return None;
        }
        block = block_bytes / element;
    }
    if block == 0 {
        block = (BLOCK_BYTES / element / GROUP * GROUP).max(LEAST_BLOCK);
    }
    if !block.is_multiple_of(GROUP) || !out.len().is_multiple_of(element) {
        return None;
    }
    let whole = out.len() / element / GROUP * GROUP * element;
    let (blocks, rest) = out.split_at_mut(whole);
    let mut shuffled = vec![0; blocks.len().min(block.checked_mul(element)?)];
    for out in blocks.chunks_mut(block * element) {
        let shuffled = &mut shuffled[..out.len()];
        match how.inside {
            None => shuffled.copy_from_slice(stored.take(out.len())?),
            Some(inside) => {
                let len = stored.be32()?;
                let packed = stored.take(len)?;
                let unpacked = match inside {
                    BlockCodec::Lz4 => lz4(packed, shuffled),
                    BlockCodec::Zstd => zstd(packed, shuffled),
                };
                unpacked.then_some(())?;
            }
        }
        backward(element, shuffled, out);
    }
    rest.copy_from_slice(stored.take(rest.len())?);
    stored.0.is_empty().then_some(())
}
/// Converts bit planes to elements. Both slices have the same length, a multiple of eight elements.
pub(super) fn backward(element: usize, from: &[u8], to: &mut [u8]) {
    let plane = from.len() / (element * GROUP).max(1);
    for byte in 0..element {
        let planes = &from[byte * GROUP * plane..(byte + 1) * GROUP * plane];
        for (group, cells) in to.chunks_exact_mut(GROUP * element).enumerate() {
            let bits: [u8; GROUP] = std::array::from_fn(|bit| planes[bit * plane + group]);
            let turned = transpose(u64::from_le_bytes(bits)).to_le_bytes();
            for (k, value) in turned.into_iter().enumerate() {
                cells[k * element + byte] = value;
            }
        }
    }
}

/// Transposes a matrix of eight by eight bits.
fn transpose(mut x: u64) -> u64 {
    for (shift, mask) in [(7, 0x00AA_00AA_00AA_00AA), (14, 0x0000_CCCC_0000_CCCC), (28, 0x0000_0000_F0F0_F0F0)] {
        let t = (x ^ (x >> shift)) & mask;
        x ^= t ^ (t << shift);
    }
    x
}
