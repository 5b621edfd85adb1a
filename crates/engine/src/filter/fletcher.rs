//! HDF5's checksum of chunks. It is Fletcher's, over big-endian words of 16 bits modulo 65535. Zero has two
//! representations, and the library uses the one that folding produces.

/// Bytes of a checksum.
pub(super) const BYTES: usize = 4;
/// How many words can be added before the sums could overflow.
const WORDS: usize = 360;

/// The checksum of some bytes.
pub(super) fn sum(bytes: &[u8]) -> u32 {
    let (mut low, mut high) = (0u32, 0u32);
    let fold = |sum: u32| (sum & 0xFFFF) + (sum >> 16);
    for block in bytes.chunks(2 * WORDS) {
        for word in block.chunks(2) {
            low += u32::from(word[0]) << 8 | word.get(1).map_or(0, |&byte| u32::from(byte));
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    fold(high) << 16 | fold(low)
}

/// The bytes before the checksum, if it is right. Libraries before 1.6.3 swapped its bytes in pairs on little-endian
/// machines; that form is accepted too.
pub(super) fn strip(stored: &[u8]) -> Option<&[u8]> {
    let (bytes, sum_bytes) = stored.split_last_chunk::<BYTES>()?;
    let (stored, found) = (u32::from_le_bytes(*sum_bytes), sum(bytes));
    let [a, b, c, d] = found.to_le_bytes();
    (stored == found || stored == u32::from_le_bytes([b, a, d, c])).then_some(bytes)
}
