//! The trials of an ensemble run as programs, as multiplanet does.

mod bad_input;
mod kills;
mod rig;
mod vplanet;

use crate::common::killing::until;
use crate::common::support::finished;
use rig::Rig;
use std::fs;

/// What mpstatus prints.
fn status(completed: usize, in_progress: usize, remaining: usize) -> String {
    format!(
        "--Multi-Planet Status--\nNumber of Simulations completed: {completed}\n\
         Number of Simulations in progress: {in_progress}\nNumber of Simulations remaining: {remaining}\n"
    )
}

/// Whether nothing but the summary was printed.
pub fn is_summary(err: &str) -> bool {
    let mut lines = err.lines();
    let first = lines.next().is_some_and(|line| line.ends_with("tasks are done"));
    first && lines.all(|line| line.starts_with("h5part:   "))
}

#[test]
fn a_session() {
    let rig = Rig::of(3, "echo out; echo err >&2; echo x >> ran; sleep 0.1");
    let (code, out, err) = rig.run(&["-c", "2", "-v"]);
    assert!(code == 0 && is_summary(&err), "{err}");
    let folder = rig.dir.path("MP").canonicalize().expect("folder");
    let mut lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["Starting worker", "Starting worker"]);
    lines.sort_unstable();
    let of_trials = |what: &dyn Fn(String) -> String| -> Vec<String> {
        rig.names.iter().map(|name| what(folder.join(name).display().to_string())).collect()
    };
    let mut expected = of_trials(&|trial| format!("{trial} completed"));
    expected.extend(of_trials(&|trial| format!("Processing: {trial}")));
    expected.extend(["Starting worker".to_owned(), "Starting worker".to_owned()]);
    assert_eq!(lines, expected);
    // Errors come before output, and nothing else is added.
    assert_eq!(rig.log("t01"), "err\nout\n");
    assert_eq!(rig.text(), rig.all_done());
    let ours = |args: &[&str]| finished(&rig.ours(args).output().expect("starts"));
    assert_eq!(ours(&["mpstatus", "vspace.in"]), (0, status(3, 0, 0), String::new()));
    let said = ours(&["mpstatus", "vspace.in", "--json"]).1;
    assert_eq!(said.trim(), r#"{"completed":3,"in_progress":0,"remaining":0}"#);

    let (code, out, err) = rig.run(&[]);
    assert!(code == 0 && err.is_empty() && out == "All simulations have been ran\n", "{out}{err}");
    let (_, out, _) = rig.run(&["-v"]);
    assert_eq!(out, "WARNING: multi-planet checkpoint file already exists!\nAll simulations have been ran\n");
    assert_eq!(rig.run(&["-q"]), (0, String::new(), String::new()));
    assert_eq!(rig.begun(), [1, 1, 1]);
    // Start again over existing results: the log is appended to.
    fs::write(rig.trial("t00").join("mine.in"), "kept").expect("writes");
    assert_eq!(rig.run(&["-f", "-q"]).0, 0);
    assert_eq!((rig.begun(), rig.text()), (vec![2, 2, 2], rig.all_done()));
    assert_eq!(rig.log("t01"), "err\nout\nerr\nout\n");
    assert!(rig.trial("t00").join("mine.in").exists() && rig.trial("t00").join("vpl.in").exists());
    // The file that each trial needs is removed when the trial has ended.
    let programs = fs::read_dir(rig.dir.path(".MP.ledger.part/programs")).expect("folder").count();
    assert_eq!(programs, 0);
}

#[test]
fn a_trial_that_fails_is_tried_again_as_often_as_was_said_and_the_others_do_not_wait() {
    let rig = Rig::of(4, "echo x >> ran; case $PWD in *t01) echo said; echo no >&2; exit 7;; *t02) kill -9 $$;; esac");
    let (code, out, err) = rig.run(&["-c", "2", "-v"]);
    assert_eq!(code, 1, "{err}");
    assert_eq!(rig.begun(), [1, 3, 3, 1]);
    let path = rig.trial("t01").canonicalize().expect("folder");
    let said = |text: &str| out.matches(text).count();
    assert_eq!(said(&format!("{} failed with return code 7\n", path.display())), 3, "{out}");
    assert_eq!(said("t02 failed with return code -9\n"), 3, "{out}");
    assert!(err.contains(&format!("'t01' failed: exit code 7; see {}/vplanet_log", path.display())), "{err}");
    assert!(rig.log("t01").starts_with("no\nsaid\nh5part: attempt 1 failed: exit code 7\nno\n"), "{}", rig.log("t01"));
    assert!(rig.text().contains("t01 -1\n") && rig.text().contains("t03 1\n"), "{}", rig.text());
    let ours = |args: &[&str]| finished(&rig.ours(args).output().expect("starts"));
    assert_eq!(ours(&["mpstatus", "vspace.in"]).1, status(2, 0, 2));
    // A new run tries the failed trials again; done ones stay done.
    rig.script("echo x >> ran");
    let (code, _, err) = rig.run(&["--json"]);
    assert_eq!((code, rig.begun(), rig.text()), (0, vec![1, 4, 4, 1], rig.all_done()), "{err}");
    rig.script("exit 1");
    let (code, out, _) = rig.run(&["-f", "--max-attempts", "1", "--json", "-q"]);
    let out: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, &out["failed"], &out["failures"][3]["name"]), (1, &4.into(), &"t03".into()), "{out}");
}

