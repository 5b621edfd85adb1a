//! All records of a run added up: by operation, and by worker.

use super::files::{self, Origin};
use super::record::{FORMAT, Record};
use h5part_base::error::Result;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a run's measurements add up to. As JSON it is the output of `h5part monitor --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Format of this document.
    pub format: u64,
    /// What was read.
    pub path: PathBuf,
    /// Number of records.
    pub records: u64,
    /// Of them, those of operations that failed.
    pub failed: u64,
    /// Lines that were cut by the death of their worker, are being written, or are damaged.
    pub cut_lines: u64,
    /// Records that workers could not write, as they told later.
    pub lost: u64,
    /// When the first operation began, in seconds since 1970; `None` without records.
    pub start_s: Option<f64>,
    /// From then to the end of the last one, in seconds.
    pub span_s: f64,
    /// In descending order of total wall time.
    pub operations: Vec<Operation>,
    /// One a file, in order of names.
    pub workers: Vec<Worker>,
}

/// All records of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// Its name.
    pub operation: String,
    /// Number of records.
    pub records: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Sum of what was counted.
    pub counts: u64,
    /// Sum of the bytes worked on.
    pub bytes: u64,
    /// Sum of the bytes of results.
    pub received: u64,
    /// Wall time a record, in seconds.
    pub wall_s: Spread,
    /// Processor time a record, in seconds.
    pub cpu_s: Spread,
    /// The largest peak of memory, in bytes.
    pub memory_bytes: u64,
    /// That peak is this or less: see [`super::ChildUsage::memory_at_most`].
    pub memory_at_most: bool,
}

/// Sum, mean and range, in the unit of the field that has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is named after what it holds")]
pub struct Spread {
    pub total: f64,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

/// All records of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Its name; several workers may have the same.
    pub worker: String,
    /// Name of its host.
    pub host: String,
    /// Its process id there; `None` if it was killed before it said so.
    pub pid: Option<u32>,
    /// Its file.
    pub file: PathBuf,
    /// Threads that measured something.
    pub threads: usize,
    /// Number of records.
    pub records: u64,
    /// Of them, those of operations that failed.
    pub failed: u64,
    /// When its first operation began, in seconds since 1970; `None` without records.
    pub start_s: Option<f64>,
    /// From then to the end of its last one, in seconds.
    pub span_s: f64,
    /// Time in which at least one operation was under way, in seconds.
    pub busy_s: f64,
    /// The largest peak of memory, in bytes.
    pub memory_bytes: u64,
    /// That peak is this or less: see [`super::ChildUsage::memory_at_most`].
    pub memory_at_most: bool,
}

/// The largest peak so far; of equal ones, the exact one.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    bytes: u64,
    at_most: bool,
}

impl Memory {
    fn add(&mut self, other: Self) {
        if (other.bytes, !other.at_most) > (self.bytes, !self.at_most) {
            *self = other;
        }
    }
}

/// From the first beginning to the last end.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: f64,
    end: f64,
}

impl Span {
    fn join(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(Self { start: a.start.min(b.start), end: a.end.max(b.end) }),
            (one, other) => one.or(other),
        }
    }

    fn length(span: Option<Self>) -> f64 {
        span.map_or(0.0, |s| s.end - s.start)
    }
}

/// Moments at which at least one of many spans holds, in bounded memory where they overlap or meet.
#[derive(Debug, Default)]
struct Union {
    spans: Vec<Span>,
    /// So many are joined when they come together.
    limit: usize,
}

impl Union {
    fn add(&mut self, span: Span) {
        const FEWEST: usize = 1 << 12;
        self.spans.push(span);
        if self.spans.len() > self.limit.max(FEWEST) {
            self.join();
            self.limit = 2 * self.spans.len();
        }
    }

    fn join(&mut self) {
        self.spans.sort_by(|a, b| a.start.total_cmp(&b.start));
        self.spans.dedup_by(|next, last| {
            let meet = next.start <= last.end;
            if meet {
                last.end = last.end.max(next.end);
            }
            meet
        });
    }

    fn length(mut self) -> f64 {
        self.join();
        self.spans.iter().map(|s| s.end - s.start).sum()
    }
}

