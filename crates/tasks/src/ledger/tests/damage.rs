//! Every flipped bit, and every cut: damage is reported, and no task is lost because of a hint.

use crate::ledger::owner::SlurmJob;
use crate::ledger::{
    Checkpoint, ClaimOptions, Claimed, ENTRY, End, Entry, HEADER, Header, Ledger, Mark, NameAt, NameList, NewLedger,
    Owner, OwnerId, SLOT, StoreRef, Task,
};
use h5part_base::error::ErrorKind;
use std::path::PathBuf;
use uuid::Uuid;

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

fn a_header() -> Header {
    Header {
        uuid: Uuid::from_u128(7),
        tasks: 9,
        names_len: 100,
        max_attempts: 3,
        align: 4,
        rows: 90,
        rows_per_task: 10,
        store: Some(StoreRef {
            path: "/a b/\u{e9}.h5".to_owned(),
            uuid: Uuid::from_u128(9),
            table: "t".to_owned(),
            columns: vec!["E".to_owned(), "F (eV)".to_owned()],
        }),
        origin: "/x/vspace.in".to_owned(),
    }
}

#[test]
fn a_bit_of_the_header_is_told_or_means_nothing() {
    let header = a_header();
    let bytes = header.encode().expect("short");
    let read = |bytes: &[u8]| Header::decode(bytes.try_into().expect("length"), u64::MAX);
    assert_eq!(read(&bytes).expect("reads"), header);
    let (mut newer, mut harmless) = (0, 0);
    // Miri checks only some.
    for bit in (0..HEADER * 8).step_by(if cfg!(miri) { 97 } else { 1 }) {
        let mut other = bytes.clone();
        flip(&mut other, bit);
        match read(&other) {
            Ok(seen) => {
                assert_eq!(seen, header, "bit {bit}");
                assert!(other[bit / 8].is_power_of_two() && bytes[bit / 8] == 0, "bit {bit} is covered by no checksum");
                harmless += 1;
            }
            Err(ErrorKind::NewerFormat { .. }) => newer += usize::from(bit / 8 == 7),
            Err(e) => assert!(matches!(e.of(), Some(crate::ErrorKind::NotALedger(_))), "bit {bit}: {e}"),
        }
    }
    assert!(harmless > 0 && (cfg!(miri) || newer > 2), "{harmless} {newer}");
}

#[test]
fn a_header_of_a_later_version_is_told() {
    let mut bytes = a_header().encode().expect("short");
    bytes[7] = b'3';
    let read = Header::decode(bytes[..].try_into().expect("length"), u64::MAX);
    assert!(matches!(read, Err(ErrorKind::NewerFormat { found: 3, known: 2 })), "{read:?}");
}

#[test]
fn a_bit_of_a_slot_is_noticed() {
    let name = NameAt { at: 5000, len: 12, sum: 77 };
    let task = Task::new(3, name, 2.5).claim(OwnerId { place: 1, generation: 9 }, 0, 1_234).expect("waits");
    let bytes = task.encode();
    assert_eq!(Task::decode(&bytes), Some(task));
    for bit in 0..SLOT * 8 {
        let mut other = bytes;
        flip(&mut other, bit);
        assert_eq!(Task::decode(&other), None, "bit {bit}");
    }
    // A slot that was never written, or only partly.
    for len in 0..SLOT {
        let mut cut = bytes;
        cut[len..].fill(0);
        let same = cut == bytes;
        assert_eq!(Task::decode(&cut).is_some(), same, "{len} bytes");
    }
}

#[test]
#[cfg_attr(miri, ignore = "thousands of texts in JSON")]
fn a_bit_of_an_owners_entry_is_noticed() {
    let job = SlurmJob { id: "123_4".to_owned(), restarts: 1, cluster: None, user: Some(1000) };
    for owner in [Owner::this_process(), Owner { job: Some(job.clone()), by_job: true, ..Owner::this_process() }] {
        let entry = Entry { generation: 3, beat: 77, given_up: false, owner: Some(owner) };
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Some(entry));
        for bit in 0..ENTRY * 8 {
            let mut other = bytes;
            flip(&mut other, bit);
            assert_eq!(Entry::decode(&other), None, "bit {bit}");
        }
    }
    let free = Entry { generation: 3, beat: 1, given_up: false, owner: None };
    assert_eq!(Entry::decode(&free.encode()), Some(free));
}

