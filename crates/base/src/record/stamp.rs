//! Stamps: eight bytes per cell with its state, and a checksum of its bytes.
//!
//! Little-endian u64: `state:7 | durable:1 | version:24 | crc32c:32`, with the state in the lowest bits. The next bit
//! says whether the commit was made to survive a loss of power. The checksum is seeded with the file's uuid, the
//! column, the row and the other bits of the stamp. So bytes that belong elsewhere or to another time never match, nor
//! does a changed stamp.

use crc_fast::{CrcAlgorithm, Digest};
use uuid::Uuid;

const VERSION_BITS: u32 = 24;
const VERSION_MASK: u32 = (1 << VERSION_BITS) - 1;

/// One stamp as it lies in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(pub u64);

/// What a stamp says of its cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampState {
    /// Never stamped.
    Unstamped,
    /// A commit is under way, or its writer died in it.
    Writing,
    /// Committed, if the checksum matches the bytes.
    Committed,
    /// Declared empty when the table was adopted, if the checksum matches the bytes.
    Vacant,
    /// A state that this version does not know.
    Unknown(u8),
}

impl Stamp {
    const WRITING: u8 = 1;
    const COMMITTED: u8 = 2;
    const VACANT: u8 = 3;
    const DURABLE: u64 = 0x80;

    /// Bits that the checksum covers besides the version.
    const COVERED_DURABLE: u32 = 1 << VERSION_BITS;
    const COVERED_VACANT: u32 = 1 << (VERSION_BITS + 1);

    /// The stamp of a commit under way. [`Seed::seal`] adds the checksum, as for the two below.
    #[must_use]
    pub fn writing(version: u32) -> Self {
        Self::pack(Self::WRITING, version, 0)
    }

    /// A stamp of a committed cell.
    #[must_use]
    pub fn committed(version: u32) -> Self {
        Self::pack(Self::COMMITTED, version, 0)
    }

    /// The stamp of a cell whose bytes count as no value. No commit has written it.
    #[must_use]
    pub fn vacant() -> Self {
        Self::pack(Self::VACANT, 0, 0)
    }

    /// The same stamp, with or without the mark of a commit that survives loss of power.
    #[must_use]
    pub fn with_durability(self, durable: bool) -> Self {
        Self(self.0 & !Self::DURABLE | if durable { Self::DURABLE } else { 0 })
    }

    /// Whether its commit was made to survive a loss of power.
    #[must_use]
    pub fn is_durable(self) -> bool {
        self.0 & Self::DURABLE != 0
    }

    fn pack(state: u8, version: u32, checksum: u32) -> Self {
        Self(u64::from(state) | u64::from(version & VERSION_MASK) << 8 | u64::from(checksum) << 32)
    }

    /// The state of the cell.
    #[must_use]
    pub fn state(self) -> StampState {
        match (self.0, (self.0 & 0x7F) as u8) {
            (0, _) => StampState::Unstamped,
            (_, Self::WRITING) => StampState::Writing,
            (_, Self::COMMITTED) => StampState::Committed,
            // No commit writes it.
            (_, Self::VACANT) if self.version() == 0 => StampState::Vacant,
            (_, other) => StampState::Unknown(other),
        }
    }

    /// Number of the commit that wrote the cell, modulo 2^24.
    #[must_use]
    pub fn version(self) -> u32 {
        self.low_half() >> 8
    }

