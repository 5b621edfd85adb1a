//! Whether what was printed is what a page says: the same words but for times, and what else no two runs share.

use regex::Regex;
use std::sync::LazyLock;

/// What differs from run to run, and what takes its place.
static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let masks = [
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
        (r#"("[a-z_]*_(s|us|ms)"):[0-9.e-]+"#, "$1:TIME"),
        (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b|\b\d\d:\d\d:\d\dZ", "CLOCK"),
        (r"\b\d+(\.\d+)? (us|µs|ms|s|min|h|d)\b", "TIME"),
        (r"\b\d+(\.\d+)?/s\b", "RATE"),
        (r"\bpid \d+", "pid PID"),
        (r"^(h5part:)?  +slowest .*", "slowest"),
        (r"\bHDF5:? [0-9.]+", "HDF5 VERSION"),
    ];
    masks.map(|(pattern, mask)| (Regex::new(pattern).expect("a pattern"), mask)).to_vec()
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d+(\.\d+)?(e-?\d+)?").expect("a pattern"));

/// A line as words, without what differs.
fn masked(line: &str, numbers_differ: bool) -> String {
    let mut line = line.to_owned();
    for (pattern, mask) in &*MASKS {
        line = pattern.replace_all(&line, *mask).into_owned();
    }
    if numbers_differ {
        line = NUMBER.replace_all(&line, "N").into_owned();
    }
    // Columns are as wide as what is in them.
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Lines without what differs, and without empty ones at the end.
fn lines(text: &str, numbers_differ: bool) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| masked(line, numbers_differ)).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Compares. A line `...` of the page stands for any number of lines.
pub fn is_as_said(said: &str, printed: &str, numbers_differ: bool) -> bool {
    matches(&lines(said, numbers_differ), &lines(printed, numbers_differ))
}

fn matches(said: &[String], printed: &[String]) -> bool {
    match said.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => (0..=printed.len()).any(|k| matches(rest, &printed[k..])),
        Some((first, rest)) => printed.split_first().is_some_and(|(line, more)| line == first && matches(rest, more)),
    }
}

#[test]
fn times_may_differ_and_nothing_else() {
    let same = |said: &str, printed: &str| is_as_said(said, printed, false);
    assert!(same("committed 100 rows, 240.8 kB, in 0.007 s\n\n", "committed 100 rows,  240.8 kB, in 1.5 s"));
    assert!(!same("committed 100 rows", "committed 101 rows"));
    assert!(same("a\n...\nd", "a\nb\nc\nd") && same("a\n...", "a") && !same("a\n...\nd", "a\nb"));
    assert!(same(r#"{"rows":1,"wall_s":0.1}"#, r#"{"rows":1,"wall_s":2e-5}"#));
    assert!(!same(r#"{"rows":1,"wall_s":0.1}"#, r#"{"rows":2,"wall_s":0.1}"#));
    assert!(same("3.1/s, 4 min left, pid 1", "100.0/s, 50 ms left, pid 4711"));
    assert!(!same("a", "a\nb") && !same("a\nb", "a"));
    assert!(is_as_said("3 of 4", "5 of 6.5", true) && !is_as_said("3 of 4", "x of 4", true));
}
