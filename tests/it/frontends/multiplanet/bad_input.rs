//! Input and folders with faults.

use super::is_summary;
use super::rig::Rig;
use crate::common::support::{finished, is_one_error};
use std::fs;

#[test]
fn what_is_missing_is_told_in_a_line_and_nothing_is_begun() {
    let cases: [(&[u8], i32, &str); 6] = [
        (b"sSrcFolder .\nsPrimaryFile vpl.in\n", 5, "sDestFolder NAME"),
        (b"sDestFolder\n", 5, "line 1: 'sDestFolder' has no value"),
        (b"sDestFolder nowhere\n", 3, "nowhere: no such file"),
        (b"sDestFolder bin\n", 2, "there are no trials; vspace makes them"),
        (b"sDestFolder /\n", 5, "not a name of a folder"),
        (b"", 5, "sDestFolder NAME"),
    ];
    for (text, expected, said) in cases {
        let rig = Rig::of(2, "exit 0");
        fs::write(rig.dir.path("vspace.in"), text).expect("writes");
        let (code, out, err) = rig.run(&[]);
        assert!(code == expected && err.contains(said) && is_one_error(&err) && out.is_empty(), "{code} {err}");
        assert!(!rig.dir.path(".MP").exists() && !rig.dir.path(".nowhere").exists());
    }
    let rig = Rig::of(2, "exit 0");
    for command in ["unclosed 'quote", "", "  "] {
        let (code, _, err) = rig.run(&["--command", command]);
        assert!(code == 2 && err.contains("is not a command"), "{err}");
    }
    let mut command = rig.ours(&["multiplanet", "vspace.in"]);
    let (code, _, err) = finished(&command.env("PATH", "/nowhere").output().expect("starts"));
    assert!(code == 3 && err.contains("'vplanet'") && err.contains("install it"), "{code} {err}");
    let (code, _, err) = rig.run(&["--command", "./nothing here"]);
    assert!(code == 3 && err.contains("/nothing: no such file"), "{code} {err}");
    let (code, _, err) = finished(&rig.ours(&["mpstatus", "vspace.in"]).output().expect("starts"));
    assert!(code == 3 && err.contains(".MP: no such file"), "{err}");
    assert!(!rig.dir.path(".MP").exists());
}

#[test]
fn bytes_of_any_encoding_and_hidden_folders_do_not_matter() {
    let rig = Rig::of(2, "exit 0");
    fs::write(rig.dir.path("vspace.in"), b"# caf\xe9\r\nsDestFolder  MP/ # \xb5\r\nsPrimaryFile vpl.in\r\n")
        .expect("writes");
    fs::create_dir(rig.trial(".ipynb_checkpoints")).expect("makes");
    fs::write(rig.trial("grid_list.dat"), "trial\n").expect("writes");
    let (code, out, err) = rig.run(&[]);
    assert!(code == 0 && out.is_empty() && is_summary(&err), "{out}{err}");
    assert_eq!(rig.text(), rig.all_done());
}

/// Root may write anywhere, so the run belongs to another user then.
#[test]
fn a_log_that_cannot_be_written_is_named_and_not_pointed_to() {
    use std::os::unix::fs::PermissionsExt;
    let rig = Rig::of(2, "exit 0");
    let mode = |path: std::path::PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    fs::write(rig.trial("t00").join("vplanet_log"), "of another user\n").expect("writes");
    mode(rig.dir.path(""), 0o777);
    mode(rig.trial("t00"), 0o555);
    mode(rig.trial("t01"), 0o777);
    mode(rig.trial("t00").join("vplanet_log"), 0o444);
    let ours = rig.ours(&["multiplanet", "vspace.in", "--retry-delay", "0", "-c", "1"]);
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(ours.get_program());
    command.args(ours.get_args()).current_dir(rig.dir.path(""));
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (code, _, err) = finished(&command.output().expect("setpriv of util-linux"));
    mode(rig.trial("t00"), 0o755);
    if err.contains("setpriv: ") {
        eprintln!("skipped: this user cannot run the program as another user: {err}");
        return;
    }
    let log = rig.trial("t00").canonicalize().expect("folder").join("vplanet_log");
    let said = format!("'t00' was not started: cannot write to {}: permission denied", log.display());
    assert!(code == 1 && err.contains(&said) && !err.contains("; see "), "{code} {err}");
    assert!(rig.trial("t01").join("vplanet_log").exists());
}