#[derive(Clone, Copy, Debug)]
struct Times {
    total: f64,
    min: f64,
    max: f64,
}

impl Times {
    const NONE: Self = Self { total: 0.0, min: f64::INFINITY, max: 0.0 };

    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    fn add_one(&mut self, s: f64) {
        self.add(Self { total: s, min: s, max: s });
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean over fewer than 2^53")]
    fn spread(self, records: u64) -> Spread {
        let Self { total, min, max } = self;
        Spread { total, mean: total / records.max(1) as f64, min, max }
    }
}

/// One operation in one file, or in several.
#[derive(Clone, Copy, Debug)]
struct Tally {
    records: u64,
    failed: u64,
    counts: u64,
    bytes: u64,
    received: u64,
    wall: Times,
    cpu: Times,
    memory: Memory,
}

impl Default for Tally {
    fn default() -> Self {
        let (wall, cpu) = (Times::NONE, Times::NONE);
        Self { records: 0, failed: 0, counts: 0, bytes: 0, received: 0, wall, cpu, memory: Memory::default() }
    }
}

impl Tally {
    fn add_one(&mut self, r: &Record) {
        self.records += 1;
        self.failed += u64::from(r.failed);
        self.counts = self.counts.saturating_add(r.counts);
        self.bytes = self.bytes.saturating_add(r.bytes);
        self.received = self.received.saturating_add(r.received);
        self.wall.add_one(r.wall_s);
        self.cpu.add_one(r.cpu_s);
        self.memory.add(Memory { bytes: r.memory_bytes, at_most: r.memory_at_most });
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.failed += other.failed;
        self.counts = self.counts.saturating_add(other.counts);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.received = self.received.saturating_add(other.received);
        self.wall.add(other.wall);
        self.cpu.add(other.cpu);
        self.memory.add(other.memory);
    }

    fn operation(&self, name: String) -> Operation {
        let Self { records, failed, counts, bytes, received, wall, cpu, memory } = *self;
        Operation {
            operation: name,
            records,
            failed,
            counts,
            bytes,
            received,
            wall_s: wall.spread(records),
            cpu_s: cpu.spread(records),
            memory_bytes: memory.bytes,
            memory_at_most: memory.at_most,
        }
    }
}

/// One file.
#[derive(Debug, Default)]
struct Sums {
    operations: BTreeMap<String, Tally>,
    threads: BTreeSet<u32>,
    span: Option<Span>,
    busy: Union,
    lost: u64,
}

impl Sums {
    fn add(&mut self, record: &Record) {
        match self.operations.get_mut(&record.operation) {
            Some(tally) => tally.add_one(record),
            None => self.operations.entry(record.operation.clone()).or_default().add_one(record),
        }
        let span = Span { start: record.start_s, end: record.end_s() };
        self.threads.insert(record.thread);
        self.span = Span::join(self.span, Some(span));
        self.busy.add(span);
        self.lost = self.lost.saturating_add(record.lost);
    }

    fn worker(self, origin: &Origin) -> Worker {
        let mut all = Tally::default();
        self.operations.values().for_each(|tally| all.add(tally));
        let header = origin.header.as_ref();
        Worker {
            worker: origin.worker(),
            host: header.map_or_else(String::new, |h| h.host.clone()),
            pid: header.map(|h| h.pid),
            file: origin.path.clone(),
            threads: self.threads.len(),
            records: all.records,
            failed: all.failed,
            start_s: self.span.map(|s| s.start),
            span_s: Span::length(self.span),
            busy_s: self.busy.length(),
            memory_bytes: all.memory.bytes,
            memory_at_most: all.memory.at_most,
        }
    }
}

impl Summary {
    /// Adds up the measurements of a run: those in a folder, in one file, or beside a ledger. Files are
    /// read in parallel and in bounded memory.
    ///
    /// **Concurrency.** Workers may go on meanwhile; what each had written by some moment within the
    /// call counts.
    ///
    /// # Errors
    /// [`h5part_base::error::ErrorKind::NotFound`], [`crate::ErrorKind::NothingMeasured`],
    /// [`crate::ErrorKind::NotMeasurements`], [`h5part_base::error::ErrorKind::NewerFormat`], I/O errors.
    pub fn read(path: &Path) -> Result<Self> {
        let files = files::list(path)?;
        let read = |file: &PathBuf| {
            let mut sums = Sums::default();
            let origin = files::read(file, &mut |record| sums.add(&record))?;
            Ok((origin, sums))
        };
        let sums = files.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Self::of(path, sums))
    }

