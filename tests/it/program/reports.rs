//! `h5part report`: a page that needs no other file, and agrees with `monitor` and the ledger.

use crate::common::support::{Scratch, commit_e, finished, is_one_error, ok, run};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

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
