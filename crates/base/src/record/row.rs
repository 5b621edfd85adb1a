//! Row records: what a commit is about to overwrite, so that half-written rows of a dead writer can be put back as they
//! were.
//!
//! A writer keeps one record at a time, in its own file after its owner note. `docs/design/formats.md`, "Row record",
//! describes the bytes. This module does no I/O.

use crate::checksum::crc32c;
use crate::error::ErrorKind;
use uuid::Uuid;

/// Where the record begins in a writer's file, after the owner note.
pub const START: u64 = 4096;
/// Length of the pieces in which bytes are compared. A piece ends where a sector of the file ends, since writes are
/// torn only there.
pub const PIECE: usize = 512;

const MAGIC: [u8; 7] = *b"h5partR";
const VERSION: u8 = b'1';
/// Length of the header in bytes.
pub const HEADER: usize = 88;
/// Length of an entry before its bytes: row, place, shift, length, old and new stamp.
const ENTRY: usize = 32;
/// A record larger than this counts as damaged.
const LONGEST: u64 = 1 << 40;

/// Which file, table and commit a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordId {
    /// The store's uuid.
    pub uuid: Uuid,
    /// Device number of its file.
    pub device: u64,
    /// Inode number of its file. A file that takes its place has another one.
    pub inode: u64,
    /// Structural generation of the file. A structural change resolves all records first.
    pub generation: u64,
    /// Number of the table.
    pub table: u64,
    /// Number of the commit among those of the writer.
    pub commit: u64,
}

/// One cell that had a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its row.
    pub row: u64,
    /// Position of its column among the table's stamps.
    pub place: u16,
    /// Offset of its first byte in a sector of the file.
    pub shift: u16,
    /// Its stamp before the commit.
    pub old_stamp: u64,
    /// Its stamp while the commit is under way.
    pub new_stamp: u64,
    /// Its bytes before the commit.
    pub old: Vec<u8>,
    /// CRC-32C of each [`PIECE`] of the new bytes.
    pub new_pieces: Vec<u32>,
}

/// A decoded header. The body is not read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What the record belongs to.
    pub id: RecordId,
    /// Length of the body in bytes.
    pub body_len: u64,
    entries: u64,
    body_sum: u32,
}

/// Splits the bytes of a cell where sectors of the file end.
fn cut(bytes: &[u8], shift: u16) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = bytes.split_at((PIECE - usize::from(shift) % PIECE).min(bytes.len()));
    std::iter::once(first).filter(|first| !first.is_empty()).chain(rest.chunks(PIECE))
}

/// Checksums of the pieces of a cell whose first byte has offset `shift` in a sector.
#[must_use]
pub fn piece_sums(bytes: &[u8], shift: u16) -> Vec<u32> {
    cut(bytes, shift).map(crc32c).collect()
}

/// Whether every piece of `now` is the old or the new one, so nobody else has changed it.
#[must_use]
pub fn is_explained(entry: &Entry, now: &[u8]) -> bool {
    let mut pieces = cut(now, entry.shift).zip(cut(&entry.old, entry.shift)).zip(&entry.new_pieces);
    now.len() == entry.old.len() && pieces.all(|((now, old), new)| now == old || crc32c(now) == *new)
}

