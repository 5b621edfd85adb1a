//! Pages of `h5part report` in a real browser: what they show, and that they neither complain nor ask for anything.

use super::reports::scene;
use crate::common::browser::Browser;
use crate::common::support::{Scratch, ok};
use h5part::monitor::{Monitor, Record};
use serde_json::{Value, json};
use std::path::Path;

const TABLES: &str =
    "[...document.querySelectorAll('table')].map(t => [...t.rows].map(r => [...r.cells].map(c => c.textContent)))";
const HEADINGS: &str = "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => Number(h.tagName[1]))";

/// Writes a page and opens it: nothing is asked for but the page itself, and the console stays empty.
fn open(browser: &mut Browser, of: &str, page: &Path) {
    let page = page.with_extension("html");
    ok(&["report", of, "-o", page.to_str().expect("UTF-8")]);
    browser.open(&page);
    assert_eq!(browser.requests(), [format!("file://{}", page.display())]);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Tables by the title of their first column.
fn table(browser: &mut Browser, first: &str) -> Vec<Vec<String>> {
    let tables: Vec<Vec<Vec<String>>> = serde_json::from_value(browser.value(TABLES)).expect("tables of texts");
    tables.into_iter().find(|table| table[0][0] == first).unwrap_or_else(|| panic!("no table '{first}'"))
}

fn seconds(text: &str) -> f64 {
    let (number, unit) = text.split_once(' ').expect("a unit");
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "min" => 60.0,
        _ => panic!("{text}"),
    };
    number.parse::<f64>().expect("a number") * factor
}

/// Whether a figure of the page is this one of the monitor's, as far as its three digits go.
fn is_same(shown: &str, figure: &Value) {
    let figure = figure.as_f64().expect("a number");
    assert!((seconds(shown) - figure).abs() <= 0.006 * figure, "{shown} is not {figure} s");
}

fn same_costs(shown: &[String], costs: &Value) {
    assert_eq!(shown[1], costs["records"].to_string());
    assert_eq!(shown[2], costs["failed"].to_string());
    let (wall, ranks) = (&costs["wall_s"], &costs["wall_percentiles_s"]);
    let figures = [&wall["total"], &wall["mean"], &ranks["p50"], &ranks["p90"], &ranks["p99"], &wall["max"]];
    for (cell, figure) in shown[3..9].iter().zip(figures) {
        is_same(cell, figure);
    }
    is_same(&shown[9], &costs["cpu_s"]["total"]);
    assert_eq!(shown[10], format!("{:.0} %", costs["cpu_share"].as_f64().expect("a share") * 100.0));
    let megabytes = format!("{:.1} MB", costs["memory_bytes"].as_f64().expect("bytes") / 1e6);
    assert_eq!(shown[11].trim_start_matches("≤ "), megabytes);
    assert_eq!(shown[12], format!("{:.0} %", costs["memory_share"].as_f64().expect("a share") * 100.0));
}

#[test]
fn the_figures_of_a_page_are_those_of_the_monitor() {
    let Some(mut browser) = Browser::start(1200, 900) else { return };
    let (scratch, ledger) = scene();
    open(&mut browser, &ledger, &scratch.path("run"));
    let said: Value = serde_json::from_str(&ok(&["monitor", &ledger, "--json"])).expect("JSON");
    let summary = browser.value("document.getElementById('summary').textContent");
    let summary: Value = serde_json::from_str(summary.as_str().expect("text")).expect("JSON");
    assert_eq!(summary, said);
    for (what, list) in [("operation", "operations"), ("host", "hosts"), ("worker", "workers")] {
        let rows = table(&mut browser, what);
        let costs = said[list].as_array().expect("a list");
        assert_eq!(rows.len(), costs.len() + 1);
        for (row, costs) in rows[1..].iter().zip(costs) {
            assert_eq!(json!(row[0]), costs[what]);
            same_costs(row, costs);
        }
    }
    let glance = table(&mut browser, "");
    for row in [["tasks", "20"], ["done", "18"], ["failed", "2"], ["measured", "22 records of 1 workers"]] {
        assert!(glance.iter().any(|cells| cells == &row), "{row:?} is not in {glance:?}");
    }
    // What a log says is text.
    let log = browser.value("document.querySelector('pre').textContent");
    assert!(log.as_str().expect("text").contains("</pre><script>alert(1)</script> red"), "{log}");
}

