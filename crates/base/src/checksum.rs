//! The checksum of all of h5part's own formats.

use crc_fast::{CrcAlgorithm, checksum};

/// CRC-32C of some bytes.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // A CRC-32 fits into the low half.
    let [a, b, c, d, ..] = checksum(CrcAlgorithm::Crc32Iscsi, bytes).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_the_castagnoli_polynomial() {
        assert_eq!(super::crc32c(b"123456789"), 0xE306_9283);
    }
}
