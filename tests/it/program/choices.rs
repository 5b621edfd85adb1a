//! Defaults that depend on the machine: modes and numbers of workers.

use crate::common::support::{Scratch, finished, h5part, ok, run};

/// A ledger of `tasks` tasks.
fn ledger(scratch: &Scratch, name: &str, tasks: u32) -> String {
    let path = scratch.text(name);
    ok(&["ledger", "init", &path, "--rows", &tasks.to_string(), "--block", "1"]);
    path
}

#[test]
fn the_mode_of_a_run_is_that_of_the_argument_else_of_the_variable() {
    let scratch = Scratch::new();
    // The parent of a task's program is another process than the run itself only in mode `processes`.
    let workers_of_its_own = |name: &str, variable: &str, arguments: &[&str]| {
        let path = ledger(&scratch, name, 2);
        let script = r#"tr '\0' ' ' < /proc/$PPID/cmdline > "$1""#;
        let seen = scratch.text(&format!("{name}.seen"));
        let mut command = h5part();
        command.args(["run", &path, "-q"]).args(arguments).args(["--", "sh", "-c", script, "-", &seen]);
        let (code, out, err) = finished(&command.env("H5PART_DISTRIBUTE", variable).output().expect("starts"));
        assert_eq!(code, 0, "{out}{err}");
        std::fs::read_to_string(seen).expect("seen").contains(" --of-run ")
    };
    assert!(!workers_of_its_own("a", "", &[]));
    assert!(workers_of_its_own("b", "processes", &[]));
    assert!(workers_of_its_own("c", "Processes", &["-j", "1"]));
    assert!(!workers_of_its_own("d", "processes", &["--mode", "threads"]));
    assert!(workers_of_its_own("e", "serial", &["--mode", "processes"]));
}

