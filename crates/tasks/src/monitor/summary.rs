//! Adds up all records of a run, by operation and by worker.

use super::costs::{CostSums, Costs};
use super::files::{self, Origin};
use super::record::{FORMAT, Record};
use h5part_base::error::Result;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The sums of a run's measurements. As JSON this is the output of `h5part monitor --json`.
#[derive(Clone, Debug, Serialize)]
pub struct MonitorSummary {
    /// Format of this document.
    pub format: u64,
    /// The path that was read.
    pub path: PathBuf,
    /// Number of records.
    pub records: u64,
    /// Number of records of failed operations.
    pub failed: u64,
    /// Number of lines that were cut by the death of their worker, are being written, or are damaged.
    pub cut_lines: u64,
    /// Number of records that workers could not write, as later records say.
    pub lost: u64,
    /// When the first operation began, in seconds since 1970. `None`: there are no records.
    pub start_s: Option<f64>,
    /// Time from then to the end of the last operation, in seconds.
    pub span_s: f64,
    /// Operations in descending order of total wall time.
    pub operations: Vec<Operation>,
    /// One worker per file, sorted by name.
    pub workers: Vec<Worker>,
    /// Hosts sorted by name.
    pub hosts: Vec<Host>,
}

/// All records of one operation.
#[derive(Clone, Debug, Serialize)]
pub struct Operation {
    /// Its name.
    pub operation: String,
    /// Their cost.
    #[serde(flatten)]
    pub costs: Costs,
    /// Sum of the counts.
    pub counts: u64,
    /// Sum of the bytes worked on.
    pub bytes: u64,
    /// Sum of the received bytes.
    pub received: u64,
}

/// All records of one file.
#[derive(Clone, Debug, Serialize)]
pub struct Worker {
    /// Its name. Several workers may have the same name.
    pub worker: String,
    /// Name of its host.
    pub host: String,
    /// Its process id on the host. `None`: it was killed before it wrote this.
    pub pid: Option<u32>,
    /// Its file.
    pub file: PathBuf,
    /// Number of threads with measurements.
    pub threads: usize,
    /// The cost of its records.
    #[serde(flatten)]
    pub costs: Costs,
    /// When its first operation began, in seconds since 1970. `None`: there are no records.
    pub start_s: Option<f64>,
    /// Time from then to the end of its last operation, in seconds.
    pub span_s: f64,
    /// Time during which at least one operation ran, in seconds.
    pub busy_s: f64,
}

/// All records of the workers of one host.
#[derive(Clone, Debug, Serialize)]
pub struct Host {
    /// Its name. Empty for workers that were killed before they wrote it.
    pub host: String,
    /// Number of its workers.
    pub workers: u64,
    /// The cost of their records.
    #[serde(flatten)]
    pub costs: Costs,
    /// Sum over its workers of the time during which at least one operation ran, in seconds.
    pub busy_s: f64,
}

/// The time from the first beginning to the last end.
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

/// The union of many time spans, in bounded memory if they overlap or touch.
#[derive(Debug, Default)]
struct Union {
    spans: Vec<Span>,
    /// Spans are merged when there are this many.
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

/// The sums of one file.
#[derive(Debug, Default)]
struct Sums {
    operations: BTreeMap<String, CostSums>,
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

    fn all(&self) -> CostSums {
        let mut all = CostSums::default();
        self.operations.values().for_each(|tally| all.add(tally));
        all
    }

