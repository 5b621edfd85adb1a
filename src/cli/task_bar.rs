//! Progress of a run of tasks: a bar on a terminal, otherwise occasional lines.

use super::output::say;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Shortest interval between two lines without a terminal.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// A line is due when one part in this many of all tasks has ended since the last line.
const LINE_PART: u64 = 20;

/// Numbers of tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub done: u64,
    /// Failed finally.
    pub failed: u64,
    pub running: u64,
    /// Failed attempts whose tasks were or will be retried.
    pub retried: u64,
}

/// A bar of tasks on standard error, with rate, time left, running and failed tasks. Without a terminal it prints
/// occasional lines instead.
pub struct TaskBar {
    bar: ProgressBar,
    total: u64,
    quiet: bool,
    lines: Option<Lines>,
    note: String,
    pace: Option<Pace>,
}

/// The pace of this run. The rate counts whole tasks. Nothing is known between two ends, so neither rate nor time left
/// change there.
#[derive(Clone, Copy)]
pub struct Pace {
    start: Instant,
    /// Tasks that earlier runs had done.
    before: u64,
    done: u64,
    /// When the last task ended.
    last: Instant,
}

impl Pace {
    pub fn new(done: u64, now: Instant) -> Self {
        Self { start: now, before: done, done, last: now }
    }

    pub fn set(&mut self, done: u64, now: Instant) {
        if done != self.done {
            (self.done, self.last) = (done, now);
        }
    }

    /// Tasks per second. `None`: no task has ended yet.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn rate(&self) -> Option<f64> {
        let (done, took) = (self.done.saturating_sub(self.before), (self.last - self.start).as_secs_f64());
        (done > 0 && took > 0.0).then(|| done as f64 / took)
    }

    /// ` 3.1/s, 2m left`, as of now.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn text(&self, total: u64, now: Instant) -> String {
        let Some(rate) = self.rate() else { return String::new() };
        let per = if rate < 0.1 { format!("{:.1}/min", rate * 60.0) } else { format!("{rate:.1}/s") };
        let all = total.saturating_sub(self.done) as f64 / rate;
        let left = (all - (now - self.last).as_secs_f64()).max(0.0);
        // If the next task takes longer than those before, no estimate is possible.
        let left = if left < 1.0 && all >= 1.0 {
            "?".to_owned()
        } else {
            HumanDuration(Duration::from_secs_f64(left)).to_string()
        };
        format!(" {per}, {left} left")
    }
}

/// Decides when a line is due: a twentieth of the tasks *and* a minute after the last one, whichever is later.
struct Lines {
    at: Instant,
    ended: u64,
}

impl Lines {
    fn new(ended: u64, now: Instant) -> Self {
        Self { at: now, ended }
    }

    fn is_due(&mut self, ended: u64, total: u64, now: Instant) -> bool {
        let is_far = ended.saturating_sub(self.ended).saturating_mul(LINE_PART) >= total.max(1);
        let is_due = is_far && now - self.at >= LINE_EVERY;
        if is_due {
            *self = Self::new(ended, now);
        }
        is_due
    }
}

impl TaskBar {
    pub fn new(total: u64, quiet: bool) -> Self {
        let hidden = quiet || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("[{bar:20}] {pos}/{len}{wide_msg}") {
            bar.set_style(style.progress_chars("█▓░"));
        }
        Self { bar, total, quiet, lines: None, note: String::new(), pace: None }
    }

    /// Shows this text with the counts from now on.
    pub fn note(&mut self, text: String) {
        self.note = text;
    }

    /// Sets the progress.
    pub fn set(&mut self, counts: Counts) {
        let Counts { done, failed, running, retried } = counts;
        let mut text = format!(", {running} running");
        for (count, what) in [(failed, "failed"), (retried, "retried")] {
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        if !self.note.is_empty() {
            let _ = write!(text, "; {}", self.note);
        }
        let (now, ended) = (Instant::now(), done + failed);
        // What earlier runs did says nothing about this one's rate.
        let pace = self.pace.get_or_insert_with(|| Pace::new(ended, now));
        pace.set(ended, now);
        let text = format!("{}{text}", pace.text(self.total, now));
        self.bar.set_position(done);
        let is_due = self.lines.get_or_insert_with(|| Lines::new(ended, now)).is_due(ended, self.total, now);
        if is_due && self.bar.is_hidden() && !self.quiet {
            say(format_args!("{done} of {} tasks are done,{text}", self.total));
        }
        self.bar.set_message(text);
    }

    /// Prints a line above the bar.
    pub fn say(&self, text: &str) {
        say_above(&self.bar, text);
    }

    /// [`TaskBar::say`] for other threads.
    pub fn voice(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let bar = self.bar.clone();
        move |text| say_above(&bar, text)
    }

    /// Removes the bar.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn say_above(bar: &ProgressBar, text: &str) {
    bar.suspend(|| say(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_after_five_percent_or_a_minute_whichever_is_later() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut lines = Lines::new(100, start);
        assert!(!lines.is_due(900, 1000, at(59)), "a minute has not passed");
        assert!(lines.is_due(901, 1000, at(60)));
        assert!(!lines.is_due(950, 1000, at(3600)), "49 of 1000 are less than 5 %");
        assert!(lines.is_due(951, 1000, at(3601)));
        assert!(!lines.is_due(1000, 1000, at(3602)));
        // Ten thousand tasks overnight give at most twenty lines, however fast they end.
        let (mut lines, mut count) = (Lines::new(0, start), 0);
        for task in 0..=10_000 {
            count += u64::from(lines.is_due(task, 10_000, at(task * 3)));
        }
        assert_eq!(count, LINE_PART);
    }

    #[test]
    fn rate_and_time_left_are_those_of_this_run() {
        let start = Instant::now();
        let mut pace = Pace::new(50, start);
        assert_eq!(pace.text(100, start), "");
        pace.set(60, start + Duration::from_secs(20));
        assert_eq!(pace.text(100, start + Duration::from_secs(20)), " 0.5/s, 80 seconds left");
        assert_eq!(pace.text(100, start + Duration::from_secs(200)), " 0.5/s, ? left");
    }
}
