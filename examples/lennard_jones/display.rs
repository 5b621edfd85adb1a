//! What people see. On a terminal: a bar and a coverage strip for each column; else, as in a log
//! file, a line every second.

use h5part::{ColumnStatus, Status};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::time::{Duration, Instant};

/// Characters of a coverage strip.
pub const PARTS: usize = 48;
/// Between two lines.
const PERIOD: Duration = Duration::from_secs(1);

/// Where everything is shown.
pub struct Display {
    quiet: bool,
    screen: MultiProgress,
}

impl Display {
    /// Nothing is shown if `quiet`.
    pub fn new(quiet: bool) -> Self {
        // Hides itself where standard error is no terminal.
        let screen = MultiProgress::new();
        if quiet {
            screen.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { quiet, screen }
    }

    /// Prints some lines above the bars.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.screen.suspend(|| println!("{text}"));
        }
    }

    /// Shows how many of `frames` were `done`, a word like "committed".
    pub fn meter(&self, done: &'static str, frames: u64) -> Meter {
        let bar = self.screen.add(ProgressBar::new(frames));
        let style = "{prefix} [{bar:30}] {pos}/{len} frames, {rate}/s, {eta} left{msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                // A bar has nowhere to report it to.
                let _ = write!(out, "{:.0}", state.per_sec());
            };
            bar.set_style(style.with_key("rate", rate).progress_chars("█▓░"));
        }
        bar.set_prefix(done);
        let lines = !self.quiet && self.screen.is_hidden();
        Meter { bar, lines: lines.then(Instant::now), done }
    }
}

/// How far a piece of work is; gone when it is dropped.
pub struct Meter {
    bar: ProgressBar,
    /// When the last line was printed, if lines are.
    lines: Option<Instant>,
    done: &'static str,
}

impl Meter {
    /// Shows the number of frames.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn show(&mut self, frames: u64) {
        self.bar.set_position(frames);
        if frames > 0 && self.lines.is_some_and(|last| last.elapsed() >= PERIOD) {
            self.lines = Some(Instant::now());
            let all = self.bar.length().unwrap_or(frames);
            let per_s = frames as f64 / self.bar.elapsed().as_secs_f64();
            let left_s = (all - frames) as f64 / per_s;
            eprintln!("{} {frames}/{all} frames, {per_s:.0}/s, {left_s:.0} s left", self.done);
        }
    }

    /// Shows the number of frames, and which parts of each column are there.
    pub fn show_coverage(&mut self, status: &Status) {
        self.bar.set_message(format!("\n{}", strips(status)));
        self.show(status.columns.iter().map(|column| column.committed).min().unwrap_or(0));
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A line a column: its name and its coverage.
pub fn strips(status: &Status) -> String {
    let width = status.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0);
    let lines = status.columns.iter().map(|column| format!("{:width$} |{}|", column.name, strip(column)));
    lines.collect::<Vec<_>>().join("\n")
}

/// One character a part of the table: `·` nothing is there, `░▒▓` some, `█` all.
fn strip(column: &ColumnStatus) -> String {
    let shade = |share: &f32| match share {
        s if *s <= 0.0 => '·',
        s if *s < 0.34 => '░',
        s if *s < 0.67 => '▒',
        s if *s < 1.0 => '▓',
        _ => '█',
    };
    column.coverage.iter().map(shade).collect()
}
