//! Formats a look as lines of text.

use super::super::output::{duration, strip, table_name};
use super::{Look, TASKS, WriterLook, key};
use h5part::ledger::Tally;
use h5part_base::lock::Holder;
use std::cmp::Reverse;
use std::fmt::Write as _;

/// How to draw lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Use only ASCII.
    pub ascii: bool,
}

/// ASCII replacements of the characters of a coverage strip, `·░▒▓█`.
const ASCII: [(char, char); 5] = [('·', '.'), ('░', ':'), ('▒', '-'), ('▓', '+'), ('█', '#')];

impl Style {
    /// A strip of coverage.
    pub fn strip(self, coverage: &[f32]) -> String {
        let text = strip(coverage);
        if !self.ascii {
            return text;
        }
        text.chars().map(|c| ASCII.iter().find(|(from, _)| *from == c).map_or(c, |(_, to)| *to)).collect()
    }

    /// Fits text on one line, without control characters.
    pub fn line(self, text: &str) -> String {
        let clean = |c: char| if c.is_control() || (self.ascii && !c.is_ascii()) { '?' } else { c };
        let text: String = text.chars().map(clean).collect();
        match text.char_indices().nth(self.width) {
            Some((end, _)) => text[..end].to_owned(),
            None => text,
        }
    }
}

/// ` 12.3/s, 4 min left`. Empty before the second look.
pub fn pace(look: &Look, key: &str, left: u64) -> String {
    let Some(rate) = look.rates.of(key) else { return String::new() };
    let left = match look.rates.left_s(key, left) {
        Some(s) if left > 0 => format!(", {} left", duration(s)),
        _ => String::new(),
    };
    format!("  {rate:.1}/s{left}")
}

/// Percentage, rounded down, so that 100 means complete.
pub fn percent(part: u64, whole: u64) -> String {
    let tenths = if whole == 0 { 1000 } else { u128::from(part) * 1000 / u128::from(whole) };
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Formats the whole look for a screen.
pub fn block(look: &Look, style: Style) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(tasks) = &look.tasks {
        let Tally { total, done, failed, running, waiting, retried, .. } = tasks.tally;
        let share = percent(done, total);
        lines.push(format!("{done} of {total} tasks are done ({share}){}", pace(look, TASKS, waiting + running)));
        lines.push(format!("  {running} running, {waiting} wait ({retried} failed before), {failed} failed"));
        for worker in &tasks.workers {
            let rate = look.rates.of(&worker.key()).map_or_else(String::new, |rate| match tasks.rows_per_task {
                0 => format!(", {rate:.1}/s"),
                rows => {
                    format!(", {rate:.1}/s ({:.1} rows/s)", rate * f64::from(u32::try_from(rows).unwrap_or(u32::MAX)))
                }
            });
            let names = worker.names();
            let (running, done) = (worker.running, worker.done);
            let at = if names.is_empty() { String::new() } else { format!(": {names}") };
            lines.push(format!("  {}: {done} done{rate}, {running} running{at}", worker.owner));
        }
        let mut causes: Vec<(&str, u64)> = Vec::new();
        for task in &tasks.failed {
            match causes.iter_mut().find(|(reason, _)| *reason == task.reason) {
                Some((_, count)) => *count += 1,
                None => causes.push((&task.reason, 1)),
            }
        }
        causes.sort_by_key(|(_, count)| Reverse(*count));
        lines.extend(causes.iter().take(5).map(|(reason, count)| format!("  failed: {count} for '{reason}'")));
    }
    for table in &look.tables {
        lines.push(format!("table '{}': {} rows", table_name(&table.table), table.rows));
        let name_width = table.columns.iter().map(|c| c.name.chars().count()).max().unwrap_or(0).min(24);
        for column in &table.columns {
            let share = percent(column.committed, table.rows);
            let mut text = format!("  {:name_width$} |{}| {share}", column.name, style.strip(&column.coverage));
            let left = column.missing + column.writing;
            text += &pace(look, &key(&table.table, &column.name), left);
            if column.writing > 0 {
                let _ = write!(text, ", {} being written", column.writing);
            }
            if column.interrupted > 0 {
                let _ = write!(text, ", {} interrupted", column.interrupted);
            }
            lines.push(text);
        }
    }
    lines.extend(look.writers.iter().map(writer));
    if lines.is_empty() {
        lines.push("no tables that h5part made".to_owned());
    }
    lines.iter().map(|line| style.line(line)).collect()
}

fn writer(writer: &WriterLook) -> String {
    let Holder { pid, host, command, for_s, stopped, .. } = &writer.holder;
    let mut text = format!("  writer: pid {pid} on {host}");
    if let Some(pace) = writer.pace() {
        let _ = write!(text, ", {pace}");
    }
    if let Some(rows) = writer.at() {
        let _ = write!(text, ", at {rows}");
    }
    let since = for_s.map_or_else(String::new, |s| format!(", for {}", duration(Seconds(s).into())));
    let stopped = if *stopped { ", stopped" } else { "" };
    let _ = write!(text, " ({command}{since}{stopped})");
    text
}

/// Whole seconds in readable form.
struct Seconds(u64);

impl From<Seconds> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn from(Seconds(s): Seconds) -> Self {
        s as f64
    }
}

/// Formats the look in one line, for a log.
pub fn summary(look: &Look) -> String {
    let mut parts = Vec::new();
    if let Some(tasks) = &look.tasks {
        let Tally { total, done, failed, running, waiting, .. } = tasks.tally;
        let pace = pace(look, TASKS, waiting + running);
        parts.push(format!("{done} of {total} tasks are done{pace}, {running} running, {failed} failed"));
    }
    for table in &look.tables {
        for column in &table.columns {
            let share = percent(column.committed, table.rows);
            let pace = pace(look, &key(&table.table, &column.name), column.missing + column.writing);
            parts.push(format!("{}/{} {share}{pace}", table.table, column.name));
        }
    }
    if look.tasks.is_none() {
        parts.push(format!("{} writers", look.writers.len()));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_fits_and_has_no_control_characters() {
        let style = Style { width: 8, ascii: false };
        assert_eq!(style.line("a\u{1b}[31mred"), "a?[31mre");
        assert_eq!(style.line("ab"), "ab");
        assert_eq!(Style { width: 80, ascii: true }.line("E ∕ █"), "E ? ?");
        assert_eq!(style.strip(&[0.0, 0.2, 0.5, 0.9, 1.0]), "·░▒▓█");
        assert_eq!(Style { width: 8, ascii: true }.strip(&[0.0, 0.2, 0.5, 0.9, 1.0]), ".:-+#");
    }

    #[test]
    fn a_hundred_percent_are_all() {
        assert_eq!(percent(9_999_999, 10_000_000), "99.9 %");
        assert_eq!(percent(0, 0), "100.0 %");
        assert_eq!(percent(1, 3), "33.3 %");
    }
}
