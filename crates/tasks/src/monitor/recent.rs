//! The cost of one run: the records of tasks since it began.

use super::files;
use super::record::Record;
use h5part_base::error::Result;
use rayon::prelude::*;
use std::path::Path;

/// The cost of one run's tasks, including failed attempts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recent {
    /// Number of measured attempts.
    pub records: u64,
    /// Processor time, in seconds.
    pub cpu_s: f64,
    /// Requested processor time, in seconds: see [`Record::core_s`].
    pub core_s: f64,
    /// The largest peak of memory, in bytes.
    pub memory_bytes: u64,
    /// Whether that peak is an upper bound.
    pub memory_at_most: bool,
    /// The largest memory limit, in bytes; 0: there was none.
    pub memory_limit_bytes: u64,
    /// The slowest attempts, slowest first.
    pub slowest: Vec<Slow>,
}

/// One attempt at a task.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slow {
    /// Number of the task.
    pub task: u64,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Whether it failed.
    pub failed: bool,
}

impl Recent {
    /// Adds up the tasks that began at `since_s` (seconds since 1970) or later, and keeps the `keep` slowest attempts.
    /// `path` is as for [`super::MonitorSummary::read`]. Files that were not written to since then are not read.
    ///
    /// # Errors
    /// As [`super::MonitorSummary::read`].
    pub fn read(path: &Path, since_s: f64, keep: usize) -> Result<Self> {
        let read = |file: &std::path::PathBuf| {
            let mut recent = Self::default();
            files::read(file, &mut |record| {
                if record.whole && record.start_s >= since_s {
                    recent.add(&record, keep);
                }
            })?;
            Ok(recent)
        };
        let parts = files::list_since(path, since_s)?.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().fold(Self::default(), |sum, part| sum.join(part, keep)))
    }

    fn add(&mut self, record: &Record, keep: usize) {
        self.records += 1;
        self.cpu_s += record.cpu_s;
        self.core_s += record.core_s();
        self.add_memory(record.memory_bytes, record.memory_at_most, record.memory_limit_bytes);
        let slow = record.task.map(|task| Slow { task, wall_s: record.wall_s, failed: record.failed });
        let least = self.slowest.get(keep.wrapping_sub(1)).map_or(-1.0, |slow| slow.wall_s);
        self.slowest.extend(slow.filter(|slow| slow.wall_s > least));
        self.keep_slowest(keep);
    }

    fn add_memory(&mut self, bytes: u64, at_most: bool, limit_bytes: u64) {
        if (bytes, !at_most) > (self.memory_bytes, !self.memory_at_most) {
            (self.memory_bytes, self.memory_at_most) = (bytes, at_most);
        }
        self.memory_limit_bytes = self.memory_limit_bytes.max(limit_bytes);
    }

    fn keep_slowest(&mut self, keep: usize) {
        self.slowest.sort_by(|a, b| b.wall_s.total_cmp(&a.wall_s));
        self.slowest.truncate(keep);
    }

    fn join(mut self, other: Self, keep: usize) -> Self {
        self.records += other.records;
        self.cpu_s += other.cpu_s;
        self.core_s += other.core_s;
        self.add_memory(other.memory_bytes, other.memory_at_most, other.memory_limit_bytes);
        self.slowest.extend(other.slowest);
        self.keep_slowest(keep);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::Monitor;
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "uses files")]
    fn tasks_of_this_run_count_and_those_of_others_do_not() {
        let folder = tempfile::tempdir().expect("folder");
        let record = |task: u64, start_s: f64, wall_s: f64| Record {
            operation: "program".to_owned(),
            task: Some(task),
            whole: true,
            start_s,
            wall_s,
            cpu_s: wall_s / 2.0,
            cores: 2,
            memory_bytes: task,
            memory_limit_bytes: 100,
            ..Record::default()
        };
        for worker in 0..2 {
            let monitor = Monitor::open(folder.path()).expect("opens");
            monitor.record(record(99, 50.0, 1000.0)).expect("an earlier run");
            for task in 0..4 {
                let task = task * 2 + worker;
                monitor
                    .record(record(task, 100.0, f64::from(u32::try_from(task).expect("few")) + 1.0))
                    .expect("writes");
            }
            monitor.record(Record { whole: false, ..record(0, 100.0, 500.0) }).expect("a part of a task");
        }
        let recent = Recent::read(folder.path(), 100.0, 3).expect("reads");
        assert_eq!((recent.records, recent.cpu_s, recent.core_s), (8, 18.0, 72.0));
        assert_eq!((recent.memory_bytes, recent.memory_limit_bytes), (7, 100));
        assert_eq!(recent.slowest.iter().map(|slow| slow.task).collect::<Vec<_>>(), [7, 6, 5]);
        assert_eq!(Recent::read(folder.path(), 200.0, 3).expect("reads"), Recent::default());
    }
}
