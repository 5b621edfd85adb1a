//! Writes measurements as tables of OpenQuake, a program that computes seismic hazard and risk. In these tables
//! OpenQuake keeps time, memory and traffic of its tasks. Further datasets hold what these tables have no columns for.
//! `docs/monitor.md` lists all columns.
//!
//! A table of OpenQuake is a dataset of a compound type, and its columns are the members of that type. Only `task_sent`
//! is a text.

use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::storage::{Disk, Mode, Storage, StorageFile, beside, replace};
use h5part_engine::h5::{Attribute, H5Change, MemberType, Records};
use h5part_tasks::monitor::{Event, Timeline, small};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// Records per chunk, as in OpenQuake.
const CHUNK: usize = 128;
/// Length of a name in bytes, as in OpenQuake.
const NAME: usize = 50;
const NO_TASK: i16 = -1;

type Members = &'static [(&'static str, MemberType)];

const PERFORMANCE: Members = &[
    ("operation", MemberType::Text(NAME)),
    ("time_sec", MemberType::F64),
    ("memory_mb", MemberType::F64),
    ("counts", MemberType::I64),
    ("task_no", MemberType::I16),
];
const TASKS: Members = &[
    ("taskname", MemberType::Text(NAME)),
    ("task_no", MemberType::U32),
    ("weight", MemberType::F32),
    ("duration", MemberType::F32),
    ("received", MemberType::I64),
    ("mem_gb", MemberType::F32),
];
const STARMAPS: Members = &[
    ("taskname", MemberType::Text(NAME)),
    ("mean", MemberType::F32),
    ("std", MemberType::F32),
    ("min", MemberType::F32),
    ("max", MemberType::F32),
];
/// Members of `h5part_performance`. It has one record per record of `performance_data`, in the same order.
const WIDE: Members = &[
    ("task_no", MemberType::I64),
    ("start_sec", MemberType::F64),
    ("cpu_sec", MemberType::F64),
    ("memory_bytes", MemberType::U64),
    ("bytes", MemberType::U64),
    ("worker", MemberType::U32),
    ("thread", MemberType::U32),
    ("attempt", MemberType::U32),
    ("failed", MemberType::U8),
];

/// Writes OpenQuake's tables `performance_data`, `task_info`, `starmap_info` and `task_sent` to a new HDF5 file `out`.
/// The file also gets the datasets `h5part_performance` and `h5part_workers`, which OpenQuake does not have.
///
/// **Concurrency.** Anything may run beside it. If another process creates `out` during the call, that file is
/// replaced. **Atomic**: the whole file. It is built under a temporary name in the same folder, synced and renamed.
/// **Survives** a loss of power once the call has returned. After a kill before that, `out` is complete or does not
/// exist, and the temporary file `.monitor*.h5part-new` may remain.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`]: `out` exists. Errors of the HDF5 library, I/O errors.
pub fn export(timeline: &Timeline, out: &Path) -> Result<()> {
    try_export(timeline, out).at("write", out)
}

fn try_export(timeline: &Timeline, out: &Path) -> Result<(), ErrorKind> {
    if out.symlink_metadata().is_ok() {
        return Err(ErrorKind::AlreadyExists(Item::File));
    }
    let new = beside(out, ".monitor", ".h5part-new")?.into_temp_path();
    let file: Arc<dyn StorageFile> = Arc::from(Disk.open(&new, Mode::Write)?);
    H5Change::open(&file, &new, true)?.run(|h5| {
        h5.add_root_attribute(
            "engine_version",
            &Attribute::Text(concat!("h5part ", env!("CARGO_PKG_VERSION")).to_owned()),
        )?;
        let add = |name: &str, members: Members, bytes: &[u8]| {
            h5.add_records(&Records { name, members, chunk: CHUNK, bytes })
        };
        add("performance_data", PERFORMANCE, &performance(timeline))?;
        add("task_info", TASKS, &tasks(timeline))?;
        add("starmap_info", STARMAPS, &starmaps(timeline))?;
        h5.add_text("task_sent", &sent(timeline))?;
        add("h5part_performance", WIDE, &wide(timeline))?;
        h5.add_texts("h5part_workers", &timeline.workers).map_err(ErrorKind::from)
    })?;
    drop(file);
    replace(&Disk, &new, out)?;
    // After the rename the temporary name does not exist, so there is nothing to remove.
    let _ = new.keep();
    Ok(())
}

/// The bytes of records, one record after the other, member by member, without gaps. Numbers are little-endian.
#[derive(Debug, Default)]
struct Rows(Vec<u8>);

impl Rows {
    /// Appends a name. A name that is too long is cut between two characters. A shorter name is padded with zero bytes.
    fn name(&mut self, name: &str) -> &mut Self {
        let cut = name.floor_char_boundary(NAME);
        self.0.extend_from_slice(&name.as_bytes()[..cut]);
        self.0.resize(self.0.len() + NAME - cut, 0);
        self
    }

    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> &mut Self {
        self.0.extend_from_slice(&bytes);
        self
    }
}

/// Converts to OpenQuake's type for sums of integers, which is signed. A sum that is too large becomes `i64::MAX`.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "memory in units of which a fraction is shown")]
fn units(bytes: u64, unit: u64) -> f64 {
    bytes as f64 / unit as f64
}

