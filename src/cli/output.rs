//! Output for people: lines, strips, bars.

use super::hints;
use h5part::{Error, ErrorKind, Result};
use h5part_base::error::At;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Names are padded to at most this width.
pub const WIDEST: usize = 60;
/// Work shorter than this shows no bar.
const BAR_AFTER: Duration = Duration::from_secs(1);

/// Writes a line to standard error. If the pipe is closed, the run goes on.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "h5part: {text}");
}

/// Writes an error to standard error, with a hint on a line of its own. Whom a lock waited for and what to do about that
/// process stay together: many workers that write to one log would part them.
pub fn say_error(error: &Error) {
    match hints::of(error) {
        Some(hint) if matches!(error.kind(), ErrorKind::LockTimeout { .. }) => say(format_args!("{error}; {hint}")),
        Some(hint) => say(format_args!("{error}\nhint: {hint}")),
        None => say(error),
    }
}

/// The path of a table for display, since that of the root group is empty.
pub fn table_name(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Writes a line to standard output. A closed pipe is an error that `main` recognizes.
pub fn line(text: impl AsRef<str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(ErrorKind::Io)
        .at("write to", "standard output")
}

/// Writes bytes to standard output.
pub fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(ErrorKind::Io).at("write to", "standard output")
}

/// Writes a JSON document as one line.
pub fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value).map_err(|e| ErrorKind::BadRequest(e.to_string())).at("write", "JSON")?;
    line(text)
}

/// Formats coverage as a strip with one character per part: `·` nothing, `░▒▓` some, `█` all.
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

/// `12.3 ms`, with three digits if the unit has them.
pub fn duration(s: f64) -> String {
    let digits = |value: f64, unit: &str| {
        let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        format!("{value:.decimals$} {unit}")
    };
    match s {
        s if s <= 0.0 => "0 s".to_owned(),
        s if s < 1e-3 => digits(s * 1e6, "us"),
        s if s < 1.0 => digits(s * 1e3, "ms"),
        s if s < 600.0 => digits(s, "s"),
        s if s < 360_000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// A bar of bytes on standard error. It appears when the work takes longer than a second, and disappears at the end.
/// There is none without a terminal.
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

    /// Sets the progress.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_and_have_a_unit() {
        for (s, expected) in [
            (0.0, "0 s"),
            (1.2345e-6, "1.23 us"),
            (0.0123, "12.3 ms"),
            (0.4567, "457 ms"),
            (7.0, "7.00 s"),
            (99.96, "100 s"),
            (1200.0, "20 min"),
            (720_000.0, "200 h"),
        ] {
            assert_eq!(duration(s), expected);
        }
    }
}
