//! What a run prints while it goes on and at its end.

use super::rig::{Rig, json, names};
use crate::common::support::{Scratch, finished, h5part, ok, run};
use serde_json::Value;
use std::fs::{self, File};
use std::process::Command;

/// Commits the rows of a task to E only.
const E_ALONE: &str = r#"head -c 16 /dev/zero | "$0" update "$1" t --rows "$2" --set E=-"#;
/// The same, but from row 20 on each program waits until the run has printed, to the file `$3`, that it stops.
const UNTIL_STOPPED: &str = r#"
    [ "${2%:*}" -lt 20 ] || until grep -q stopped "$3"; do sleep 0.02; done
    head -c 16 /dev/zero | "$0" update "$1" t --rows "$2" --set E=-"#;
const SAID: &str = "column 'F' not committed";

/// Forty rows of E and F, a writer that commits to F, and one task per two rows.
fn half_done() -> (Scratch, String, String) {
    let scratch = Scratch::new();
    let (store, ledger) = (scratch.text("a.h5"), scratch.text("ledger"));
    ok(&["create", &store, "t", "--rows", "40", "--column", "E:f64", "--column", "F:f64"]);
    ok(&["update", &store, "t", "--rows", "39", "--set", &format!("F={}", scratch.npy("f.npy", &[1], &[1.0]))]);
    ok(&["ledger", "init", &ledger, "--store", &store, "--table", "t", "--block", "2"]);
    (scratch, store, ledger)
}

/// The events and, as the last item, the summary.
fn events(out: &str) -> Vec<Value> {
    out.lines().map(json).collect()
}

#[test]
fn a_run_in_which_the_first_tasks_all_fail_for_one_reason_stops_with_it() {
    for mode in ["threads", "processes", "serial"] {
        let (scratch, store, ledger) = half_done();
        let exe = env!("CARGO_BIN_EXE_h5part");
        let fixed = ["run", &ledger, "-j", "2", "--mode", mode, "--retry-delay", "0.01", "--max-attempts", "2"];
        let said = scratch.text("stderr");
        let script = ["--", "sh", "-c", UNTIL_STOPPED, exe, &store, "{rows}", &said];
        let stderr = File::create(&said).expect("creates");
        let output = Command::new(exe).args(fixed).args(script).stderr(stderr).output().expect("starts");
        let (code, out, _) = finished(&output);
        let err = fs::read_to_string(&said).expect("reads");
        assert_eq!(code, 1, "{mode}: {err}");
        let stopped = err.lines().find(|line| line.contains("stopped: the first 5 tasks all failed"));
        let stopped = stopped.unwrap_or_else(|| panic!("{mode}: {err}"));
        assert!(stopped.contains(SAID) && stopped.contains("; first '") && stopped.contains(".log"), "{mode}: {err}");
        let tally = json(&ok(&["ledger", "status", &ledger, "--json"]));
        // Those that had begun have ended; at least the others wait.
        assert!(tally["waiting"].as_u64() >= Some(8), "{mode}: {tally} {err}");
        assert!(err.lines().count() < 10 && out.contains("0 of 20 tasks are done"), "{mode}: {out}{err}");

        let script = ["--keep-going", "--", "sh", "-c", E_ALONE, exe, &store, "{rows}"];
        let (code, out, err) = run(&[&fixed[..], &script].concat());
        assert_eq!(code, 1, "{mode}: {err}");
        let counted = format!("h5part: 20 tasks failed: {SAID}; first '0:2', log {ledger}.part/logs/0000/");
        assert!(err.contains(&counted) && !err.contains("stopped"), "{mode}: {err}");
        assert!(err.lines().count() < 8 && out.contains("0 of 20 tasks are done, 20 failed"), "{mode}: {out}{err}");
        // The program itself printed nothing: its log says what was missing.
        let log = fs::read_to_string(format!("{ledger}.part/logs/0000/3.log")).expect("log");
        assert!(log.contains("failed: exited with 0, but column 'F' of rows 6:8 is not committed ('E' is)"), "{log}");
    }
}

#[test]
fn what_is_done_already_shows_that_it_can_be_done() {
    let rig = Rig::new(&names(30));
    ok(&["run", &rig.ledger, "-q", "-j", "1", "--", "true"]);
    ok(&["ledger", "requeue", &rig.ledger, "t 0", "t 1", "t 2", "t 3", "t 4", "t 5", "t 6", "t 7"]);
    let (code, _, err) = run(&["run", &rig.ledger, "-j", "1", "--max-attempts", "1", "--", "sh", "-c", "exit 3"]);
    assert!(
        code == 1 && err.contains("8 tasks failed: exit code 3; first 't 0', log ") && !err.contains("stopped"),
        "{err}"
    );
}

