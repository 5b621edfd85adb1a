//! Stamps: every word says one thing, and a checksum belongs to one file, table, column, row and time.
#![no_main]

use arbitrary::Arbitrary;
use h5part_base::record::stamp::{Seed, Stamp, StampState};
use h5part_fuzz::crc32c;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

#[derive(Debug, PartialEq, Clone, Arbitrary)]
struct Cell {
    uuid: u128,
    table: u64,
    column: u8,
    row: u64,
    version: u32,
    bytes: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
struct Input {
    word: u64,
    durable: bool,
    cell: Cell,
    other: Cell,
}

impl Cell {
    fn stamp(&self, stamp: Stamp) -> Stamp {
        let seed = Seed::new(&Uuid::from_u128(self.uuid), self.table, usize::from(self.column));
        let sealed = seed.seal(stamp, self.row, &self.bytes);
        assert!(seed.matches(sealed, self.row, &self.bytes));
        sealed
    }

    /// As `docs/design/formats.md` lists it.
    fn plain(&self, stamp: Stamp) -> Vec<u8> {
        let mut all = self.uuid.to_be_bytes().to_vec();
        all.extend(self.table.to_le_bytes());
        all.extend(u64::from(self.column).to_le_bytes());
        all.extend(self.row.to_le_bytes());
        let (durable, vacant) = (u32::from(stamp.is_durable()), u32::from(stamp.state() == StampState::Vacant));
        all.extend((stamp.version() | durable << 24 | vacant << 25).to_le_bytes());
        all.extend(&self.bytes);
        all
    }
}

fuzz_target!(|input: Input| {
    let Input { word, durable, cell, other } = input;
    let stamp = Stamp(word);
    let [state, a, b, c, sum @ ..] = word.to_le_bytes();
    let version = u32::from_le_bytes([a, b, c, 0]);
    let expected = match state & 0x7F {
        _ if word == 0 => StampState::Unstamped,
        1 => StampState::Writing,
        2 => StampState::Committed,
        3 if version == 0 => StampState::Vacant,
        other => StampState::Unknown(other),
    };
    assert_eq!((stamp.state(), stamp.version()), (expected, version));
    assert_eq!((stamp.checksum(), stamp.is_durable()), (u32::from_le_bytes(sum), state >= 0x80));
    assert_eq!(stamp.with_durability(stamp.is_durable()), stamp);
    assert_eq!(stamp.with_durability(durable).with_durability(stamp.is_durable()), stamp);
    // A commit that ends keeps what its checksum covers.
    assert_eq!(stamp.finished().version(), version);
    assert_eq!((stamp.finished().checksum(), stamp.finished().is_durable()), (stamp.checksum(), stamp.is_durable()));
    assert_eq!(stamp.finished().state(), StampState::Committed);
    // One that never ended is not counted, unless it is the first; 0 and 1 say that there was no value.
    let next = match if expected == StampState::Writing && version > 0 { version } else { (version + 1) % (1 << 24) } {
        0 => 2,
        next => next,
    };
    assert_eq!(stamp.next_version(), next);
    // The next commit's version is never that of a value that stood.
    assert!(expected == StampState::Writing || next != version);
    let kinds = [Stamp::writing(cell.version), Stamp::committed(cell.version).with_durability(durable), Stamp::vacant()];
    for kind in kinds {
        let (ours, theirs) = (cell.stamp(kind), other.stamp(kind));
        assert_eq!(ours.checksum(), crc32c(&cell.plain(kind)));
        let same = crc32c(&cell.plain(kind)) == crc32c(&other.plain(kind));
        assert_eq!(ours.checksum() == theirs.checksum(), same);
    }
});
