//! What is on the screen, kept as snapshots, and the pictures of the pages, which are the same screens drawn.
//!
//! `H5PART_PICTURES=1` writes the pictures anew; else they must be what is drawn.

use super::reports::demo;
use crate::common::browser::Browser;
use crate::common::pty::{ScreenLine, Terminal};
use crate::common::support::{Scratch, ok};
use regex::Regex;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use svg::Document;
use svg::node::element::{Rectangle, Text};

/// The last line of `top`.
const FOOT: &str = "q end  ? keys  Tab pane  s sort  / filter  Enter log  c cancel  r requeue";
/// Heavier pictures do not belong into a repository.
const MOST_BYTES: usize = 60_000;

static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)? (us|ms|s|min)\b").expect("a pattern"));
static RATE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d+(\.\d+)?/s").expect("a pattern"));
static CLOCK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b\d\d:\d\d:\d\dZ").expect("a pattern"));

/// Times and rates are the same ones in each run of the tests, so that a screen changes only with the program.
fn steady(text: &str) -> String {
    let text = TIME.replace_all(text, "12.0 s");
    CLOCK.replace_all(&RATE.replace_all(&text, "3.1/s"), "12:03:04Z").trim_end().to_owned()
}

fn steady_lines(terminal: &Terminal) -> Vec<ScreenLine> {
    terminal.lines().into_iter().map(|line| ScreenLine { text: steady(&line.text), ..line }).collect()
}

fn snapshot(name: &str, terminal: &Terminal) {
    let lines: Vec<String> = steady_lines(terminal).into_iter().map(|line| line.text).collect();
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, lines.join("\n"));
    });
}

fn pictures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/pictures")
}

fn writes_pictures() -> bool {
    std::env::var_os("H5PART_PICTURES").is_some()
}

/// Draws a screen, and compares it with the picture of that name.
fn picture(name: &str, title: &str, lines: &[ScreenLine], columns: usize) {
    let drawn = draw(title, lines, columns);
    assert!(drawn.len() < MOST_BYTES, "{name}: {} bytes", drawn.len());
    let path = pictures().join(name);
    if writes_pictures() {
        std::fs::create_dir_all(pictures()).expect("a folder");
        std::fs::write(&path, &drawn).expect("writes");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == drawn, "{} is not what is on the screen now: H5PART_PICTURES=1 draws it anew", path.display());
}

/// A screen as SVG: a line of text each, as wide as its characters are many.
fn draw(title: &str, lines: &[ScreenLine], columns: usize) -> String {
    let (wide, high, margin) = (8, 18, 10);
    let (width, height) = (columns * wide + 2 * margin, lines.len() * high + 2 * margin);
    let mut drawing = Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("role", "img")
        .set("aria-label", title)
        .set("font-family", "DejaVu Sans Mono, Menlo, Consolas, monospace")
        .set("font-size", 13)
        .add(Rectangle::new().set("width", width).set("height", height).set("rx", 6).set("fill", "#14171a"));
    for (row, line) in lines.iter().enumerate().filter(|(_, line)| !line.text.is_empty()) {
        let (top, long) = (margin + row * high, line.text.chars().count() * wide);
        if line.inverse {
            let back = Rectangle::new().set("x", margin).set("y", top).set("width", long).set("height", high);
            drawing = drawing.add(back.set("fill", "#d5d8dc"));
        }
        let text = Text::new(line.text.as_str())
            .set("x", margin)
            .set("y", top + 13)
            .set("xml:space", "preserve")
            .set("textLength", long)
            .set("fill", if line.inverse { "#14171a" } else { "#e6e6e6" })
            .set("font-weight", if line.bold { "bold" } else { "normal" })
            .set("text-decoration", if line.underlined { "underline" } else { "none" });
        drawing = drawing.add(text);
    }
    format!("{drawing}\n")
}

#[test]
fn the_screen_of_top_at_every_size() {
    let (_scratch, ledger) = demo();
    let mut top = Terminal::start(24, 80, &["top", &ledger, "--every", "0.2"]);
    // The second look knows rates.
    top.until("%)  0.0/s");
    snapshot("top_80x24", &top);
    picture("top.svg", "h5part top: coverage, workers, failures", &steady_lines(&top), 80);
    top.press("\tss\u{1b}[B");
    top.until(">3 failed: task, attempts, reason, ended by task");
    snapshot("top_failures", &top);
    top.press("\r");
    top.until("log of '1050:1060'");
    snapshot("top_log", &top);
    top.press("\u{1b}");
    top.gone("log of");
    top.press("?");
    top.until("requeue the failed task");
    snapshot("top_keys", &top);
    top.press("x");
    top.gone("requeue the failed task");
    for (rows, columns) in [(12, 40), (24, 20), (5, 12)] {
        top.resize(rows, columns);
        // It has been drawn anew when its last line is where the screen ends.
        let foot = FOOT[..FOOT.len().min(usize::from(columns))].trim_end();
        let is_drawn = |text: &str| text.lines().count() == usize::from(rows) && text.ends_with(foot);
        let is_whole = |text: &str| is_drawn(text) && text.starts_with("run.ledger") && text.contains("failed: t");
        top.wait(is_whole, "it was not drawn anew");
        snapshot(&format!("top_{columns}x{rows}"), &top);
    }
    let narrow = Terminal::start(24, 20, &["top", &ledger, "--every", "0.2", "--ascii"]);
    let text = narrow.until("q end  ? keys");
    assert!(text.is_ascii(), "{text}");
    narrow.until(">3 workers");
    snapshot("top_20x24_ascii", &narrow);
}

