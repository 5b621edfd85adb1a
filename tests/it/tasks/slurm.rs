//! Mode `slurm` without SLURM, or with one played by scripts. For the real one: `make test-slurm`.

use crate::common::support::{Scratch, finished, h5part, is_one_error, ok};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A ledger of ten tasks without rows.
fn ledger(dir: &Scratch) -> String {
    let path = dir.text("l.ledger");
    ok(&["ledger", "init", &path, "--rows", "10", "--block", "1"]);
    path
}

fn run(path: &Path, args: &[&str]) -> (i32, String, String) {
    let output = h5part().env("PATH", path).arg("run").args(args).args(["--", "/bin/true"]).output();
    finished(&output.expect("starts"))
}

/// Writes a script that plays a program of SLURM.
fn play(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\ncd {}\n{script}\n", folder.display())).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
}

#[test]
fn without_slurm_it_is_said_before_anything_is_claimed() {
    let dir = Scratch::new();
    let ledger = ledger(&dir);
    let none = dir.path("none");
    let (code, _, err) = run(&none, &[&ledger, "--mode", "slurm", "-j", "2"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("SLURM's 'scontrol' is not on the PATH") && is_one_error(&err), "{err}");
    let (code, _, err) = run(&none, &[&ledger, "--mode", "slurm"]);
    assert!(code == 2 && err.contains("-j N"), "{err}");
    let (code, _, err) = run(&none, &[&ledger, "--mode", "threads", "--partition", "x"]);
    assert!(code == 2 && err.contains("do not go with mode threads"), "{err}");
    let (code, _, err) = run(&none, &[&ledger, "--mode", "slurm", "-j", "2", "--partition", "two\nlines", "--dry-run"]);
    assert!(code == 2 && err.contains("#SBATCH line"), "{err}");
    let status = ok(&["ledger", "status", &ledger, "--json"]);
    assert!(status.contains("\"waiting\":10"), "{status}");
}

#[test]
fn a_dry_run_shows_the_script_and_needs_no_slurm() {
    let dir = Scratch::new();
    let ledger = ledger(&dir);
    let args = [&ledger, "--mode", "slurm", "-j", "4", "--array-size", "100", "--time", "1:00:00", "--dry-run"];
    let (code, script, err) = run(&dir.path("none"), &args);
    assert_eq!(code, 0, "{err}");
    // No more workers than tasks, and four at a time.
    assert!(script.contains("#SBATCH --array=0-9%4\n") && script.contains("#SBATCH --signal=B:INT@60\n"), "{script}");
    let worker = script.lines().last().unwrap_or_default();
    assert!(worker.starts_with("exec ") && worker.contains(" work ") && worker.ends_with(" -- /bin/true"), "{script}");
    assert!(!worker.contains("--of-run"), "it does not end with this process");
}

#[test]
fn more_than_one_array_takes_is_split_and_all_is_taken_back_when_a_part_is_refused() {
    let dir = Scratch::new();
    let ledger = ledger(&dir);
    let slurm = dir.path("slurm");
    fs::create_dir(&slurm).expect("makes");
    play(&slurm, "scontrol", "echo 'MaxArraySize            = 4'");
    let sbatch = "n=$(ls | grep -c script); cat > script$n; [ $n != \"$(cat refuse)\" ] || { echo no more >&2; exit 1; }; echo 10$n";
    play(&slurm, "sbatch", sbatch);
    play(&slurm, "scancel", "echo \"$@\" > cancelled");
    fs::write(slurm.join("refuse"), "none").expect("writes");
    let args = [&ledger, "--mode", "slurm", "-j", "3", "--array-size", "10", "--no-wait", "--json"];
    let (code, out, err) = run(&slurm, &args);
    assert_eq!(code, 0, "{err}");
    let jobs = [("100", 4), ("101", 3), ("102", 3)].map(|(id, n)| format!("{{\"id\":\"{id}\",\"elements\":{n}}}"));
    assert_eq!(out.trim(), format!("{{\"submitted\":[{}]}}", jobs.join(",")));
    let script = |name: &str| fs::read_to_string(slurm.join(name)).expect("reads");
    // The throttle applies to all arrays together: they run one after the other.
    assert!(script("script0").contains("--array=0-3%3\n") && !script("script0").contains("--dependency"));
    assert!(script("script2").contains("--array=0-2\n") && script("script2").contains("--dependency=afterany:101\n"));
    assert_eq!(fs::read_to_string(format!("{ledger}.part/slurm/101.sbatch")).expect("is kept"), script("script1"));

    fs::write(slurm.join("refuse"), "5").expect("writes");
    let (code, _, err) = run(&slurm, &args);
    assert!(code == 12 && err.contains("'sbatch' refused: no more"), "{code} {err}");
    assert_eq!(script("cancelled").trim(), "--quiet 103 104");
}
