//! `h5part ledger`: what it prints, which names it accepts, and what it refuses.

use crate::common::support::{Scratch, finished, h5part, is_one_error, ok, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;

fn json(args: &[&str]) -> Vec<Value> {
    ok(args).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The output of a session, without what differs from run to run.
#[test]
fn a_session() {
    let scratch = Scratch::in_memory();
    let (names, weights, ledger) = (scratch.text("names"), scratch.text("weights"), scratch.text("a.ledger"));
    std::fs::write(&names, "light\nheavy one\n\u{fc}ber \u{1f600}\nlast\n").expect("writes");
    std::fs::write(&weights, "1\n10.5\n2\n1\n").expect("writes");
    let mut text = String::new();
    let mut show = |args: &[&str]| {
        let all: Vec<&str> = ["ledger", args[0], &ledger].into_iter().chain(args[1..].iter().copied()).collect();
        let output = h5part().args(all).env_remove("SLURM_JOB_ID").output().expect("starts");
        let (code, out, err) = finished(&output);
        let shown = args.join(" ").replace(&names, "NAMES").replace(&weights, "WEIGHTS");
        let _ = write!(
            text,
            "$ h5part ledger {shown}\n{out}{err}{}",
            if code == 0 { String::new() } else { format!("[{code}]\n") }
        );
    };
    show(&["init", "--tasks", &names, "--weights", &weights, "--max-attempts", "2"]);
    show(&["init", "--tasks", &names]);
    show(&["claim"]);
    show(&["claim", "-n", "2", "--json"]);
    show(&["list"]);
    show(&["done", "heavy one", "--fence", "1"]);
    show(&["done", "heavy one", "--fence", "1"]);
    show(&["fail", "light", "--fence", "1", "--exit-code", "3", "--json"]);
    show(&["release", "\u{fc}ber \u{1f600}", "--fence", "1", "--json"]);
    show(&["status"]);
    show(&["claim", "-n", "9"]);
    show(&["claim", "-n", "9"]);
    show(&["claim"]);
    show(&["fail", "light", "--fence", "2"]);
    show(&["beat", "light", "--fence", "2"]);
    show(&["beat", "last", "--fence", "1", "--json"]);
    show(&["cancel", "last"]);
    show(&["cancel", "last"]);
    show(&["done", "last", "--fence", "1"]);
    show(&["list", "--json"]);
    show(&["list", "--state", "failed,done"]);
    show(&["status", "--json"]);
    show(&["requeue", "--failed", "--json"]);
    show(&["requeue", "heavy one"]);
    show(&["requeue", "nobody"]);
    show(&["status", "--json"]);
    let filters = vec![
        (r"pid \d+ on [^\s,\x22]+(, SLURM job \S+)?", "pid PID on HOST"),
        (r#""since_s":\d+"#, r#""since_s":TIME"#),
        (r"(/[^\s:']+)?/[^\s:']+/a\.ledger", "a.ledger"),
    ];
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true, filters => filters }, { insta::assert_snapshot!("ledger", text) });
}

#[test]
fn keys_of_json() {
    let scratch = Scratch::in_memory();
    let ledger = scratch.text("a.ledger");
    ok(&["ledger", "init", &ledger, "--rows", "10", "--block", "4"]);
    let claims = json(&["ledger", "claim", &ledger, "-n", "3", "--json"]);
    let rows: Vec<_> = claims.iter().map(|claim| claim["rows"].as_str().expect("text").to_owned()).collect();
    assert_eq!(rows, ["0:4", "4:8", "8:10"]);
    for (k, claim) in claims.iter().enumerate() {
        assert_eq!((&claim["index"], &claim["fence"], &claim["attempts"]), (&k.into(), &1.into(), &0.into()));
        assert_eq!(claim["name"], claim["rows"]);
    }
    let status = &json(&["ledger", "status", &ledger, "--json"])[0];
    for (key, count) in [("total", 3), ("waiting", 0), ("running", 3), ("done", 0), ("failed", 0)] {
        assert_eq!(status[key], count, "{key}");
    }
    let listed = &json(&["ledger", "list", &ledger, "--json"])[2];
    for key in ["name", "index", "state", "rows", "attempts", "fence", "owner", "since_s"] {
        assert!(!listed[key].is_null(), "{key}: {listed}");
    }
}

/// Names that a file system, or a person, may use.
const NAMES: [&str; 14] = [
    "plain",
    "with blanks  and more ",
    " leading",
    "tab\there",
    "two\nlines",
    "\n",
    "\"quoted\" 'twice'",
    "--fence",
    "-1",
    "\u{1f469}\u{200d}\u{1f52c} \u{301}\u{202e}rtl",
    "\u{7f}\u{1}control",
    "C:\\back\\slash\r",
    "0:10",
    "a/../b",
];

#[test]
fn names_of_all_kinds() {
    let scratch = Scratch::in_memory();
    let (names, ledger) = (scratch.text("names"), scratch.text("a.ledger"));
    let long = "\u{e9}".repeat(32 << 10);
    let all: Vec<&str> = NAMES.iter().copied().chain([long.as_str()]).collect();
    // Also without the final NUL.
    std::fs::write(&names, all.join("\0")).expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &names, "--null"]);
    let claims = json(&["ledger", "claim", &ledger, "-n", "99", "--json"]);
    assert_eq!(claims.iter().map(|claim| claim["name"].as_str().expect("text")).collect::<Vec<_>>(), all);
    let listed = ok(&["ledger", "list", &ledger, "--null"]);
    assert_eq!(listed.split_terminator('\0').collect::<Vec<_>>(), all);
    assert_eq!(ok(&["ledger", "list", &ledger]).lines().count(), all.len());
    for name in &all {
        ok(&["ledger", "done", &ledger, "--fence", "1", "--", name]);
    }
    assert_eq!(json(&["ledger", "status", &ledger, "--json"])[0]["done"], all.len());
}

