//! What people see: lines, strips, bars.

use super::hints;
use h5part::{Error, ErrorKind, Result};
use h5part_base::error::At;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt::{Display, Write as _};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Names are padded to this width at most.
pub const WIDEST: usize = 60;
/// Work shorter than this shows no bar.
const BAR_AFTER: Duration = Duration::from_secs(1);

/// Writes a line to standard error, where somebody still reads it: a closed pipe ends no run.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "h5part: {text}");
}

/// Writes an error to standard error, and what can be done about it on a line of its own.
pub fn say_error(error: &Error) {
    say(error);
    if let Some(hint) = hints::of(error) {
        let _ = writeln!(std::io::stderr(), "hint: {hint}");
    }
}

/// The path of a table for people: that of the root group is empty.
pub fn table_name(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Writes a line to standard output; a closed pipe is an error that `main` knows.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(ErrorKind::Io)
        .at("write to", "standard output")
}

/// Writes bytes to standard output as they are.
pub fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(ErrorKind::Io).at("write to", "standard output")
}

/// Writes one JSON document in one line.
pub fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|e| ErrorKind::BadRequest(e.to_string())).at("write", "JSON")?;
    line(text)
}

/// Coverage as a strip, one character a part: `·` nothing, `░▒▓` some, `█` all.
pub fn strip(coverage: &[f32]) -> String {
    let shade = |share: &f32| match share {
        s if *s <= 0.0 => '·',
        s if *s < 0.34 => '░',
        s if *s < 0.67 => '▒',
        s if *s < 1.0 => '▓',
        _ => '█',
    };
    coverage.iter().map(shade).collect()
}

/// `12.3 MB`.
#[expect(clippy::cast_precision_loss, reason = "for display")]
pub fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        _ => format!("{:.2} GB", n as f64 / 1e9),
    }
}

/// A bar of bytes on standard error that appears when the work takes longer than a second, and
/// vanishes at its end. Not on a terminal, it is not there.
pub struct LateBar {
    bar: ProgressBar,
    start: Instant,
}

impl LateBar {
    pub fn new(what: &'static str) -> Self {
        let bar = ProgressBar::hidden();
        let style = "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("█▓░"));
        }
        bar.set_message(what);
        Self { bar, start: Instant::now() }
    }

    /// Sets how far the work is.
    pub fn set(&self, done: u64, total: u64) {
        if self.bar.is_hidden() && self.start.elapsed() > BAR_AFTER && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_length(total);
        self.bar.set_position(done);
    }
}

impl Drop for LateBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A bar of tasks on standard error, with rate, time left and failures. Not on a terminal, a line now and
/// then takes its place.
pub struct TaskBar {
    bar: ProgressBar,
    total: u64,
    quiet: bool,
    due: Instant,
    note: String,
    pace: Option<Pace>,
}

/// How fast this run has been. The rate is that of whole tasks: between two ends nothing is known, and neither rate nor
/// time left change.
#[derive(Clone, Copy)]
struct Pace {
    start: Instant,
    /// What was done before, by earlier runs.
    before: u64,
    done: u64,
    /// When the last task ended.
    last: Instant,
}

impl Pace {
    fn new(done: u64, now: Instant) -> Self {
        Self { start: now, before: done, done, last: now }
    }

    fn set(&mut self, done: u64, now: Instant) {
        if done != self.done {
            (self.done, self.last) = (done, now);
        }
    }

    /// Tasks per second; `None` before the first one has ended.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn rate(&self) -> Option<f64> {
        let (done, took) = (self.done.saturating_sub(self.before), (self.last - self.start).as_secs_f64());
        (done > 0 && took > 0.0).then(|| done as f64 / took)
    }

    /// ` 3.1/s, 2m left`, as of now.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn text(&self, total: u64, now: Instant) -> String {
        let Some(rate) = self.rate() else { return String::new() };
        let per = if rate < 0.1 { format!("{:.1}/min", rate * 60.0) } else { format!("{rate:.1}/s") };
        let all = total.saturating_sub(self.done) as f64 / rate;
        let left = (all - (now - self.last).as_secs_f64()).max(0.0);
        // Where the next task takes longer than those before, nobody knows.
        let left = if left < 1.0 && all >= 1.0 {
            "?".to_owned()
        } else {
            HumanDuration(Duration::from_secs_f64(left)).to_string()
        };
        format!(" {per}, {left} left")
    }
}

fn say_above(bar: &ProgressBar, text: &str) {
    bar.suspend(|| say(text));
}

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

impl TaskBar {
    pub fn new(total: u64, quiet: bool) -> Self {
        let hidden = quiet || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {pos}/{len}{msg}") {
            bar.set_style(style.progress_chars("█▓░"));
        }
        Self { bar, total, quiet, due: Instant::now() + LINE_EVERY, note: String::new(), pace: None }
    }

    /// Something to be seen with the counts from now on.
    pub fn note(&mut self, text: String) {
        self.note = text;
    }

    /// Sets how far the work is.
    pub fn set(&mut self, done: u64, failed: u64, running: u64) {
        let mut text = format!(", {running} running");
        if failed > 0 {
            let _ = write!(text, ", {failed} failed");
        }
        if !self.note.is_empty() {
            let _ = write!(text, "; {}", self.note);
        }
        let now = Instant::now();
        // What earlier runs did says nothing about this one's rate.
        let pace = self.pace.get_or_insert_with(|| Pace::new(done, now));
        pace.set(done, now);
        let text = format!("{}{text}", pace.text(self.total, now));
        self.bar.set_position(done);
        if self.bar.is_hidden() && !self.quiet && Instant::now() >= self.due {
            self.due = Instant::now() + LINE_EVERY;
            say(format_args!("{done} of {} tasks are done{text}", self.total));
        }
        self.bar.set_message(text);
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        say_above(&self.bar, text);
    }

    /// [`TaskBar::say`] for another thread.
    pub fn voice(&self) -> impl Fn(&str) + Send + Sync + use<> {
        let bar = self.bar.clone();
        move |text| say_above(&bar, text)
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
