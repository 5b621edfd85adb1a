//! `status --watch` and `top`: watching a run.

use crate::common::pty::Terminal;
use crate::common::support::{Scratch, commit_e, finished, h5part, ok, run};
use h5part_base::dataspace::Rows;
use h5part_base::lock::{Paths, Patience, RowLocks};
use h5part_engine::store::{Store, Values};
use regex::Regex;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

/// Twelve tasks: the first runs until there is a file `go`, 3 and 4 fail with a log.
const SCRIPT: &str = r#"
    case $1 in
    "t 3"|"t 4") printf 'a \033[31mred\033[0m line\nthe end\n'; exit 7;;
    "t 0") while [ ! -e go ]; do sleep 0.05; done;;
    esac"#;

struct Scene {
    dir: Scratch,
    ledger: String,
    run: Child,
}

fn scene() -> Scene {
    let dir = Scratch::new();
    let (ledger, tasks) = (dir.text("run.ledger"), dir.text("tasks"));
    std::fs::write(&tasks, (0..12).map(|k| format!("t {k}\n")).collect::<String>()).expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &tasks]);
    let run = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .current_dir(dir.path(""))
        .args(["run", &ledger, "-q", "-j", "2", "--max-attempts", "1", "--", "sh", "-c", SCRIPT, "sh", "{name}"])
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    Scene { dir, ledger, run }
}

impl Scene {
    fn go(&mut self) {
        std::fs::write(self.dir.path("go"), "").expect("writes");
        self.run.wait().expect("ends");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.run.kill();
        let _ = self.run.wait();
    }
}

#[test]
fn without_a_terminal_a_watch_is_one_line_each_time_and_ends_when_all_is_there() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    commit_e(&file, 40, 0..20);
    let mut watch = Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["status", &file, "--watch", "0.1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines().map(|line| line.expect("UTF-8"));
    let first = lines.next().expect("a line");
    assert!(first.contains("Z t/E 50.0 %") && first.ends_with("; 0 writers"), "{first}");
    let values: Vec<f64> = (20..40).map(f64::from).collect();
    ok(&["update", &file, "t", "--rows", "20:40", "--set", &format!("E={}", scratch.npy("e.npy", &[20], &values))]);
    let last = lines.last().expect("a line");
    assert!(last.contains("t/E 100.0 %"), "{last}");
    assert!(watch.wait().expect("ends").success());

    let mut scene = scene();
    scene.go();
    for args in [["status", &scene.ledger, "--watch"], ["status", "--watch", &scene.ledger]] {
        assert!(ok(&args).contains("10 of 12 tasks are done"), "{args:?}");
    }
    let out = ok(&["status", "--watch", "5", &scene.ledger]);
    assert!(out.contains("Z 10 of 12 tasks are done, 0 running, 2 failed\n"), "{out}");
    let (code, _, err) = run(&["status", &scene.ledger]);
    assert!(code == 2 && err.contains("'h5part ledger status'") && err.contains("--watch"), "{err}");
    assert_eq!(run(&["status", &file, "--ascii"]).0, 2);
}

