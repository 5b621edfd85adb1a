//! `h5part status --watch`

use super::super::exit::Exit;
use super::super::look::Looker;
use super::super::look::text::{Style, block, summary};
use super::super::output::line;
use h5part::{ErrorKind, Result};
use h5part_base::error::At;
use nix::time::{ClockId, clock_gettime};
use ratatui::crossterm::cursor::MoveToPreviousLine;
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::{Clear, ClearType, size};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Parts of a coverage strip on a wide terminal.
const PARTS: usize = 50;
/// Shortest interval between looks on a terminal.
const FASTEST: Duration = Duration::from_millis(100);

/// Shows the file or ledger until it is complete.
pub fn run(path: &Path, table: Option<&str>, seconds: f64, ascii: bool) -> Result<Exit> {
    let pause = Duration::from_secs_f64(seconds).max(FASTEST);
    let is_terminal = std::io::stdout().is_terminal();
    let width = terminal_width();
    let mut looker = Looker::new(path, table, parts(width));
    let mut shown = 0;
    loop {
        let began = Instant::now();
        let look = looker.look()?;
        if is_terminal {
            let lines = block(look, Style { width: terminal_width(), ascii });
            shown = redraw(&lines, shown).map_err(ErrorKind::Io).at("write to", "standard output")?;
        } else {
            line(format!("{} {}", clock(), summary(look)))?;
        }
        if look.has_ended() {
            return Ok(Exit::Success);
        }
        std::thread::sleep(pause.saturating_sub(began.elapsed()).max(FASTEST));
    }
}

fn terminal_width() -> usize {
    size().map_or(80, |(width, _)| usize::from(width)).max(1)
}

/// Number of parts of a strip that leaves room for a name, the percentage and the rate.
pub fn parts(width: usize) -> usize {
    width.saturating_sub(45).clamp(5, PARTS)
}

/// Replaces the lines that were shown before. In a terminal that became narrower the old lines have wrapped, so some of
/// them remain above.
fn redraw(lines: &[String], shown: u16) -> std::io::Result<u16> {
    let mut out = std::io::stdout().lock();
    if shown > 0 {
        queue!(out, MoveToPreviousLine(shown))?;
    }
    queue!(out, Clear(ClearType::FromCursorDown))?;
    // More lines than the screen has would scroll it.
    let height = size().map_or(24, |(_, height)| usize::from(height)).saturating_sub(1).max(1);
    let lines = &lines[..lines.len().min(height)];
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(u16::try_from(lines.len()).unwrap_or(u16::MAX))
}

/// The time of day in UTC.
fn clock() -> String {
    let now = clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |time| time.tv_sec());
    let day = now.rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}Z", day / 3600, day / 60 % 60, day % 60)
}
