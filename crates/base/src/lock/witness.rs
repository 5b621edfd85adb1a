//! The witness: has another program written to the file since h5part left it?
//!
//! Stock programs change raw data without leaving a trace in the file. A process that leaves the gate writes the file's
//! change time to `rows.lock`. A process that enters an empty gate and finds another change time knows that another
//! program wrote to the file, or that a writer was killed. It sets a flag that stays. From then on commits look at the
//! bytes of cells without a stamp before they overwrite them, so that a foreign value is never destroyed unnoticed.
//! Before that, they need not look.
//!
//! A process inside the gate holds a shared lock on the presence byte. A process that enters beside others relies on
//! what they found. All of this needs change times that differ from one entry to the next: multigrain timestamps, Linux
//! 6.13. Older kernels may give two changes within one tick, 1 to 10 ms, the same time.

use super::ofd::{self, Kind};
use crate::checksum::crc32c;
use crate::storage::{Facts, Identity};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Bytes of `rows.lock` that are locked for other purposes than rows; byte 0 is the turnstile.
pub(super) const PRESENCE: Range<u64> = 1..2;
const UPDATE: Range<u64> = 2..3;

/// `magic:8 | device:8 | inode:8 | ctime seconds:8 | ctime nanoseconds:4 | suspect:4 | crc32c:4`,
/// little-endian, at the start of `rows.lock`.
const LEN: usize = 44;
const MAGIC: [u8; 8] = *b"h5partW1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Note {
    device: u64,
    inode: u64,
    seconds: i64,
    nanoseconds: u32,
    suspect: bool,
}

/// Called inside the gate before anything is written. Returns whether another program may have written to the file at
/// any time.
pub(super) fn enter(rows: &File, data: &File) -> io::Result<bool> {
    let suspect = if attended(rows)? { Note::read(rows)?.is_none_or(|note| note.suspect) } else { look(rows, data)? };
    // Nobody locks the presence byte exclusively, so this is never refused.
    ofd::set(rows, Kind::Shared, &PRESENCE)?;
    Ok(suspect)
}

fn look(rows: &File, data: &File) -> io::Result<bool> {
    let found = Note::of(data, true)?;
    match Note::read(rows)? {
        Some(note) if note == (Note { suspect: note.suspect, ..found }) => Ok(note.suspect),
        // Another process entered meanwhile and may be writing already. It has looked.
        _ if attended(rows)? => Ok(Note::read(rows)?.is_none_or(|note| note.suspect)),
        _ => {
            found.write(rows)?;
            Ok(true)
        }
    }
}

/// Whether only h5part has written to the file, as far as this can be known without a lock.
pub(super) fn knows(rows: &File, data: &File) -> io::Result<bool> {
    let Some(note) = Note::read(rows)? else { return Ok(false) };
    let found = Note::of(data, false)?;
    let same = (note.device, note.inode) == (found.device, found.inode);
    // A process that is inside has looked.
    Ok(same && !note.suspect && (note == found || attended(rows)?))
}

/// Called before the process leaves the gate.
pub(super) fn leave(rows: &File, data: &File) -> io::Result<()> {
    // Only one process at a time may write it, else an older time could replace a newer one.
    if ofd::set(rows, Kind::Exclusive, &UPDATE)? {
        let suspect = Note::read(rows)?.is_none_or(|note| note.suspect);
        Note::of(data, suspect)?.write(rows)?;
        ofd::set(rows, Kind::Unlock, &UPDATE)?;
    }
    // If another process is writing it now, that process may miss our last write. Then the next one to enter checks the
    // bytes.
    ofd::set(rows, Kind::Unlock, &PRESENCE)?;
    Ok(())
}

/// Writes the witness of a file that h5part just created. `suspect`: the source of the file may have been written by
/// others.
pub(super) fn begin(rows: &File, data: &File, suspect: bool) -> io::Result<()> {
    Note::of(data, suspect)?.write(rows)
}