#[test]
fn numbers_of_workers() {
    let rig = Rig::of(3, "echo x >> ran");
    let (code, out, err) = rig.run(&["-c", "0"]);
    assert!(code == 2 && out.is_empty() && err.contains("--cores"), "{code} {err}");
    for (round, mode) in ["threads", "processes"].into_iter().enumerate() {
        let (code, out, err) = rig.run(&["-c", "1000000", "-f", "-v", "--mode", mode]);
        let told = err.lines().filter(|line| !line.contains("1000000 workers of 1 thread each"));
        let told: String = told.map(|line| line.to_owned() + "\n").collect();
        assert!(code == 0 && is_summary(&told) && out.matches("Starting worker").count() <= 3, "{mode}: {out}{err}");
        assert_eq!(rig.begun(), [round + 1; 3]);
    }
}

#[test]
fn names_that_no_checkpoint_holds_are_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    for (name, said) in [(&b"a\nb"[..], "has several lines"), (b"a\xffb", "is not UTF-8")] {
        let rig = Rig::of(1, "exit 0");
        fs::create_dir(rig.dir.path("MP").join(OsStr::from_bytes(name))).expect("makes");
        let (code, _, err) = rig.run(&[]);
        assert!(code == 2 && err.contains(said), "{err}");
    }
}

#[test]
fn trials_that_vanish_are_told_and_take_nothing_with_them() {
    let mut rig = Rig::of(4, "echo x >> ran; [ ! -e ../../gone ] || exit 1");
    // While it runs: the last trial disappears when the first begins.
    rig.script("echo x >> ran; rm -rf ../t03");
    let (code, _, err) = rig.run(&["-c", "1"]);
    assert!(code == 1 && err.contains("MP/t03: no such file") && err.contains("'t03' failed"), "{err}");
    assert!(!rig.trial("t03").exists(), "nothing is made in its place");
    // Between runs: one trial disappears, one is new.
    fs::remove_dir_all(rig.trial("t00")).expect("removes");
    fs::create_dir(rig.trial("t09")).expect("makes");
    rig.names = ["t01", "t02", "t09"].map(str::to_owned).to_vec();
    let (code, _, err) = rig.run(&[]);
    assert!(code == 0 && err.contains("trial 't00' is in the checkpoint, and its folder is gone"), "{err}");
    assert_eq!((rig.begun(), rig.text()), (vec![1, 1, 1], rig.all_done()));
}

#[test]
fn a_checkpoint_that_is_none_is_refused_and_one_that_was_cut_is_taken() {
    let rig = Rig::of(3, "echo x >> ran");
    fs::write(rig.dir.path(".MP"), "something else\n").expect("writes");
    let (code, _, err) = rig.run(&[]);
    assert!(code == 2 && err.contains("not a checkpoint of multiplanet") && is_one_error(&err), "{err}");
    assert_eq!(fs::read_to_string(rig.dir.path(".MP")).expect("reads"), "something else\n");
    let done = rig.all_done();
    let cut = done.find("t01").expect("there");
    fs::write(rig.dir.path(".MP"), &done[..cut]).expect("writes");
    assert_eq!(rig.run(&[]).0, 0);
    assert_eq!((rig.begun(), rig.text()), (vec![0, 1, 1], done));
}

#[test]
fn a_text_that_cannot_be_written_is_told_and_nothing_is_begun() {
    let rig = Rig::of(3, "echo x >> ran");
    fs::create_dir(rig.dir.path(".MP")).expect("makes");
    let (code, _, err) = rig.run(&[]);
    assert!(code != 0 && err.contains(".MP"), "{err}");
    assert_eq!(rig.begun(), [0, 0, 0]);
}
