//! The page: one HTML document that loads nothing else.

use super::super::output::{bytes, duration, table_name};
use super::advice;
use super::charts::{self, escaped};
use super::data::{Data, Failure};
use h5part::ledger::Tally;
use h5part::monitor::{Costs, MonitorSummary};
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Whatever names and logs contain, nothing is fetched, and only the page's own script runs.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
/// Most starts that are listed, beginning with the latest.
const STARTS: usize = 50;
/// Most workers that are listed.
const WORKERS: usize = 100;

/// The whole page.
pub fn of(data: &Data) -> String {
    let name = data.path.file_name().unwrap_or(data.path.as_os_str()).to_string_lossy();
    let title = escaped(&format!("h5part: {name}"));
    let refresh = if data.has_ended() { "" } else { "<p class=dim>It was not at its end when this was written.</p>" };
    let mut out = format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{title}</title>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\"><link rel=icon href=\"data:,\">\n\
         <style>{STYLE}</style></head>\n<body><main>\n<h1>{title}</h1>{refresh}\n"
    );
    numbers(&mut out, data);
    failures(&mut out, data);
    coverage(&mut out, data);
    over_time(&mut out, data);
    costs(&mut out, data);
    what_to_change(&mut out, data);
    what_ran(&mut out, data);
    let summary = data.summary.as_ref().and_then(|summary| serde_json::to_string(summary).ok());
    // Only this text could end a script.
    let summary = summary.unwrap_or_else(|| "null".to_owned()).replace("</", "<\\/");
    let _ = writeln!(
        out,
        "</main>\n<script type=\"application/json\" id=summary>{summary}</script>\n<script>{SCRIPT}</script></body></html>"
    );
    out
}

/// One row of a table. Cells are texts, and the first is the heading of the row.
fn row(out: &mut String, cells: &[String]) {
    out.push_str("<tr>");
    for (k, cell) in cells.iter().enumerate() {
        let cell = escaped(cell);
        let _ = if k == 0 { write!(out, "<th scope=row>{cell}</th>") } else { write!(out, "<td>{cell}</td>") };
    }
    out.push_str("</tr>\n");
}

fn table(out: &mut String, titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    out.push_str("<table><thead><tr>");
    for title in titles {
        let _ = write!(out, "<th scope=col>{}</th>", escaped(title));
    }
    out.push_str("</tr></thead><tbody>\n");
    rows.into_iter().for_each(|cells| row(out, &cells));
    out.push_str("</tbody></table>\n");
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0))
}

fn numbers(out: &mut String, data: &Data) {
    out.push_str("<h2>At a glance</h2>\n");
    let mut rows = Vec::new();
    if let Some(Tally { total, done, failed, running, waiting, cancelled, .. }) = data.tally {
        rows.push(("tasks", total.to_string()));
        rows.push(("done", done.to_string()));
        rows.push((
            "failed",
            if cancelled > 0 { format!("{failed}, {cancelled} of them cancelled") } else { failed.to_string() },
        ));
        rows.push(("done after failed attempts", data.retried.to_string()));
        rows.push(("running, waiting", format!("{running}, {waiting}")));
    }
    if let Some(summary) = &data.summary {
        rows.push(("from the first start to the last end", duration(summary.span_s)));
        rows.push(("measured", format!("{} records of {} workers", summary.records, summary.workers.len())));
        if let Some(program) = summary.operations.first().map(|one| &one.costs) {
            rows.push(("CPU, of what was asked for", percent(program.cpu_share)));
            let limit = program.memory_limit_bytes.map_or_else(String::new, |limit| {
                format!(", {} of the limit of {}", percent(program.memory_share), bytes(limit))
            });
            rows.push(("memory, largest peak", format!("{}{limit}", bytes(program.memory_bytes))));
        }
    }
    table(out, &["", ""], rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]));
}

fn failures(out: &mut String, data: &Data) {
    if data.tally.is_none() {
        return;
    }
    out.push_str("<h2>Failures</h2>\n");
    if data.failures.is_empty() {
        out.push_str("<p>No task has failed for good.</p>\n");
    }
    for Failure { cause, tasks, first, log, tail } in &data.failures {
        let s = if *tasks == 1 { "" } else { "s" };
        let _ = write!(out, "<h3>{tasks} task{s}: {}</h3>\n<p>First: {}", escaped(cause), escaped(first));
        if tail.is_empty() {
            out.push_str("; there is no log.</p>\n");
        } else {
            let _ = writeln!(
                out,
                "; the end of {}:</p>\n<pre>{}</pre>",
                escaped(&log.display().to_string()),
                escaped(&tail.join("\n"))
            );
        }
    }
}

fn coverage(out: &mut String, data: &Data) {
    if data.tables.is_empty() {
        return;
    }
    out.push_str(
        "<h2>Coverage</h2>\n<p class=screen><button id=in>zoom in</button> <button id=out>zoom out</button> \
         <button id=all>all rows</button> <span id=where class=dim></span></p>\n",
    );
    for (table, (_, missing)) in data.tables.iter().zip(&data.missing) {
        let _ = writeln!(out, "<h3>{}: {} rows</h3>", escaped(table_name(&table.table)), table.rows);
        out.push_str(&charts::coverage(table));
        let _ =
            writeln!(out, "<div class=ends><span>row 0</span><span>row {}</span></div>", table.rows.saturating_sub(1));
        let rows = table.columns.iter().map(|c| {
            let counts = [c.committed, c.missing, c.writing, c.interrupted].map(|n| n.to_string());
            [vec![c.name.clone()], counts.to_vec()].concat()
        });
        self::table(out, &["column", "committed", "missing", "being written", "interrupted"], rows);
        let missing = if missing.is_empty() { "none" } else { missing };
        let _ = writeln!(out, "<p class=dim>Rows that are not committed in all columns: {}</p>", escaped(missing));
    }
}

