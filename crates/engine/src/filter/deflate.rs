//! Makes zlib streams of chunks with libdeflate, except for the part that it could not shrink.
//!
//! Shuffled numbers begin with the planes of their lowest bits, which are noise in most measured and computed values. A
//! compressor spends nearly all of its time there without gain. A zlib stream may hold uncompressed bytes, in blocks
//! that end at whole bytes. So noise at the start is stored in such blocks, and libdeflate's blocks follow. Every
//! reader of zlib streams can read it, and does so faster.

use libdeflater::{Compressor, adler32};

/// Bytes are judged in segments of this length.
const SEGMENT: usize = 32 << 10;
/// A segment with at least this many bits per byte is noise, unless something repeats. Even noise has slightly less
/// than 8.
const NOISE_BITS: f64 = 7.95;
/// The search for repetitions: how many positions of a segment are looked up, and the size of the table of earlier
/// bytes.
const SAMPLE: usize = 2048;
const PLACES_LOG: u32 = 13;
/// More repetitions than one per this many positions are worth compressing.
const RARE: usize = 64;
/// Most bytes of a stored block.
const STORED: usize = 65_535;
/// First bytes of a zlib stream with the usual window size.
const HEADER: [u8; 2] = [0x78, 0x5E];

/// Encodes bytes as a zlib stream.
pub(super) fn pack(deflate: &mut Compressor, bytes: &[u8]) -> Option<Vec<u8>> {
    let (noise, rest) = bytes.split_at(noise(bytes));
    let blocks = noise.len().div_ceil(STORED);
    let mut packed = Vec::with_capacity(bytes.len() + 5 * blocks + 1024);
    packed.extend(HEADER);
    for block in noise.chunks(STORED) {
        let len = u16::try_from(block.len()).ok()?;
        packed.push(0);
        packed.extend(len.to_le_bytes());
        packed.extend((!len).to_le_bytes());
        packed.extend_from_slice(block);
    }
    let start = packed.len();
    packed.resize(start + deflate.deflate_compress_bound(rest.len()), 0);
    let len = deflate.deflate_compress(rest, &mut packed[start..]).ok()?;
    packed.truncate(start + len);
    packed.extend(adler32(bytes).to_be_bytes());
    Some(packed)
}

/// How many bytes at the start are noise.
fn noise(bytes: &[u8]) -> usize {
    let (mut end, mut places) = (0, vec![u32::MAX; 1 << PLACES_LOG]);
    for segment in bytes.chunks_exact(SEGMENT) {
        if bits_a_byte(segment) < NOISE_BITS || repeats(bytes, end, &mut places) {
            break;
        }
        end += SEGMENT;
    }
    end
}

/// Entropy of single bytes, in bits per byte.
fn bits_a_byte(segment: &[u8]) -> f64 {
    // With four tables, counting the same byte twice in a row does not stall.
    let mut counts = [[0u32; 256]; 4];
    for four in segment.as_chunks::<4>().0 {
        for (table, &byte) in counts.iter_mut().zip(four) {
            table[usize::from(byte)] += 1;
        }
    }
    let len = u32::try_from(segment.len()).map_or(f64::MAX, f64::from);
    let bits = |byte: usize| {
        let share = f64::from(counts.iter().map(|table| table[byte]).sum::<u32>()) / len;
        if share > 0.0 { -share * share.log2() } else { 0.0 }
    };
    (0..256).map(bits).sum()
}

/// Whether bytes of the segment at `start` occur before, in it or in the segment before it.
fn repeats(bytes: &[u8], start: usize, places: &mut [u32]) -> bool {
    let word = |at: usize| bytes.get(at..at + 4).and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?)));
    let place = |word: u32| (word.wrapping_mul(0x9E37_79B1) >> (u32::BITS - PLACES_LOG)) as usize;
    let mut found = 0;
    let end = start + SEGMENT;
    // Every fourth position is remembered. Every position of a sample is looked up.
    for at in start..end {
        let Some(word) = word(at) else { break };
        let place = place(word);
        if at >= end - SAMPLE || at < start + SAMPLE {
            found += usize::from(places[place] == word);
        }
        if at % 4 == 0 {
            places[place] = word;
        }
    }
    found > 2 * SAMPLE / RARE
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Decompressor};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    fn random(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        ChaCha8Rng::seed_from_u64(7).fill_bytes(&mut bytes);
        bytes
    }

    fn round(bytes: &[u8]) -> usize {
        let mut deflate = Compressor::new(CompressionLvl::new(4).expect("a level"));
        let packed = pack(&mut deflate, bytes).expect("packs");
        let mut back = vec![0; bytes.len()];
        assert_eq!(Decompressor::new().zlib_decompress(&packed, &mut back), Ok(bytes.len()));
        assert!(back == bytes);
        packed.len()
    }

    #[test]
    fn noise_is_stored_and_what_follows_is_compressed() {
        let noise_then_zeros = [random(5 * SEGMENT + 77), vec![0; 3 * SEGMENT]].concat();
        assert_eq!(noise(&noise_then_zeros), 5 * SEGMENT);
        assert!(round(&noise_then_zeros) < 5 * SEGMENT + 1000);
        for len in [0, 1, SEGMENT - 1, SEGMENT, 2 * SEGMENT, STORED, STORED + 1, 3 * STORED] {
            assert!(round(&random(len)) <= len + 64, "{len}");
        }
    }

    #[test]
    fn noise_that_repeats_is_compressed() {
        for period in [100, 1024, 3001, 9000, 16_000] {
            let bytes: Vec<u8> = random(period).into_iter().cycle().take(8 * SEGMENT).collect();
            assert_eq!(noise(&bytes), 0, "period {period}");
            assert!(round(&bytes) < 2 * SEGMENT, "period {period}");
        }
    }

    #[test]
    fn text_is_no_noise() {
        let text: Vec<u8> = (0..20_000u32).flat_map(|k| k.to_string().into_bytes()).collect();
        assert_eq!((noise(&text), noise(&random(SEGMENT)), noise(&[])), (0, SEGMENT, 0));
        assert!(round(&text) < text.len() / 2);
    }
}
