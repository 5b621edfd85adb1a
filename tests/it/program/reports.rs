//! `h5part report`: a page that needs no other file, and agrees with `monitor` and the ledger.

use crate::common::support::{Scratch, commit_e, finished, is_one_error, ok, run};
use h5part::ledger::{Claim, ClaimOptions, Claimed, End, Ledger, Owner, Reason};
use h5part::monitor::{Monitor, Record};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A run of twenty tasks over a store. Two of them fail with hostile text in their log.
pub fn scene() -> (Scratch, String) {
    let scratch = Scratch::new();
    let (store, ledger) = (scratch.text("a.h5"), scratch.text("run.ledger"));
    ok(&["create", &store, "t", "--rows", "40", "--column", "E & <b>:f64"]);
    ok(&["ledger", "init", &ledger, "--store", &store, "--table", "t", "--block", "2", "--max-attempts", "2"]);
    let script = r#"
        case $2 in
        0:2|6:8) printf '</pre><script>alert(1)</script>\033[31m red\n' >&2; exit 3;;
        esac
        head -c 16 /dev/zero | "$0" update "$1" t --rows "$2" --set "E & <b>=-""#;
    let exe = env!("CARGO_BIN_EXE_h5part");
    let args = ["run", &ledger, "-q", "-j", "2", "--retry-delay", "0.01", "--memory", "1G", "--", "sh", "-c", script];
    let (code, _, err) = run(&[&args[..], &[exe, &store, "{rows}"]].concat());
    assert_eq!(code, 1, "{err}");
    (scratch, ledger)
}

fn page(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a page")
}

/// The measurements in a page.
fn summary(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=summary>").expect("a summary");
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
}

#[test]
fn a_page_says_what_ran_what_failed_and_what_it_cost_and_loads_nothing() {
    let (scratch, ledger) = scene();
    let out = scratch.text("run.html");
    assert_eq!(ok(&["report", &ledger, "-o", &out]), format!("{out}\n"));
    let page = page(&scratch.path("run.html"));
    for heading in [
        "At a glance",
        "Failures",
        "Coverage",
        "Workers over time",
        "Throughput",
        "How long tasks took",
        "Cost",
        "What to change",
        "What ran",
    ] {
        assert_eq!(page.matches(&format!("<h2>{heading}</h2>")).count(), 1, "{heading}");
    }
    for part in [
        "<th scope=row>done</th><td>18</td>",
        "<th scope=row>failed</th><td>2</td>",
        "<h3>2 tasks: exit code 3</h3>",
        "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; red",
        "h5part: attempt 2 failed: exit code 3",
        "E &amp; &lt;b&gt;",
        "Rows that are not committed in all columns: 0:2,6:8",
        "default-src &#39;none&#39;",
        "run.ledger -q -j 2 ",
    ] {
        let part = part.replace("default-src &#39;none&#39;", "default-src 'none'");
        assert!(page.contains(&part), "{part}\n{page}");
    }
    // Nothing that a browser would fetch, and nothing from the logs that it would run.
    for link in ["http:", "https:", "src=", "url(", "@import", "<link rel=stylesheet", "<script>alert"] {
        assert!(!page.replace("xmlns=\"http:", "").contains(link), "{link}");
    }
    assert_eq!(page.matches("<script").count(), 2, "the data and the script of the page");
    let said: Value = serde_json::from_str(&ok(&["monitor", &ledger, "--json"])).expect("JSON");
    assert_eq!(summary(&page), said, "the same figures as the monitor's");
    assert_eq!(said["records"], 22);
}

#[test]
fn a_page_of_a_file_shows_its_coverage() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("a.h5"), scratch.text("a.html"));
    commit_e(&file, 1000, 250..500);
    ok(&["report", &file, "-o", &out]);
    let page = page(&scratch.path("a.html"));
    assert!(page.contains(r#"<path class=c9 d="M250 0h250v16h-250z"/>"#), "{page}");
    assert!(page.contains("Rows that are not committed in all columns: 0:250,500:1000") && !page.contains("<h2>Cost"));
    assert_eq!(summary(&page), Value::Null);
}

#[test]
fn a_page_takes_the_place_of_a_page_and_of_nothing_else() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("a.h5"), scratch.text("notes.txt"));
    commit_e(&file, 10, 0..10);
    std::fs::write(&out, "results of a year").expect("writes");
    assert_eq!(run(&["report", &file, "-o", &out]).0, 11);
    assert_eq!(page(&scratch.path("notes.txt")), "results of a year");
    assert_eq!(run(&["report", &file, "-o", &file]).0, 2);
    ok(&["report", &file, "-o", &out, "--force"]);
    // All tasks are done: the page is written once.
    ok(&["report", &file, "-o", &out, "--every", "1"]);
    let (code, _, err) = run(&["report", &file, "-o", &scratch.text("none/a.html")]);
    assert!(code == 3 && err.contains("none/a.html"), "{code} {err}");
    assert_eq!(run(&["report", &scratch.text("none.h5"), "-o", &out]).0, 3);
    assert_eq!(run(&["report", &file, "-o", &out, "--every", "0.1"]).0, 2);
}

