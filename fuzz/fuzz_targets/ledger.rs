//! The ledger's own formats: whatever the bytes, no panic; what is read says the same again; what is written is
//! read back; and no transition of a task breaks its rules.
#![no_main]

use arbitrary::Arbitrary;
use h5part_tasks::ledger::{
    Checkpoint, ENTRY, Entry, HEADER, Header, Mark, NameAt, NameList, OwnerId, Reason, SLOT, Shape, TaskState, StoreRef, Task,
};
use h5part_fuzz::crc32c;
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Bytes { bytes: &'a [u8], len: u64 },
    Header { uuid: u128, tasks: u64, names_len: u64, rows: (u64, u64), attempts: u16, align: u32, store: Option<(u128, &'a str, &'a str)>, origin: &'a str },
    Task { state: u8, numbers: (u16, u64, u32, u64), owner: (u32, u32), reason: u8, name: (u64, u32, u32), weight: f64, acts: Vec<(u8, u64, u16)> },
    Names { text: &'a [u8], null: bool },
    Checkpoint(&'a str),
}

/// The start of some bytes, with a checksum that fits if there is one.
fn sealed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let len = bytes.len().min(N - 4);
    out[4..4 + len].copy_from_slice(&bytes[..len]);
    let sum = crc32c(&out[4..]);
    out[..4].copy_from_slice(&sum.to_le_bytes());
    out
}

fn any_bytes(bytes: &[u8], len: u64) {
    let slot = sealed::<SLOT>(bytes);
    if let Some(task) = Task::decode(&slot) {
        assert_eq!(Task::decode(&task.encode()).map(|again| again.encode()), Some(task.encode()));
    }
    if let Some(entry) = Entry::decode(&sealed::<ENTRY>(bytes)) {
        assert_eq!(Entry::decode(&entry.encode()).as_ref().map(Entry::encode), Some(entry.encode()));
    }
    let mut header = [0; HEADER];
    let end = bytes.len().min(HEADER);
    header[..end].copy_from_slice(&bytes[..end]);
    let _ = Header::decode(&header, len);
    // With all that its checksums cover as it should be.
    header[..8].copy_from_slice(b"h5partT1");
    let lens = [80, 84, 88].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize);
    if let Some(text) = header[512..].get(..lens.iter().sum()) {
        let sum = crc32c(text);
        header[92..96].copy_from_slice(&sum.to_le_bytes());
    }
    let sum = crc32c(&header[..124]);
    header[124..128].copy_from_slice(&sum.to_le_bytes());
    if let Ok(read) = Header::decode(&header, len) {
        let shape = read.shape().expect("was looked at");
        assert!(shape.owners <= len && shape.slots + read.tasks * SLOT as u64 <= shape.index);
        for index in [0, 1, u32::MAX] {
            let rows = read.rows_of(index);
            assert!(rows.is_none_or(|rows| rows.start <= rows.end && rows.end <= read.rows));
        }
    }
}

fn transitions(mut task: Task, acts: &[(u8, u64, u16)]) {
    let mut now = task.since_ms;
    for &(act, fence, max) in acts {
        now = now.wrapping_add(fence);
        let held = task.is_held(fence);
        let next = match act % 7 {
            0 => task.claim(OwnerId { place: 1, generation: u32::from(max) }, fence, now).ok(),
            1 => task.done(fence, now).ok(),
            2 => task.fail(fence, Reason::Exit(1), max, now).ok(),
            3 => task.release(fence, now).ok(),
            4 => task.found_empty(fence).ok(),
            5 => Some(task.requeue(now)),
            _ => task.cancel(now),
        };
        assert_eq!(next.is_some() && (1..5).contains(&(act % 7)), held && (1..5).contains(&(act % 7)));
        let Some(next) = next else { continue };
        assert!(next.fence >= task.fence && (next.index, next.name) == (task.index, task.name));
        assert_eq!(next.fence > task.fence, act % 7 == 0);
        task = next;
        assert_eq!(Task::decode(&task.encode()).map(|t| t.encode()), Some(task.encode()));
    }
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Bytes { bytes, len } => any_bytes(bytes, len),
        Input::Header { uuid, tasks, names_len, rows, attempts, align, store, origin } => {
            let store = store.filter(|(uuid, ..)| *uuid != 0).map(|(uuid, path, table)| StoreRef {
                path: path.to_owned(),
                uuid: Uuid::from_u128(uuid),
                table: table.to_owned(),
                columns: table.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            });
            let header = Header {
                uuid: Uuid::from_u128(uuid),
                tasks,
                names_len,
                max_attempts: attempts,
                align,
                rows: rows.0,
                rows_per_task: rows.1,
                store,
                origin: origin.to_owned(),
            };
            let Ok(bytes) = header.encode() else { return };
            let bytes: &[u8; HEADER] = bytes[..].try_into().expect("its length");
            match Shape::of(tasks, names_len) {
                Some(shape) => {
                    assert_eq!(Header::decode(bytes, shape.owners).expect("reads back"), header);
                    assert!(Header::decode(bytes, shape.owners - 1).is_err());
                }
                None => assert!(Header::decode(bytes, u64::MAX).is_err()),
            }
        }
        Input::Task { state, numbers, owner, reason, name, weight, acts } => {
            let (attempts, fence, index, since_ms) = numbers;
            let task = Task {
                state: [TaskState::Waiting, TaskState::Running, TaskState::Done, TaskState::Failed][usize::from(state % 4)],
                attempts,
                rows_were_empty: state >= 128,
                fence,
                owner: OwnerId { place: owner.0, generation: owner.1 },
                index,
                reason: [Reason::Exit(reason), Reason::Signal(reason), Reason::None, Reason::TimedOut][usize::from(reason % 4)],
                since_ms,
                name: NameAt { at: name.0, len: name.1, sum: name.2 },
                weight,
            };
            assert_eq!(Task::decode(&task.encode()).map(|t| t.encode()), Some(task.encode()));
            transitions(task, &acts);
        }
        Input::Names { text, null } => {
            let Ok(list) = NameList::parse(text.to_vec(), null) else { return };
            let separator = if null { 0 } else { b'\n' };
            let ends = text.iter().filter(|&&byte| byte == separator).count();
            assert!(list.len() == ends + usize::from(text.last().is_some_and(|&last| last != separator)));
        }
        Input::Checkpoint(text) => {
            let parsed = [Checkpoint::parse(text), Checkpoint::parse(&format!("Vspace File: x\nTotal Number of Simulations: 1\n{text}"))];
            for checkpoint in parsed.into_iter().flatten() {
                assert!(checkpoint.tasks.iter().all(|(name, mark)| !name.is_empty() && matches!(mark, Mark::Waiting | Mark::Running | Mark::Done)));
                let again = Checkpoint::parse(&checkpoint.format()).expect("reads what it wrote");
                assert_eq!((again.origin, again.tasks), (checkpoint.origin, checkpoint.tasks));
            }
        }
    }
});