/// A task whose name cannot be printed on a line is not claimed either.
#[test]
fn a_claim_that_cannot_be_printed_is_given_back() {
    let scratch = Scratch::in_memory();
    let (names, ledger) = (scratch.text("names"), scratch.text("a.ledger"));
    std::fs::write(&names, "one\0two\nlines\0").expect("writes");
    ok(&["ledger", "init", &ledger, "--tasks", &names, "--null"]);
    let (code, out, err) = run(&["ledger", "claim", &ledger, "-n", "2"]);
    assert!(code == 2 && out.is_empty() && err.contains("--json"), "{code} {out}{err}");
    let status = &json(&["ledger", "status", &ledger, "--json"])[0];
    assert_eq!((&status["waiting"], &status["retried"]), (&2.into(), &0.into()));
}

#[test]
fn what_is_refused_makes_no_ledger() {
    let scratch = Scratch::in_memory();
    let (names, weights, ledger) = (scratch.text("names"), scratch.text("weights"), scratch.text("a.ledger"));
    let long = "x".repeat((64 << 10) + 1);
    for (list, null, says) in [
        (&b""[..], false, "there are no tasks"),
        (b"\n", false, "task 1 has no name"),
        (b"a\n\nb\n", false, "task 2 has no name"),
        (b"a\nb\na\n", false, "two tasks are named 'a'"),
        (b"a\n\xff\n", false, "line 2 is not UTF-8"),
        (b"a\0\0b", true, "task 2 has no name"),
        (long.as_bytes(), false, "65537 bytes"),
    ] {
        std::fs::write(&names, list).expect("writes");
        let args = ["ledger", "init", &ledger, "--tasks", &names, "--null"];
        let (code, _, err) = run(if null { &args } else { &args[..5] });
        assert!(code == 2 && err.contains(says) && is_one_error(&err), "{says}: {code} {err}");
    }
    std::fs::write(&names, "a\nb\n").expect("writes");
    for (list, says) in
        [("1\n", "2 tasks but 1 weights"), ("1\nheavy\n", "line 2 is not a number"), ("1\nNaN\n", "line 2")]
    {
        std::fs::write(&weights, list).expect("writes");
        let (code, _, err) = run(&["ledger", "init", &ledger, "--tasks", &names, "--weights", &weights]);
        assert!(code == 2 && err.contains(says), "{says}: {code} {err}");
    }
    for (args, code, says) in [
        (&["--rows", "0", "--block", "1"][..], 2, "no rows"),
        (&["--rows", "10"], 2, "--block"),
        (&["--rows", "9999999999999", "--block", "1"], 2, "more than a ledger can hold"),
        (&["--rows", "10", "--block", "0"], 2, "0"),
        (&[], 2, "--tasks"),
        (&["--tasks", "/no/such/file"], 3, "no such file"),
    ] {
        let (found, _, err) = run(&[&["ledger", "init", &ledger], args].concat());
        assert!(found == code && err.contains(says), "{args:?}: {found} {err}");
    }
    assert!(!scratch.path("a.ledger").exists());
    assert_eq!(std::fs::read_dir(scratch.path("")).expect("lists").count(), 2, "something is left beside");
}