fn over_time(out: &mut String, data: &Data) {
    if data.timeline.is_empty() {
        return;
    }
    let ends = |out: &mut String, low: f64, high: f64| {
        let _ = writeln!(out, "<div class=ends><span>{}</span><span>{}</span></div>", duration(low), duration(high));
    };
    out.push_str("<h2>Workers over time</h2>\n<p class=dim>A box is a task; a red line is one that failed.</p>\n");
    out.push_str(&charts::timeline(&data.timeline));
    let throughput = charts::throughput(&data.timeline);
    let _ = writeln!(
        out,
        "<h2>Throughput</h2>\n<p class=dim>Tasks that ended in each {}; at most {}. Red: failed.</p>",
        duration(throughput.each),
        throughput.most()
    );
    out.push_str(&throughput.draw("tasks that ended, over time"));
    ends(out, throughput.low, throughput.high);
    let times = charts::durations(&data.timeline);
    let _ = writeln!(
        out,
        "<h2>How long tasks took</h2>\n<p class=dim>From short to long, in steps of equal ratio; at most {} in one.</p>",
        times.most()
    );
    out.push_str(&times.draw("tasks by wall time"));
    ends(out, times.low, times.high);
}

/// In the order of [`COSTS`].
fn cells(costs: &Costs) -> Vec<String> {
    let (wall, ranks) = (&costs.wall_s, &costs.wall_percentiles_s);
    let times = [wall.total, wall.mean, ranks.p50, ranks.p90, ranks.p99, wall.max].map(duration);
    let at_most = if costs.memory_at_most { "≤ " } else { "" };
    let memory = [format!("{at_most}{}", bytes(costs.memory_bytes)), percent(costs.memory_share)];
    let counts = [costs.records.to_string(), costs.failed.to_string()];
    let cpu = [duration(costs.cpu_s.total), percent(costs.cpu_share)];
    counts.into_iter().chain(times).chain(cpu).chain(memory).collect()
}

const COSTS: [&str; 12] =
    ["records", "failed", "total", "mean", "p50", "p90", "p99", "max", "CPU time", "CPU", "peak", "of limit"];

fn costs(out: &mut String, data: &Data) {
    let Some(MonitorSummary { operations, workers, hosts, .. }) = &data.summary else { return };
    out.push_str("<h2>Cost</h2>\n<p class=dim>CPU: processor time as a share of the processors asked for, times wall time.</p>\n");
    let titles = |what: &'static str| [&[what][..], &COSTS[..]].concat();
    let named = |name: &str, costs: &Costs| [vec![name.to_owned()], cells(costs)].concat();
    table(out, &titles("operation"), operations.iter().map(|one| named(&one.operation, &one.costs)));
    table(out, &titles("host"), hosts.iter().map(|one| named(&one.host, &one.costs)));
    table(out, &titles("worker"), workers.iter().take(WORKERS).map(|one| named(&one.worker, &one.costs)));
    if workers.len() > WORKERS {
        let _ = writeln!(out, "<p>and {} more workers</p>", workers.len() - WORKERS);
    }
}

fn what_to_change(out: &mut String, data: &Data) {
    let pieces = advice::of(data);
    if pieces.is_empty() {
        return;
    }
    out.push_str("<h2>What to change</h2>\n<ul>\n");
    for piece in &pieces {
        let _ = writeln!(out, "<li><strong>{}</strong> {}</li>", escaped(&piece.what), escaped(&piece.why));
    }
    out.push_str("</ul>\n");
}

fn what_ran(out: &mut String, data: &Data) {
    out.push_str("<h2>What ran</h2>\n");
    let path = escaped(&data.path.display().to_string());
    let _ = writeln!(out, "<p>{path}; this page: h5part {}, HDF5 {}</p>", data.version, escaped(&data.hdf5));
    let more = data.starts.len().saturating_sub(STARTS);
    if more > 0 {
        let _ = writeln!(out, "<p>{more} earlier starts are not listed.</p>");
    }
    for start in data.starts.iter().skip(more) {
        let words: Vec<&str> = start.command.iter().map(String::as_str).collect();
        let command = shlex::try_join(words).unwrap_or_else(|_| start.command.join(" "));
        let (at, folder) = (date(start.began_s), escaped(&start.folder.display().to_string()));
        let (host, version) = (escaped(&start.host), escaped(&start.version));
        let _ = writeln!(
            out,
            "<p class=dim>{at} on {host}, pid {}, h5part {version}, in {folder}</p>\n<pre>{}</pre>",
            start.pid,
            escaped(&command)
        );
    }
}

/// A date in UTC, by the civil-days algorithm.
fn date(unix_s: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "casts of floats saturate")]
    let seconds = unix_s.clamp(0.0, 1e11) as i64;
    let (days, day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * m + 2) / 5 + 1, if m < 10 { m + 3 } else { m - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{date:02} {:02}:{:02}:{:02} UTC", day / 3600, day / 60 % 60, day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0.0, "1970-01-01 00:00:00 UTC"),
            (951_782_399.0, "2000-02-28 23:59:59 UTC"),
            (951_782_400.0, "2000-02-29 00:00:00 UTC"),
            (1_798_761_600.0, "2027-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }
}