    fn of(path: &Path, files: Vec<(Origin, Sums)>) -> Self {
        let mut operations: BTreeMap<String, Tally> = BTreeMap::new();
        for (name, tally) in files.iter().flat_map(|(_, sums)| &sums.operations) {
            operations.entry(name.clone()).or_default().add(tally);
        }
        let span = files.iter().fold(None, |span, (_, sums)| Span::join(span, sums.span));
        let mut operations: Vec<Operation> =
            operations.into_iter().map(|(name, tally)| tally.operation(name)).collect();
        operations.sort_by(|a, b| b.wall_s.total.total_cmp(&a.wall_s.total));
        Self {
            format: FORMAT,
            path: path.to_owned(),
            records: operations.iter().map(|o| o.records).sum(),
            failed: operations.iter().map(|o| o.failed).sum(),
            cut_lines: files.iter().map(|(origin, _)| origin.cut).sum(),
            lost: files.iter().fold(0, |lost, (_, sums)| sums.lost.saturating_add(lost)),
            start_s: span.map(|s| s.start),
            span_s: Span::length(span),
            operations,
            workers: files.into_iter().map(|(origin, sums)| sums.worker(&origin)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(operation: &str, start_s: f64, wall_s: f64) -> Record {
        Record { operation: operation.to_owned(), start_s, wall_s, ..Record::default() }
    }

    fn sums(records: &[Record]) -> (Origin, Sums) {
        let mut sums = Sums::default();
        for r in records {
            sums.add(r);
        }
        (Origin { path: "h-7-x.jsonl".into(), header: None, cut: 1 }, sums)
    }

    #[test]
    fn records_of_several_files_are_added_up() {
        let a = [
            Record { counts: 2, bytes: 5, cpu_s: 0.5, memory_bytes: 9, ..record("x", 10.0, 1.0) },
            Record { failed: true, memory_bytes: 9, memory_at_most: true, thread: 2, ..record("y", 12.0, 0.25) },
        ];
        let b = [Record { counts: u64::MAX, cpu_s: 1.5, lost: 3, ..record("x", 9.0, 3.0) }];
        let summary = Summary::of(Path::new("d"), vec![sums(&a), sums(&b), sums(&[])]);
        assert_eq!((summary.records, summary.failed, summary.cut_lines, summary.lost), (3, 1, 3, 3));
        assert_eq!((summary.start_s, summary.span_s), (Some(9.0), 3.25));
        let [x, y] = summary.operations.as_slice() else { panic!("{:?}", summary.operations) };
        assert_eq!((x.operation.as_str(), x.records, x.counts, x.bytes), ("x", 2, u64::MAX, 5));
        assert_eq!(x.wall_s, Spread { total: 4.0, mean: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(x.cpu_s, Spread { total: 2.0, mean: 1.0, min: 0.5, max: 1.5 });
        assert!(y.memory_at_most && !x.memory_at_most && x.memory_bytes == 9);
        let first = &summary.workers[0];
        assert_eq!((first.worker.as_str(), first.threads, first.busy_s, first.span_s), ("h-7-x", 2, 1.25, 2.25));
        assert_eq!((first.memory_bytes, first.memory_at_most), (9, false), "one of them is exact");
        assert_eq!((summary.workers[2].records, summary.workers[2].start_s), (0, None));
    }

    proptest! {
        /// Beside a naive model: moments counted one by one.
        #[test]
        fn busy_is_the_time_covered(spans in prop::collection::vec((0u32..20_000, 0u32..9), 0..6000)) {
            let mut covered = vec![false; 20_010];
            let mut union = Union::default();
            for &(start, length) in &spans {
                covered[start as usize..(start + length) as usize].fill(true);
                union.add(Span { start: f64::from(start), end: f64::from(start + length) });
            }
            let expected = covered.iter().filter(|&&c| c).count();
            prop_assert!((union.length() - f64::from(u32::try_from(expected).expect("few"))).abs() < 1e-6);
        }
    }
}