#[test]
fn what_is_refused_changes_no_task() {
    let scratch = Scratch::in_memory();
    let ledger = scratch.text("a.ledger");
    ok(&["ledger", "init", &ledger, "--rows", "6", "--block", "2"]);
    ok(&["ledger", "claim", &ledger]);
    let before = std::fs::read(&ledger).expect("reads");
    for (args, code, says) in [
        (&["done", "nobody", "--fence", "1"][..], 3, "no such task 'nobody'"),
        (&["done", "0:2", "--fence", "2"], 13, "it was claimed again"),
        (&["done", "0:2", "--fence", "0"], 13, "0:2"),
        (&["done", "2:4", "--fence", "1"], 13, "it is waiting"),
        (&["fail", "2:4", "--fence", "0"], 13, "it is waiting"),
        (&["release", "4:6", "--fence", "1"], 13, "it is waiting"),
        (&["beat", "0:2", "--fence", "7"], 13, "0:2"),
        (&["done", "0:2"], 2, "--fence"),
        (&["done", "0:2", "--fence", "x"], 2, "x"),
        (&["requeue"], 2, "NAME"),
        (&["requeue", "0:2", "0:3"], 3, "no such task '0:3'"),
        (&["requeue", "00:2"], 3, "no such task"),
        (&["cancel", "6:8"], 3, "no such task"),
        (&["claim", "--owner", "999999999"], 2, "no process 999999999"),
        (&["claim", "-n", "0"], 2, "0"),
        (&["reconcile"], 9, "names no store"),
    ] {
        let all: Vec<&str> = ["ledger", args[0], &ledger].into_iter().chain(args[1..].iter().copied()).collect();
        let (found, _, err) = run(&all);
        assert!(found == code && err.contains(says), "{args:?}: {found} {err}");
    }
    assert_eq!(std::fs::read(&ledger).expect("reads"), before);
}