/// From a minute and a half ago on, so that what happened was a while ago; never the same time twice, so that the order
/// of what happened shows.
fn a_while_ago() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<u64> = LazyLock::new(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        u64::try_from(now.as_millis()).expect("a time") - 90_000
    });
    *START + CALLS.fetch_add(1, Ordering::Relaxed)
}

/// A run of two hundred tasks in its midst, which stands still: three workers on other hosts, three failures.
pub fn demo() -> (Scratch, String) {
    const WORKERS: [(&str, i32, u64); 3] = [("node1", 4711, 60), ("node2", 815, 40), ("node3", 1234, 20)];
    let scratch = Scratch::new();
    let (store, path) = (scratch.text("run.h5"), scratch.text("run.ledger"));
    ok(&["create", &store, "frames", "--rows", "2000", "--column", "E:f64", "--column", "F:f64:2"]);
    ok(&["ledger", "init", &path, "--store", &store, "--table", "frames", "--block", "10", "--max-attempts", "1"]);
    let ledger = Ledger::open(&path).expect("opens").with_clock(a_while_ago);
    let claim = |owner, count| match ledger.claim(owner, &ClaimOptions { count, delay: Duration::ZERO }) {
        Ok(Claimed::Tasks(claims)) => claims,
        other => panic!("{other:?}"),
    };
    let end = |claims: &[Claim], end| {
        for told in ledger.finish_all(claims, end).expect("tells") {
            told.expect("holds");
        }
    };
    let mut rows = Vec::new();
    for (k, (host, pid, done)) in (0..).zip(WORKERS) {
        let mut owner = Owner::this_process();
        (owner.process.host, owner.process.pid) = (host.to_owned(), pid);
        let owner = ledger.register(&owner).expect("registers");
        let failed = claim(owner, 1);
        end(&failed, End::Failed([Reason::Exit(7), Reason::Signal(9), Reason::TimedOut][k]));
        let log = scratch.path(&format!("run.ledger.part/logs/0000/{}.log", failed[0].index));
        std::fs::create_dir_all(log.parent().expect("a folder")).expect("a folder");
        std::fs::write(log, "reading the input\n\x1b[31mTHE INPUT IS INCOMPLETE\x1b[0m\n").expect("writes");
        let claims = claim(owner, done);
        rows.extend(claims.iter().map(|claim| format!("{}:{}", claim.index * 10, claim.index * 10 + 10)));
        end(&claims, End::Done);
        claim(owner, [2, 1, 1][k]);
        let monitor = Monitor::open_as(scratch.path("run.ledger.part/monitor"), &format!("{host}-{pid}"));
        let monitor = monitor.expect("opens");
        for task in 0..done {
            let record = Record {
                operation: "program".to_owned(),
                start_s: 1.7e9 + (task * (60 / done)) as f64,
                wall_s: 0.5 + (task % 5) as f64 / 10.0,
                cpu_s: 0.5,
                memory_bytes: 96 << 20,
                memory_limit_bytes: 128 << 20,
                whole: true,
                task: Some(task),
                failed: task == 0,
                ..Record::default()
            };
            monitor.record(record).expect("writes");
        }
    }
    let (e, f) = (scratch.npy("e.npy", &[1200], &[0.5; 1200]), scratch.npy("f.npy", &[1200, 2], &vec![0.5; 2400]));
    let (e, f) = (format!("E={e}"), format!("F={f}"));
    ok(&["update", &store, "frames", "--rows", &rows.join(","), "--set", &e, "--set", &f]);
    let e = scratch.npy("e.npy", &[30], &[0.5; 30]);
    ok(&["update", &store, "frames", "--rows", "1260:1290", "--set", &format!("E={e}")]);
    (scratch, path)
}

#[test]
fn into_a_folder_that_cannot_be_written_nothing_is_written_and_the_page_there_stays() {
    let scratch = Scratch::new();
    let (file, out) = (scratch.text("a.h5"), scratch.text("pages/a.html"));
    commit_e(&file, 10, 0..10);
    let folder = scratch.path("pages");
    std::fs::create_dir(&folder).expect("a folder");
    ok(&["report", &file, "-o", &out]);
    let before = page(&scratch.path("pages/a.html"));
    let mode = |mode| std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).expect("chmod");
    mode(0o555);
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        let program = env!("CARGO_BIN_EXE_h5part");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(args);
        finished(&command.output().expect("setpriv of util-linux"))
    };
    let is_other = as_nobody(&["--version"]).0 == 0;
    if is_other {
        std::fs::set_permissions(scratch.path(""), PermissionsExt::from_mode(0o755)).expect("chmod");
        for target in [&out, &scratch.text("pages/b.html")] {
            let (code, said, err) = as_nobody(&["report", &file, "-o", target]);
            assert!(
                code == 8 && said.is_empty() && err.contains(target.as_str()) && is_one_error(&err),
                "{code} {err}"
            );
        }
    } else {
        println!("skipped: this user cannot run the program as another user");
    }
    mode(0o755);
    assert_eq!(page(&scratch.path("pages/a.html")), before);
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1, "nothing is left beside it");
}