/// Whether another process is inside.
fn attended(rows: &File) -> io::Result<bool> {
    Ok(ofd::conflict(rows, Kind::Exclusive, &PRESENCE)?.is_some())
}

impl Note {
    fn of(data: &File, suspect: bool) -> io::Result<Self> {
        let Facts { identity: Identity { device, inode, .. }, changed: (seconds, nanoseconds) } = Facts::of(data)?;
        Ok(Self { device, inode, seconds, nanoseconds, suspect })
    }

    fn read(rows: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; LEN];
        match rows.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(Self::decode(&bytes)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn write(&self, rows: &File) -> io::Result<()> {
        rows.write_all_at(&self.encode(), 0)
    }

    fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.device.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.inode.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.seconds.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.nanoseconds.to_le_bytes());
        bytes[36..40].copy_from_slice(&u32::from(self.suspect).to_le_bytes());
        let sum = crc32c(&bytes[..LEN - 4]).to_le_bytes();
        bytes[LEN - 4..].copy_from_slice(&sum);
        bytes
    }

    /// `None`: it is damaged or has another version, so it counts as missing.
    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        if bytes[..8] != MAGIC || bytes[LEN - 4..] != crc32c(&bytes[..LEN - 4]).to_le_bytes() {
            return None;
        }
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        let seconds = i64::from_le_bytes(bytes[24..32].try_into().unwrap_or_default());
        Some(Self { device: word(8), inode: word(16), seconds, nanoseconds: half(32), suspect: half(36) != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;
    use std::io::Write;

    fn setup() -> (tempfile::TempDir, impl Fn(&str) -> File) {
        let dir = tempfile::tempdir().expect("tempdir");
        let folder = dir.path().to_path_buf();
        let open = move |name: &str| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).open(folder.join(name)).expect("open")
        };
        (dir, open)
    }

    #[test]
    #[cfg_attr(miri, ignore = "locks files")]
    fn a_foreign_write_between_two_visits_is_noticed_for_good() {
        let (_dir, open) = setup();
        let (rows, mut data) = (open("rows"), open("data"));
        begin(&rows, &data, false).expect("begin");
        for _ in 0..3 {
            assert!(!enter(&rows, &data).expect("enter"));
            data.write_all(b"ours").expect("write");
            leave(&rows, &data).expect("leave");
        }
        data.write_all(b"theirs").expect("write");
        for _ in 0..2 {
            assert!(enter(&rows, &data).expect("enter"));
            leave(&rows, &data).expect("leave");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "locks files")]
    fn one_who_enters_beside_others_relies_on_them() {
        let (_dir, open) = setup();
        let (a, b, mut data) = (open("rows"), open("rows"), open("data"));
        begin(&a, &data, false).expect("begin");
        assert!(!enter(&a, &data).expect("a enters"));
        data.write_all(b"a writes").expect("write");
        assert!(!enter(&b, &data).expect("b enters"), "a is inside and has looked");
        leave(&a, &data).expect("a leaves");
        data.write_all(b"b writes").expect("write");
        drop(b);
        assert!(enter(&a, &data).expect("a enters"), "b was killed: nobody noted its last write");
    }

    #[test]
    fn every_bit_flip_and_every_truncation_of_a_note_is_noticed() {
        let note = Note { device: 1, inode: 2, seconds: 3, nanoseconds: 4, suspect: false };
        let bytes = note.encode();
        assert_eq!(Note::decode(&bytes), Some(note));
        for bit in 0..LEN * 8 {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Note::decode(&other), None, "bit {bit}");
        }
        let (_dir, open) = setup();
        let rows = open("rows");
        for len in 0..LEN {
            rows.set_len(0).expect("cut");
            rows.write_all_at(&bytes[..len], 0).expect("write");
            assert_eq!(Note::read(&rows).expect("reads"), None, "{len} bytes");
        }
    }
}
