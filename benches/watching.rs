//! What it costs to watch: processor time of `status --watch 1` and `top` on a large table and a large ledger, the rate
//! of four writers with and without them, and the time of `report`.
//!
//! `cargo bench --profile release --bench watching`; `SECONDS=30` is how long each is watched.

use h5part::ledger::{ClaimOptions, Claimed, End, Ledger, NewLedger, Owner};
use h5part::monitor::{Monitor, Record};
use nix::pty::{Winsize, openpty};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: u64 = 10_000_000;
const TASKS: u64 = 1_000_000;
const REPORTED: u32 = 100_000;
/// Tasks that are done, per claim.
const BLOCK: u64 = 1000;
/// Runs of the writers, with and without.
const RUNS: usize = 5;

fn h5part(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_h5part"));
    command.args(args).stdin(Stdio::null());
    command
}

fn ok(args: &[&str]) -> String {
    let output = h5part(args).output().expect("starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A program that is watched while it runs, in a terminal of its own; what it shows is thrown away.
struct Shown {
    child: Child,
    _keys: File,
}

impl Shown {
    fn start(args: &[&str]) -> Self {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("duplicates"));
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_h5part")]).args(args).env("TERM", "xterm");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid of util-linux");
        let keys = File::from(pty.master);
        let mut shown = keys.try_clone().expect("duplicates");
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(1..) = shown.read(&mut bytes) {}
        });
        Self { child, _keys: keys }
    }

    /// Processor time so far, in seconds.
    fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks = |k: usize| fields[k].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints the share of a core that a program takes, once it has come into its stride.
fn share(what: &str, seconds: u64, args: &[&str]) {
    let shown = Shown::start(args);
    // The first look counts everything.
    std::thread::sleep(Duration::from_secs(5));
    let (before, start) = (shown.cpu_s(), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let share = (shown.cpu_s() - before) / start.elapsed().as_secs_f64();
    println!("{what}: {:.2} % of a core", share * 100.0);
}

fn table(path: &str) {
    ok(&["create", path, "t", "--rows", &ROWS.to_string(), "--column", "E:f64"]);
    let half = ROWS / 2;
    let mut update = h5part(&["update", path, "t", "--rows", &format!(":{half}"), "--set", "E=-"]);
    let mut update =
        update.args(["--durability", "process"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starts");
    let mut values = update.stdin.take().expect("piped");
    let zeros = vec![0; 8 << 20];
    let mut left = usize::try_from(half * 8).expect("fits");
    while left > 0 {
        let count = left.min(zeros.len());
        values.write_all(&zeros[..count]).expect("writes");
        left -= count;
    }
    drop(values);
    assert!(update.wait().expect("ends").success());
}

fn ledger(path: &Path) {
    NewLedger::of_rows(TASKS, 1).create(path).expect("creates");
    let ledger = Ledger::open(path).expect("opens");
    let owner = ledger.register(&Owner::this_process()).expect("registers");
    for _ in 0..TASKS / BLOCK / 2 {
        let options = ClaimOptions { count: BLOCK, ..ClaimOptions::default() };
        let Ok(Claimed::Tasks(claims)) = ledger.claim(owner, &options) else { panic!("nothing waits") };
        ledger.finish_all(&claims, End::Done).expect("finishes");
    }
}

/// Commits per second of four writers, and while something looks at their file.
fn writers(folder: &Path) {
    let mut rates: [Vec<f64>; 3] = Default::default();
    for run in 0..RUNS {
        for (k, how) in ["", "watch", "top"].into_iter().enumerate() {
            let folder = folder.join(format!("{run}-{k}"));
            let text = folder.to_str().expect("UTF-8");
            let mut stress = h5part(&["stress", text, "--rows", "1000000", "--row-shape", "1", "--batch", "10"]);
            stress.args(["--seconds", "8", "--durability", "process", "--json"]);
            let stress = stress.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
            let file = folder.join("stress.h5");
            let file = file.to_str().expect("UTF-8");
            while !Path::new(file).exists() {
                std::thread::sleep(Duration::from_millis(5));
            }
            let shown = match how {
                "watch" => Some(Shown::start(&["status", file, "--watch", "1"])),
                "top" => Some(Shown::start(&["top", file])),
                _ => None,
            };
            let output = stress.wait_with_output().expect("ends");
            drop(shown);
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let number = |name: &str| said[name].as_f64().expect("a number");
            rates[k].push(number("commits") / number("wall_s"));
            std::fs::remove_dir_all(&folder).expect("removes");
        }
    }
    for (how, rates) in ["alone", "beside 'status --watch 1'", "beside 'top'"].iter().zip(&mut rates) {
        rates.sort_by(f64::total_cmp);
        let (low, high) = (rates[0], rates[RUNS - 1]);
        println!("four writers {how}: {:.0} commits/s ({low:.0} to {high:.0})", rates[RUNS / 2]);
    }
}

fn report(folder: &Path) {
    let (path, checkpoint) = (folder.join("run.ledger"), folder.join("checkpoint"));
    let lines = (0..REPORTED).map(|k| format!("task {k} 1\n")).collect::<Vec<_>>().concat();
    let text = format!("Vspace File: v\nTotal Number of Simulations: {REPORTED}\n{lines}THE END\n");
    std::fs::write(&checkpoint, text).expect("writes");
    let ledger = path.to_str().expect("UTF-8");
    ok(&["ledger", "import", ledger, checkpoint.to_str().expect("UTF-8")]);
    for worker in 0..8 {
        let monitor =
            Monitor::open_as(folder.join("run.ledger.part/monitor"), &format!("node-{worker}")).expect("opens");
        for task in (worker..REPORTED).step_by(8) {
            let record = Record {
                operation: "program".to_owned(),
                start_s: 1.7e9 + f64::from(task) / 8.0,
                wall_s: 0.05 + f64::from(task % 977) / 1000.0,
                cpu_s: 0.04,
                memory_bytes: 1 << 20,
                whole: true,
                task: Some(task.into()),
                failed: task.is_multiple_of(50),
                ..Record::default()
            };
            monitor.record(record).expect("writes");
        }
    }
    let page = folder.join("run.html");
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            ok(&["report", ledger, "-o", page.to_str().expect("UTF-8")]);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let bytes = std::fs::metadata(&page).expect("a page").len();
    println!("report of {REPORTED} tasks: {:.2} s, {} kB", times[RUNS / 2], bytes / 1000);
}

fn main() {
    let seconds = std::env::var("SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("a.h5");
    let store = store.to_str().expect("UTF-8");
    table(store);
    share("status --watch 1, table of 10,000,000 rows", seconds, &["status", store, "--watch", "1"]);
    share("top, table of 10,000,000 rows", seconds, &["top", store]);
    let path = folder.path().join("large.ledger");
    ledger(&path);
    let path = path.to_str().expect("UTF-8");
    share("status --watch 1, ledger of 1,000,000 tasks", seconds, &["status", path, "--watch", "1"]);
    share("top, ledger of 1,000,000 tasks", seconds, &["top", path]);
    report(folder.path());
    writers(folder.path());
}