#[test]
fn the_end_tells_what_failed_what_was_slow_and_what_it_cost() {
    let rig = Rig::new(&names(12));
    let script = r#"
        case $1 in
        "t 1"|"t 2"|"t 3") exit 7;;
        "t 4") kill -9 $$;;
        "t 5") [ $H5PART_ATTEMPT = 1 ];;
        "t 6") sleep 0.4;;
        esac"#;
    let args = ["run", &rig.ledger, "-j", "2", "--max-attempts", "2", "--retry-delay", "0.01", "--memory", "2G"];
    let (code, out, err) = run(&[&args[..], &["--", "sh", "-c", script, "sh", "{name}"]].concat());
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("h5part: 3 tasks failed: exit code 7; first 't 1', log "), "{err}");
    assert!(err.contains("h5part: 't 4' failed: ended by signal 9; see "), "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["8 of 12 tasks are done, 4 failed", "  retried    1 task is done after failed attempts"]);
    assert!(lines[2].starts_with("  slowest    't 6' ") && lines[2].matches('\'').count() == 10, "{out}");
    assert!(lines[3].starts_with("  wall time  ") && lines[4].starts_with("  CPU        "), "{out}");
    assert!(lines[5].starts_with("  memory     ") && lines[5].ends_with("% of the limit of 2.15 GB"), "{out}");
    assert_eq!(lines.len(), 6, "{out}");

    let rig = Rig::new(&names(3));
    let (_, out, err) = run(&["run", &rig.ledger, "-v", "--", "sh", "-c", "[ {index} != 1 ]"]);
    assert!(err.contains("h5part: 't 0' is done in ") && err.contains("h5part: 't 1' failed: exit code 1; "), "{err}");
    assert_eq!(err.matches("'t 1' failed: exit code 1; it is retried; see ").count(), 2, "each attempt: {err}");
    assert!(out.starts_with("2 of 3 tasks are done, 1 failed\n"), "{out}");
    let (code, out, err) = run(&["run", &rig.ledger, "-q", "--", "true"]);
    assert!(code == 1 && out.is_empty() && err.lines().count() == 1, "only what is wrong: {out}{err}");
}

#[test]
fn events_are_json_lines_and_the_last_one_is_the_summary() {
    for mode in ["threads", "processes"] {
        let rig = Rig::new(&names(4));
        let script = "[ {index} != 1 ] || exit 9";
        let args =
            ["run", &rig.ledger, "--json", "--mode", mode, "-j", "2", "--max-attempts", "2", "--retry-delay", "0.01"];
        let output = h5part().args(args).args(["--", "sh", "-c", script]).output().expect("starts");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let events = events(&String::from_utf8(output.stdout).expect("UTF-8"));
        let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
        assert_eq!((of("begun").len(), of("done").len(), of("released").len()), (5, 3, 0), "{mode}: {events:?}");
        let failed = of("failed");
        let parts = |k: usize| (&failed[k]["task"], &failed[k]["attempt"], &failed[k]["code"], &failed[k]["retried"]);
        assert_eq!(parts(0), (&"t 1".into(), &1.into(), &9.into(), &true.into()), "{mode}");
        assert_eq!(parts(1), (&"t 1".into(), &2.into(), &9.into(), &false.into()), "{mode}");
        let last = events.last().expect("a summary");
        assert_eq!(
            (&last["event"], &last["total"], &last["done"]),
            (&"summary".into(), &4.into(), &3.into()),
            "{mode}"
        );
        assert_eq!(last["causes"][0]["cause"], "exit code 9", "{mode}");
        assert_eq!((&last["causes"][0]["tasks"], &last["failures"][0]["name"]), (&1.into(), &"t 1".into()), "{mode}");
        let slowest = last["slowest"].as_array().expect("list");
        assert!(slowest.len() == 5 && last["cost"]["core_s"].as_f64() > Some(0.0), "{mode}: {last}");
        // With `--json` alone the output is one document.
        let (_, out, _) = run(&["run", &rig.ledger, "--json", "-q", "--mode", mode, "--", "true"]);
        assert_eq!((out.lines().count(), &json(&out)["failed"]), (1, &1.into()), "{mode}: {out}");
    }
}
