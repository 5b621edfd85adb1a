//! `h5part monitor`

use super::exit::Exit;
use super::output::{WIDEST, bytes, json, line, say};
use super::outputs::{ForceArgs, Kind, check_apart, write_text};
use h5part::Result;
use h5part::monitor::export;
use h5part::monitor::{Operation, Summary, Timeline, Worker, draw};
use std::path::{Path, PathBuf};

/// Workers of larger runs are not told one by one.
const MOST_WORKERS: usize = 20;

/// Show what a run cost: time, memory, counts and bytes, added up over all workers.
///
/// May be used while the workers run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's ledger, the folder of its measurements, or one file of it.
    path: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the workers over time to this SVG file.
    #[arg(long, value_name = "OUT")]
    svg: Option<PathBuf>,
    /// Write OpenQuake's tables (`performance_data`, `task_info`, `starmap_info`, `task_sent`) to this new HDF5 file.
    #[arg(long, value_name = "OUT.h5")]
    export: Option<PathBuf>,
    #[command(flatten)]
    force: ForceArgs,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let outputs: Vec<&Path> = [&self.svg, &self.export].into_iter().flatten().map(PathBuf::as_path).collect();
        check_apart(&[&self.path], &outputs)?;
        self.svg.iter().try_for_each(|out| self.force.allow(out, Kind::Svg))?;
        let summary = Summary::read(&self.path)?;
        if self.svg.is_some() || self.export.is_some() {
            let timeline = Timeline::read(&self.path)?;
            if let Some(out) = &self.svg {
                write_text(out, draw(&timeline).as_bytes())?;
            }
            if let Some(out) = &self.export {
                export(&timeline, out)?;
            }
        }
        if self.json {
            json(&summary)?;
        } else {
            tell(&summary)?;
        }
        if summary.cut_lines > 0 {
            let n = summary.cut_lines;
            say(format_args!("{n} cut lines left out: their workers were killed, or are writing them now"));
        }
        if summary.lost > 0 {
            say(format_args!("{} measurements could not be written, and are missing", summary.lost));
        }
        Ok(Exit::Success)
    }
}

fn tell(summary: &Summary) -> Result<()> {
    if summary.records == 0 {
        return line(format!("{}: nothing was measured yet", summary.path.display()));
    }
    let (records, workers) = (summary.records, summary.workers.len());
    let failed = if summary.failed > 0 { format!(", {} failed", summary.failed) } else { String::new() };
    let span = seconds(summary.span_s);
    line(format!("{}: {records} records of {workers} workers in {span}{failed}", summary.path.display()))?;
    let titles = ["operation", "records", "failed", "total", "mean", "min", "max", "cpu", "peak", "count", "bytes"];
    table(&titles, summary.operations.iter().map(operation).collect())?;
    let shown = summary.workers.iter().take(MOST_WORKERS);
    table(&["worker", "records", "failed", "busy", "share", "peak"], shown.map(|w| worker(w, summary)).collect())?;
    match workers.saturating_sub(MOST_WORKERS) {
        0 => Ok(()),
        more => line(format!("and {more} more workers: see --json")),
    }
}

fn operation(o: &Operation) -> Vec<String> {
    vec![
        shortened(&o.operation),
        o.records.to_string(),
        o.failed.to_string(),
        seconds(o.wall_s.total),
        seconds(o.wall_s.mean),
        seconds(o.wall_s.min),
        seconds(o.wall_s.max),
        seconds(o.cpu_s.total),
        peak(o.memory_bytes, o.memory_at_most),
        o.counts.to_string(),
        bytes(o.bytes),
    ]
}

fn worker(w: &Worker, summary: &Summary) -> Vec<String> {
    let share = w.busy_s / summary.span_s.max(f64::MIN_POSITIVE) * 100.0;
    vec![
        shortened(&w.worker),
        w.records.to_string(),
        w.failed.to_string(),
        seconds(w.busy_s),
        format!("{:.0} %", share.min(100.0)),
        peak(w.memory_bytes, w.memory_at_most),
    ]
}

/// Names to the left, numbers to the right.
fn table(titles: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let titles: Vec<String> = titles.iter().map(|t| (*t).to_owned()).collect();
    let mut rows = rows;
    rows.insert(0, titles);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |k: usize| rows.iter().filter_map(|row| row.get(k)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(k, (cell, &w))| if k == 0 { format!("{cell:w$}") } else { format!("{cell:>w$}") });
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A name in one line, and not too wide.
fn shortened(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match name.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name,
    }
}

fn peak(memory_bytes: u64, at_most: bool) -> String {
    format!("{}{}", if at_most { "≤ " } else { "" }, bytes(memory_bytes))
}

/// `12.3 ms`, with three digits where a unit has them.
fn seconds(s: f64) -> String {
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
            assert_eq!(seconds(s), expected);
        }
    }
}