#[test]
fn the_screen_of_a_watch() {
    let (_scratch, ledger) = demo();
    let watch = Terminal::start(14, 90, &["status", &ledger, "--watch", "0.2"]);
    watch.until("%)  0.0/s");
    snapshot("watch_90x14", &watch);
    picture("watch.svg", "h5part status --watch: tasks, workers, failures, coverage", &steady_lines(&watch), 90);
    let narrow = Terminal::start(14, 20, &["status", &ledger, "--watch", "0.2", "--ascii"]);
    narrow.until("frames");
    let text = narrow.text();
    assert!(text.is_ascii() && text.lines().all(|line| line.chars().count() <= 20), "{text}");
}

/// Of twelve tasks two have failed, nine are done, and the first stays until there is a file `go`.
#[test]
fn the_bar_of_a_run_shows_rate_time_left_running_and_failed() {
    const SCRIPT: &str = r#"case $1 in "t 3"|"t 4") exit 7;; "t 0") while [ ! -e "$2" ]; do sleep 0.05; done;; esac"#;
    let scratch = Scratch::new();
    let (ledger, tasks, go) = (scratch.text("run.ledger"), scratch.text("tasks"), scratch.text("go"));
    std::fs::write(&tasks, (0..12).map(|k| format!("t {k}\n")).collect::<String>()).expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &tasks]);
    let args = ["run", &ledger, "-j", "2", "--max-attempts", "1", "--", "sh", "-c", SCRIPT, "sh", "{name}", &go];
    let run = Terminal::start(10, 80, &args);
    let bar = Regex::new(r"\[█+▓?░*\] 9/12 \d+\.\d/(s|min), .+ left, 1 running, 2 failed").expect("a pattern");
    let text = run.wait(|text| bar.is_match(text), "the bar is not as it should be");
    assert!(text.contains("'t 3' failed: exit code 7") || text.contains("'t 4' failed: exit code 7"), "{text}");
    let left = Regex::new(r"\d+\.\d/(s|min), .+ left").expect("a pattern");
    let lines: Vec<ScreenLine> = run
        .lines()
        .into_iter()
        .filter(|line| line.text.starts_with('['))
        .map(|line| ScreenLine { text: left.replace(&line.text, "3.1/s, 2 seconds left").into_owned(), ..line })
        .collect();
    picture("run.svg", "h5part run: a bar of tasks", &lines, 80);
    std::fs::write(&go, "").expect("writes");
    let (code, text) = run.end();
    assert!(code == 1 && text.contains("10 of 12 tasks are done, 2 failed"), "{text}");
    assert!(!text.contains("running") && text.contains("2 tasks failed: exit code 7"), "the bar goes away: {text}");
}

/// The top of a page, in a browser.
#[test]
fn the_picture_of_a_report() {
    let path = pictures().join("report.png");
    if writes_pictures() {
        let Some(mut browser) = Browser::start(900, 640) else { panic!("a picture needs a browser") };
        let (scratch, _) = demo();
        let page = scratch.path("run.html");
        // The page shows the paths that it was given.
        let mut report = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
        assert!(report.current_dir(scratch.path("")).args(["report", "run.ledger", "-o", "run.html"]).status().is_ok());
        browser.open(&page);
        let picture = browser.order("Page.captureScreenshot", &json!({"format": "png", "optimizeForSpeed": false}));
        let mut command = std::process::Command::new("base64");
        command.arg("-d").stdin(std::process::Stdio::piped()).stdout(std::fs::File::create(&path).expect("a picture"));
        let mut decoder = command.spawn().expect("base64 of coreutils");
        let data = picture["data"].as_str().expect("a picture").as_bytes().to_vec();
        std::io::Write::write_all(&mut decoder.stdin.take().expect("piped"), &data).expect("writes");
        assert!(decoder.wait().expect("ends").success());
    }
    let picture = std::fs::read(&path).expect("a picture");
    assert!(picture.starts_with(b"\x89PNG") && picture.len() < MOST_BYTES, "{} bytes", picture.len());
}