fn performance(timeline: &Timeline) -> Vec<u8> {
    let mut rows = Rows::default();
    for event in &timeline.events {
        let name = timeline.operation(event);
        // OpenQuake calls the operation that is a whole task "total NAME".
        let name = if event.whole { &format!("total {name}") } else { name };
        rows.name(name)
            .put(event.wall_s.to_le_bytes())
            .put(units(event.memory_rise_bytes, 1 << 20).to_le_bytes())
            .put(signed(event.counts.max(1)).to_le_bytes())
            .put(event.task.and_then(|task| i16::try_from(task).ok()).unwrap_or(NO_TASK).to_le_bytes());
    }
    rows.0
}

fn wide(timeline: &Timeline) -> Vec<u8> {
    let mut rows = Rows::default();
    for event in &timeline.events {
        rows.put(event.task.map_or(-1, signed).to_le_bytes())
            .put(event.start_s.to_le_bytes())
            .put(event.cpu_s.to_le_bytes())
            .put(event.memory_bytes.to_le_bytes())
            .put(event.bytes.to_le_bytes())
            .put(event.worker.to_le_bytes())
            .put(event.thread.to_le_bytes())
            .put(event.attempt.to_le_bytes())
            .put([u8::from(event.failed)]);
    }
    rows.0
}

/// The events that stand for whole tasks, each with the number of its task.
fn whole(timeline: &Timeline) -> impl Iterator<Item = (&Event, u64)> {
    timeline.events.iter().filter(|event| event.whole).filter_map(|event| Some((event, event.task?)))
}

fn tasks(timeline: &Timeline) -> Vec<u8> {
    let mut rows = Rows::default();
    for (event, task) in whole(timeline) {
        rows.name(timeline.operation(event))
            .put(u32::try_from(task).unwrap_or(u32::MAX).to_le_bytes())
            .put(event.weight.to_le_bytes())
            .put(small(event.wall_s).to_le_bytes())
            .put(signed(event.received).to_le_bytes())
            .put(small(units(event.memory_bytes, 1 << 30)).to_le_bytes());
    }
    rows.0
}

/// Records of `starmap_info`, one per name of tasks. For each thread of each worker, the seconds that it spent in these
/// tasks are added up. A record holds mean, standard deviation, minimum and maximum of these sums. As in OpenQuake, a
/// name has no record if only one thread worked on its tasks.
fn starmaps(timeline: &Timeline) -> Vec<u8> {
    let mut busy: BTreeMap<&str, BTreeMap<(u32, u32), f64>> = BTreeMap::new();
    for (event, _) in whole(timeline) {
        let workers = busy.entry(timeline.operation(event)).or_default();
        *workers.entry((event.worker, event.thread)).or_default() += event.wall_s;
    }
    let mut rows = Rows::default();
    for (name, workers) in busy.into_iter().filter(|(_, workers)| workers.len() > 1) {
        let count = f64::from(u32::try_from(workers.len()).unwrap_or(u32::MAX));
        let mean = workers.values().sum::<f64>() / count;
        let variance = workers.values().map(|s| (s - mean).powi(2)).sum::<f64>() / count;
        let least = workers.values().fold(f64::INFINITY, |a, b| a.min(*b));
        let most = workers.values().fold(0.0, |a: f64, b| a.max(*b));
        rows.name(name);
        for s in [mean, variance.sqrt(), least, most] {
            rows.put(small(s).to_le_bytes());
        }
    }
    rows.0
}

/// Bytes sent, by name of the task and argument. The text is a Python literal: a dictionary of dictionaries.
fn sent(timeline: &Timeline) -> String {
    let dictionary = |items: Vec<String>| format!("{{{}}}", items.join(", "));
    let arguments = |sums: &BTreeMap<String, u64>| {
        dictionary(sums.iter().map(|(name, bytes)| format!("{}: {bytes}", quoted(name))).collect())
    };
    dictionary(timeline.sent.iter().map(|(task, sums)| format!("{}: {}", quoted(task), arguments(sums))).collect())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\\' | '\'' => out.extend(['\\', c]),
            // Writing to a `String` cannot fail.
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part_tasks::monitor::Record;

    fn record(operation: &str, start_s: f64, wall_s: f64) -> Record {
        Record { operation: operation.to_owned(), start_s, wall_s, ..Record::default() }
    }

    fn size(members: Members) -> usize {
        members.iter().map(|(_, kind)| kind.size()).sum()
    }

    #[test]
    fn rows_are_as_long_as_their_members() {
        let task = Record { task: Some(40_000), whole: true, ..record("a task", 0.0, 1.0) };
        let timeline = Timeline::of_records(&[("a", vec![task.clone(), record("part", 0.0, 1.0)]), ("b", vec![task])]);
        assert_eq!((size(PERFORMANCE), size(TASKS), size(STARMAPS)), (76, 74, 66));
        assert_eq!(performance(&timeline).len(), 3 * 76);
        assert_eq!(tasks(&timeline).len(), 2 * 74);
        assert_eq!(starmaps(&timeline).len(), 66);
        assert_eq!(wide(&timeline).len(), 3 * size(WIDE));
    }

    #[test]
    fn names_are_cut_between_characters_and_quoted_for_python() {
        let mut rows = Rows::default();
        rows.name(&"Å".repeat(40)).name(&("x".repeat(49) + "Å")).name("");
        assert_eq!(rows.0.len(), 3 * NAME);
        assert_eq!(std::str::from_utf8(&rows.0[..50]).expect("UTF-8"), "Å".repeat(25));
        assert_eq!(rows.0[98..101], [b'x', 0, 0]);
        assert_eq!(quoted("a'b\\c\nÅ"), "'a\\'b\\\\c\\u000aÅ'");
    }
}