    fn worker(self, origin: &Origin, all: CostSums) -> Worker {
        let header = origin.header.as_ref();
        Worker {
            worker: origin.worker(),
            host: header.map_or_else(String::new, |h| h.host.clone()),
            pid: header.map(|h| h.pid),
            file: origin.path.clone(),
            threads: self.threads.len(),
            costs: all.costs(),
            start_s: self.span.map(|s| s.start),
            span_s: Span::length(self.span),
            busy_s: self.busy.length(),
        }
    }
}

impl MonitorSummary {
    /// Adds up the measurements of a run: those in a folder, in one file, or beside a ledger. Files are read in
    /// parallel. It takes some 30 bytes of memory per record.
    ///
    /// **Concurrency.** Workers may go on meanwhile. For each worker, the records count that it had written by some
    /// moment during the call.
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
        let mut operations: BTreeMap<String, CostSums> = BTreeMap::new();
        for (name, tally) in files.iter().flat_map(|(_, sums)| &sums.operations) {
            operations.entry(name.clone()).or_default().add(tally);
        }
        let span = files.iter().fold(None, |span, (_, sums)| Span::join(span, sums.span));
        let mut operations: Vec<Operation> =
            operations.into_iter().map(|(name, tally)| operation(name, tally)).collect();
        operations.sort_by(|a, b| b.costs.wall_s.total.total_cmp(&a.costs.wall_s.total));
        let cut_lines = files.iter().map(|(origin, _)| origin.cut).sum();
        let lost = files.iter().fold(0, |lost, (_, sums)| sums.lost.saturating_add(lost));
        let mut hosts: BTreeMap<String, HostTally> = BTreeMap::new();
        let worker = |(origin, sums): (Origin, Sums)| {
            let all = sums.all();
            let worker = sums.worker(&origin, all.clone());
            let host = hosts.entry(worker.host.clone()).or_default();
            host.workers += 1;
            host.busy_s += worker.busy_s;
            host.tally.add(&all);
            worker
        };
        let workers = files.into_iter().map(worker).collect();
        let hosts = hosts.into_iter().map(|(host, HostTally { workers, tally, busy_s })| Host {
            host,
            workers,
            costs: tally.costs(),
            busy_s,
        });
        let hosts = hosts.collect();
        Self {
            format: FORMAT,
            path: path.to_owned(),
            records: operations.iter().map(|o| o.costs.records).sum(),
            failed: operations.iter().map(|o| o.costs.failed).sum(),
            cut_lines,
            lost,
            start_s: span.map(|s| s.start),
            span_s: Span::length(span),
            operations,
            workers,
            hosts,
        }
    }
}

/// The sums of one host.
#[derive(Debug, Default)]
struct HostTally {
    workers: u64,
    tally: CostSums,
    busy_s: f64,
}

fn operation(name: String, tally: CostSums) -> Operation {
    let CostSums { counts, bytes, received, .. } = tally;
    Operation { operation: name, costs: tally.costs(), counts, bytes, received }
}

#[cfg(test)]
mod tests {
    use super::super::costs::Spread;
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
        let summary = MonitorSummary::of(Path::new("d"), vec![sums(&a), sums(&b), sums(&[])]);
        assert_eq!((summary.records, summary.failed, summary.cut_lines, summary.lost), (3, 1, 3, 3));
        assert_eq!((summary.start_s, summary.span_s), (Some(9.0), 3.25));
        let [x, y] = summary.operations.as_slice() else { panic!("{:?}", summary.operations) };
        assert_eq!((x.operation.as_str(), x.costs.records, x.counts, x.bytes), ("x", 2, u64::MAX, 5));
        let (x, y) = (&x.costs, &y.costs);
        assert_eq!(x.wall_s, Spread { total: 4.0, mean: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(x.cpu_s, Spread { total: 2.0, mean: 1.0, min: 0.5, max: 1.5 });
        assert!(y.memory_at_most && !x.memory_at_most && x.memory_bytes == 9);
        let first = &summary.workers[0];
        assert_eq!((first.worker.as_str(), first.threads, first.busy_s, first.span_s), ("h-7-x", 2, 1.25, 2.25));
        assert_eq!((first.costs.memory_bytes, first.costs.memory_at_most), (9, false), "one of them is exact");
        assert_eq!((summary.workers[2].costs.records, summary.workers[2].start_s), (0, None));
        assert_eq!((summary.hosts.len(), summary.hosts[0].workers, summary.hosts[0].costs.records), (1, 3, 3));
    }

    proptest! {
        /// Against a naive model: count moments one by one.
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
