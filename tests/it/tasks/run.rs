//! `h5part run` and `work`: programs as tasks of a ledger.

#[path = "run/ends.rs"]
mod ends;
#[path = "run/kills.rs"]
mod kills;
#[path = "run/rig.rs"]
mod rig;
#[path = "run/tells.rs"]
mod tells;

use crate::common::support::{Scratch, h5part, is_one_error, ok, run};
use rig::{Rig, json, names};
use std::fs;
use std::path::Path;

/// Runs a shell script for each task, with name, rows and index as `$1` to `$3`.
fn with_script<'a>(ledger: &'a str, options: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let mut args = vec!["run", ledger, "-q"];
    args.extend(options);
    // Tasks without a store have no rows.
    let rows = if Path::new(ledger).with_file_name("store.h5").exists() { "{rows}" } else { "" };
    args.extend(["--", "sh", "-c", script, "sh", "{name}", rows, "{index}"]);
    args
}

#[test]
fn each_task_is_run_once_in_every_mode_and_keeps_what_it_said() {
    for mode in ["serial", "threads", "processes"] {
        let rig = Rig::new(&names(40));
        let script = r#"echo "$1|$2|$3|$H5PART_TASK|$H5PART_INDEX"; echo problem >&2"#;
        ok(&with_script(&rig.ledger, &["-j", "3", "--mode", mode], script));
        for (index, name) in rig.names.iter().enumerate() {
            let expected = format!("{name}||{index}|{name}|{index}\nproblem\n");
            assert_eq!(rig.log(index), expected, "{mode}");
        }
        assert_eq!(rig.status()["done"], 40, "{mode}");
        // Nothing is left to do, so no program is started.
        ok(&with_script(&rig.ledger, &["--mode", mode], "exit 1"));
    }
}

#[test]
fn a_name_stays_one_argument_whatever_is_in_it() {
    let odd = ["two words", "a\nb", "$(touch x); 'q\" \\", "{index} {rows}", "ß 日本 🦀", "-n", "*"];
    let rig = Rig::null(&odd);
    let script = r#"printf '%s' "$1" > "$OUT/$3""#;
    let out = rig.dir.path("out");
    fs::create_dir(&out).expect("makes");
    h5part().args(with_script(&rig.ledger, &["-j", "2"], script)).env("OUT", &out).assert().success();
    for (index, name) in odd.iter().enumerate() {
        assert_eq!(fs::read_to_string(out.join(index.to_string())).expect("reads"), *name);
    }
}