    /// Checksum of the cell's bytes.
    #[must_use]
    pub fn checksum(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The bits of the stamp that its checksum covers. They do not change when the commit ends.
    fn covered(self) -> u32 {
        let durable = if self.is_durable() { Self::COVERED_DURABLE } else { 0 };
        let vacant = if self.state() == StampState::Vacant { Self::COVERED_VACANT } else { 0 };
        self.version() | durable | vacant
    }

    fn low_half(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// The version of the cell's next commit. A commit that never ended does not count. From 2 on, the cell had a value
    /// before.
    #[must_use]
    pub fn next_version(self) -> u32 {
        let ended = u32::from(self.state() != StampState::Writing || self.version() == 0);
        match (self.version() + ended) & VERSION_MASK {
            // This happens after 2^24 commits. 0 and 1 would say that there was no value.
            0 => 2,
            next => next,
        }
    }

    /// Whether it says WRITING for a cell that had a value before.
    #[must_use]
    pub fn had_value(self) -> bool {
        self.state() == StampState::Writing && self.version() > 1
    }

    /// The stamp of the same commit when it is finished.
    #[must_use]
    pub fn finished(self) -> Self {
        Self::pack(Self::COMMITTED, self.version(), self.checksum()).with_durability(self.is_durable())
    }
}

/// Bytes of row and stamp, which precede the cell in its checksum.
const HEAD: usize = 12;
/// Cells of at most this many bytes are summed in one call.
const SMALL: usize = 52;

/// Checksums of one column's cells.
#[derive(Clone, Copy, Debug)]
pub struct Seed(u64);

impl Seed {
    /// The seed of column number `column` (its place among the stamps) of a table of a file.
    #[must_use]
    pub fn new(uuid: &Uuid, table: u64, column: usize) -> Self {
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(uuid.as_bytes());
        digest.update(&table.to_le_bytes());
        digest.update(&(column as u64).to_le_bytes());
        Self(digest.get_state())
    }

    /// The stamp with the checksum of a cell's bytes.
    #[must_use]
    pub fn seal(&self, stamp: Stamp, row: u64, cell: &[u8]) -> Stamp {
        Stamp(stamp.0 & 0xFFFF_FFFF | u64::from(self.checksum(stamp.covered(), row, cell)) << 32)
    }

    /// Whether the bytes are those that the stamp was made for.
    #[must_use]
    pub fn matches(&self, stamp: Stamp, row: u64, cell: &[u8]) -> bool {
        self.checksum(stamp.covered(), row, cell) == stamp.checksum()
    }

    /// CRC-32C of the seed, the row, the covered bits of the stamp, and the bytes.
    fn checksum(self, covered: u32, row: u64, cell: &[u8]) -> u32 {
        let mut buf = [0; HEAD + SMALL];
        buf[..8].copy_from_slice(&row.to_le_bytes());
        buf[8..HEAD].copy_from_slice(&covered.to_le_bytes());
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, self.0);
        // A call costs more than a few bytes, so small cells take only one.
        if cell.len() <= SMALL {
            buf[HEAD..HEAD + cell.len()].copy_from_slice(cell);
            digest.update(&buf[..HEAD + cell.len()]);
        } else {
            digest.update(&buf[..HEAD]);
            digest.update(cell);
        }
        low_half(digest.finalize())
    }
}

/// A CRC-32 fits into the low half.
fn low_half(sum: u64) -> u32 {
    Stamp(sum).low_half()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_checksum_is_crc32c() {
        // "123456789" -> e3069283, the check value of CRC-32C.
        assert_eq!(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, b"123456789"), 0xE306_9283);
        let uuid = Uuid::from_u128(7);
        let mut whole = uuid.as_bytes().to_vec();
        whole.extend(3u64.to_le_bytes());
        whole.extend(2u64.to_le_bytes());
        whole.extend(41u64.to_le_bytes());
        whole.extend(5u32.to_le_bytes());
        let seed = Seed::new(&uuid, 3, 2);
        for cell in [&b""[..], b"cell", &[7; SMALL], &[7; SMALL + 1], &[9; 2400]] {
            let whole = [&whole, cell].concat();
            let expected = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &whole) as u32;
            assert_eq!(seed.checksum(5, 41, cell), expected, "{} bytes", cell.len());
        }
    }

    /// The format itself, as `docs/design/formats.md` describes it: bits of state, durability and version, and the bits
    /// that the checksum covers.
    #[test]
    fn stamps_are_laid_out_as_documented() {
        let uuid = Uuid::from_u128(9);
        let (seed, cell) = (Seed::new(&uuid, 3, 2), 2.5f64.to_le_bytes());
        let sum = |covered: u32| {
            let parts = [uuid.as_bytes(), &3u64.to_le_bytes()[..], &2u64.to_le_bytes(), &41u64.to_le_bytes()];
            let bytes = [&parts.concat(), &covered.to_le_bytes()[..], &cell].concat();
            crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes) << 32
        };
        let cases = [
            (Stamp::writing(7), 1 | 7 << 8, 7),
            (Stamp::committed(0x12_3456), 2 | 0x12_3456 << 8, 0x12_3456),
            (Stamp::committed(7).with_durability(true), 2 | 0x80 | 7 << 8, 7 | 1 << 24),
            (Stamp::vacant(), 3, 1 << 25),
        ];
        for (stamp, low, covered) in cases {
            assert_eq!(seed.seal(stamp, 41, &cell).0, low | sum(covered), "{stamp:x?}");
        }
    }

    #[test]
    fn every_bit_flip_of_a_cell_is_seen() {
        let seed = Seed::new(&Uuid::from_u128(1), 1, 0);
        let cell = *b"twenty-four bytes here..";
        let stamp = seed.seal(Stamp::committed(9), 4, &cell);
        for bit in 0..cell.len() * 8 {
            let mut other = cell;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!seed.matches(stamp, 4, &other), "bit {bit}");
        }
        assert!(seed.matches(stamp, 4, &cell) && !seed.matches(stamp, 5, &cell));
    }

    /// Covers stamps that say a cell has a value, or has none. WRITING says neither.
    #[test]
    fn every_bit_flip_of_a_stamp_is_seen() {
        let seed = Seed::new(&Uuid::from_u128(1), 1, 0);
        let cell = 1.5f64.to_le_bytes();
        let (committed, durable) = (Stamp::committed(9), Stamp::committed(9).with_durability(true));
        for stamp in [committed, durable, Stamp::committed(2), Stamp::vacant()] {
            let stamp = seed.seal(stamp, 4, &cell);
            assert!(seed.matches(stamp, 4, &cell));
            for bit in 0..64 {
                let other = Stamp(stamp.0 ^ 1 << bit);
                let counts = matches!(other.state(), StampState::Committed | StampState::Vacant);
                assert!(!counts || !seed.matches(other, 4, &cell), "{stamp:x?}, bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn packs_and_unpacks(version in 0u32..1 << 24, checksum: u32, durable: bool) {
            let stamp = Stamp::pack(Stamp::WRITING, version, checksum).with_durability(durable);
            prop_assert_eq!((stamp.state(), stamp.version(), stamp.checksum()), (StampState::Writing, version, checksum));
            let finished = stamp.finished();
            prop_assert_eq!((finished.state(), finished.version(), finished.checksum()), (StampState::Committed, version, checksum));
            prop_assert_eq!((stamp.is_durable(), finished.is_durable()), (durable, durable));
            prop_assert_eq!(stamp.next_version(), version.max(1));
            let next = if version == VERSION_MASK { 2 } else { version + 1 };
            prop_assert_eq!(finished.next_version(), next);
            prop_assert_eq!(stamp.covered(), finished.covered());
        }
    }
}
