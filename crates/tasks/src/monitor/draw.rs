//! Draws a run: workers over time.

use super::lanes::{Lane, lanes, step};
use super::timeline::{Event, Timeline};
use std::collections::BTreeMap;
use std::fmt::Write;
use svg::Document;
use svg::node::element::{Group, Line, Path, Rectangle, Text, Title};

/// All lengths are in pixels.
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 46.0;
const LEVEL: f64 = 12.0;
const GAP: f64 = 5.0;
/// Boxes narrower than this are merged with their neighbours of the same colour.
const NARROW: f64 = 0.5;
/// Up to this many records, each box has a tooltip.
const MOST_TITLES: usize = 5000;
/// Longest name, in characters.
const MOST_NAME: usize = 26;
const LEGEND_COLUMNS: usize = 5;
/// Colours that most people can distinguish, in the order of the operations' total time. The last one is for all other
/// operations.
const COLOURS: [&str; 12] = [
    "#4477aa", "#ee8866", "#228833", "#aa3377", "#66ccee", "#ccbb44", "#882255", "#44bb99", "#ddaa33", "#6699cc",
    "#994455", "#bbbbbb",
];
const FAILED: &str = "#dd0000";

/// Maps times to pixels, and operations to colours.
#[derive(Debug)]
struct Scale {
    start_s: f64,
    span_s: f64,
    /// Colour of each operation.
    colours: Vec<usize>,
}

/// One box, or several merged ones.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bar<'a> {
    event: &'a Event,
    left: f64,
    right: f64,
    colour: usize,
    failed: bool,
}

/// Draws workers over time as an SVG document: one lane per worker (or per thread), one box per operation, coloured by
/// name. Operations measured within another one are drawn below it. Seconds count from the beginning of the first
/// operation.
#[must_use]
pub fn draw(timeline: &Timeline) -> String {
    let scale = Scale::of(timeline);
    let lanes = lanes(timeline);
    let height: f64 = lanes.iter().map(|lane| lane_height(lane) + GAP).sum();
    let mut bars = Group::new();
    let mut labels = Group::new();
    let mut y = TOP;
    for lane in &lanes {
        bars = bars.add(lane_bars(timeline, &scale, lane, y));
        let middle = y + LEVEL / 2.0 + 4.0;
        labels = labels.add(text(&label(lane), LEFT - 8.0, middle).set("text-anchor", "end"));
        y += lane_height(lane) + GAP;
    }
    let (legend, legend_height) = legend(timeline, &scale, TOP + height + 44.0);
    let total = TOP + height + 44.0 + legend_height + 12.0;
    let title = match timeline.len() {
        0 => "nothing was measured".to_owned(),
        n => format!("{n} operations of {} workers in {} s", timeline.workers.len(), number(scale.span_s)),
    };
    Document::new()
        .set("viewBox", format!("0 0 {WIDTH} {}", number(total)))
        .set("width", WIDTH)
        .set("height", number(total))
        .set("font-family", "sans-serif")
        .set("font-size", 11)
        .add(Rectangle::new().set("width", "100%").set("height", "100%").set("fill", "#ffffff"))
        .add(text(&title, LEFT, 18.0).set("font-size", 13))
        .add(axis(&scale, TOP + height))
        .add(bars)
        .add(labels)
        .add(legend)
        .to_string()
}

impl Scale {
    fn of(timeline: &Timeline) -> Self {
        let start_s = timeline.events.first().map_or(0.0, |e| e.start_s);
        let end_s = timeline.events.iter().map(Event::end_s).fold(start_s, f64::max);
        let mut totals = vec![(0.0, 0); timeline.operations.len()];
        totals.iter_mut().enumerate().for_each(|(k, total)| total.1 = k);
        for event in &timeline.events {
            if let Some(total) = totals.get_mut(event.operation as usize) {
                total.0 += event.wall_s;
            }
        }
        totals.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut colours = vec![COLOURS.len() - 1; totals.len()];
        for (rank, (_, operation)) in totals.into_iter().enumerate() {
            if let Some(colour) = colours.get_mut(operation) {
                *colour = rank.min(COLOURS.len() - 1);
            }
        }
        Self { start_s, span_s: (end_s - start_s).max(1e-6), colours }
    }

    fn x(&self, moment_s: f64) -> f64 {
        LEFT + (moment_s - self.start_s) / self.span_s * (WIDTH - LEFT - RIGHT)
    }

    fn bar<'a>(&self, event: &'a Event) -> Bar<'a> {
        let (left, right) = (self.x(event.start_s), self.x(event.end_s()));
        let colour = self.colours.get(event.operation as usize).copied().unwrap_or(COLOURS.len() - 1);
        Bar { event, left, right: right.max(left + NARROW), colour, failed: event.failed }
    }
}

