//! Sums of records: time, memory, and the used share of what was requested.

use super::record::Record;
use serde::Serialize;

/// The cost of a group of records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// Number of records.
    pub records: u64,
    /// Number of failed records.
    pub failed: u64,
    /// Wall time per record, in seconds.
    pub wall_s: Spread,
    /// Percentiles of the wall time, in seconds.
    pub wall_percentiles_s: Percentiles,
    /// Processor time per record, in seconds.
    pub cpu_s: Spread,
    /// Sum of requested processors times wall time, in seconds.
    pub core_s: f64,
    /// Processor time divided by [`Costs::core_s`]. `None`: no time passed.
    pub cpu_share: Option<f64>,
    /// The largest peak of memory, in bytes.
    pub memory_bytes: u64,
    /// Whether that peak is an upper bound: see [`super::ChildUsage::memory_at_most`].
    pub memory_at_most: bool,
    /// The largest memory limit, in bytes. `None`: there was none.
    pub memory_limit_bytes: Option<u64>,
    /// The largest share of its limit that a record reached. `None`: there were no limits.
    pub memory_share: Option<f64>,
}

/// Sum, mean and range, in the unit of the field.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is named after what it holds")]
pub struct Spread {
    pub total: f64,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
}

/// The smallest values that half, nine tenths and so on of all values do not exceed; 0 without values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "each field is named after its percentage")]
pub struct Percentiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
}

impl Percentiles {
    /// Percentiles of these values, which it reorders.
    #[must_use]
    pub fn of(values: &mut [f64]) -> Self {
        let mut at = |percent: usize| {
            // The rank is the share rounded up, counted from one.
            let rank = (values.len() * percent).div_ceil(100).max(1) - 1;
            if rank >= values.len() { 0.0 } else { *values.select_nth_unstable_by(rank, f64::total_cmp).1 }
        };
        Self { p50: at(50), p90: at(90), p99: at(99) }
    }
}

/// The largest peak so far. Among equal ones an exact one wins.
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
        let min = if records == 0 { 0.0 } else { min };
        Spread { total, mean: total / records.max(1) as f64, min, max }
    }
}

/// Sums of records of one kind, from one or several files. Takes 8 bytes of memory per record.
#[derive(Clone, Debug)]
pub(super) struct CostSums {
    records: u64,
    failed: u64,
    pub(super) counts: u64,
    pub(super) bytes: u64,
    pub(super) received: u64,
    wall: Times,
    walls: Vec<f64>,
    cpu: Times,
    core_s: f64,
    memory: Memory,
    limit_bytes: u64,
    memory_share: f64,
}

impl Default for CostSums {
    fn default() -> Self {
        Self {
            records: 0,
            failed: 0,
            counts: 0,
            bytes: 0,
            received: 0,
            wall: Times::NONE,
            walls: Vec::new(),
            cpu: Times::NONE,
            core_s: 0.0,
            memory: Memory::default(),
            limit_bytes: 0,
            memory_share: 0.0,
        }
    }
}

impl CostSums {
    pub(super) fn add_one(&mut self, r: &Record) {
        self.records += 1;
        self.failed += u64::from(r.failed);
        self.counts = self.counts.saturating_add(r.counts);
        self.bytes = self.bytes.saturating_add(r.bytes);
        self.received = self.received.saturating_add(r.received);
        self.wall.add_one(r.wall_s);
        self.walls.push(r.wall_s);
        self.cpu.add_one(r.cpu_s);
        self.core_s += r.core_s();
        self.memory.add(Memory { bytes: r.memory_bytes, at_most: r.memory_at_most });
        if r.memory_limit_bytes > 0 {
            self.limit_bytes = self.limit_bytes.max(r.memory_limit_bytes);
            self.memory_share = self.memory_share.max(share(r.memory_bytes, r.memory_limit_bytes));
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.failed += other.failed;
        self.counts = self.counts.saturating_add(other.counts);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.received = self.received.saturating_add(other.received);
        self.wall.add(other.wall);
        self.walls.extend_from_slice(&other.walls);
        self.cpu.add(other.cpu);
        self.core_s += other.core_s;
        self.memory.add(other.memory);
        self.limit_bytes = self.limit_bytes.max(other.limit_bytes);
        self.memory_share = self.memory_share.max(other.memory_share);
    }

    pub(super) fn costs(mut self) -> Costs {
        let has_limit = self.limit_bytes > 0;
        Costs {
            records: self.records,
            failed: self.failed,
            wall_s: self.wall.spread(self.records),
            wall_percentiles_s: Percentiles::of(&mut self.walls),
            cpu_s: self.cpu.spread(self.records),
            core_s: self.core_s,
            cpu_share: (self.core_s > 0.0).then(|| self.cpu.total / self.core_s),
            memory_bytes: self.memory.bytes,
            memory_at_most: self.memory.at_most,
            memory_limit_bytes: has_limit.then_some(self.limit_bytes),
            memory_share: has_limit.then_some(self.memory_share),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_of_what_was_asked_for() {
        let record = |cores, cpu_s, memory_bytes, memory_limit_bytes| Record {
            wall_s: 10.0,
            cpu_s,
            cores,
            memory_bytes,
            memory_limit_bytes,
            ..Record::default()
        };
        let mut tally = CostSums::default();
        for record in [record(4, 20.0, 50, 100), record(0, 10.0, 90, 0), record(1, 5.0, 30, 40)] {
            tally.add_one(&record);
        }
        let costs = tally.costs();
        assert_eq!((costs.core_s, costs.cpu_share), (60.0, Some(35.0 / 60.0)));
        assert_eq!((costs.memory_bytes, costs.memory_limit_bytes, costs.memory_share), (90, Some(100), Some(0.75)));
        let none = CostSums::default().costs();
        assert_eq!((none.cpu_share, none.memory_share, none.wall_s.min), (None, None, 0.0));
    }

    proptest! {
        /// Against a naive model: sort and count from the front.
        #[test]
        fn percentiles_are_the_least_that_so_many_do_not_exceed(values in prop::collection::vec(0.0f64..1e6, 0..300)) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let naive = |percent: usize| {
                let enough = |k: &usize| (k + 1) * 100 >= sorted.len() * percent;
                (0..sorted.len()).find(enough).map_or(0.0, |k| sorted[k])
            };
            let found = Percentiles::of(&mut values.clone());
            prop_assert_eq!(found, Percentiles { p50: naive(50), p90: naive(90), p99: naive(99) });
        }
    }
}
