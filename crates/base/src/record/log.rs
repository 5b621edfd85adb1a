//! The log of a structural change, which holds what the library wrote below the old end of the file.
//!
//! `header sector | heap of bytes | table of ranges`. The header says how far the change has come. It fits into one
//! sector, so it is written as a whole or not at all. This module does no I/O.

use super::row::{PIECE, piece_sums};
use crate::checksum::crc32c;
use crate::error::ErrorKind;
use crate::num::to_usize;
use crate::storage::PIECE as BLOCK;
use std::io;
use uuid::Uuid;

/// Length of the header: one sector.
pub const HEADER: usize = 512;
/// Bytes at the end of the new file that the header's checksum covers.
pub const TAIL: u64 = 4096;

const MAGIC: [u8; 7] = *b"h5partL";
const VERSION: u8 = b'1';
/// Header bytes in use, including their checksum at the end.
const USED: usize = 116;
/// Bytes of a range before the checksums of its pieces.
const RANGE: usize = 32;
/// Position that marks a range of zeros.
const ZEROS: u64 = u64::MAX;
/// A table larger than this counts as damaged.
const LONGEST: u64 = 1 << 40;

/// How far a change has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The library is at work. Up to its old end the file is unchanged.
    Begun,
    /// The log is complete. The file may be partly changed.
    Sealed,
    /// The file has been changed.
    Spent,
}

/// The first sector of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// How far the change has come.
    pub progress: Progress,
    /// The store's uuid; nil if the file had none when the change began.
    pub uuid: Uuid,
    /// Device number of its file.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Length of the file before, in bytes.
    pub old_end: u64,
    /// Length of the file after.
    pub new_end: u64,
    /// Position of the table in the log.
    pub table_at: u64,
    /// Length of the table in bytes.
    pub table_len: u64,
    /// CRC-32C of the table.
    pub table_sum: u32,
    /// CRC-32C of the last [`TAIL`] bytes of the new file that lie beyond the old end.
    pub tail_sum: u32,
}

/// Bytes below the old end of the file that will change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Byte address in the file.
    pub address: u64,
    /// Number of bytes.
    pub len: u64,
    /// Position of the new bytes in the log. `None`: they are zeros.
    pub position: Option<u64>,
    /// CRC-32C of the new bytes, in pieces that end where a sector of the file ends.
    pub new_pieces: Vec<u32>,
    /// CRC-32C of the old bytes, in the same pieces.
    pub old_pieces: Vec<u32>,
}

/// The content of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing is left to do.
    Nothing,
    /// A change that was begun or sealed.
    Change(LogHeader),
    /// Bytes that no crash explains.
    Damaged,
}

impl LogHeader {
    /// Encodes the first sector of the log.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend(MAGIC);
        out.push(VERSION);
        let progress: u64 = match self.progress {
            Progress::Begun => 1,
            Progress::Sealed => 2,
            Progress::Spent => 3,
        };
        out.extend(progress.to_le_bytes());
        out.extend(self.uuid.as_bytes());
        for word in [self.device, self.inode, self.old_end, self.new_end, self.table_at, self.table_len] {
            out.extend(word.to_le_bytes());
        }
        out.extend([0; 24]);
        out.extend(self.table_sum.to_le_bytes());
        out.extend(self.tail_sum.to_le_bytes());
        let sum = crc32c(&out);
        out.extend(sum.to_le_bytes());
        let mut sector = [0; HEADER];
        sector[..USED].copy_from_slice(&out);
        sector
    }

    /// Decodes the start of a log. Less than a sector, or zeros, mean that no change was begun.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`].
    pub fn decode(sector: &[u8]) -> Result<Found, ErrorKind> {
        if sector.len() < HEADER || sector.iter().all(|&b| b == 0) {
            return Ok(Found::Nothing);
        }
        if sector[..7] != MAGIC {
            return Ok(Found::Damaged);
        }
        if sector[7] > VERSION {
            let digit = |b: u8| u64::from(b.wrapping_sub(b'0'));
            return Err(ErrorKind::NewerFormat { found: digit(sector[7]), known: digit(VERSION) });
        }
        let word = |at: usize| u64::from_le_bytes(sector[at..at + 8].try_into().unwrap_or_default());
        let half = |at: usize| u32::from_le_bytes(sector[at..at + 4].try_into().unwrap_or_default());
        let sound = half(USED - 4) == crc32c(&sector[..USED - 4]) && sector[USED..].iter().all(|&b| b == 0);
        let progress = match word(8) {
            1 => Progress::Begun,
            2 => Progress::Sealed,
            3 => return Ok(if sound { Found::Nothing } else { Found::Damaged }),
            _ => return Ok(Found::Damaged),
        };
        let header = Self {
            progress,
            uuid: Uuid::from_bytes(sector[16..32].try_into().unwrap_or_default()),
            device: word(32),
            inode: word(40),
            old_end: word(48),
            new_end: word(56),
            table_at: word(64),
            table_len: word(72),
            table_sum: half(104),
            tail_sum: half(108),
        };
        Ok(if sound && header.table_len < LONGEST { Found::Change(header) } else { Found::Damaged })
    }

    /// Start and length of the tail of the new file: at most [`TAIL`] bytes beyond the old end.
    #[must_use]
    pub fn tail(&self) -> (u64, usize) {
        let start = self.old_end.max(self.new_end.saturating_sub(TAIL));
        (start, usize::try_from(self.new_end.saturating_sub(start)).unwrap_or(0))
    }
}