#[test]
fn what_fails_is_tried_again_as_often_as_was_said_and_told_at_the_end() {
    let rig = Rig::new(&names(5));
    let script = r#"echo x >> "$1.tries"; case $1 in "t 2") exit 7;; "t 3") kill -SEGV $$;; "t 4") [ $H5PART_ATTEMPT = 1 ];; esac"#;
    let args = with_script(&rig.ledger, &["--retry-delay", "0.01", "--max-attempts", "2", "--json"], script);
    let output = h5part().current_dir(rig.dir.path("")).args(&args).output().expect("starts");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&said["total"], &said["done"], &said["failed"]), (&json("5"), &json("3"), &json("2")));
    assert_eq!(said["here"], json(r#"{"done": 3, "failed": 5, "released": 0, "lost": 0}"#));
    let reasons: Vec<_> = said["failures"].as_array().expect("list").iter().map(|f| f["reason"].clone()).collect();
    assert_eq!(reasons, [json(r#""exit code 7""#), json(r#""ended by signal 11""#)]);
    for (name, tries) in [("t 0", 1), ("t 2", 2), ("t 3", 2), ("t 4", 2)] {
        let text = fs::read_to_string(rig.dir.path(&format!("{name}.tries"))).expect("reads");
        assert_eq!(text.lines().count(), tries, "{name}");
    }
    assert!(rig.log(2).ends_with("attempt 2 failed: exit code 7\n"), "{}", rig.log(2));
    // On request it tries permanently failed tasks again.
    ok(&["ledger", "requeue", &rig.ledger, "--failed"]);
    ok(&with_script(&rig.ledger, &[], "true"));
}

#[test]
fn a_program_that_is_not_there_is_told_once_and_before_any_claim() {
    let rig = Rig::new(&names(50));
    for mode in ["serial", "threads", "processes"] {
        let (code, _, err) = run(&["run", &rig.ledger, "--mode", mode, "--", "no-such-program", "{name}"]);
        assert!(code == 3 && is_one_error(&err), "{err}");
        assert!(err.contains("no-such-program"), "{err}");
        let (code, _, err) = run(&["run", &rig.ledger, "--mode", mode, "--", "/etc/passwd"]);
        assert!(code == 2 && is_one_error(&err), "{err}");
    }
    assert_eq!(rig.status(), json(r#"{"total": 50, "waiting": 50, "running": 0, "done": 0, "failed": 0}"#));
    // A program that differs from task to task fails only its own task.
    let (code, ..) = run(&["run", &rig.ledger, "-q", "--max-attempts", "1", "--keep-going", "--", "./{name}"]);
    assert_eq!((code, &rig.status()["failed"]), (1, &json("50")));
    assert!(rig.log(7).contains("could not be started"), "{}", rig.log(7));
}

#[test]
fn programs_have_three_descriptors_and_no_input() {
    for mode in ["serial", "threads", "processes"] {
        let rig = Rig::new(&names(6));
        // A descriptor of ours without CLOEXEC is not inherited either.
        let shell = r#"exec 7</dev/null 9>/dev/null; exec "$0" "$@""#;
        let script = "ls /proc/$$/fd; wc -c; cat; readlink /proc/$$/fd/0";
        std::process::Command::new("sh")
            .args(["-c", shell, env!("CARGO_BIN_EXE_h5part")])
            .args(with_script(&rig.ledger, &["-j", "3", "--mode", mode], script))
            .status()
            .expect("starts");
        for index in 0..6 {
            let said = rig.log(index);
            let lines: Vec<&str> = said.lines().map(str::trim).collect();
            assert_eq!(lines[..4], ["0", "1", "2", "0"], "{mode}: {said}");
        }
    }
}

#[test]
fn much_that_is_said_on_both_sides_is_kept() {
    for mode in ["threads", "processes"] {
        let rig = Rig::new(&names(4));
        let script = r"head -c 200000 /dev/zero | tr '\0' o; head -c 200000 /dev/zero | tr '\0' e >&2";
        ok(&with_script(&rig.ledger, &["-j", "4", "--mode", mode], script));
        for index in 0..4 {
            let said = rig.log(index);
            let count = |letter| said.bytes().filter(|b| *b == letter).count();
            assert_eq!((count(b'o'), count(b'e')), (200_000, 200_000), "{mode}");
        }
    }
}

#[test]
fn what_takes_too_long_is_ended_and_so_is_what_it_started() {
    let rig = Rig::new(&names(2));
    let script = r"[ $3 = 1 ] || { sleep 1000 & echo $! > pid; trap '' TERM; wait; sleep 1000; }";
    let mut args = with_script(&rig.ledger, &["--time-limit", "0.3", "--max-attempts", "1"], script);
    args.retain(|arg| *arg != "-q");
    let output = h5part().current_dir(rig.dir.path("")).args(&args).output().expect("starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("time limit"), "{output:?}");
    let pid = fs::read_to_string(rig.dir.path("pid")).expect("reads");
    assert!(!crate::common::killing::lives(pid.trim().parse().expect("number")), "what it started lives on");
    assert_eq!((&rig.status()["done"], &rig.status()["failed"]), (&json("1"), &json("1")));
}

#[test]
fn a_program_has_the_memory_it_was_given() {
    let rig = Rig::new(&names(2));
    let script = "import sys; x = bytearray(int(sys.argv[1]) * 900_000_000 + 1)";
    let mut args = vec!["run", &rig.ledger, "-q", "--memory", "300M", "--max-attempts", "1"];
    args.extend(["--", "python3", "-c", script, "{index}"]);
    let (code, _, err) = run(&args);
    assert_eq!((code, &rig.status()["done"], &rig.status()["failed"]), (1, &json("1"), &json("1")), "{err}");
    assert!(rig.list()[0]["state"] == "done", "{:?}", rig.list());
}

#[test]
fn a_task_with_rows_is_done_when_they_are_there() {
    let rig = Rig::with_store(12, 2);
    let h5part = env!("CARGO_BIN_EXE_h5part");
    // The first task leaves its rows empty, the others commit theirs.
    let script =
        r#"[ $2 = 0:2 ] || echo "{\"rows\":\"$2\",\"set\":{\"E\":[1,2],\"E2\":[3,4]}}" | "$H" update "$S" t --stream"#;
    let mut command = self::h5part();
    let run_it = |command: &mut assert_cmd::Command, options: &[&str]| {
        command.env("H", h5part).env("S", &rig.store);
        let args = with_script(&rig.ledger, options, script);
        command.args(args).output().expect("starts")
    };
    let output = run_it(&mut command, &["-j", "2", "--max-attempts", "2", "--retry-delay", "0.01"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("'0:2' exited with 0, but columns 'E', 'E2' of rows 0:2 are not committed"), "{err}");
    assert_eq!((&rig.status()["done"], &rig.status()["failed"]), (&json("5"), &json("1")));
    assert_eq!(rig.rows_that_are_there(), (2..12).collect::<Vec<_>>());
}

#[test]
fn two_runs_of_one_ledger_share_it() {
    let rig = Rig::new(&names(60));
    let script = r#"echo x >> "$1.tries"; sleep 0.02"#;
    let start = |mode| {
        let args = with_script(&rig.ledger, &["-j", "2", "--mode", mode], script);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"));
        command.current_dir(rig.dir.path("")).args(args).spawn().expect("starts")
    };
    let runs = [start("threads"), start("processes"), start("serial")];
    for mut run in runs {
        assert!(run.wait().expect("waits").success());
    }
    for name in &rig.names {
        assert_eq!(fs::read_to_string(rig.dir.path(&format!("{name}.tries"))).expect("reads"), "x\n", "{name}");
    }
}

#[test]
fn mpirun_starts_workers_that_share_a_ledger() {
    if std::process::Command::new("mpirun").arg("--version").output().is_err() {
        eprintln!("skipped: there is no mpirun");
        return;
    }
    let rig = Rig::new(&names(40));
    let args = ["-n", "4", "--allow-run-as-root", "--oversubscribe", env!("CARGO_BIN_EXE_h5part"), "work"];
    let script = r#"echo x >> "$1.tries"; sleep 0.01"#;
    let output = std::process::Command::new("mpirun")
        .current_dir(rig.dir.path(""))
        .args(args)
        .args([&rig.ledger, "--", "sh", "-c", script, "sh", "{name}"])
        .output()
        .expect("starts");
    assert!(output.status.success(), "{output:?}");
    for name in &rig.names {
        assert_eq!(fs::read_to_string(rig.dir.path(&format!("{name}.tries"))).expect("reads"), "x\n", "{name}");
    }
}

#[test]
fn a_worker_ends_when_nothing_waits_and_a_run_stays() {
    let rig = Rig::new(&names(1));
    let claim = json(&ok(&["ledger", "claim", &rig.ledger, "--owner", &std::process::id().to_string(), "--json"]));
    // We hold the task: a worker has nothing to do, and nothing is wrong.
    ok(&["work", &rig.ledger, "--", "false"]);
    let mut run = std::process::Command::new(env!("CARGO_BIN_EXE_h5part"))
        .args(["run", &rig.ledger, "-q", "--", "true"])
        .spawn()
        .expect("starts");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(run.try_wait().expect("waits").is_none(), "it stays while a task is running elsewhere");
    ok(&["ledger", "release", &rig.ledger, "t 0", "--fence", &claim["fence"].to_string()]);
    assert!(run.wait().expect("waits").success());
    assert_eq!(rig.status()["done"], 1);
}

#[test]
fn what_was_run_is_measured() {
    let rig = Rig::new(&names(10));
    let _ = run(&with_script(&rig.ledger, &["-j", "2", "--max-attempts", "1"], "[ $3 != 3 ]"));
    let said = ok(&["monitor", &format!("{}.part/monitor", rig.ledger), "--json"]);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let program = &said["operations"][0];
    assert_eq!((&program["records"], &program["failed"]), (&json("10"), &json("1")), "{said}");
    let scratch = Scratch::new();
    ok(&["monitor", &format!("{}.part/monitor", rig.ledger), "--svg", &scratch.text("run.svg")]);
}
