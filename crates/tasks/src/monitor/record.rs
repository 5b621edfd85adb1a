//! Measurements as JSON, one per line. This module does no I/O.

use h5part_base::error::ErrorKind;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of the files that this version writes, and the newest one that it reads.
pub const FORMAT: u64 = 1;
/// Durations and dates of true measurements are far below this, in seconds.
const MOST_SECONDS: f64 = 1e12;

/// First line of a worker's file, which identifies the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerHeader {
    /// Format of the lines that follow: [`FORMAT`].
    pub h5part_monitor: u64,
    /// Name of the worker.
    pub worker: String,
    /// Name of its host.
    pub host: String,
    /// Its process id on the host.
    pub pid: u32,
}

/// One measured operation. Empty fields are omitted from the line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Name of the operation. Operations with the same name are added up.
    pub operation: String,
    /// When it began, in seconds since 1970.
    pub start_s: f64,
    /// How long it took, in seconds.
    pub wall_s: f64,
    /// Processor time of its thread, process or child, user plus system, in seconds.
    #[serde(default)]
    pub cpu_s: f64,
    /// Peak of the resident memory of the process (or child) since its start, in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Whether the child's peak is an upper bound: see [`super::ChildUsage::memory_at_most`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_at_most: bool,
    /// How much the peak rose during the operation, in bytes.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_rise_bytes: u64,
    /// Number of requested processors; 0: unknown, which counts as one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cores: u32,
    /// Memory limit in bytes; 0: there was none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub memory_limit_bytes: u64,
    /// Number of the thread within its process, from 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub thread: u32,
    /// Number of the task that it belongs to, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// Whether it stands for that whole task, not for a part of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub whole: bool,
    /// Number of the attempt, from 1; 0 if attempts are not counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempt: u32,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub failed: bool,
    /// Number of things, as counted by the caller.
    #[serde(default, skip_serializing_if = "is_default")]
    pub counts: u64,
    /// Bytes worked on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bytes: u64,
    /// Bytes of the task's result that the distributor of the work received.
    #[serde(default, skip_serializing_if = "is_default")]
    pub received: u64,
    /// Weight of the task, in units of the caller's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Bytes sent to the task, by argument.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sent: BTreeMap<String, u64>,
    /// Number of earlier records of this worker that could not be written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lost: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl WorkerHeader {
    /// Parses a first line, without its end.
    ///
    /// # Errors
    /// [`ErrorKind::NewerFormat`], [`crate::ErrorKind::NotMeasurements`].
    pub fn parse(line: &[u8]) -> Result<Self, ErrorKind> {
        #[derive(Deserialize)]
        struct Version {
            h5part_monitor: u64,
        }
        let version: Version = serde_json::from_slice(line)
            .map_err(|_| crate::ErrorKind::NotMeasurements("its first line does not say what it is"))?;
        if version.h5part_monitor > FORMAT {
            return Err(ErrorKind::NewerFormat { found: version.h5part_monitor, known: FORMAT });
        }
        serde_json::from_slice(line).map_err(|_| crate::ErrorKind::NotMeasurements("its first line is damaged").into())
    }
}

impl Record {
    /// Parses a line, without its end. `None`: it is cut or damaged.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().filter(Self::is_possible)
    }

    /// Whether times and weight are finite, not negative, and below any true duration.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let duration = |s: f64| (0.0..MOST_SECONDS).contains(&s);
        let weight = self.weight.is_none_or(|w| w.is_finite() && w >= 0.0);
        self.start_s.abs() < MOST_SECONDS && duration(self.wall_s) && duration(self.cpu_s) && weight
    }

    /// Requested processor time: processors times wall time, in seconds.
    #[must_use]
    pub fn core_s(&self) -> f64 {
        self.wall_s * f64::from(self.cores.max(1))
    }

    /// When it ended, in seconds since 1970.
    #[must_use]
    pub fn end_s(&self) -> f64 {
        self.start_s + self.wall_s
    }
}

