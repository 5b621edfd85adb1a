//! The log of a structural change: whatever its bytes are, nothing panics and nothing is written unless it
//! fits; and one that fits makes the same file, however often it is applied and wherever that stops.
#![no_main]

use arbitrary::Arbitrary;
use h5part_base::record::log::{Found, HEADER, LogHeader, Progress, Range, encode_table, sums};
use h5part_base::record::{Fit, Sealed};
use h5part_fuzz::{MemoryFile, Plug, crc32c, pattern, peak};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

#[derive(Debug, Arbitrary)]
struct Input {
    old_end: u16,
    new_end: u16,
    heap: u16,
    /// Address, length, where in the heap (`None`: zeros).
    ranges: Vec<(u16, u16, Option<u16>)>,
    /// Bytes of the log that are others: position and difference.
    damage: Vec<(u16, u8)>,
    /// Whether the checksums of the log agree with the damage.
    agreeing: bool,
    /// The same of the file.
    foreign: Vec<(u16, u8)>,
    stop: (u8, bool),
}

/// Bytes of the file when the log was sealed, and of the log.
fn build(input: &Input) -> (Vec<u8>, Vec<u8>, bool) {
    let (old_end, new_end) = (u64::from(input.old_end % 9000), u64::from(input.new_end % 14000));
    let heap = pattern(1, usize::from(input.heap % 6000));
    let base = pattern(2, usize::try_from(old_end.max(new_end)).expect("small"));
    let mut ranges: Vec<Range> = Vec::new();
    for &(address, len, position) in &input.ranges {
        let (address, len) = (usize::from(address), usize::from(len % 2000));
        let position = position.map(usize::from);
        let new = match position {
            Some(at) => heap.get(at..at + len).map(<[u8]>::to_vec),
            None => Some(vec![0; len]),
        };
        let below = base.get(address..address + len).filter(|_| address + len <= input.old_end.into());
        let (Some(new), Some(old)) = (new, below) else { continue };
        let (address, position) = (address as u64, position.map(|at| (HEADER + at) as u64));
        let (new_pieces, old_pieces) = (sums(&new, address), sums(old, address));
        ranges.push(Range { address, len: len as u64, position, new_pieces, old_pieces });
    }
    ranges.retain(|range| range.address + range.len <= old_end);
    ranges.sort_by_key(|range| range.address);
    // As the overlay makes them.
    let regular = ranges.windows(2).all(|w| w[0].address + w[0].len <= w[1].address)
        && ranges.iter().all(|range| range.address + range.len <= new_end);
    let table = encode_table(&ranges);
    let mut header = LogHeader {
        progress: Progress::Sealed,
        uuid: Uuid::from_u128(5),
        device: 1,
        inode: 2,
        old_end,
        new_end,
        table_at: (HEADER + heap.len()) as u64,
        table_len: table.len() as u64,
        table_sum: crc32c(&table),
        tail_sum: 0,
    };
    let (start, len) = header.tail();
    let start = usize::try_from(start).expect("small");
    header.tail_sum = crc32c(&base[start.min(base.len())..][..len]);
    (base, [&header.encode()[..], &heap, &table].concat(), regular)
}

fn agree(log: &mut [u8]) {
    let word = |log: &[u8], at: usize| usize::try_from(u64::from_le_bytes(log[at..at + 8].try_into().expect("8")));
    if let (Ok(at), Ok(len)) = (word(log, 64), word(log, 72))
        && let Some(table) = at.checked_add(len).and_then(|end| log.get(at..end))
    {
        let sum = crc32c(table);
        log[104..108].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc32c(&log[..112]);
    log[112..116].copy_from_slice(&sum.to_le_bytes());
}

/// The file as the log says, range by range.
fn applied(base: &[u8], log: &[u8], header: &LogHeader, ranges: &[(u64, u64, Option<u64>)]) -> Vec<u8> {
    let index = |n: u64| usize::try_from(n).expect("in memory");
    let mut file = base.to_vec();
    for &(address, len, position) in ranges {
        let new = position.map_or(vec![0; index(len)], |at| log[index(at)..][..index(len)].to_vec());
        file[index(address)..][..index(len)].copy_from_slice(&new);
    }
    file.resize(index(header.new_end), 0);
    file
}

/// Address, length and position of the ranges of a sound table.
fn ranges_of(header: &LogHeader, log: &[u8]) -> Vec<(u64, u64, Option<u64>)> {
    let mut rest = &log[usize::try_from(header.table_at).expect("in memory")..];
    rest = &rest[..usize::try_from(header.table_len).expect("in memory")];
    let mut ranges = Vec::new();
    while !rest.is_empty() {
        let word = |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().expect("8"));
        ranges.push((word(0), word(8), Some(word(16)).filter(|&at| at != u64::MAX)));
        rest = &rest[32 + 8 * usize::try_from(word(24)).expect("in memory")..];
    }
    ranges
}

fn fit(header: LogHeader, base: &[u8], log: &[u8]) -> Option<(Sealed, Fit)> {
    let plug = Plug::none();
    let (base, log) = (MemoryFile::new(base.to_vec(), 2, &plug), MemoryFile::new(log.to_vec(), 3, &plug));
    let sealed = Sealed::read(header, &log).ok()??;
    let fit = sealed.fit(&base, &log).ok()?;
    assert_eq!(plug.calls(), 0, "a look changes something");
    Some((sealed, fit))
}

fuzz_target!(|input: Input| {
    let (mut base, mut log, mut regular) = build(&input);
    for &(at, by) in &input.damage {
        let len = log.len();
        log[usize::from(at) % len] ^= by;
    }
    let damaged = input.damage.iter().any(|&(_, by)| by != 0);
    if input.agreeing {
        agree(&mut log);
    }
    let len = base.len().max(1);
    for &(at, by) in &input.foreign {
        base.get_mut(usize::from(at) % len).into_iter().for_each(|byte| *byte ^= by);
    }
    let sound = !damaged && input.foreign.is_empty();
    let Ok(Found::Change(header)) = LogHeader::decode(&log[..HEADER]) else {
        assert!(damaged, "its own log is none");
        return;
    };
    let (found, most) = peak(|| fit(header, &base, &log));
    // The file's own bytes are in memory here, too; blocks of 64 KiB are read.
    assert!(most < (1 << 18) + 16 * (log.len() + base.len()), "{most} bytes of memory for a log of {}", log.len());
    assert!(!sound || !regular || matches!(found, Some((_, Fit::Fits))), "its own log does not fit");
    let Some((sealed, Fit::Fits)) = found else { return };
    // With sums that agree, damage may have moved the ranges.
    let ranges = ranges_of(&header, &log);
    assert_eq!(ranges.len(), sealed.ranges());
    regular = regular && !damaged;
    let expected = applied(&base, &log, &header, &ranges);
    let log_file = MemoryFile::new(log.clone(), 3, &Plug::none());
    let stopped = MemoryFile::new(base, 2, &Plug::at(input.stop.0.into(), input.stop.1));
    let outcome = sealed.apply(&stopped, &log_file);
    let after = stopped.bytes();
    if regular {
        assert!(matches!(fit(header, &after, &log), Some((_, Fit::Fits))), "half of it does not fit any more");
    } else if outcome.is_err() {
        return;
    }
    let file = MemoryFile::new(after, 2, &Plug::none());
    for _ in 0..2 {
        sealed.apply(&file, &log_file).expect("applies");
        assert!(file.bytes() == expected, "another file than the log says");
    }
    sealed.spend(&log_file).expect("spends");
    assert!(log_file.bytes().is_empty());
});