/// Encodes a record, to be written at [`START`].
#[must_use]
pub fn encode(id: &RecordId, entries: &[&Entry]) -> Vec<u8> {
    let mut out = vec![0; HEADER];
    for e in entries {
        out.extend(e.row.to_le_bytes());
        out.extend(e.place.to_le_bytes());
        out.extend(e.shift.to_le_bytes());
        out.extend(u32::try_from(e.old.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(e.old_stamp.to_le_bytes());
        out.extend(e.new_stamp.to_le_bytes());
        out.extend(&e.old);
        out.extend(e.new_pieces.iter().flat_map(|sum| sum.to_le_bytes()));
    }
    let body_len = (out.len() - HEADER) as u64;
    let body_sum = crc32c(&out[HEADER..]);
    let mut head = Vec::with_capacity(HEADER);
    head.extend(MAGIC);
    head.push(VERSION);
    head.extend(id.uuid.as_bytes());
    let RecordId { device, inode, generation, table, commit, .. } = *id;
    for word in [device, inode, table, commit, entries.len() as u64, body_len, generation] {
        head.extend(word.to_le_bytes());
    }
    head.extend(body_sum.to_le_bytes());
    let sum = crc32c(&head);
    head.extend(sum.to_le_bytes());
    out[..HEADER].copy_from_slice(&head);
    out
}

/// The bytes that mark a record as spent, which are not a valid header.
#[must_use]
pub fn spent() -> [u8; 8] {
    [0; 8]
}

/// Decodes a header. `None`: there is no record, or a spent one, or an incomplete one. In the last case nothing of
/// value was overwritten.
///
/// # Errors
/// [`ErrorKind::NewerFormat`].
pub fn decode_header(bytes: &[u8; HEADER]) -> Result<Option<RecordHeader>, ErrorKind> {
    if bytes[..7] != MAGIC {
        return Ok(None);
    }
    if bytes[7] > VERSION {
        let digit = |b: u8| u64::from(b.wrapping_sub(b'0'));
        return Err(ErrorKind::NewerFormat { found: digit(bytes[7]), known: digit(VERSION) });
    }
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    if half(HEADER - 4) != crc32c(&bytes[..HEADER - 4]) || bytes[7] != VERSION {
        return Ok(None);
    }
    let uuid = Uuid::from_bytes(bytes[8..24].try_into().unwrap_or_default());
    let id =
        RecordId { uuid, device: word(24), inode: word(32), generation: word(72), table: word(40), commit: word(48) };
    let header = RecordHeader { id, entries: word(56), body_len: word(64), body_sum: half(80) };
    Ok((header.body_len < LONGEST).then_some(header))
}

impl RecordHeader {
    /// Decodes the body. `None`: it is incomplete.
    #[must_use]
    pub fn decode_body(&self, body: &[u8]) -> Option<Vec<Entry>> {
        if body.len() as u64 != self.body_len || crc32c(body) != self.body_sum {
            return None;
        }
        let mut rest = body;
        let mut entries = Vec::new();
        for _ in 0..self.entries {
            let (head, after) = rest.split_at_checked(ENTRY)?;
            let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap_or_default());
            let half = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap_or_default());
            let len = usize::try_from(half(12)).ok()?;
            let (old, after) = after.split_at_checked(len)?;
            let quarter = |at: usize| u16::from_le_bytes(head[at..at + 2].try_into().unwrap_or_default());
            let shift = quarter(10);
            let (sums, after) = after.split_at_checked(cut(old, shift).count() * 4)?;
            let new_pieces = sums.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap_or_default()));
            entries.push(Entry {
                row: word(0),
                place: quarter(8),
                shift,
                old_stamp: word(16),
                new_stamp: word(24),
                old: old.to_vec(),
                new_pieces: new_pieces.collect(),
            });
            rest = after;
        }
        rest.is_empty().then_some(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Miri is slow, so it checks only some.
    const STEP: usize = if cfg!(miri) { 97 } else { 1 };

    fn entry(row: u64, len: usize) -> Entry {
        let old: Vec<u8> = (0..len).map(|i| (i * 7 + row as usize) as u8).collect();
        let new: Vec<u8> = old.iter().map(|b| !b).collect();
        let shift = (row * 100) as u16;
        Entry { row, place: 1, shift, old_stamp: 5, new_stamp: 6, old, new_pieces: piece_sums(&new, shift) }
    }

    fn id() -> RecordId {
        RecordId { uuid: Uuid::from_u128(3), device: 1, inode: 2, generation: 6, table: 3, commit: 4 }
    }

    fn decode(bytes: &[u8]) -> Option<(RecordId, Vec<Entry>)> {
        let head = bytes.first_chunk::<HEADER>()?;
        let header = decode_header(head).ok()??;
        Some((header.id, header.decode_body(&bytes[HEADER..])?))
    }

    #[test]
    fn every_bit_flip_and_every_truncation_is_noticed() {
        let bytes = encode(&id(), &[&entry(1, 8), &entry(2, 600)]);
        assert_eq!(decode(&bytes), Some((id(), vec![entry(1, 8), entry(2, 600)])));
        for len in (0..bytes.len()).step_by(STEP) {
            assert_eq!(decode(&bytes[..len]), None, "{len} bytes");
        }
        for bit in (0..bytes.len() * 8).step_by(STEP) {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&other), None, "bit {bit}");
        }
    }

    #[test]
    fn a_newer_record_is_refused_and_a_spent_one_is_none() {
        let mut bytes = encode(&id(), &[&entry(1, 8)]);
        bytes[7] = b'2';
        let head = bytes.first_chunk::<HEADER>().expect("long enough");
        assert!(matches!(decode_header(head), Err(ErrorKind::NewerFormat { found: 2, known: 1 })));
        bytes[..8].copy_from_slice(&spent());
        assert_eq!(decode_header(bytes.first_chunk::<HEADER>().expect("long enough")).expect("reads"), None);
    }

    #[test]
    fn a_mixture_of_old_and_new_pieces_is_explained_and_a_foreign_byte_is_not() {
        let entry = entry(3, 1300);
        let new: Vec<u8> = entry.old.iter().map(|b| !b).collect();
        // At offset 300 in its sector: pieces of 212, 512, 512 and 64 bytes.
        let ends = [0, 212, 724, 1236, 1300];
        for mask in 0..16 {
            let mut now = entry.old.clone();
            for k in (0..4).filter(|k| mask & (1 << k) != 0) {
                now[ends[k]..ends[k + 1]].copy_from_slice(&new[ends[k]..ends[k + 1]]);
            }
            assert!(is_explained(&entry, &now), "mask {mask}");
            now[700] ^= 1;
            assert!(!is_explained(&entry, &now), "mask {mask}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut whole = encode(&id(), &[&entry(1, 40)]);
            for (at, b) in whole.iter_mut().skip(56).zip(&bytes) {
                *at = *b;
            }
            let sum = crc32c(&whole[..HEADER - 4]);
            whole[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
            let _ = decode(&whole);
        }
    }
}
