//! Rates at which counts grow, over the last minute.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Rates are averages over about this long.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts by name, each with its recent history.
#[derive(Debug, Default)]
pub struct Rates(BTreeMap<String, VecDeque<(Instant, u64)>>);

impl Rates {
    /// Records the current count.
    pub fn see(&mut self, name: &str, count: u64, now: Instant) {
        let past = self.0.entry(name.to_owned()).or_default();
        // A count that has fallen starts again: rows were reset, or the file is another one.
        if past.back().is_some_and(|(_, last)| *last > count) {
            past.clear();
        }
        past.push_back((now, count));
        // One entry before the window is kept, so that the window is covered.
        while past.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            past.pop_front();
        }
    }

    /// Drops a name that is no longer counted.
    pub fn forget(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Rate per second. `None`: there was only one look.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn of(&self, name: &str) -> Option<f64> {
        let past = self.0.get(name)?;
        let ((from, before), (to, after)) = (past.front()?, past.back()?);
        let took = (*to - *from).as_secs_f64();
        (took > 0.0).then(|| (after - before) as f64 / took)
    }

    /// Estimated time for `left` more, in seconds. `None`: the count does not grow.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn left_s(&self, name: &str, left: u64) -> Option<f64> {
        self.of(name).filter(|rate| *rate > 0.0).map(|rate| left as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        rates.see("E", 100, start);
        assert_eq!(rates.of("E"), None);
        rates.see("E", 120, at(10));
        assert_eq!((rates.of("E"), rates.left_s("E", 10)), (Some(2.0), Some(5.0)));
        for second in 11..=200 {
            rates.see("E", 120, at(second));
        }
        assert_eq!((rates.of("E"), rates.left_s("E", 10)), (Some(0.0), None), "it stands still");
        rates.see("E", 5, at(201));
        rates.see("E", 6, at(202));
        assert_eq!(rates.of("E"), Some(1.0), "it was reset");
    }
}