#[test]
fn a_mode_that_there_is_not_is_told_before_anything_is_claimed() {
    let scratch = Scratch::new();
    let path = ledger(&scratch, "l", 2);
    let (code, _, err) = run(&["run", &path, "--mode", "fast", "--", "true"]);
    assert!(code == 2 && err.contains("no mode 'fast': serial, threads, processes or slurm"), "{err}");
    let output = h5part().args(["run", &path, "--", "true"]).env("H5PART_DISTRIBUTE", "fast").output();
    let (code, _, err) = finished(&output.expect("starts"));
    assert!(code == 2 && err.contains("H5PART_DISTRIBUTE") && err.contains("no mode 'fast'"), "{err}");
    assert!(ok(&["ledger", "status", &path, "--json"]).contains(r#""waiting":2"#));
}

#[test]
fn more_programs_than_cores_are_obeyed_with_a_warning() {
    let scratch = Scratch::new();
    let many = 1 + std::thread::available_parallelism().expect("cores").get();
    for (name, mode) in [("a", "threads"), ("b", "processes")] {
        let path = ledger(&scratch, name, 3);
        let (code, out, err) = run(&["run", &path, "--mode", mode, "-j", &many.to_string(), "--", "true"]);
        assert!(code == 0 && out.contains("3 of 3 tasks are done"), "{out}{err}");
        assert_eq!(err.matches("warning").count(), 1, "{err}");
        assert!(err.contains(&format!("warning: {many} workers of 1 thread each")), "{err}");
    }
    let path = ledger(&scratch, "c", 3);
    let (code, _, err) = run(&["run", &path, "--memory", "8000G", "--", "true"]);
    assert!(code == 0 && err.contains("1 worker of 8589.9 GB") && err.contains("80 %"), "{err}");
    let path = ledger(&scratch, "d", 3);
    let (code, _, err) = run(&["run", &path, "--", "true"]);
    assert!(code == 0 && err.is_empty(), "an automatic choice needs no warning: {err}");
}

#[test]
fn pinned_programs_are_kept_on_one_processor() {
    let scratch = Scratch::new();
    for (name, mode) in [("s", "serial"), ("t", "threads"), ("p", "processes")] {
        let path = ledger(&scratch, name, 4);
        let seen = scratch.text(&format!("{name}.seen"));
        let script = r#"grep Cpus_allowed_list /proc/self/status >> "$1""#;
        ok(&["run", &path, "-q", "--pin", "-j", "2", "--mode", mode, "--", "sh", "-c", script, "-", &seen]);
        let seen = std::fs::read_to_string(seen).expect("seen");
        let lists: Vec<&str> = seen.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert!(lists.len() == 4 && lists.iter().all(|list| list.parse::<u32>().is_ok()), "{mode}: {seen}");
    }
}

fn recommendation(args: &[&str]) -> serde_json::Value {
    let mut command = h5part();
    command.args(["recommend", "--json"]).args(args).env_remove("H5PART_DISTRIBUTE");
    let (code, out, err) = finished(&command.output().expect("starts"));
    assert!(code == 0 && err.is_empty(), "{err}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn a_recommendation_fits_the_machine_and_runs_as_it_is() {
    let all = recommendation(&[]);
    let cores = h5part_tasks::budget::Machine::probe().cores().0;
    assert_eq!((all["workers"].as_u64(), all["threads"].as_u64()), (Some(cores as u64), Some(1)), "{all}");
    assert_eq!(all["warnings"].as_array().map(Vec::len), Some(0), "{all}");
    assert!(all["reasons"][0].as_str().is_some_and(|why| why.contains("may be used")), "{all}");
    let one = recommendation(&["--tasks", "1"]);
    assert_eq!((one["mode"].as_str(), one["workers"].as_u64()), (Some("serial"), Some(1)), "{one}");
    let large = recommendation(&["--memory-per-worker", "8000G"]);
    assert_eq!((large["workers"].as_u64(), large["warnings"].as_array().map(Vec::len)), (Some(1), Some(1)), "{large}");

    let scratch = Scratch::new();
    let path = ledger(&scratch, "l", 3);
    let advised =
        recommendation(&["--memory-per-worker", "100M", "--", "sh", "-c", "test {name} = \"$1\"", "-", "{name}"]);
    let line = advised["command_line"].as_str().expect("text").replace("LEDGER", "\"$LEDGER\"");
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_h5part")).parent().expect("folder").display();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &format!("PATH={folder}:$PATH; {line}")]).env("LEDGER", &path);
    let (code, out, err) = finished(&shell.output().expect("starts"));
    assert!(code == 0 && out.contains("3 of 3 tasks are done"), "{line}: {out}{err}");

    let text = ok(&["recommend"]);
    assert!(
        text.contains("\nWhy:\n- ") && text.contains("h5part run LEDGER") && text.contains(r#"{"type":"#),
        "{text}"
    );
}

#[test]
fn a_probe_says_whether_parallel_pays() {
    // Sleeping needs no core, and a lock admits one program at a time: neither depends on what else the machine does.
    let sleep = recommendation(&["--tasks", "2", "--probe", "--", "sleep", "0.3"]);
    let ratio = sleep["probe"]["ratio"].as_f64().expect("a number");
    assert!(ratio > 1.2 && sleep["probe"]["pays"] == true, "{sleep}");
    assert!(sleep["reasons"][0].as_str().is_some_and(|why| why.starts_with("Parallel pays: ")), "{sleep}");
    let scratch = Scratch::new();
    let lock = recommendation(&["--tasks", "2", "--probe", "--", "flock", &scratch.text("lock"), "sleep", "0.3"]);
    assert!(lock["probe"]["ratio"].as_f64().expect("a number") <= 1.2 && lock["probe"]["pays"] == false, "{lock}");
    assert_eq!((lock["mode"].as_str(), lock["workers"].as_u64()), (Some("serial"), Some(1)), "{lock}");
}

#[test]
fn a_probe_of_what_fails_or_is_not_there_is_an_error() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&["--probe", "--", "no such program"], 3, "no such program"),
        (&["--probe", "--", "sh", "-c", "exit 3"], 2, "exit status: 3"),
        (&["--probe"], 2, "COMMAND"),
        (&["--memory-per-worker", "much"], 2, "not an amount of memory"),
    ];
    for (args, exit, why) in cases {
        let (code, out, err) = run(&[&["recommend"], args].concat());
        assert!(code == exit && out.is_empty() && err.contains(why), "{args:?}: {code} {err}");
    }
}