#[test]
fn a_page_can_be_read_in_light_and_dark_on_paper_and_aloud() {
    let Some(mut browser) = Browser::start(500, 900) else { return };
    let (scratch, ledger) = scene();
    open(&mut browser, &ledger, &scratch.path("run"));
    let levels: Vec<u64> = serde_json::from_value(browser.value(HEADINGS)).expect("numbers");
    assert_eq!((levels[0], levels.iter().filter(|level| **level == 1).count()), (1, 1), "{levels:?}");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "a heading leaves out a level: {levels:?}");
    for (what, nothing) in [
        (
            "drawings without a label",
            "[...document.querySelectorAll('svg')].filter(s => !s.getAttribute('aria-label')).length",
        ),
        (
            "drawings that are not shown",
            "[...document.querySelectorAll('svg')].filter(s => s.clientWidth * s.clientHeight == 0).length",
        ),
        ("cells without a heading", "[...document.querySelectorAll('th')].filter(h => !h.scope).length"),
        ("pages wider than the window", "Number(document.documentElement.scrollWidth > innerWidth)"),
        ("pages without a language", "Number(!document.documentElement.lang)"),
    ] {
        assert_eq!(browser.value(nothing), json!(0), "{what}");
    }
    let drawings = browser.value("document.querySelectorAll('svg').length");
    assert!(drawings.as_u64().is_some_and(|count| count >= 4), "{drawings}");

    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        for what in ["body", ".dim", "th"] {
            let colours = format!(
                "[getComputedStyle(document.querySelector('{what}')).color, getComputedStyle(document.body).backgroundColor]"
            );
            let colours: [String; 2] = serde_json::from_value(browser.value(&colours)).expect("two colours");
            let [text, ground] = colours.each_ref().map(|colour| luminance(colour));
            let contrast = (text.max(ground) + 0.05) / (text.min(ground) + 0.05);
            // What the guidelines for accessible content ask for.
            assert!(contrast >= 4.5, "{scheme}: {what} is hard to read: {colours:?}, {contrast}");
            grounds.push(ground);
        }
    }
    assert!(grounds[0] > 0.9 && grounds[3] < 0.1, "{grounds:?}");

    assert_eq!(browser.value("document.querySelector('.zoom').getAttribute('viewBox')"), json!("0 0 1000 16"));
    browser.value("document.getElementById('in').click()");
    assert_eq!(browser.value("document.querySelector('.zoom').getAttribute('viewBox')"), json!("250 0 500 16"));
    let paper = browser.order("Page.printToPDF", &json!({}));
    assert!(paper["data"].as_str().is_some_and(|data| data.len() > 10_000), "nothing is printed");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// How bright a colour such as `rgb(1, 2, 3)` is, from 0 to 1.
fn luminance(colour: &str) -> f64 {
    let numbers = colour.trim_start_matches("rgb(").trim_end_matches(')').split(", ");
    let linear = numbers.map(|number| {
        let share = number.parse::<f64>().expect("a number") / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    });
    linear.zip([0.2126, 0.7152, 0.0722]).map(|(value, weight)| value * weight).sum()
}

#[test]
fn a_page_of_a_hundred_thousand_tasks_is_small() {
    const TASKS: u32 = 100_000;
    let scratch = Scratch::in_memory();
    let (ledger, checkpoint) = (scratch.text("run.ledger"), scratch.text("checkpoint"));
    let lines: String = (0..TASKS).map(|k| format!("task {k} 1\n")).collect();
    let text = format!("Vspace File: v\nTotal Number of Simulations: {TASKS}\n{lines}THE END\n");
    std::fs::write(&checkpoint, text).expect("writes");
    ok(&["ledger", "import", &ledger, &checkpoint]);
    let monitor = Monitor::open(scratch.path("run.ledger.part/monitor")).expect("opens");
    for k in 0..TASKS {
        let record = Record {
            operation: "program".to_owned(),
            start_s: 1.7e9 + f64::from(k) / 8.0,
            wall_s: 0.05 + f64::from(k % 977) / 100.0,
            cpu_s: 0.04,
            memory_bytes: 1 << 20,
            whole: true,
            task: Some(k.into()),
            failed: k.is_multiple_of(50),
            ..Record::default()
        };
        monitor.record(record).expect("writes");
    }
    drop(monitor);
    let page = scratch.path("run.html");
    if let Some(mut browser) = Browser::start(1200, 900) {
        open(&mut browser, &ledger, &page);
        assert_eq!(table(&mut browser, "operation")[1][..3], ["program", "100000", "2000"].map(str::to_owned));
        assert!(table(&mut browser, "").contains(&vec!["done".to_owned(), "100000".to_owned()]));
    } else {
        ok(&["report", &ledger, "-o", page.to_str().expect("UTF-8")]);
    }
    let bytes = std::fs::metadata(&page).expect("a page").len();
    assert!(bytes < 1_000_000, "{bytes} bytes");
}
