//! `h5part monitor`

use super::csv::field;
use super::exit::Exit;
use super::output::{WIDEST, bytes, duration, json, line, say};
use super::outputs::{ForceArgs, Kind, check_apart, write_text};
use h5part::Result;
use h5part::monitor::export;
use h5part::monitor::{Costs, Host, MonitorSummary, Operation, Timeline, Worker, draw};
use std::path::{Path, PathBuf};

/// In larger runs, workers are not listed individually.
const MOST_WORKERS: usize = 20;

/// Show what a run cost: time, memory, counts and bytes, added up over all workers.
///
/// CPU is the processor time as a share of the processors asked for, times wall time. Memory is the largest peak, and
/// its share of the limit. May be used while the workers run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's ledger, the folder of its measurements, or one file of it.
    path: PathBuf,
    /// Print one table, with a line for each of these [default: operations, then workers].
    #[arg(long, value_enum, value_name = "WHAT")]
    by: Option<By>,
    /// Print as CSV, with times in seconds and memory in bytes [by default: by operation].
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print as JSON.
    #[arg(long, conflicts_with = "by")]
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    Host,
    Worker,
    Operation,
}

impl super::Subcommand for Args {
    fn run(&self) -> Result<Exit> {
        let outputs: Vec<&Path> = [&self.svg, &self.export].into_iter().flatten().map(PathBuf::as_path).collect();
        check_apart(&[&self.path], &outputs)?;
        self.svg.iter().try_for_each(|out| self.force.allow(out, Kind::Svg))?;
        let summary = MonitorSummary::read(&self.path)?;
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
            match (self.csv, self.by) {
                (true, by) => csv(&summary, by.unwrap_or(By::Operation))?,
                (false, by) => tell(&summary, by)?,
            }
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

fn tell(summary: &MonitorSummary, by: Option<By>) -> Result<()> {
    if summary.records == 0 {
        return line(format!("{}: nothing was measured yet", summary.path.display()));
    }
    let (records, workers) = (summary.records, summary.workers.len());
    let failed = if summary.failed > 0 { format!(", {} failed", summary.failed) } else { String::new() };
    let span = duration(summary.span_s);
    line(format!("{}: {records} records of {workers} workers in {span}{failed}", summary.path.display()))?;
    match by {
        Some(By::Operation) => tell_operations(summary),
        Some(By::Worker) => tell_workers(summary, workers),
        Some(By::Host) => tell_hosts(summary),
        None => {
            tell_operations(summary)?;
            tell_workers(summary, MOST_WORKERS)
        }
    }
}

const OF_COSTS: [&str; 11] =
    ["records", "failed", "total", "mean", "p50", "p90", "p99", "max", "CPU", "peak", "of limit"];

fn tell_operations(summary: &MonitorSummary) -> Result<()> {
    let titles = [&["operation"], &OF_COSTS[..], &["count", "bytes"]].concat();
    let row =
        |o: &Operation| [vec![shortened(&o.operation)], costs(&o.costs), vec![o.counts.to_string(), bytes(o.bytes)]];
    table(&titles, summary.operations.iter().map(|o| row(o).concat()).collect())
}

fn tell_workers(summary: &MonitorSummary, most: usize) -> Result<()> {
    let titles = [&["worker"], &OF_COSTS[..], &["busy", "of run"]].concat();
    let row = |w: &Worker| {
        let share = w.busy_s / summary.span_s.max(f64::MIN_POSITIVE);
        [vec![shortened(&w.worker)], costs(&w.costs), vec![duration(w.busy_s), percent(Some(share.min(1.0)))]].concat()
    };
    table(&titles, summary.workers.iter().take(most).map(row).collect())?;
    match summary.workers.len().saturating_sub(most) {
        0 => Ok(()),
        more => line(format!("and {more} more workers: see --by worker")),
    }
}

fn tell_hosts(summary: &MonitorSummary) -> Result<()> {
    let titles = [&["host"], &OF_COSTS[..], &["busy", "workers"]].concat();
    let row = |h: &Host| {
        let name = if h.host.is_empty() { "unknown" } else { &h.host };
        [vec![shortened(name)], costs(&h.costs), vec![duration(h.busy_s), h.workers.to_string()]].concat()
    };
    table(&titles, summary.hosts.iter().map(row).collect())
}

/// In the order of [`OF_COSTS`].
fn costs(c: &Costs) -> Vec<String> {
    let (wall, ranks) = (&c.wall_s, &c.wall_percentiles_s);
    let times = [wall.total, wall.mean, ranks.p50, ranks.p90, ranks.p99, wall.max].map(duration);
    let counts = [c.records.to_string(), c.failed.to_string()];
    let used = [percent(c.cpu_share), peak(c.memory_bytes, c.memory_at_most), percent(c.memory_share)];
    counts.into_iter().chain(times).chain(used).collect()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// One line per entry, with unformatted numbers.
fn csv(summary: &MonitorSummary, by: By) -> Result<()> {
    let columns = "records,failed,wall_s,wall_mean_s,wall_min_s,wall_p50_s,wall_p90_s,wall_p99_s,wall_max_s,cpu_s,core_s,\
                   cpu_share,memory_bytes,memory_at_most,memory_limit_bytes,memory_share";
    match by {
        By::Operation => {
            line(format!("operation,{columns},counts,bytes,received"))?;
            summary.operations.iter().try_for_each(|o| {
                line(format!("{},{},{},{},{}", field(&o.operation), numbers(&o.costs), o.counts, o.bytes, o.received))
            })
        }
        By::Worker => {
            line(format!("worker,host,pid,{columns},busy_s,span_s"))?;
            summary.workers.iter().try_for_each(|w| {
                let (worker, host) = (field(&w.worker), field(&w.host));
                let pid = w.pid.map_or_else(String::new, |pid| pid.to_string());
                line(format!("{worker},{host},{pid},{},{},{}", numbers(&w.costs), w.busy_s, w.span_s))
            })
        }
        By::Host => {
            line(format!("host,workers,{columns},busy_s"))?;
            summary
                .hosts
                .iter()
                .try_for_each(|h| line(format!("{},{},{},{}", field(&h.host), h.workers, numbers(&h.costs), h.busy_s)))
        }
    }
}

fn numbers(c: &Costs) -> String {
    let (wall, ranks) = (&c.wall_s, &c.wall_percentiles_s);
    let text = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
    let limit = c.memory_limit_bytes.map_or_else(String::new, |limit| limit.to_string());
    let walls = [wall.total, wall.mean, wall.min, ranks.p50, ranks.p90, ranks.p99, wall.max, c.cpu_s.total, c.core_s];
    let walls = walls.map(|number| number.to_string()).join(",");
    let (share, of_limit) = (text(c.cpu_share), text(c.memory_share));
    let Costs { records, failed, memory_bytes, memory_at_most, .. } = c;
    format!("{records},{failed},{walls},{share},{memory_bytes},{memory_at_most},{limit},{of_limit}")
}

/// Aligns names to the left and numbers to the right.
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

/// Fits a name on one line.
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
