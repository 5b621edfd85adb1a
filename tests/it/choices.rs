//! What is chosen where nobody says: modes, and numbers of workers.

use crate::support::{Scratch, finished, h5part, ok, run};

/// A ledger of `tasks` tasks.
fn ledger(scratch: &Scratch, name: &str, tasks: u32) -> String {
    let path = scratch.text(name);
    ok(&["ledger", "init", &path, "--rows", &tasks.to_string(), "--block", "1"]);
    path
}

#[test]
fn the_mode_of_a_run_is_that_of_the_argument_else_of_the_variable() {
    let scratch = Scratch::new();
    // Processes of other numbers than the run's own are the parents of programs only in mode `processes`.
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
