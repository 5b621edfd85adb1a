//! Places boxes in a drawing. Pure.

use super::timeline::{Event, Timeline};
use std::collections::BTreeMap;

/// Further levels are drawn on top of each other.
const MOST_LEVELS: usize = 48;
/// Clocks are read one after the other, so neighbours may seem to overlap by this much, in seconds.
const OVERLAP_S: f64 = 1e-6;

/// One worker, or one of its threads. It has as many levels as events overlap. Operations within another one are on a
/// level below it.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    pub(super) worker: &'a str,
    /// Number of the thread within its worker, from 1; 0 if it is the only one.
    pub(super) thread: usize,
    /// At least one level, each in order of time.
    pub(super) levels: Vec<Vec<&'a Event>>,
}

/// All lanes, in order of workers and threads.
pub(super) fn lanes(timeline: &Timeline) -> Vec<Lane<'_>> {
    let mut threads: BTreeMap<(u32, u32), Vec<&Event>> = BTreeMap::new();
    for event in &timeline.events {
        threads.entry((event.worker, event.thread)).or_default().push(event);
    }
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for (worker, _) in threads.keys() {
        *counts.entry(*worker).or_default() += 1;
    }
    let mut numbers: BTreeMap<u32, usize> = BTreeMap::new();
    threads
        .into_iter()
        .map(|((worker, _), events)| {
            let number = numbers.entry(worker).or_default();
            *number += 1;
            let thread = if counts.get(&worker) == Some(&1) { 0 } else { *number };
            let name = timeline.workers.get(worker as usize).map_or("", String::as_str);
            Lane { worker: name, thread, levels: levels(events) }
        })
        .collect()
}

/// Puts each event on the first level that is free when it begins. Of events that begin together, the longest comes
/// first.
fn levels(mut events: Vec<&Event>) -> Vec<Vec<&Event>> {
    events.sort_by(|a, b| a.start_s.total_cmp(&b.start_s).then(b.wall_s.total_cmp(&a.wall_s)));
    let mut levels: Vec<(f64, Vec<&Event>)> = Vec::new();
    for event in events {
        let free = levels.iter().position(|(end, _)| *end <= event.start_s + OVERLAP_S);
        let level = free.unwrap_or_else(|| {
            if levels.len() < MOST_LEVELS {
                levels.push((f64::NEG_INFINITY, Vec::new()));
            }
            levels.len() - 1
        });
        if let Some((end, events)) = levels.get_mut(level) {
            *end = end.max(event.end_s());
            events.push(event);
        }
    }
    levels.into_iter().map(|(_, events)| events).collect()
}

/// Distance of the marks of an axis over `span`, for at most about `most` marks: 1, 2 or 5 times a power of ten.
pub(super) fn step(span: f64, most: f64) -> f64 {
    let least = (span / most).max(1e-9);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|k| k * power).find(|s| *s >= least * 0.999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::super::timeline::tests::{record, timeline};
    use super::*;
    use crate::monitor::Record;

    #[test]
    fn parts_lie_below_their_whole_and_neighbours_beside() {
        let of = |thread: u32, record: Record| Record { thread, ..record };
        let a = vec![
            of(4, record("part", 0.0, 1.0)),
            of(4, record("part", 1.0 - 1e-8, 0.5)),
            of(4, record("whole", 0.0, 3.0)),
            of(4, record("next", 3.0, 1.0)),
            of(9, record("other", 2.0, 9.0)),
        ];
        let timeline = timeline(&[("a", a), ("b", vec![record("x", 1.0, 1.0)])]);
        let lanes = lanes(&timeline);
        let seen: Vec<_> = lanes.iter().map(|l| (l.worker, l.thread, l.levels.len())).collect();
        assert_eq!(seen, [("a", 1, 2), ("a", 2, 1), ("b", 0, 1)]);
        let names = |level: &[&Event]| level.iter().map(|e| timeline.operation(e)).collect::<Vec<_>>();
        assert_eq!(names(&lanes[0].levels[0]), ["whole", "next"]);
        assert_eq!(names(&lanes[0].levels[1]), ["part", "part"]);
    }

    #[test]
    fn levels_are_bounded_and_lose_nothing() {
        let many = (0..200).map(|k| record("x", f64::from(k), 1000.0)).collect();
        let timeline = timeline(&[("a", many)]);
        let lanes = lanes(&timeline);
        assert_eq!(lanes[0].levels.len(), MOST_LEVELS);
        assert_eq!(lanes[0].levels.iter().map(Vec::len).sum::<usize>(), 200);
    }

    #[test]
    fn marks_of_an_axis_are_round_and_not_too_many() {
        for (span, expected) in [(10.0, 1.0), (12.0, 2.0), (0.0, 1e-9), (3600.0, 500.0), (4e-5, 5e-6)] {
            let step = step(span, 10.0);
            assert!((step / expected - 1.0).abs() < 1e-9, "{span}: {step}");
        }
    }
}