/// Shells that share a ledger: each owns what it claims.
#[test]
fn shells_in_parallel_do_each_task_once() {
    let scratch = Scratch::in_memory();
    let ledger = scratch.text("a.ledger");
    ok(&["ledger", "init", &ledger, "--rows", "60", "--block", "1"]);
    let script = r#"
while line=$("$H" ledger claim "$L" --owner $$ 2>/dev/null); do
    fence=${line%%	*} name=${line##*	}
    "$H" ledger done "$L" "$name" --fence "$fence" && echo "$name"
done
"#;
    let shells: Vec<_> = (0..3)
        .map(|_| {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).env("H", env!("CARGO_BIN_EXE_h5part")).env("L", &ledger);
            shell.stdout(std::process::Stdio::piped()).spawn().expect("starts")
        })
        .collect();
    let told: Vec<String> = shells
        .into_iter()
        .flat_map(|s| finished(&s.wait_with_output().expect("ends")).1.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!((told.len(), told.iter().collect::<BTreeSet<_>>().len()), (60, 60));
    assert_eq!(json(&["ledger", "status", &ledger, "--json"])[0]["done"], 60);
    let (code, _, err) = run(&["ledger", "claim", &ledger, "--wait"]);
    assert!(code == 1 && err.contains("nothing is left to claim"), "{code} {err}");
}

/// A failed task rests; with a clock a day ahead, it rests no longer.
#[test]
fn a_task_that_failed_rests() {
    let scratch = Scratch::in_memory();
    let ledger = scratch.text("a.ledger");
    ok(&["ledger", "init", &ledger, "--rows", "1", "--block", "1"]);
    ok(&["ledger", "claim", &ledger]);
    ok(&["ledger", "fail", &ledger, "0", "--fence", "1"]);
    assert_eq!(run(&["ledger", "claim", &ledger, "--retry-delay", "3600"]).0, 1);
    let claimed = json(&["ledger", "claim", &ledger, "--json"]);
    assert_eq!((&claimed[0]["attempts"], &claimed[0]["fence"]), (&1.into(), &2.into()));
}

#[test]
fn a_full_disk() {
    let scratch = Scratch::new();
    let folder = scratch.text("disk");
    std::fs::create_dir(&folder).expect("folder");
    let script = r#"
mount -t tmpfs -o size=256k none "$DIR" 2>/dev/null || exit 99
cd "$DIR" || exit 98
"$H" ledger init a.ledger --rows 500 --block 1 >/dev/null || exit 97
seq 100000 > ../names
"$H" ledger init b.ledger --tasks ../names 2>../err; echo "codes: $?" >../codes
cat ../err >&2
ls >../left
dd if=/dev/zero of=ballast bs=4096 2>/dev/null
for k in 1 2 3 4 5 6 7 8 9 10 11 12; do
    sleep 100 & pid=$!
    "$H" ledger claim a.ledger --owner $pid >/dev/null 2>../err; code=$?
    kill $pid
    [ $code = 7 ] && break
done
echo "codes: $code" >>../codes
cat ../err >&2
"$H" ledger status a.ledger --json >../status || exit 96
rm ballast
"$H" ledger claim a.ledger >/dev/null || exit 95
cat ../codes ../left ../status
"#;
    let wrapped = format!("unshare -m sh -c '{}'", script.replace('\'', "'\\''"));
    let output =
        Command::new("sh").args(["-c", &wrapped]).env("H", env!("CARGO_BIN_EXE_h5part")).env("DIR", &folder).output();
    let (code, out, err) = finished(&output.expect("starts"));
    if code == 99 || err.contains("unshare") {
        println!("skipped: a tmpfs cannot be mounted here: {err}");
        return;
    }
    assert_eq!(code, 0, "{out}{err}");
    let codes: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("codes: ")).collect();
    assert_eq!(codes[0], "7", "{out}{err}");
    // Pages of the owner table may have existed before.
    assert!(["1", "7"].contains(&codes[1]), "{out}{err}");
    assert!(out.lines().any(|line| line == "a.ledger") && !out.contains("b.ledger"), "nothing is left beside: {out}");
    assert!(err.contains("the disk is full") && err.contains("b.ledger"), "{err}");
}

#[test]
fn read_only_ledgers_and_folders() {
    let scratch = Scratch::new();
    let ledger = scratch.text("a.ledger");
    ok(&["ledger", "init", &ledger, "--rows", "3", "--block", "1"]);
    let folder = scratch.path("a.ledger").parent().expect("folder").to_owned();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    };
    mode(&scratch.path("a.ledger"), 0o444);
    mode(&folder, 0o555);
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        let program = env!("CARGO_BIN_EXE_h5part");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", program]).args(args);
        finished(&command.output().expect("setpriv of util-linux"))
    };
    if as_nobody(&["--version"]).0 != 0 {
        println!("skipped: this user cannot run the program as another user");
    } else {
        let other = scratch.text("b.ledger");
        for args in [
            &["ledger", "claim", &ledger][..],
            &["ledger", "cancel", &ledger, "--all"],
            &["ledger", "init", &other, "--rows", "3", "--block", "1"],
        ] {
            let (code, out, err) = as_nobody(args);
            assert!(code == 8 && out.is_empty() && err.contains(".ledger"), "{args:?}: {code} {err}");
        }
        // Reading needs no permission to write.
        for args in [&["ledger", "status", &ledger][..], &["ledger", "list", &ledger], &["ledger", "export", &ledger]] {
            let (code, _, err) = as_nobody(args);
            assert_eq!(code, 0, "{args:?}: {err}");
        }
    }
    mode(&folder, 0o755);
}
