//! Everyday use: Ctrl-C, forked pools, tasks that commit in part, rows that are computed again.

use crate::common::support::{Scratch, ok, py, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_stream_outlives_one_interrupt_and_ends_at_the_second_or_at_sigterm() {
    let scratch = Scratch::new();
    let store = scratch.text("a.h5");
    ok(&["create", &store, "t", "--rows", "2", "--column", "E:f64"]);
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_h5part"))
            .args(["update", &store, "t", "--stream"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let mut input = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        for row in 0..2 {
            writeln!(input, "{{\"rows\": {row}, \"set\": {{\"E\": 1}}}}").expect("sends");
            let mut answer = String::new();
            answers.read_line(&mut answer).expect("reads");
            assert_eq!(answer, "{\"ok\":true,\"rows\":1}\n");
            if row == 0 {
                kill(pid, Signal::SIGINT).expect("is there");
            }
        }
        // Its input is still open. Signals that arrive together count once.
        while child.try_wait().expect("waits").is_none() {
            let _ = kill(pid, signal);
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(input);
    }
}

/// The class of the examples, with a pool that was forked after the object was made, and with Ctrl-C in a terminal.
const STREAM: &str = r#"
import multiprocessing, os, pty, signal, sys, time
exe, store, examples, how = sys.argv[1:]
sys.path.insert(0, examples)
from stream import Stream
def double(k):
    return k, k * 2.0
# Who was started in the background ignores Ctrl-C, and so would we; nothing waits for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.alarm(240)
def pool():
    multiprocessing.set_start_method("fork")
    with Stream(store, "t", exe) as stream:
        workers = multiprocessing.Pool(2)
        for k, x in workers.imap_unordered(double, range(20)):
            stream.commit(k, x=x)
    print("closed")
    workers.terminate()
def interrupted():
    with Stream(store, "t", exe) as stream:
        stream.commit(0, x=0.0)
        try:
            # What a terminal sends for Ctrl-C, to all of its foreground group.
            os.write(1, b"ready\n")
            time.sleep(120)
        except KeyboardInterrupt:
            stream.commit(19, x=38.0)
    os.write(1, b"closed\n")
if how == "pool":
    pool()
else:
    pid, terminal = pty.fork()
    if pid == 0:
        interrupted()
        os._exit(0)
    said = b""
    while b"closed" not in said:
        try:
            more = os.read(terminal, 4096)
        except OSError:
            break
        if not more:
            break
        if b"ready" in said + more and b"ready" not in said:
            os.write(terminal, b"\x03")
        said += more
    os.waitpid(pid, 0)
    print(said.decode())
"#;

#[test]
fn the_class_of_the_examples_closes_beside_a_forked_pool_and_commits_after_ctrl_c() {
    let scratch = Scratch::new();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for how in ["pool", "interrupted"] {
        let store = scratch.text(&format!("{how}.h5"));
        ok(&["create", &store, "t", "--rows", "20", "--column", "x:f64"]);
        let Some(out) = py(STREAM, &[env!("CARGO_BIN_EXE_h5part"), &store, examples, how]) else { return };
        assert!(out.contains("closed"), "{how}: {out}");
        assert_eq!(ok(&["read", &store, "t", "x", "--rows", "-1"]), "38.0\n", "{how}");
    }
}

/// Commits the rows of a task to E only.
const COMPUTE: &str = r#"head -c 16 /dev/zero | "$0" update "$1" t --rows "$2" --set E=-"#;

#[test]
fn a_task_done_in_part_names_what_is_missing_and_columns_say_what_is_enough() {
    let scratch = Scratch::new();
    let (exe, store) = (env!("CARGO_BIN_EXE_h5part"), scratch.text("a.h5"));
    ok(&["create", &store, "t", "--rows", "4", "--column", "E:f64", "--column", "F:f64"]);
    let init = |name: &str, more: &[&str]| {
        let ledger = scratch.text(name);
        let said =
            ok(&[&["ledger", "init", &ledger, "--store", &store, "--table", "t", "--block", "2"], more].concat());
        let names = said.contains("a task is done when its rows of column 'E' are committed");
        assert_eq!(names, more.contains(&"E"), "{said}");
        ledger
    };
    let work = |ledger: &str| run(&["run", ledger, "-j", "1", "--", "sh", "-c", COMPUTE, exe, &store, "{rows}"]);
    // Another program commits to F: this counts.
    ok(&["update", &store, "t", "--rows", "0", "--set", &format!("F={}", scratch.npy("f.npy", &[1], &[1.0]))]);
    let (code, _, err) = work(&init("all", &["--max-attempts", "1"]));
    assert!(code == 1 && err.contains("column 'F' of rows 0:2 is not committed ('E' is)"), "{code} {err}");
    assert!(err.contains("2 tasks failed: column 'F' not committed; first '0:2', log "), "{code} {err}");
    let ledger = init("some", &["--columns", "E"]);
    let (code, _, err) = work(&ledger);
    assert!(code == 0 && err.is_empty(), "{code} {err}");
    let (code, _, err) =
        run(&["ledger", "init", &scratch.text("x"), "--store", &store, "--table", "t", "--columns", "Q"]);
    assert!(code == 3 && err.contains("'Q'"), "{code} {err}");

    // Rows that were reset are computed again.
    ok(&["reset", &store, "t", "--rows", "0:2"]);
    let (code, _, err) = work(&ledger);
    assert!(code == 0 && err.contains("1 task that was done will run again"), "{code} {err}");
    assert_eq!(ok(&["read", &store, "t", "E", "--rows", "0:2"]), "0.0\n0.0\n");
}
