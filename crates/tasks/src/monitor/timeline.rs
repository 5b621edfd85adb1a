//! All records of a run in compact form and in order, for callers that need each of them.

use super::files;
use super::record::Record;
use h5part_base::error::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All records of a run, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// Names of operations. Events refer to them by index.
    pub operations: Vec<String>,
    /// Names of workers. Events refer to them by index.
    pub workers: Vec<String>,
    /// One event per record, in the order in which they began.
    pub events: Vec<Event>,
    /// Bytes sent, by name of the operation and argument.
    pub sent: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A [`Record`], without texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// Index in [`Timeline::operations`].
    pub operation: u32,
    /// Index in [`Timeline::workers`].
    pub worker: u32,
    /// Thread of the worker, from 0.
    pub thread: u32,
    /// Number of the attempt at the task.
    pub attempt: u32,
    /// Begin, in seconds since 1970.
    pub start_s: f64,
    /// Wall time in seconds.
    pub wall_s: f64,
    /// Processor time in seconds.
    pub cpu_s: f64,
    /// Number of the task.
    pub task: Option<u64>,
    /// Peak of memory in bytes.
    pub memory_bytes: u64,
    /// How much that peak rose, in bytes.
    pub memory_rise_bytes: u64,
    /// Things counted.
    pub counts: u64,
    /// Bytes worked on.
    pub bytes: u64,
    /// Received bytes of the result.
    pub received: u64,
    /// Weight of the task, without a unit.
    pub weight: f32,
    /// Whether the record stands for a whole task.
    pub whole: bool,
    /// Whether it failed.
    pub failed: bool,
}

impl Event {
    pub(super) fn end_s(&self) -> f64 {
        self.start_s + self.wall_s
    }
}

/// Texts by number, in the order in which they first appear.
#[derive(Debug, Default)]
struct Names {
    numbers: BTreeMap<String, u32>,
    names: Vec<String>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.names.push(name.to_owned());
        number
    }
}

/// The records of one file.
#[derive(Debug, Default)]
struct Part {
    operations: Names,
    events: Vec<Event>,
    sent: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Part {
    fn add(&mut self, record: Record) {
        for (argument, bytes) in record.sent {
            let sum = self.sent.entry(record.operation.clone()).or_default().entry(argument).or_default();
            *sum = sum.saturating_add(bytes);
        }
        self.events.push(Event {
            operation: self.operations.number(&record.operation),
            worker: 0,
            thread: record.thread,
            attempt: record.attempt,
            start_s: record.start_s,
            wall_s: record.wall_s,
            cpu_s: record.cpu_s,
            task: record.task,
            memory_bytes: record.memory_bytes,
            memory_rise_bytes: record.memory_rise_bytes,
            counts: record.counts,
            bytes: record.bytes,
            received: record.received,
            weight: small(record.weight.unwrap_or(1.0)),
            whole: record.whole,
            failed: record.failed,
        });
    }
}

/// The nearest finite 32-bit float.
#[expect(clippy::cast_possible_truncation, reason = "rounded on purpose, and within the range")]
#[must_use]
pub fn small(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

impl Timeline {
    /// Reads all records: those in a folder, in one file, or beside a ledger. Takes about 120 bytes of memory per
    /// record.
    ///
    /// **Concurrency.** As [`super::MonitorSummary::read`].
    ///
    /// # Errors
    /// As [`super::MonitorSummary::read`].
    pub fn read(path: &Path) -> Result<Self> {
        let read = |file: &PathBuf| {
            let mut part = Part::default();
            let origin = files::read(file, &mut |record| part.add(record))?;
            Ok((origin.worker(), part))
        };
        let parts = files::list(path)?.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self::of(parts))
    }

    /// A timeline as if each worker's records came from a file of its own.
    #[must_use]
    pub fn of_records(workers: &[(&str, Vec<Record>)]) -> Self {
        let part = |records: &Vec<Record>| {
            let mut part = Part::default();
            for record in records {
                part.add(record.clone());
            }
            part
        };
        Self::of(workers.iter().map(|(name, records)| ((*name).to_owned(), part(records))).collect())
    }

    fn of(parts: Vec<(String, Part)>) -> Self {
        let (mut operations, mut timeline) = (Names::default(), Self::default());
        for (number, (worker, part)) in (0..).zip(parts) {
            let numbers: Vec<u32> = part.operations.names.iter().map(|name| operations.number(name)).collect();
            let renumbered = part.events.into_iter().map(|event| Event {
                operation: numbers.get(event.operation as usize).copied().unwrap_or(u32::MAX),
                worker: number,
                ..event
            });
            timeline.events.extend(renumbered);
            timeline.workers.push(worker);
            for (task, arguments) in part.sent {
                let sums = timeline.sent.entry(task).or_default();
                for (argument, bytes) in arguments {
                    let sum = sums.entry(argument).or_default();
                    *sum = sum.saturating_add(bytes);
                }
            }
        }
        timeline.operations = operations.names;
        timeline.events.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
        timeline
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Name of the operation of an event.
    #[must_use]
    pub fn operation(&self, event: &Event) -> &str {
        self.operations.get(event.operation as usize).map_or("", String::as_str)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn timeline(workers: &[(&str, Vec<Record>)]) -> Timeline {
        Timeline::of_records(workers)
    }

    pub(in super::super) fn record(operation: &str, start_s: f64, wall_s: f64) -> Record {
        Record { operation: operation.to_owned(), start_s, wall_s, ..Record::default() }
    }

    #[test]
    fn operations_have_one_number_and_events_are_in_order() {
        let sent = |n: u64| BTreeMap::from([("text".to_owned(), n)]);
        let a = vec![record("x", 5.0, 1.0), Record { sent: sent(7), ..record("y", 1.0, 1.0) }];
        let b = vec![Record { sent: sent(u64::MAX), weight: Some(1e300), ..record("y", 2.0, 1.0) }];
        let timeline = timeline(&[("a", a), ("b", b)]);
        let seen: Vec<(&str, u32)> = timeline.events.iter().map(|e| (timeline.operation(e), e.worker)).collect();
        assert_eq!(seen, [("y", 0), ("y", 1), ("x", 0)]);
        assert_eq!(timeline.sent["y"]["text"], u64::MAX);
        assert_eq!(timeline.events[1].weight.to_bits(), f32::MAX.to_bits());
        assert_eq!((timeline.len(), timeline.is_empty()), (3, false));
    }
}