#[test]
fn what_disappears_while_it_is_watched_is_told() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    commit_e(&file, 40, 0..20);
    let scene = scene();
    for what in [&file, &scene.ledger] {
        let mut watch = Command::new(env!("CARGO_BIN_EXE_h5part"))
            .args(["status", what, "--watch", "0.1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut first = String::new();
        BufReader::new(watch.stdout.as_mut().expect("piped")).read_line(&mut first).expect("reads");
        std::fs::remove_file(what).expect("removes");
        let (code, _, err) = finished(&watch.wait_with_output().expect("ends"));
        assert!(code == 3 && err.contains("no such file"), "{code} {err}");
    }
}

#[test]
fn on_a_terminal_a_watch_stays_in_place_whatever_its_size() {
    let mut scene = scene();
    let store = scene.dir.text("a.h5");
    commit_e(&store, 40, 0..10);
    for (columns, ascii) in [(80, false), (20, true)] {
        let mut args = vec!["status", &store, "--watch", "0.1"];
        args.extend(ascii.then_some("--ascii"));
        let terminal = Terminal::start(24, columns, &args);
        let text = terminal.until("25.0");
        std::thread::sleep(std::time::Duration::from_millis(500));
        assert_eq!(terminal.text().matches("table 't'").count(), 1, "{text}");
        assert_eq!(text.is_ascii(), ascii, "{text}");
    }
    let terminal = Terminal::start(24, 100, &["status", &scene.ledger, "--watch", "0.2"]);
    let text = terminal.until("2 failed");
    assert!(text.contains("1 running: t 0") && text.contains("failed: 2 for 'exit code 7'"), "{text}");
    scene.go();
    let (code, text) = terminal.end();
    assert!(code == 0 && text.contains("10 of 12 tasks are done (83.3 %)"), "{text}");
}

#[test]
fn top_shows_workers_and_failures_with_their_logs_and_takes_orders() {
    let mut scene = scene();
    let mut top = Terminal::start(24, 80, &["top", &scene.ledger, "--every", "0.2"]);
    top.until("run.ledger  9/12 done (75.0 %)");
    let text = top.until(" 1 running  ");
    assert!(top.is_taken() && text.contains(">1 workers") && text.contains("t 0"), "{text}");
    // Failures, sorted by name and filtered, and the log of one.
    top.press("\t");
    top.until(">2 failed: task");
    top.press("ss");
    top.until("by task");
    top.press("/t 4\r");
    let text = top.until(">1 failed: task");
    assert!(text.contains("'t 4'  1  exit code 7  ") && !text.contains("'t 3'"), "{text}");
    top.press("\r");
    let text = top.until("the end");
    assert!(text.contains("log of 't 4'") && text.contains("a red line") && !text.contains("[31m"), "{text}");
    top.press("x");
    top.until("only 't 4'");
    top.press("r");
    top.until("'t 4' is requeued");
    top.press("\u{1b}");
    // Too small for any content, and back.
    top.resize(5, 20);
    std::thread::sleep(std::time::Duration::from_millis(600));
    top.resize(24, 80);
    top.until("q end  ? keys");
    top.press("?");
    top.until("requeue the failed task");
    top.press("x\t");
    top.until(">1 workers");
    top.press("c");
    top.until("cancel 1 running tasks of this worker? y/n");
    top.press("y");
    top.until("1 tasks are cancelled");
    top.press("q");
    scene.go();
    let (code, _) = top.end();
    assert_eq!(code, 0);
    let said = ok(&["ledger", "status", &scene.ledger, "--json"]);
    assert!(said.contains(r#""cancelled":1"#), "{said}");
}

#[test]
fn top_of_a_file_shows_coverage_and_gives_the_terminal_back() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    commit_e(&file, 40, 0..10);
    for ascii in [false, true] {
        let mut args = vec!["top", &file, "--every", "0.2"];
        args.extend(ascii.then_some("--ascii"));
        let mut top = Terminal::start(24, 80, &args);
        let text = top.until("25.0 %");
        assert_eq!(text.is_ascii(), ascii, "{text}");
        assert!(text.contains(">0 writers") && text.contains("E |"), "{text}");
        top.press("q");
        let (code, text) = top.end();
        assert!(code == 0 && !text.contains("writers"), "{text}");
    }
    let top = Terminal::start(24, 80, &["top", &file, "--every", "0.2"]);
    top.until("25.0 %");
    std::fs::remove_file(&file).expect("removes");
    let (code, text) = top.end();
    assert!(code == 3 && text.contains("no such file"), "{code} {text}");
    let output = h5part().args(["top", &scratch.text("b.h5")]).output().expect("starts");
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("needs a terminal"));
}

#[test]
fn a_writer_is_shown_with_the_rows_that_it_writes_and_how_much_it_writes() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    commit_e(&file, 40, 0..10);
    let paths = Paths::of(file.as_ref()).expect("paths");
    let store = Store::new(&file).expect("path");
    let mut writer = store.writer("t").expect("writer");
    let mut commit = |row: u64| {
        let value = ndarray::arr1(&[0.5]);
        writer.commit(&Rows::one(row), &[("E", Values::from(&value))]).expect("commits");
    };
    let locks = RowLocks::open(&paths).expect("opens");
    let held = locks.lock(1, &[20..25], &Patience::default()).expect("locks");
    let watch = Terminal::start(24, 120, &["status", &file, "--watch", "0.1"]);
    let top = Terminal::start(24, 120, &["top", &file, "--every", "0.1"]);
    for screen in [&watch, &top] {
        let text = screen.until("t 20:25");
        assert!(text.contains(&std::process::id().to_string()), "{text}");
        screen.until(" 0.0 commits/s, ");
    }
    // It notes its commits a tenth of a second after it was opened.
    for row in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(110));
        commit(row);
    }
    let counted = Regex::new(r" 0\.[0-9]*[1-9] commits/s| [1-9][0-9.]* commits/s").expect("a pattern");
    for screen in [&watch, &top] {
        screen.wait(|text| counted.is_match(text), "commits are not counted");
    }
    // What was seen last stays to be seen.
    drop(held);
    std::thread::sleep(std::time::Duration::from_millis(300));
    watch.until("t 20:25");
    drop(writer);
    watch.gone("t 20:25");
    top.until(">0 writers");
}

/// What was seen of a log of 100 MB is its end, and nothing of it reaches the terminal that is not text.
#[test]
fn a_large_log_with_escapes_is_shown_as_text() {
    let scratch = Scratch::in_memory();
    let (ledger, tasks) = (scratch.text("run.ledger"), scratch.text("tasks"));
    std::fs::write(&tasks, "one\n").expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &tasks, "--max-attempts", "1"]);
    let (code, ..) = run(&["run", &ledger, "-q", "--", "sh", "-c", "exit 3"]);
    assert_eq!(code, 1);
    let log = scratch.path("run.ledger.part/logs/0000/0.log");
    let mut file = std::fs::File::create(&log).expect("the log");
    let line = format!("\u{1b}]0;title\u{7}\u{1b}[2J{}\n", "x".repeat(1000));
    for _ in 0..100 {
        file.write_all(line.repeat(1000).as_bytes()).expect("writes");
    }
    file.write_all(b"\x1b[31mthe end\x1b[0m\n").expect("writes");
    drop(file);
    assert!(std::fs::metadata(&log).expect("the log").len() > 100_000_000);
    let mut top = Terminal::start(24, 80, &["top", &ledger, "--every", "0.2"]);
    top.until(" 1 failed: task");
    top.press("\t\r");
    let text = top.until("the end");
    assert!(text.contains("log of 'one'") && !text.contains("[31m") && !text.contains("title"), "{text}");
    let page = scratch.text("run.html");
    ok(&["report", &ledger, "-o", &page]);
    let page = std::fs::read_to_string(&page).expect("a page");
    assert!(page.contains("the end</pre>") && !page.contains('\u{1b}') && page.len() < 100_000, "{}", page.len());
}
