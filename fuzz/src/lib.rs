//! What several targets share: files in memory, an allocator that counts, a plain checksum.

mod allocations;
#[cfg(feature = "engine")]
mod folder;
mod memory;
mod stopping;

pub use allocations::peak;
#[cfg(feature = "engine")]
pub use folder::folder;
pub use memory::{MemoryFile, Plug};
pub use stopping::Stopping;

/// What a byte does to a CRC-32C.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC-32C, byte by byte: another implementation than the one under test.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| crc >> 8 ^ CRC[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

/// Bytes that differ from seed to seed, and from place to place.
pub fn pattern(seed: u8, len: usize) -> Vec<u8> {
    // No sector begins as another one does.
    const PERIOD: usize = 1009;
    let mut x = 0x9E37_79B9u32.wrapping_mul(u32::from(seed) + 1);
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x.to_le_bytes()[1]
    };
    let period: Vec<u8> = (0..len.min(PERIOD)).map(|_| next()).collect();
    period.iter().copied().cycle().take(len).collect()
}
