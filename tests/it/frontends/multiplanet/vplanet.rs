//! With the real vplanet: its trials and their archive.

use crate::common::killing::{Killer, until};
use crate::common::planets::planet;
use crate::common::support::{Scratch, finished};
use h5part_engine::store::Store;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The files of a run: six trials of an Earth that cools.
const FILES: [(&str, &str); 4] = [
    ("earth.in", include_str!("../../../fixtures/earth/earth.in")),
    ("sun.in", include_str!("../../../fixtures/earth/sun.in")),
    ("vpl.in", include_str!("../../../fixtures/earth/vpl.in")),
    ("vspace.in", include_str!("../../../fixtures/earth/vspace.in")),
];

struct Ensemble {
    dir: Scratch,
    path: std::ffi::OsString,
}

impl Ensemble {
    /// Six trials, made by our vspace. `None` if vplanet is not installed.
    fn new() -> Option<Self> {
        let vplanet = planet("vplanet")?;
        let path = vplanet.get_envs().find_map(|(name, value)| (name == "PATH").then_some(value)?)?.to_owned();
        let dir = Scratch::new();
        for (name, text) in FILES {
            fs::write(dir.path(name), text).expect("writes");
        }
        let ensemble = Self { dir, path };
        assert_eq!(ensemble.ours(&["vspace", "vspace.in"]).0, 0);
        Some(ensemble)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_h5part"));
        command.args(args).current_dir(self.dir.path("")).env("PATH", &self.path).stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", self.dir.path("cache"));
        command
    }

    fn ours(&self, args: &[&str]) -> (i32, String, String) {
        finished(&self.command(args).output().expect("starts"))
    }

    fn run(&self, options: &[&str]) -> (i32, String, String) {
        self.ours(&[&["multiplanet", "vspace.in", "--retry-delay", "0"], options].concat())
    }

    /// Trials of the archive, and the number of datasets of each.
    fn archived(&self) -> Vec<(String, usize)> {
        let script =
            "import h5py, sys\nwith h5py.File(sys.argv[1]) as f:\n    for name in f: print(name, len(f[name]))";
        let mut python = planet("python").expect("python");
        let output = python.arg("-c").arg(script).arg(self.dir.path("MP.bpa")).output().expect("starts");
        let (code, out, err) = finished(&output);
        assert_eq!(code, 0, "{err}");
        let row = |line: &str| line.split_once(' ').map(|(name, n)| (name.to_owned(), n.parse().expect("number")));
        out.lines().filter_map(row).collect()
    }

    fn check_archive(&self) {
        let archived = self.archived();
        assert_eq!(archived.len(), 6, "{archived:?}");
        assert!(archived.iter().all(|(_, datasets)| *datasets == archived[0].1 && *datasets > 50), "{archived:?}");
        let (code, out, err) = self.ours(&["verify", "MP.bpa"]);
        assert_eq!(code, 0, "{out}{err}");
    }
}