/// Appends a header or a record as one line, with its end.
///
/// # Errors
/// [`ErrorKind::BadRequest`] for values that JSON cannot express. Headers and records have none.
pub(super) fn add_line(out: &mut Vec<u8>, value: &impl Serialize) -> Result<(), ErrorKind> {
    serde_json::to_writer(&mut *out, value).map_err(|e| ErrorKind::BadRequest(e.to_string()))?;
    out.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_record() -> impl Strategy<Value = Record> {
        let name = "\\PC{0,20}|[\"\\\\\n\t\u{1}]{1,4}";
        let seconds = || (0u32..u32::MAX).prop_map(|us| f64::from(us) / 1e3);
        let task = (prop::option::of(any::<u64>()), any::<bool>(), any::<u32>(), any::<bool>());
        let sizes = prop::array::uniform6(any::<u64>());
        let sent = prop::collection::btree_map("\\PC{0,5}", any::<u64>(), 0..3);
        (name, prop::array::uniform3(seconds()), task, sizes, prop::option::of(seconds()), sent).prop_map(
            |(operation, [start_s, wall_s, cpu_s], (task, whole, attempt, failed), sizes, weight, sent)| {
                let [memory_bytes, memory_rise_bytes, counts, bytes, received, memory_limit_bytes] = sizes;
                let (thread, cores, memory_at_most, lost) = (attempt / 2, attempt / 3, !failed, counts / 2);
                Record {
                    operation,
                    start_s,
                    wall_s,
                    cpu_s,
                    memory_bytes,
                    memory_at_most,
                    memory_rise_bytes,
                    cores,
                    memory_limit_bytes,
                    thread,
                    task,
                    whole,
                    attempt,
                    failed,
                    counts,
                    bytes,
                    received,
                    weight,
                    sent,
                    lost,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_is_one_line_and_comes_back(record in any_record()) {
            let mut line = Vec::new();
            add_line(&mut line, &record).expect("JSON");
            prop_assert_eq!(line.split(|&b| b == b'\n').count(), 2);
            line.pop();
            prop_assert_eq!(Record::parse(&line), Some(record));
        }

        #[test]
        fn no_part_of_a_line_passes_for_a_record(record in any_record(), cut in any::<prop::sample::Index>()) {
            let mut line = Vec::new();
            add_line(&mut line, &record).expect("JSON");
            let cut = cut.index(line.len() - 1);
            prop_assert_eq!(Record::parse(&line[..cut]), None);
        }
    }

    #[test]
    fn numbers_that_no_measurement_gives_are_no_record() {
        let line = |start: &str, wall: &str| format!(r#"{{"operation":"x","start_s":{start},"wall_s":{wall}}}"#);
        assert!(Record::parse(line("1.5", "2").as_bytes()).is_some());
        for (start, wall) in [("1", "-1"), ("1e300", "1"), ("1", "1e12"), ("1", "1e999"), ("null", "1")] {
            assert_eq!(Record::parse(line(start, wall).as_bytes()), None, "{start} {wall}");
        }
    }

    #[test]
    fn what_a_newer_version_adds_is_read_over_and_a_newer_format_is_not() {
        let record = Record::parse(br#"{"operation":"x","start_s":1,"wall_s":2,"energy_j":7}"#).expect("record");
        assert_eq!((record.wall_s, record.end_s()), (2.0, 3.0));
        let header =
            WorkerHeader::parse(br#"{"h5part_monitor":1,"worker":"w","host":"h","pid":7,"x":[]}"#).expect("header");
        assert_eq!(header.worker, "w");
        let newer = WorkerHeader::parse(br#"{"h5part_monitor":2,"who":"w"}"#);
        assert!(matches!(newer, Err(ErrorKind::NewerFormat { found: 2, known: FORMAT })));
        assert!(
            matches!(WorkerHeader::parse(b"\x89HDF"), Err(e) if matches!(e.of(), Some(crate::ErrorKind::NotMeasurements(_))))
        );
    }
}
