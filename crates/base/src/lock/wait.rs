//! Waiting with a limit, with back-off, and never without saying for whom.

use crate::error::ErrorKind;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// First pause between two tries; it doubles up to an eighth of the wait.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// Short, so that who has waited long has no worse odds than who comes now.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// A wait is told after this long, and again each time it has become three times as long.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// A wait that has lasted long enough to be worth a word.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// Which lock.
    pub what: &'static str,
    /// Who holds it, as far as the system tells.
    pub holder: &'a str,
    /// For how long already.
    pub waited: Duration,
}

/// Called when a wait has lasted a second, and then ever more rarely.
pub type Tell = Arc<dyn Fn(&Waiting<'_>) + Send + Sync>;

/// How long to wait for locks, and whom to tell.
#[derive(Clone)]
pub struct Patience {
    /// Give up after this long.
    pub timeout: Duration,
    /// Told of long waits.
    pub tell: Option<Tell>,
    /// How to pause between two tries: [`std::thread::sleep`]. Tests that order threads themselves put
    /// their own in its place.
    pub sleep: fn(Duration),
}

impl Default for Patience {
    /// 300 s, silently.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), tell: None, sleep: std::thread::sleep }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Patience {
    /// Waits so long, and says on standard error for whom.
    #[must_use]
    pub fn telling(timeout: Duration) -> Self {
        let tell = |w: &Waiting<'_>| {
            // Where nobody reads it, nobody is told; that ends no wait.
            let _ = writeln!(
                io::stderr(),
                "h5part: waiting for {} since {:.0} s; it is held by {}",
                w.what,
                w.waited.as_secs_f64(),
                w.holder
            );
        };
        Self { timeout, tell: Some(Arc::new(tell)), ..Self::default() }
    }

    /// Tries until it succeeds or the time is over. `attempt` says whether the lock was taken.
    pub(super) fn wait(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> io::Result<bool>,
        holder: impl Fn() -> String,
    ) -> Result<(), ErrorKind> {
        self.wait_for(what, || Ok(attempt()?.then_some(())), holder)
    }

    /// The same for an attempt that returns something.
    ///
    /// # Errors
    /// Those of `attempt`; [`ErrorKind::LockTimeout`].
    pub fn wait_for<T>(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> Result<Option<T>, ErrorKind>,
        holder: impl Fn() -> String,
    ) -> Result<T, ErrorKind> {
        if let Some(taken) = attempt()? {
            return Ok(taken);
        }
        let start = Instant::now();
        let (mut pause, mut word) = (FIRST_PAUSE, FIRST_WORD);
        loop {
            (self.sleep)(jitter(pause).min(self.timeout.saturating_sub(start.elapsed())));
            if let Some(taken) = attempt()? {
                return Ok(taken);
            }
            let waited = start.elapsed();
            if waited >= self.timeout {
                return Err(ErrorKind::LockTimeout { what, holder: holder(), waited_s: waited.as_secs_f64() });
            }
            if waited >= word {
                word *= 3;
                if let Some(tell) = &self.tell {
                    tell(&Waiting { what, holder: &holder(), waited });
                }
            }
            // In proportion to the wait: a short one is not made long by its last pause.
            pause = (pause * 2).min((waited / 8).clamp(SHORT_PAUSE, LONGEST_PAUSE));
        }
    }
}

/// Between half and all of the pause, so that waiters don't march in step.
fn jitter(pause: Duration) -> Duration {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |t| t.subsec_nanos());
    let share = f64::from(nanos.wrapping_mul(2_654_435_761) >> 16) / f64::from(1u32 << 16);
    pause.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_wait_ends_in_time_and_names_the_holder() {
        let patience = Patience { timeout: Duration::from_millis(30), ..Patience::default() };
        let error = patience.wait("row lock", || Ok(false), || "pid 7".to_owned()).expect_err("times out");
        assert!(error.to_string().contains("row lock is still held") && error.to_string().contains("pid 7"));
    }

    #[test]
    fn success_needs_no_pause() {
        let tries = AtomicU32::new(0);
        let attempt = || Ok(tries.fetch_add(1, Ordering::Relaxed) == 3);
        Patience::default().wait("gate", attempt, String::new).expect("succeeds");
        assert_eq!(tries.into_inner(), 4);
    }

    #[test]
    fn jitter_stays_in_bounds() {
        for _ in 0..if cfg!(miri) { 20 } else { 1000 } {
            let pause = jitter(Duration::from_millis(10));
            assert!(pause >= Duration::from_millis(5) && pause <= Duration::from_millis(10), "{pause:?}");
        }
    }
}