#[test]
fn much_that_is_said_on_both_sides_is_kept_in_order() {
    let rig = Rig::of(
        2,
        "i=0; while [ $i -lt 300 ]; do printf '%01023d\\n' $i; printf '%01023d\\n' $i >&2; i=$((i+1)); done",
    );
    assert_eq!(rig.run(&["-c", "2"]).0, 0);
    let log = rig.log("t01");
    let numbers: Vec<usize> = log.lines().map(|line| line.parse().expect("number")).collect();
    let once: Vec<usize> = (0..300).collect();
    assert_eq!(log.len(), 600 * 1024);
    assert_eq!(numbers, [once.clone(), once].concat(), "first all errors, then all output");
}

#[test]
fn another_program_with_arguments_and_names_with_blanks() {
    let rig = Rig::new(&["a b", "c"], "exit 3");
    let (code, _, err) =
        rig.run(&["--command", "sh -c 'printf \"%s|\" \"$@\" \"$(pwd)\" > made' x '{name}' 'two words'"]);
    assert_eq!(code, 0, "{err}");
    let made = fs::read_to_string(rig.trial("a b").join("made")).expect("reads");
    let folder = rig.trial("a b").canonicalize().expect("folder");
    assert_eq!(made, format!("a b|two words|{}|", folder.display()));
    assert_eq!(rig.text(), rig.all_done());
    assert_eq!(rig.run(&[]).1, "All simulations have been ran\n");
    // A relative path refers to the folder where the run was started.
    rig.script("echo mine > mine");
    assert_eq!(rig.run(&["-f", "--command", "bin/vplanet vpl.in"]).0, 0);
    assert!(rig.trial("c").join("mine").exists());
}

#[test]
fn every_mode_runs_each_trial_once() {
    for mode in ["serial", "threads", "processes"] {
        let rig = Rig::of(6, "echo x >> ran; echo said");
        let (code, out, err) = rig.run(&["--mode", mode, "-c", "2", "-v"]);
        let err: String =
            err.lines().filter(|line| !line.contains("mode serial runs")).map(|line| format!("{line}\n")).collect();
        assert!(code == 0 && is_summary(&err), "{mode}: {err}");
        assert_eq!(out.matches(" completed\n").count(), 6, "{mode}: {out}");
        assert_eq!((rig.begun(), rig.text()), (vec![1; 6], rig.all_done()), "{mode}");
    }
}

#[test]
fn two_runs_share_the_trials() {
    let rig = Rig::of(12, rig::WAITS);
    let first = rig.start(&[]);
    until("two trials run", || rig.begun().iter().sum::<usize>() == 2);
    let second = rig.start(&[]);
    until("four trials run", || rig.begun().iter().sum::<usize>() == 4);
    let ours = |args: &[&str]| finished(&rig.ours(args).output().expect("starts"));
    assert_eq!(ours(&["mpstatus", "vspace.in"]).1, status(0, 4, 8));
    let (code, _, err) = ours(&["vspace", "-f", "vspace.in"]);
    assert!(code != 0 && rig.trial("t00").exists(), "{err}");
    rig.go();
    let ends: Vec<_> =
        [first, second].into_iter().map(|run| finished(&run.wait_with_output().expect("ends"))).collect();
    assert!(ends[0].0 == 0 && ends[0].1.is_empty() && is_summary(&ends[0].2), "{:?}", ends[0]);
    assert!(ends[1].0 == 0 && ends[1].2.contains("works on these trials, too: the two share them"), "{}", ends[1].2);
    assert_eq!((rig.begun(), rig.text()), (vec![1; 12], rig.all_done()));
}

#[test]
fn the_job_array_is_of_workers_of_the_same_trials() {
    let rig = Rig::of(3, "echo x >> ran");
    let args = ["--mode", "slurm", "-c", "8", "--time", "1:00:00", "--dry-run", "--max-attempts", "2", "-bp"];
    let without = ["--command", "sh -c 'echo x >> ran'"];
    let (code, script, err) = rig.run(&[&args[..9], &without[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(script.contains("#SBATCH --array=0-2\n") && script.contains("#SBATCH --job-name=h5part-MP"), "{script}");
    let worker = script.lines().last().expect("a line").strip_prefix("exec ").expect("exec").to_owned();
    assert!(worker.contains(" multiplanet --worker ") && worker.ends_with(" -- vspace.in"), "{worker}");
    assert_eq!(rig.begun(), [0, 0, 0]);
    // Run what the job array would run, twice at once.
    let start = || {
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(&worker).current_dir(rig.dir.path("")).spawn().expect("starts")
    };
    for mut worker in [start(), start()] {
        assert!(worker.wait().expect("ends").success());
    }
    assert_eq!((rig.begun(), rig.text()), (vec![1; 3], rig.all_done()));
    let (code, _, err) = rig.run(&["--partition", "x", "--mode", "threads"]);
    assert!(code == 2 && err.contains("do not go with mode threads"), "{err}");
}