/// Encodes the table of ranges, which follows the heap.
#[must_use]
pub fn encode_table(ranges: &[Range]) -> Vec<u8> {
    let mut out = Vec::new();
    for range in ranges {
        for word in [range.address, range.len, range.position.unwrap_or(ZEROS), range.old_pieces.len() as u64] {
            out.extend(word.to_le_bytes());
        }
        out.extend(range.old_pieces.iter().chain(&range.new_pieces).flat_map(|sum| sum.to_le_bytes()));
    }
    out
}

/// Decodes a table. `None`: it is damaged.
#[must_use]
pub fn decode_table(header: &LogHeader, bytes: &[u8]) -> Option<Vec<Range>> {
    if bytes.len() as u64 != header.table_len || crc32c(bytes) != header.table_sum {
        return None;
    }
    let (mut ranges, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(RANGE)?;
        let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
        let count = usize::try_from(word(24)).ok()?;
        let (sums, after) = after.split_at_checked(count.checked_mul(8)?)?;
        let mut sums = sums.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap_or_default()));
        let old_pieces = sums.by_ref().take(count).collect();
        let (address, len) = (word(0), word(8));
        if address.checked_add(len)? > header.old_end || len.checked_add(PIECE as u64).is_none() {
            return None;
        }
        ranges.push(Range {
            address,
            len,
            position: (word(16) != ZEROS).then_some(word(16)),
            old_pieces,
            new_pieces: sums.collect(),
        });
        rest = after;
    }
    Some(ranges)
}

