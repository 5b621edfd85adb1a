//! Visits all states, on all processors.

use super::image::Recording;
use super::points::points;
use super::states::{Point, Sampling, State};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// States that one thread takes at a time.
const PART: u64 = 256;

/// The result of a visit.
#[derive(Debug, Default)]
pub struct Visited {
    /// States that were put on a disk, recovered, and checked.
    pub states: u64,
    /// What was wrong with the first bad state.
    pub violation: Option<String>,
}

impl Visited {
    /// Asserts that all states were right. Returns their number.
    #[track_caller]
    pub fn holds(self) -> u64 {
        assert!(self.violation.is_none(), "after {} states: {}", self.states, self.violation.unwrap_or_default());
        self.states
    }

    #[track_caller]
    pub fn must_be_wrong(self, what: &str) {
        let violation = self.violation.unwrap_or_else(|| panic!("{what}: taken out, and nothing is wrong"));
        eprintln!("without {what}, state {}: {violation}", self.states);
    }
}

/// Checks every state of a recording; each thread has its own bench. Ends at the first violation.
pub fn visit<B>(
    recording: &Recording,
    sampling: Sampling,
    bench: impl Fn() -> B + Sync,
    check: impl Fn(&mut B, &State<'_>) -> Result<(), String> + Sync,
) -> Visited {
    let points = points(recording, sampling);
    let parts: Vec<(&Point, u64, u64)> = points
        .iter()
        .flat_map(|point| {
            let count = point.count(sampling);
            (0..count.div_ceil(PART)).map(move |part| (point, part * PART, count.min((part + 1) * PART)))
        })
        .collect();
    let (next, states) = (AtomicUsize::new(0), AtomicU64::new(0));
    let (over, violation) = (AtomicBool::new(false), Mutex::new(None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(parts.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut bench = bench();
                while let Some((point, from, to)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for number in *from..*to {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        let state = point.state(number);
                        states.fetch_add(1, Ordering::Relaxed);
                        if let Err(what) = check(&mut bench, &state) {
                            over.store(true, Ordering::Relaxed);
                            let seed = sampling.seed;
                            *violation.lock().expect("lock") = Some(format!("{what} (seed {seed}, {state:?})"));
                        }
                    }
                }
            });
        }
    });
    Visited { states: states.into_inner(), violation: violation.into_inner().expect("lock") }
}