/// The command line may have any length.
#[test]
#[cfg_attr(miri, ignore = "asks the system")]
fn an_entry_has_room_for_any_owner() {
    for len in [0, 1, 100, 300, 5_000] {
        for letter in ["x", "\u{e9}", "\"", "\u{1}", "\u{1f600}"] {
            let owner = Owner { command: letter.repeat(len), ..Owner::this_process() };
            let entry = Entry { generation: 1, beat: 2, given_up: true, owner: Some(owner.clone()) };
            let read = Entry::decode(&entry.encode()).expect("fits");
            let command = read.owner.clone().expect("is one").command;
            assert!(owner.command.starts_with(&command), "{command}");
            assert_eq!(read, Entry { owner: Some(Owner { command, ..owner }), ..entry });
        }
    }
}

struct Made {
    _folder: tempfile::TempDir,
    path: PathBuf,
    names: Vec<String>,
}

fn made() -> Made {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("a.ledger");
    let names: Vec<String> = (0..7).map(|k| format!("task {k} of \u{fc}nicode")).collect();
    NewLedger::of_names(NameList::try_from(names.as_slice()).expect("names")).create(&path).expect("makes");
    Made { _folder: folder, path, names }
}

/// All tasks that can be claimed and done, and the errors that the others caused.
fn do_all(path: &PathBuf) -> (Vec<String>, Vec<ErrorKind>) {
    let ledger = match Ledger::open(path) {
        Ok(ledger) => ledger,
        Err(e) => return (Vec::new(), vec![e.into_kind()]),
    };
    let mut done = Vec::new();
    let mut told = Vec::new();
    let owner = ledger.register(&Owner::this_process()).expect("registers");
    // More claims than there are tasks, so that a task that fails cannot come for ever.
    for _ in 0..20 {
        match ledger.claim(owner, &ClaimOptions::default()) {
            Ok(Claimed::Tasks(claims)) => {
                done.extend(claims.iter().map(|claim| claim.name.clone()));
                for told in ledger.finish_all(&claims, End::Done).expect("tells") {
                    told.expect("holds");
                }
            }
            Ok(Claimed::Nothing { .. }) => break,
            Err(e) => told.push(e.into_kind()),
        }
    }
    (done, told)
}

/// Flips one bit anywhere in the ledger's file.
#[test]
#[cfg_attr(miri, ignore = "locks files")]
fn a_bit_anywhere_loses_no_task_unnoticed() {
    let Made { _folder, path, names } = made();
    let whole = std::fs::read(&path).expect("reads");
    let shape = *Ledger::open(&path).map(|ledger| ledger.shape).as_ref().expect("opens");
    let mut told_of = 0;
    let parts = [
        // The header has a test of its own.
        (0, 0..0),
        (shape.top, 0..512 * 8),
        (shape.leaves, 0..512 * 8),
        (shape.slots, 0..names.len() * SLOT * 8),
        (shape.index, 0..names.len() * 6 * 8 + 64),
        (shape.names, 0..names.concat().len() * 8),
    ];
    for (start, bits) in parts {
        // Of bits without a meaning, only some are flipped.
        let step =
            |bit: usize| if start < shape.slots && bit > 64 && start > 0 { bit.is_multiple_of(37) } else { true };
        for bit in bits.filter(|&bit| step(bit)) {
            let mut bytes = whole.clone();
            flip(&mut bytes, start as usize * 8 + bit);
            std::fs::write(&path, &bytes).expect("writes");
            let found = Ledger::open(&path).map(|ledger| {
                let find = |name: &String| ledger.find(name).map_err(h5part_base::error::Error::into_kind);
                names.iter().map(find).collect::<Vec<_>>()
            });
            let (mut done, told) = do_all(&path);
            done.sort();
            let is_damage = |e: &ErrorKind| matches!(e.of(), Some(crate::ErrorKind::DamagedTask { .. }));
            let where_ = format!("byte {start} + {}, bit {}", bit / 8, bit % 8);
            let hint = start < shape.slots || start == shape.index;
            if hint {
                // Hints: nothing is lost, and nothing fails.
                assert_eq!((done.as_slice(), told.len()), (names.as_slice(), 0), "{where_}");
                assert!(found.expect("opens").iter().all(Result::is_ok), "{where_}");
                continue;
            }
            let ledger = Ledger::open(&path).expect("opens");
            let tally = ledger.tally().expect("counts");
            assert!(told.iter().all(is_damage), "{where_}: {told:?}");
            assert!(done.iter().all(|name| names.contains(name)), "{where_}");
            assert_eq!(done.len(), names.len() - 1, "{where_}: all others are done");
            assert!(tally.damaged == 1 || !told.is_empty(), "{where_}: nobody was told");
            let found = found.expect("opens");
            assert_eq!(found.iter().filter(|found| found.is_ok()).count(), names.len() - 1, "{where_}");
            assert!(found.iter().all(|found| found.as_ref().map_or_else(is_damage, |_| true)), "{where_}: {found:?}");
            told_of += 1;
        }
    }
    assert!(told_of > 4_000, "{told_of}");
}