/// The boxes of a level: at most about two per pixel, however many events there are.
fn joined<'a>(scale: &Scale, events: &[&'a Event]) -> Vec<Bar<'a>> {
    let mut bars: Vec<Bar<'a>> = Vec::new();
    for event in events {
        let bar = scale.bar(event);
        let narrow = bar.right - bar.left <= NARROW;
        match bars.last_mut() {
            // A failure is never covered by another box.
            Some(last) if narrow && bar.left < last.right + NARROW && (last.failed || !bar.failed) => {
                if (last.colour, last.failed) == (bar.colour, bar.failed) {
                    last.right = last.right.max(bar.right);
                }
            }
            _ => bars.push(bar),
        }
    }
    bars
}

fn lane_height(lane: &Lane<'_>) -> f64 {
    let levels = u16::try_from(lane.levels.len()).unwrap_or(u16::MAX);
    LEVEL * f64::from(levels.max(1))
}

fn label(lane: &Lane<'_>) -> String {
    let name = shortened(lane.worker);
    if lane.thread == 0 { name } else { format!("{name} /{}", lane.thread) }
}

/// A few boxes are drawn as rectangles with tooltips, many as one path per colour.
fn lane_bars(timeline: &Timeline, scale: &Scale, lane: &Lane<'_>, top: f64) -> Group {
    let mut group = Group::new();
    let mut paths: BTreeMap<(usize, bool), String> = BTreeMap::new();
    let mut y = top;
    for level in &lane.levels {
        for bar in joined(scale, level) {
            if timeline.len() <= MOST_TITLES {
                group = group.add(rectangle(timeline, scale, &bar, y));
            } else {
                let path = paths.entry((bar.colour, bar.failed)).or_default();
                let (x, width) = (number(bar.left), number(bar.right - bar.left));
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {}h{width}v{}h-{width}z", number(y), number(LEVEL - 1.0));
            }
        }
        y += LEVEL;
    }
    for ((colour, failed), data) in paths {
        group = group.add(outlined(Path::new().set("d", data).set("fill", colour_name(colour)), failed));
    }
    group
}

fn rectangle(timeline: &Timeline, scale: &Scale, bar: &Bar<'_>, y: f64) -> Group {
    let event = bar.event;
    let task = event.task.map_or_else(String::new, |task| format!(", task {task}"));
    let failed = if event.failed { ", failed" } else { "" };
    let (start, wall) = (number(event.start_s - scale.start_s), event.wall_s);
    let what = format!("{}{task}: {wall:.6} s from {start} s{failed}", printable(timeline.operation(event)));
    let rectangle = Rectangle::new()
        .set("x", number(bar.left))
        .set("y", number(y))
        .set("width", number(bar.right - bar.left))
        .set("height", number(LEVEL - 1.0))
        .set("fill", colour_name(bar.colour));
    outlined(Group::new().add(Title::new(what)).add(rectangle), bar.failed)
}

/// Outlines failures in red.
fn outlined<T: svg::Node>(mut node: T, failed: bool) -> T {
    if failed {
        node.assign("stroke", FAILED);
        node.assign("stroke-width", 2);
    }
    node
}

fn axis(scale: &Scale, bottom: f64) -> Group {
    let step = step(scale.span_s, 10.0);
    let marks = (scale.span_s / step * (1.0 + 1e-9)).floor();
    let mut group = Group::new().set("stroke", "#dddddd");
    let mut texts = Group::new();
    let mut k = 0.0;
    while k <= marks {
        let x = number(scale.x(scale.start_s + k * step));
        let line = Line::new().set("x1", x.clone()).set("x2", x).set("y1", TOP - 6.0).set("y2", number(bottom));
        group = group.add(line);
        let at = scale.x(scale.start_s + k * step);
        texts = texts.add(text(&seconds(k * step, step), at, bottom + 14.0).set("text-anchor", "middle"));
        k += 1.0;
    }
    texts = texts.add(text("seconds", WIDTH - RIGHT, bottom + 28.0).set("text-anchor", "end"));
    Group::new().add(group).add(texts)
}

