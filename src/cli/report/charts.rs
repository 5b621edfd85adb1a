//! Drawings of a page. Each is small, whatever the number of tasks.

use h5part::monitor::{Event, Timeline};
use h5part_engine::store::Status;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Width of the content of a drawing, in pixels.
const WIDTH: f64 = 1000.0;
/// Bars of a chart over time.
const BINS: usize = 100;
/// Most lanes that are drawn. Further workers are only counted.
const LANES: usize = 40;
const LANE: f64 = 12.0;

/// Escapes text for HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A short number of pixels.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn open(height: f64, class: &str, label: &str) -> String {
    let label = escaped(label);
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {}" class="{class}" preserveAspectRatio="none" role="img" aria-label="{label}">"#,
        px(height)
    )
}

/// A column's coverage, with one box per run of parts with the same coverage.
pub fn coverage(table: &Status) -> String {
    let mut out = String::new();
    for column in &table.columns {
        let label = format!("{}: {} of {} rows committed", column.name, column.committed, table.rows);
        let rows = table.rows;
        let _ = write!(out, "<div class=row><span class=name>{}</span>", escaped(&column.name));
        out += &open(16.0, "zoom", &label).replace("<svg ", &format!("<svg data-rows={rows} "));
        out.push_str("<rect width=1000 height=16 class=c0 />");
        for (level, path) in levels(&column.coverage) {
            let _ = write!(out, r#"<path class=c{level} d="{path}"/>"#);
        }
        out.push_str("</svg></div>");
    }
    out
}

/// Groups the runs by coverage in tenths, with one path for each level.
fn levels(coverage: &[f32]) -> BTreeMap<u8, String> {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand parts")]
    let part = WIDTH / coverage.len().max(1) as f64;
    let mut paths: BTreeMap<u8, String> = BTreeMap::new();
    let mut x = 0.0;
    for run in coverage.chunk_by(|a, b| level(*a) == level(*b)) {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand parts")]
        let width = part * run.len() as f64;
        let level = level(run[0]);
        if level > 0 {
            let path = paths.entry(level).or_default();
            let _ = write!(path, "M{} 0h{}v16h-{}z", px(x), px(width), px(width));
        }
        x += width;
    }
    paths
}

/// 0: nothing, 9: everything, in between: some.
fn level(share: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 8")]
    match share {
        s if s <= 0.0 => 0,
        s if s >= 1.0 => 9,
        s => 1 + (s * 8.0).min(7.0) as u8,
    }
}

/// Boxes of a lane (from and to, in pixels), and positions of failed tasks.
type Lane = (Vec<(f64, f64)>, Vec<f64>);

/// Workers over time: one lane per worker, with boxes while it was busy. Failed tasks are marked.
pub fn timeline(timeline: &Timeline) -> String {
    let mut lanes: BTreeMap<(u32, u32), Lane> = BTreeMap::new();
    let (start_s, span_s) = span(timeline);
    let x = |s: f64| (s - start_s) / span_s * WIDTH;
    for event in timeline.events.iter().filter(|event| event.whole || event.task.is_none()) {
        let (boxes, failed) = lanes.entry((event.worker, event.thread)).or_default();
        let (left, right) = (x(event.start_s), x(event.start_s + event.wall_s));
        match boxes.last_mut() {
            // Boxes less than a pixel apart are merged.
            Some(last) if left - last.1 < 1.0 => last.1 = last.1.max(right),
            _ => boxes.push((left, right)),
        }
        if event.failed && failed.last().is_none_or(|last| right - last >= 1.0) {
            failed.push(right);
        }
    }
    let mut out = String::new();
    let more = lanes.len().saturating_sub(LANES);
    for ((worker, thread), (boxes, failed)) in lanes.into_iter().take(LANES) {
        let name = timeline.workers.get(worker as usize).map_or("", String::as_str);
        let name = if thread > 0 { format!("{name}/{thread}") } else { name.to_owned() };
        let _ = write!(out, "<div class=row><span class=name>{}</span>", escaped(&name));
        out += &open(LANE, "lane", &format!("{name} over time"));
        let (mut path, mut marks) = (String::new(), String::new());
        for (from, to) in boxes {
            let width = px((to - from).max(0.5));
            let _ = write!(path, "M{} 0h{width}v12h-{width}z", px(from));
        }
        for at in failed {
            let _ = write!(marks, "M{} 0v12", px(at));
        }
        let _ = write!(out, r#"<path class=busy d="{path}"/><path class=failed d="{marks}"/></svg></div>"#);
    }
    if more > 0 {
        let _ = write!(out, "<p>and {more} more</p>");
    }
    out
}

fn span(timeline: &Timeline) -> (f64, f64) {
    let start = timeline.events.first().map_or(0.0, |event| event.start_s);
    let end = timeline.events.iter().map(end_s).fold(start, f64::max);
    (start, (end - start).max(1e-6))
}

fn end_s(event: &Event) -> f64 {
    event.start_s + event.wall_s
}

/// Events that stand for whole tasks.
fn tasks(timeline: &Timeline) -> impl Iterator<Item = &Event> {
    timeline.events.iter().filter(|event| event.whole)
}

/// Number of tasks that ended in each part of the run.
pub fn throughput(timeline: &Timeline) -> Bars {
    let (start, span) = span(timeline);
    let mut bars = vec![(0, 0); BINS];
    for event in tasks(timeline) {
        let bar = &mut bars[bin((end_s(event) - start) / span)];
        bar.0 += 1;
        bar.1 += u64::from(event.failed);
    }
    let width = span / 100.0;
    Bars { bars, low: 0.0, high: span, each: width }
}

/// Numbers of tasks by duration, in steps of equal ratio.
pub fn durations(timeline: &Timeline) -> Bars {
    let walls = || tasks(timeline).map(|event| event.wall_s.max(1e-6));
    let (low, high) = (walls().fold(f64::INFINITY, f64::min), walls().fold(0.0, f64::max));
    let (low, high) = if low.is_finite() { (low, high.max(low * 1.000_1)) } else { (1e-6, 1.0) };
    let mut bars = vec![(0, 0); BINS];
    for event in tasks(timeline) {
        let bar = &mut bars[bin((event.wall_s.max(1e-6) / low).ln() / (high / low).ln())];
        bar.0 += 1;
        bar.1 += u64::from(event.failed);
    }
    Bars { bars, low, high, each: 0.0 }
}

/// The bar for a share from 0 to 1.
fn bin(share: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 99")]
    let bin = (share.clamp(0.0, 1.0) * 100.0) as usize;
    bin.min(BINS - 1)
}

/// Counts of tasks, and of the failed ones among them.
#[derive(Debug)]
pub struct Bars {
    pub bars: Vec<(u64, u64)>,
    pub low: f64,
    pub high: f64,
    /// Width of a bar in seconds, if all are equally wide.
    pub each: f64,
}

impl Bars {
    pub fn most(&self) -> u64 {
        self.bars.iter().map(|(all, _)| *all).max().unwrap_or(0)
    }

    /// Draws them as a chart.
    #[expect(clippy::cast_precision_loss, reason = "heights of bars")]
    pub fn draw(&self, label: &str) -> String {
        let most = self.most().max(1) as f64;
        let mut out = open(120.0, "chart", label);
        let path = |of: &dyn Fn(&(u64, u64)) -> u64| -> String {
            let mut path = String::new();
            for (k, bar) in self.bars.iter().enumerate().filter(|(_, bar)| of(bar) > 0) {
                let height = px(of(bar) as f64 / most * 116.0);
                let _ = write!(path, "M{} 120v-{height}h9v{height}z", k * 10);
            }
            path
        };
        let (all, failed) = (path(&|bar| bar.0), path(&|bar| bar.1));
        let _ = write!(out, r#"<path class=busy d="{all}"/><path class=bad d="{failed}"/></svg>"#);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part::monitor::Record;

    #[test]
    fn drawings_stay_small_however_many_tasks_there_are() {
        let record = |k: u32| Record {
            operation: "program".to_owned(),
            start_s: f64::from(k) / 8.0,
            wall_s: 0.05 + f64::from(k % 7) / 100.0,
            whole: true,
            task: Some(k.into()),
            failed: k.is_multiple_of(50),
            ..Record::default()
        };
        let workers: Vec<(String, Vec<Record>)> =
            (0..8).map(|w| (format!("w{w}"), (0..12_500).map(|k| record(k * 8 + w)).collect())).collect();
        let workers: Vec<(&str, Vec<Record>)> =
            workers.iter().map(|(name, records)| (name.as_str(), records.clone())).collect();
        let all = Timeline::of_records(&workers);
        assert!(timeline(&all).len() < 400_000, "{}", timeline(&all).len());
        let (bars, times) = (throughput(&all), durations(&all));
        assert_eq!(bars.bars.iter().map(|bar| bar.0).sum::<u64>(), 100_000);
        assert_eq!(times.bars.iter().map(|bar| bar.1).sum::<u64>(), 2000);
        assert!(times.draw("x").len() < 8000);
    }

    #[test]
    fn parts_that_are_covered_alike_are_one_box() {
        let found = levels(&[0.0, 0.0, 1.0, 1.0, 0.5]);
        assert_eq!(found.get(&9).map(String::as_str), Some("M400 0h400v16h-400z"));
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [5, 9]);
        assert_eq!((level(0.0001), level(0.9999)), (1, 8));
        assert_eq!(escaped("<a href='x'>&\u{1b}"), "&lt;a href=&#39;x&#39;&gt;&amp; ");
    }
}
