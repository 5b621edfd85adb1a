//! Waits with a time limit, back-off, and reports of the lock's holder.

use crate::error::ErrorKind;
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// First pause between two attempts. Later ones double, up to an eighth of the wait so far.
const FIRST_PAUSE: Duration = Duration::from_micros(20);
const SHORT_PAUSE: Duration = Duration::from_millis(1);
/// Longest pause. It is short, so that a process that has waited long has the same chance as one that just came.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);
/// A wait is reported after this long, and again each time it has become three times as long.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Interval between calls of [`Interrupt`].
const ASK: Duration = Duration::from_millis(100);

/// A wait that is long enough to be reported.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// The lock that is waited for.
    pub what: &'static str,
    /// Its holder, as far as the system says.
    pub holder: &'a str,
    /// How long the wait has lasted.
    pub waited: Duration,
}

/// Called when a wait has lasted a second, and then at growing intervals.
pub type Tell = Arc<dyn Fn(&Waiting<'_>) + Send + Sync>;

/// Called during a wait; returns whether to give up.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

/// How long to wait for locks, and where to report long waits.
#[derive(Clone)]
pub struct Patience {
    /// Fail after this long.
    pub timeout: Duration,
    /// Receives reports of long waits.
    pub tell: Option<Tell>,
    /// Called ten times per second; returns whether to give up.
    pub interrupt: Option<Interrupt>,
    /// How to pause between two attempts: [`std::thread::sleep`], or something else in tests that schedule threads
    /// themselves.
    pub sleep: fn(Duration),
}

impl Default for Patience {
    /// 300 s, silently.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(300), tell: None, interrupt: None, sleep: std::thread::sleep }
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl Patience {
    /// Waits for at most `timeout`, and reports long waits on standard error.
    #[must_use]
    pub fn telling(timeout: Duration) -> Self {
        let tell = |w: &Waiting<'_>| {
            // If standard error is closed, the wait goes on without reports.
            let _ = writeln!(
                io::stderr(),
                "h5part: waiting for {} for {:.0} s; it is held by {}",
                w.what,
                w.waited.as_secs_f64(),
                w.holder
            );
        };
        Self { timeout, tell: Some(Arc::new(tell)), ..Self::default() }
    }

    /// Runs `body`, and says after a second, and then at growing intervals, that it has not returned. This is for calls that
    /// wait inside the system.
    pub fn watch<T>(&self, what: &'static str, holder: &str, body: impl FnOnce() -> T) -> T {
        let Some(tell) = &self.tell else { return body() };
        let (over, is_over) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let (start, mut word) = (Instant::now(), FIRST_WORD);
                while is_over.recv_timeout(word.saturating_sub(start.elapsed())) == Err(RecvTimeoutError::Timeout) {
                    tell(&Waiting { what, holder, waited: start.elapsed() });
                    word *= 3;
                }
            });
            let done = body();
            drop(over);
            done
        })
    }

    /// Retries until `attempt` says that the lock was taken, or the time is up.
    pub(super) fn wait(
        &self,
        what: &'static str,
        mut attempt: impl FnMut() -> io::Result<bool>,
        holder: impl Fn() -> String,
    ) -> Result<(), ErrorKind> {
        self.wait_for(what, || Ok(attempt()?.then_some(())), holder)
    }

    /// Retries until `attempt` returns something.
    ///
    /// # Errors
    /// Those of `attempt`; [`ErrorKind::LockTimeout`]; [`ErrorKind::Interrupted`].
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
        let (mut pause, mut word, mut ask) = (FIRST_PAUSE, FIRST_WORD, ASK);
        loop {
            (self.sleep)(jitter(pause).min(self.timeout.saturating_sub(start.elapsed())));
            if let Some(taken) = attempt()? {
                return Ok(taken);
            }
            let waited = start.elapsed();
            if waited >= self.timeout {
                return Err(ErrorKind::LockTimeout { what, holder: holder(), waited_s: waited.as_secs_f64() });
            }
            if waited >= ask {
                ask = waited + ASK;
                if self.interrupt.as_ref().is_some_and(|interrupt| interrupt()) {
                    return Err(ErrorKind::Interrupted(what));
                }
            }
            if waited >= word {
                word *= 3;
                if let Some(tell) = &self.tell {
                    tell(&Waiting { what, holder: &holder(), waited });
                }
            }
            // The pause is proportional to the wait, so that the last pause does not make a short wait long.
            pause = (pause * 2).min((waited / 8).clamp(SHORT_PAUSE, LONGEST_PAUSE));
        }
    }
}

/// Returns between half and all of the pause, so that waiting processes do not run in step.
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
    fn a_wait_can_be_interrupted() {
        let asked = Arc::new(AtomicU32::new(0));
        let ask = Arc::clone(&asked);
        let interrupt: Interrupt = Arc::new(move || ask.fetch_add(1, Ordering::Relaxed) == 1);
        let patience = Patience { interrupt: Some(interrupt), ..Patience::default() };
        let error = patience.wait("row lock", || Ok(false), String::new).expect_err("is interrupted");
        assert!(matches!(error, ErrorKind::Interrupted("row lock")), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_call_that_does_not_return_is_told() {
        let told = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&told);
        let tell: Tell = Arc::new(move |waiting| {
            assert!(waiting.what == "the server" && waiting.holder == "nobody knows");
            count.fetch_add(1, Ordering::Relaxed);
        });
        let patience = Patience { tell: Some(tell), ..Patience::default() };
        assert_eq!(patience.watch("the server", "nobody knows", || 7), 7);
        assert_eq!(told.load(Ordering::Relaxed), 0);
        patience.watch("the server", "nobody knows", || {
            while told.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
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