#[test]
fn what_vplanet_leaves_is_what_multiplanet_has_it_leave() {
    let (Some(here), Some(there)) = (Ensemble::new(), Ensemble::new()) else { return };
    let (code, out, err) = here.run(&["-c", "2"]);
    assert!(code == 0 && out.is_empty() && super::is_summary(&err), "{out}{err}");
    let mut theirs = planet("multiplanet").expect("is there");
    let theirs = theirs.args(["-c", "2", "vspace.in"]).current_dir(there.dir.path("")).output().expect("starts");
    assert!(theirs.status.success());
    let mut compared = 0;
    for entry in fs::read_dir(there.dir.path("MP")).expect("folder").map(|entry| entry.expect("entry").path()) {
        for file in fs::read_dir(&entry).into_iter().flatten().map(|file| file.expect("entry").path()) {
            let name = file.strip_prefix(there.dir.path("")).expect("inside").to_str().expect("UTF-8");
            let texts = [&here, &there].map(|e| fs::read_to_string(e.dir.path(name)).expect("reads"));
            // A log says where and when it was written.
            let plain = |text: &str| -> Vec<String> {
                let same = |line: &&str| {
                    !["Executable", "Version", "System Date", "(WallTime", "Log file"].iter().any(|w| line.contains(w))
                };
                text.lines().filter(same).map(str::to_owned).collect()
            };
            assert_eq!(plain(&texts[0]), plain(&texts[1]), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6 * 6, "input, log, output and vplanet_log of each trial");
    let text = |e: &Ensemble| {
        let here = e.dir.path("").canonicalize().expect("folder");
        fs::read_to_string(e.dir.path(".MP")).expect("text").replace(here.to_str().expect("UTF-8"), "")
    };
    assert_eq!(text(&here), text(&there));
}

#[test]
fn a_trial_is_done_when_it_is_in_the_archive() {
    let Some(ensemble) = Ensemble::new() else { return };
    // Damages the output of one trial each time.
    let broken = "sh -c 'vplanet vpl.in; case {name} in t_a3) echo 1 2 > earth.earth.forward;; esac'";
    let (code, _, err) = ensemble.run(&["-bp", "-c", "2", "--max-attempts", "2", "--command", broken]);
    assert!(code == 1 && err.contains("t_a3") && err.contains("could not be kept"), "{err}");
    assert_eq!(ensemble.archived().len(), 5);
    assert!(fs::read_to_string(ensemble.dir.path(".MP")).expect("text").contains("t_a3 -1\n"));
    let (code, _, err) = ensemble.run(&["-bp"]);
    assert_eq!(code, 0, "{err}");
    ensemble.check_archive();
    // Leaving out -bp does not remove the archive.
    assert_eq!(ensemble.run(&["-f", "-q"]).0, 0);
    ensemble.check_archive();
}

#[test]
fn what_is_done_and_not_archived_is_archived_without_being_run_again() {
    let Some(ensemble) = Ensemble::new() else { return };
    assert_eq!(ensemble.run(&["-c", "2"]).0, 0);
    // The output of one trial is missing, so that trial is run again.
    fs::remove_file(ensemble.dir.path("MP/t_a2/earth.log")).expect("removes");
    let logs = || -> Vec<usize> {
        let log = |k| fs::read_to_string(ensemble.dir.path(&format!("MP/t_a{k}/vplanet_log"))).expect("reads");
        (0..6).map(|k| log(k).matches("Simulation completed.").count()).collect()
    };
    let (code, _, err) = ensemble.run(&["-bp"]);
    assert!(code == 0 && err.contains("'t_a2' is run again"), "{err}");
    assert_eq!(logs(), [1, 1, 2, 1, 1, 1]);
    ensemble.check_archive();
    assert_eq!(ensemble.run(&["-bp"]).1, "All simulations have been ran\n");
    // A fresh start: the old archive is set aside, never removed.
    let (code, _, err) = ensemble.run(&["-bp", "-f"]);
    assert!(code == 0 && err.contains("MP.bpa.old-1"), "{err}");
    assert_eq!(logs(), [2, 2, 3, 2, 2, 2]);
    ensemble.check_archive();
    assert!(ensemble.dir.path("MP.bpa.old-1").exists());
}

#[test]
fn trials_are_archived_in_every_mode() {
    for mode in ["serial", "processes"] {
        let Some(ensemble) = Ensemble::new() else { return };
        let workers = if mode == "serial" { "1" } else { "2" };
        let (code, out, err) = ensemble.run(&["-bp", "-c", workers, "-q", "--mode", mode]);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "{mode}");
        ensemble.check_archive();
    }
}

#[test]
fn a_run_with_an_archive_goes_on_after_kills() {
    let Some(ensemble) = Ensemble::new() else { return };
    let mut kills = 0;
    let mut killer = Killer::new(Duration::from_millis(100));
    let archived =
        || Store::open(ensemble.dir.path("MP.bpa")).and_then(|a| a.root_names()).map_or(0, |names| names.len());
    for trials in [0, 1, 2, 3] {
        let mut run = ensemble.command(&["multiplanet", "vspace.in", "-bp", "-c", "2", "-q"]).spawn().expect("starts");
        until("trials are archived", || archived() >= trials || run.try_wait().expect("waits").is_some());
        kills += usize::from(killer.kill(&mut run));
    }
    println!("{kills} kills, {} trials in the archive", archived());
    assert!(kills > 0, "six trials were all archived before any kill");
    let (code, _, err) = ensemble.run(&["-bp", "-q"]);
    assert_eq!(code, 0, "{err}");
    ensemble.check_archive();
}