#[test]
#[cfg_attr(miri, ignore = "locks files")]
fn every_cut_is_told_and_nothing_is_written() {
    let Made { _folder, path, .. } = made();
    let whole = std::fs::read(&path).expect("reads");
    for len in 0..whole.len() {
        std::fs::write(&path, &whole[..len]).expect("writes");
        let kind = Ledger::open(&path).expect_err("is cut").into_kind();
        match kind {
            ErrorKind::Cut { found, .. } => assert!(found == len as u64 && len > 7, "{len}"),
            other => assert!(matches!(other.of(), Some(crate::ErrorKind::NotALedger(_))) && len <= 7, "{len}: {other}"),
        }
        assert_eq!(std::fs::read(&path).expect("reads"), &whole[..len]);
    }
    // Owners follow, and a part of an entry is not one.
    std::fs::write(&path, &whole).expect("writes");
    let ledger = Ledger::open(&path).expect("opens");
    let id = ledger.register(&Owner::this_process()).expect("registers");
    let with_owner = std::fs::read(&path).expect("reads");
    assert_eq!(with_owner.len(), whole.len() + ENTRY);
    for len in whole.len()..=with_owner.len() {
        std::fs::write(&path, &with_owner[..len]).expect("writes");
        let ledger = Ledger::open(&path).expect("opens");
        assert_eq!(ledger.owner(id).expect("reads").is_some(), len == with_owner.len(), "{len}");
        let again = ledger.register(&Owner::this_process()).expect("registers");
        assert_eq!(again.place, u32::from(len == with_owner.len()), "{len}");
        assert_ne!(again, id, "a number that was given before");
    }
}

#[test]
fn a_bit_of_a_checkpoint_makes_another_text_or_is_told() {
    let tasks = vec![("/a b/semi_a0".to_owned(), Mark::Done), ("/a b/semi_a1".to_owned(), Mark::Waiting)];
    let text = Checkpoint { origin: "/a b/vspace.in".to_owned(), tasks, announced: None }.format();
    // Miri is slow, so it checks only some.
    for bit in (0..text.len() * 8).step_by(if cfg!(miri) { 97 } else { 1 }) {
        let mut bytes = text.clone().into_bytes();
        flip(&mut bytes, bit);
        // It has no checksum, so any text that parses is accepted.
        let Some(read) = std::str::from_utf8(&bytes).ok().and_then(|text| Checkpoint::parse(text).ok()) else {
            continue;
        };
        let again = Checkpoint::parse(&read.format()).expect("reads what it wrote");
        assert_eq!((again.origin, again.tasks), (read.origin, read.tasks), "bit {bit}");
    }
}