fn legend(timeline: &Timeline, scale: &Scale, top: f64) -> (Group, f64) {
    let mut names: Vec<(usize, String)> = Vec::new();
    let mut others = 0;
    for (colour, name) in scale.colours.iter().zip(&timeline.operations) {
        if *colour < COLOURS.len() - 1 { names.push((*colour, shortened(name))) } else { others += 1 }
    }
    names.sort();
    if others > 0 {
        names.push((COLOURS.len() - 1, format!("{others} others")));
    }
    let failed = timeline.events.iter().filter(|e| e.failed).count();
    let mut entries: Vec<(String, String, bool)> =
        names.into_iter().map(|(colour, name)| (colour_name(colour).to_owned(), name, false)).collect();
    if failed > 0 {
        entries.push(("#ffffff".to_owned(), format!("{failed} failed"), true));
    }
    let mut group = Group::new();
    let column = (WIDTH - LEFT - RIGHT) / 5.0;
    for (k, (fill, name, failed)) in entries.iter().enumerate() {
        let place = |n: usize| f64::from(u16::try_from(n).unwrap_or(u16::MAX));
        let (x, y) = (LEFT + column * place(k % LEGEND_COLUMNS), top + 16.0 * place(k / LEGEND_COLUMNS));
        let swatch = Rectangle::new().set("x", number(x)).set("y", number(y)).set("width", 10).set("height", 10);
        group = group.add(outlined(swatch.set("fill", fill.as_str()), *failed));
        group = group.add(text(name, x + 15.0, y + 9.0));
    }
    let rows = u16::try_from(entries.len().div_ceil(LEGEND_COLUMNS)).unwrap_or(u16::MAX);
    (group, 16.0 * f64::from(rows))
}

fn colour_name(colour: usize) -> &'static str {
    COLOURS.get(colour).copied().unwrap_or("#bbbbbb")
}

fn text(content: &str, x: f64, y: f64) -> Text {
    Text::new(printable(content)).set("x", number(x)).set("y", number(y)).set("fill", "#222222")
}

/// XML does not allow control characters.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') { '\u{fffd}' } else { c }).collect()
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(MOST_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Formats seconds with as many decimals as the step of the axis needs.
fn seconds(value: f64, step: f64) -> String {
    let decimals = if step >= 1.0 { 0 } else { (1..9).find(|k| step * 10f64.powi(*k) > 0.999).unwrap_or(9) };
    format!("{value:.*}", usize::try_from(decimals).unwrap_or(9))
}

/// Rounds to hundredths, and drops trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::timeline::tests::{record, timeline};
    use super::*;
    use crate::monitor::Record;

    fn boxes(drawing: &str) -> usize {
        drawing.matches("<title>").count()
    }

    #[test]
    fn a_drawing_has_a_lane_a_worker_a_box_a_record_and_a_legend() {
        let a = vec![record("load", 0.0, 2.0), Record { failed: true, task: Some(7), ..record("fit", 2.0, 3.0) }];
        let b = vec![record("fit", 1.0, 4.0)];
        let drawing = draw(&timeline(&[("worker a", a), ("worker b", b)]));
        // Texts are on lines of their own.
        let drawing: String = drawing.lines().collect();
        assert_eq!(boxes(&drawing), 3);
        for part in ["worker a", "worker b", ">load<", ">fit<", ">1 failed<", ">seconds<", "task 7", "in 5 s"] {
            assert!(drawing.contains(part), "{part} in {drawing}");
        }
        // Both boxes of 'fit' have its colour, the first one; the legend has one more.
        assert_eq!(drawing.matches(COLOURS[0]).count(), 3);
        assert_eq!(drawing.matches(FAILED).count(), 2);
        let svg = svg::read(&drawing).expect("parses").filter(|e| matches!(e, svg::parser::Event::Error(_))).count();
        assert_eq!(svg, 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "hundreds of thousands of records")]
    fn many_records_make_no_large_drawing_and_a_failure_is_seen() {
        let mut many: Vec<Record> = (0..200_000).map(|k| record("x", f64::from(k), 0.9)).collect();
        many[77_777].failed = true;
        let drawing = draw(&timeline(&[("a", many)]));
        assert!(drawing.len() < 100_000, "{} bytes", drawing.len());
        assert!(drawing.contains(FAILED) && drawing.contains("1 failed"));
    }

    #[test]
    fn names_cannot_break_it() {
        let name = "<script>\"&'\u{1}\n\u{ffff}";
        let drawing = draw(&timeline(&[(name, vec![record(name, 0.0, 0.0)])]));
        assert!(!drawing.contains("<script") && !drawing.contains('\u{1}') && drawing.contains("&lt;script&gt;"));
        assert!(draw(&Timeline::default()).contains("nothing was measured"));
    }

    #[test]
    fn marks_have_the_decimals_they_need() {
        assert_eq!(
            (seconds(300.0, 50.0), seconds(0.4, 0.2), seconds(0.00015, 5e-5)),
            ("300".into(), "0.4".into(), "0.00015".into())
        );
        assert_eq!((number(3.0), number(0.25), number(100.0)), ("3".into(), "0.25".into(), "100".into()));
    }
}