/// Visits a range in blocks that end at sector boundaries: `(address, bytes before it, buffer)`.
pub(super) fn each_block(range: &Range, mut body: impl FnMut(u64, u64, &mut [u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buf = vec![0; BLOCK.min(index(range.len))];
    let mut done = 0;
    while done < range.len {
        let address = range.address + done;
        let to_sector_end = (BLOCK as u64) - address % PIECE as u64;
        let here = to_sector_end.min(range.len - done).min(buf.len() as u64);
        body(address, done, &mut buf[..index(here)])?;
        done += here;
    }
    Ok(())
}

fn index(n: u64) -> usize {
    to_usize(n)
}

/// Checksums of the pieces of bytes that begin at `address`.
#[must_use]
pub fn sums(bytes: &[u8], address: u64) -> Vec<u32> {
    piece_sums(bytes, u16::try_from(address % PIECE as u64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Miri is slow, so it checks only some.
    const STEP: usize = if cfg!(miri) { 97 } else { 1 };

    fn header(progress: Progress) -> LogHeader {
        LogHeader {
            progress,
            uuid: Uuid::from_u128(5),
            device: 1,
            inode: 2,
            old_end: 9000,
            new_end: 20000,
            table_at: 700,
            table_len: 0,
            table_sum: 0,
            tail_sum: 3,
        }
    }

    #[test]
    fn every_bit_flip_of_a_header_is_noticed() {
        for progress in [Progress::Begun, Progress::Sealed] {
            let sector = header(progress).encode();
            assert_eq!(LogHeader::decode(&sector).expect("reads"), Found::Change(header(progress)));
            for len in (0..HEADER).step_by(STEP) {
                assert_eq!(LogHeader::decode(&sector[..len]).expect("reads"), Found::Nothing, "{len} bytes");
            }
            for bit in (0..HEADER * 8).step_by(STEP) {
                let mut other = sector;
                other[bit / 8] ^= 1 << (bit % 8);
                let newer = bit / 8 == 7 && other[7] > VERSION;
                match LogHeader::decode(&other) {
                    Ok(found) => assert!(!newer && found == Found::Damaged, "bit {bit}: {found:?}"),
                    Err(e) => assert!(newer, "bit {bit}: {e}"),
                }
            }
        }
        assert_eq!(LogHeader::decode(&header(Progress::Spent).encode()).expect("reads"), Found::Nothing);
        assert_eq!(LogHeader::decode(&[0; HEADER]).expect("reads"), Found::Nothing);
    }

    #[test]
    fn every_bit_flip_and_every_truncation_of_a_table_is_noticed() {
        let bytes: Vec<u8> = (0..1500u32).map(|i| (i * 7) as u8).collect();
        let range = |address, position| Range {
            address,
            len: 1500,
            position,
            new_pieces: sums(&bytes, address),
            old_pieces: sums(&[0; 1500], address),
        };
        let ranges = vec![range(100, Some(512)), range(5000, None)];
        let table = encode_table(&ranges);
        let header = LogHeader { table_len: table.len() as u64, table_sum: crc32c(&table), ..header(Progress::Sealed) };
        assert_eq!(decode_table(&header, &table), Some(ranges));
        for len in (0..table.len()).step_by(STEP) {
            assert_eq!(decode_table(&header, &table[..len]), None);
            // Even if the header agrees.
            let shorter = LogHeader { table_len: len as u64, table_sum: crc32c(&table[..len]), ..header };
            let _ = decode_table(&shorter, &table[..len]);
        }
        for bit in (0..table.len() * 8).step_by(STEP) {
            let mut other = table.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_table(&header, &other), None, "bit {bit}");
            let agreeing = LogHeader { table_sum: crc32c(&other), ..header };
            let _ = decode_table(&agreeing, &other);
        }
    }

    #[test]
    fn a_table_is_shorter_than_anything_that_memory_could_not_hold() {
        let found = |table_len| {
            LogHeader::decode(&LogHeader { table_len, ..header(Progress::Sealed) }.encode()).expect("reads")
        };
        assert!(matches!(found(LONGEST - 1), Found::Change(_)));
        assert_eq!(found(LONGEST), Found::Damaged);
    }

    #[test]
    fn the_tail_is_what_is_new_at_the_end_and_not_too_much_of_it() {
        let tail = |old_end, new_end| LogHeader { old_end, new_end, ..header(Progress::Sealed) }.tail();
        let most = usize::try_from(TAIL).expect("small");
        assert_eq!(tail(9000, 9000), (9000, 0));
        assert_eq!(tail(9000, 8000), (9000, 0));
        assert_eq!(tail(9000, 9000 + TAIL - 1), (9000, most - 1));
        assert_eq!(tail(9000, 9000 + TAIL), (9000, most));
        assert_eq!(tail(9000, 9001 + TAIL), (9001, most));
    }

    #[test]
    fn pieces_end_where_sectors_of_the_file_end() {
        let bytes = [7; 1500];
        assert_eq!([0, 100, 611].map(|address| sums(&bytes, address).len()), [3, 4, 4]);
        assert_eq!(sums(&bytes, 100), sums(&bytes, 100 + 5 * PIECE as u64));
        assert_eq!(sums(&bytes, 100)[0], sums(&bytes[..412], 0)[0]);
    }

    #[test]
    fn ranges_of_a_table_lie_within_the_old_file() {
        let read = |address, len| {
            let range = Range { address, len, position: None, old_pieces: vec![1], new_pieces: vec![2] };
            let table = encode_table(&[range]);
            let sound =
                LogHeader { table_len: table.len() as u64, table_sum: crc32c(&table), ..header(Progress::Sealed) };
            decode_table(&sound, &table).map(|ranges| ranges.len())
        };
        assert_eq!((read(8000, 1000), read(8001, 1000), read(u64::MAX, 2)), (Some(1), None, None));
        assert_eq!(read(0, u64::MAX), None);
    }

    proptest::proptest! {
        /// Each byte is visited once, in blocks of bounded length that end at sector boundaries.
        #[test]
        fn blocks_cover_a_range(address in 0u64..2_000, len in 0u64..3 * BLOCK as u64) {
            let range = Range { address, len, position: None, old_pieces: vec![], new_pieces: vec![] };
            let mut covered = 0;
            each_block(&range, |at, done, buf| {
                assert_eq!((at, done), (address + covered, covered));
                assert!(!buf.is_empty() && buf.len() <= BLOCK);
                covered += buf.len() as u64;
                assert!(covered == len || (address + covered).is_multiple_of(PIECE as u64), "cut within a sector");
                Ok(())
            })
            .expect("nothing fails");
            proptest::prop_assert_eq!(covered, len);
        }
    }
}
