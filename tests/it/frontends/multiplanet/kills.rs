//! Runs that are killed, and runs that finish them.

use super::rig::{Rig, WAITS};
use super::status;
use crate::common::killing::{Killer, until};
use crate::common::support::{finished, says};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::Duration;

fn pid(run: &Child) -> Pid {
    Pid::from_raw(run.id().cast_signed())
}

/// One of our runs, killed with two trials running and one done.
fn killed() -> Rig {
    let rig =
        Rig::of(5, "echo $$ >> ran\ncase $PWD in *t00) exit;; esac\nwhile [ ! -e ../../go ]; do sleep 0.02; done");
    let mut run = rig.start(&[]);
    until("the text says so", || rig.text().contains("t00 1\n") && rig.text().matches(" 0\n").count() == 2);
    kill(pid(&run), Signal::SIGKILL).expect("kills");
    run.wait().expect("ends");
    let ended = |name: &String| {
        let ran = fs::read_to_string(rig.trial(name).join("ran")).unwrap_or_default();
        ran.lines().all(|line| !fs::exists(format!("/proc/{line}")).expect("looks"))
    };
    until("its programs end with it", || rig.names.iter().all(ended));
    rig
}

#[test]
fn a_run_that_was_killed_goes_on() {
    let rig = killed();
    let ours = |args: &[&str]| finished(&rig.ours(args).output().expect("starts"));
    assert_eq!(ours(&["mpstatus", "vspace.in"]).1, status(1, 2, 2));
    rig.go();
    let (code, _, err) = rig.run(&["-q"]);
    assert_eq!((code, rig.text()), (0, rig.all_done()), "{err}");
    assert_eq!(rig.begun(), [1, 2, 2, 1, 1]);
}

#[test]
fn multiplanet_finishes_what_ours_began() {
    let rig = killed();
    let Some(mut theirs) = rig.theirs("mpstatus", &["vspace.in"]) else { return };
    assert_eq!(finished(&theirs.output().expect("starts")).1, status(1, 2, 2));
    rig.go();
    let mut theirs = rig.theirs("multiplanet", &["-c", "2", "vspace.in"]).expect("is there");
    let (code, _, err) = finished(&theirs.output().expect("starts"));
    assert_eq!(code, 0, "{err}");
    assert_eq!(rig.begun(), [1, 2, 2, 1, 1]);
    // Our run believes the text, although its own ledger says otherwise.
    let ours = |args: &[&str]| finished(&rig.ours(args).output().expect("starts"));
    assert_eq!(ours(&["mpstatus", "vspace.in"]).1, status(5, 0, 0));
    assert_eq!(rig.run(&[]).1, "All simulations have been ran\n");
    assert_eq!((rig.begun(), rig.text()), (vec![1, 2, 2, 1, 1], rig.all_done()));
}

#[test]
fn ours_finishes_what_multiplanet_began() {
    let rig =
        Rig::of(5, "echo $$ >> ran\ncase $PWD in *t00) exit;; esac\nwhile [ ! -e ../../go ]; do sleep 0.02; done");
    let Some(mut theirs) = rig.theirs("multiplanet", &["-c", "2", "vspace.in"]) else { return };
    let mut theirs = theirs.process_group(0).spawn().expect("starts");
    until("three were begun", || rig.begun().iter().sum::<usize>() == 3 && rig.text().ends_with("END\n"));
    killpg(pid(&theirs), Signal::SIGKILL).expect("kills");
    theirs.wait().expect("ends");
    let done = rig.text().matches(" 1\n").count();
    rig.go();
    let (code, _, err) = rig.run(&[]);
    assert_eq!((code, rig.text()), (0, rig.all_done()), "{err}");
    assert!(done == 1 && rig.begun() == [1, 2, 2, 1, 1], "{:?}", rig.begun());
    assert_eq!(
        finished(&rig.theirs("mpstatus", &["vspace.in"]).expect("there").output().expect("starts")).1,
        status(5, 0, 0)
    );
    let mut theirs = rig.theirs("multiplanet", &["vspace.in"]).expect("is there");
    assert_eq!(finished(&theirs.output().expect("starts")).1, "All simulations have been ran\n");
}

#[test]
fn ctrl_c_lets_trials_end_and_a_second_one_gives_them_back() {
    let rig = Rig::of(4, WAITS);
    let mut run = rig.start(&[]);
    until("two trials run", || rig.begun().iter().sum::<usize>() == 2);
    kill(pid(&run), Signal::SIGINT).expect("signals");
    says(&mut run, "no more tasks are claimed");
    rig.go();
    let (code, _, err) = finished(&run.wait_with_output().expect("ends"));
    assert!(code == 1 && err.contains("2 of 4 trials are not done: start again"), "{code} {err}");
    assert_eq!(rig.text().matches(" 1\n").count(), 2);
    assert_eq!(rig.run(&[]).0, 0);
    assert_eq!((rig.begun(), rig.text()), (vec![1; 4], rig.all_done()));

    let rig = Rig::of(4, WAITS);
    let run = rig.start(&["--max-attempts", "1"]);
    until("two trials run", || rig.begun().iter().sum::<usize>() == 2);
    kill(pid(&run), Signal::SIGTERM).expect("signals");
    assert_eq!(run.wait_with_output().expect("ends").status.code(), Some(1));
    assert_eq!(rig.text().matches(" -1\n").count(), 4, "{}", rig.text());
    rig.go();
    assert_eq!(rig.run(&["--max-attempts", "1"]).0, 0);
    assert_eq!((rig.begun(), rig.text()), (vec![2, 2, 1, 1], rig.all_done()));
}

#[test]
fn runs_killed_at_random_lose_nothing() {
    let mut killer = Killer::new(Duration::from_millis(200));
    // Each completed trial adds a line to `done`. A trial's errors are not lost when its runner dies.
    let rig = Rig::of(40, "echo begun >&2; sleep 0.03; echo x >> done");
    let mut kills = 0;
    loop {
        let mut run = rig.start(&["-q"]);
        kills += usize::from(killer.kill(&mut run));
        // At any instant the text is whole.
        let text = rig.text();
        assert!(text.is_empty() || text.ends_with("THE END\n"), "{text}");
        if text == rig.all_done() || kills > 60 {
            break;
        }
    }
    println!("{kills} kills");
    assert!(kills > 0, "forty trials that take their time were all done before the first");
    assert_eq!(rig.run(&[]).0, 0);
    assert_eq!(rig.text(), rig.all_done());
    for name in &rig.names {
        let done = fs::read_to_string(rig.trial(name).join("done")).expect("was run");
        assert!(rig.log(name).lines().filter(|line| *line == "begun").count() >= done.lines().count(), "{name}");
    }
}
