//! `doctor`: is a file system safe for shared writing? Commands that write must refuse where it says no.

use crate::common::support::{Scratch, finished, ok, run};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_h5part");

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("folder").next().is_none()
}

/// Runs a shell script, with the program as `$H`, in its own mount and host-name namespace. If the system does not
/// allow this, prints the reason and returns `None`.
fn apart(script: &str, variables: &[(&str, &str)]) -> Option<(i32, String, String)> {
    let mut command = Command::new("unshare");
    command.args(["-m", "-u", "sh", "-c", script]).env("H", PROGRAM).envs(variables.iter().copied());
    let Ok(output) = command.output() else {
        println!("skipped: there is no unshare");
        return None;
    };
    let (code, out, err) = finished(&output);
    if code == 99 || err.contains("unshare:") {
        println!("skipped: nothing can be mounted here: {err}");
        return None;
    }
    Some((code, out, err))
}

/// Runs the program beside a new `a.h5`. A fake mount table gives another kind of file system for the folder. The
/// program replaces the shell, whose table it is.
fn mounted_as(kind_and_options: &str, command: &str, folder: &Path) -> Option<(i32, String, String)> {
    let script = format!(
        r#"
mount -t tmpfs none "$DIR" 2>/dev/null || exit 99
cp "$DIR-values.npy" "$DIR/e.npy" && "$H" create "$DIR/a.h5" t --rows 3 --column E:f64 >/dev/null || exit 98
sed "s#\( $DIR .*\) - tmpfs none rw.*#\1 - $KIND#" /proc/$$/mountinfo > "$DIR-table" || exit 98
mount --bind "$DIR-table" /proc/$$/mountinfo 2>/dev/null || exit 99
cd "$DIR" || exit 97
exec "$H" {command}
"#
    );
    let folder = folder.to_str().expect("UTF-8");
    apart(&script, &[("DIR", folder), ("KIND", kind_and_options)])
}

const NFS: &str = "nfs4 server:/home rw,vers=4.2,local_lock=none,addr=10.0.0.1";
const LOCAL: &str = "lustre mgs@tcp:/work rw,localflock";

#[test]
fn a_local_folder_is_safe_and_nothing_is_left_in_it() {
    let scratch = Scratch::new();
    let folder = scratch.path("data");
    std::fs::create_dir(&folder).expect("mkdir");
    let out = ok(&["doctor", folder.to_str().expect("UTF-8")]);
    assert!(is_empty(&folder));
    assert!(out.starts_with("SAFE: "), "{out}");
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true, filters => vec![
        (r"SAFE: .*: it belongs", "SAFE: KIND at POINT: it belongs"),
        (r"file system: .*", "file system: KIND at POINT (SOURCE, device DEVICE): OPTIONS"),
        (r"calls: flock [0-9.]+ us, byte-range lock [0-9.]+ us, fdatasync [0-9]+ us", "calls: flock T us, byte-range lock T us, fdatasync T us"),
        (r"change times: .*", "change times: TOLD APART"),
        (r"free: .*", "free: BYTES, FILES"),
        (r"limits: .*", "limits: LIMITS"),
        (r"HDF5: \d+\.\d+\.\d+", "HDF5: VERSION"),
        (r"h5part: .*", "h5part: VERSION on Linux RELEASE"),
        (r"note: .*\n", ""),
    ]}, { insta::assert_snapshot!("doctor", out) });
}

#[test]
fn json_has_the_documented_keys() {
    let scratch = Scratch::new();
    let out = ok(&["doctor", &scratch.text("new.h5"), "--json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let docs = include_str!("../../../docs/cli.md");
    let section = docs.split("\n## doctor").nth(1).expect("section").split("\n## ").next().expect("section");
    for key in report.as_object().expect("object").keys() {
        assert!(section.contains(&format!("`{key}`")), "docs/cli.md does not say what '{key}' is");
    }
    assert_eq!((report["verdict"].as_str(), report["remedy"].is_null()), (Some("safe"), true));
    assert_eq!(report["path"].as_str(), Some(scratch.text("new.h5").as_str()));
    for between in ["processes", "threads"] {
        let checks = report[between].as_array().expect("checks");
        assert!(checks.len() > 10 && checks.iter().all(|check| check["passed"] == true), "{report}");
    }
    assert!(report["hosts"].is_null());
    for number in [&report["free"]["bytes"], &report["latency"]["sync_us"], &report["change_times"]["told_apart"]] {
        assert!(number.is_number(), "{report}");
    }
    assert!(report["file_system"]["options"].as_array().is_some_and(|options| !options.is_empty()));
}

#[test]
fn what_is_not_there_and_what_cannot_be_written() {
    let scratch = Scratch::new();
    let (code, _, err) = run(&["doctor", &scratch.text("no/such/file.h5")]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("no such file") && err.contains("no/such/file.h5"), "{err}");
    let folder = scratch.path("read-only");
    std::fs::create_dir(&folder).expect("mkdir");
    let script = r#"
mount -t tmpfs none "$DIR" 2>/dev/null || exit 99
mount -o remount,ro "$DIR" || exit 99
exec "$H" doctor "$DIR"
"#;
    let Some((code, out, err)) = apart(script, &[("DIR", folder.to_str().expect("UTF-8"))]) else { return };
    assert_eq!(code, 8, "{out}{err}");
    assert!(err.contains("cannot test the locks of") && err.contains("read-only"), "{err}");
}

#[test]
fn a_file_system_in_memory_is_safe_and_forgets() {
    let scratch = Scratch::new();
    let folder = scratch.path("memory");
    std::fs::create_dir(&folder).expect("mkdir");
    let script = r#"mount -t tmpfs none "$DIR" 2>/dev/null || exit 99
exec "$H" doctor "$DIR/a.h5""#;
    let Some((code, out, err)) = apart(script, &[("DIR", folder.to_str().expect("UTF-8"))]) else { return };
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("SAFE: tmpfs at ") && out.contains("note: it is in memory"), "{out}");
}

#[test]
fn a_file_with_two_names_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "3", "--column", "E:f64"]);
    std::fs::hard_link(&file, scratch.path("b.h5")).expect("link");
    let (code, out, err) = run(&["doctor", &file]);
    assert_eq!(code, 10, "{out}{err}");
    assert!(out.starts_with("UNSAFE: the file has 2 hard links"), "{out}");
}

/// If the locks of a file system do not reach other hosts, `doctor` reports it, and every command that writes refuses
/// unless it is overruled.
#[test]
fn update_refuses_where_doctor_would_and_may_be_overruled() {
    let scratch = Scratch::new();
    let folder = scratch.path("far");
    std::fs::create_dir(&folder).expect("mkdir");
    scratch.npy("far-values.npy", &[3], &[1.0, 2.0, 3.0]);
    let update = "update a.h5 t --rows 0:3 --set E=e.npy";
    for (system, says) in [(NFS, "whole pages"), (LOCAL, "'localflock'"), ("fuse.sshfs me@far: rw", "FUSE")] {
        let kind = system.split(' ').next().expect("kind");
        let Some((code, out, err)) = mounted_as(system, "doctor a.h5", &folder) else { return };
        assert_eq!(code, 10, "{out}{err}");
        assert!(out.starts_with(&format!("SAFE ON ONE HOST ONLY: {kind} at ")) && out.contains(says), "{out}");
        assert!(out.lines().nth(1).is_some_and(|line| line.starts_with("do: ")), "{out}");
        for refused in [update, "extend a.h5 t --rows 9", "attr a.h5 t n=1", "recover a.h5"] {
            let (code, out, err) = mounted_as(system, refused, &folder).expect("as before");
            assert_eq!(code, 10, "{refused}: {out}{err}");
            assert!(err.contains(kind) && err.contains(says) && err.contains("--trust-locks"), "{refused}: {err}");
        }
        let (code, out, err) = mounted_as(system, &format!("{update} --trust-locks"), &folder).expect("as before");
        assert_eq!(code, 0, "{out}{err}");
        let (code, out, err) = mounted_as(system, "status a.h5", &folder).expect("as before");
        assert_eq!(code, 0, "reading is never refused: {out}{err}");
    }
    let all = "lustre mgs@tcp:/work rw,flock,user_xattr";
    let (code, out, err) = mounted_as(all, "doctor a.h5", &folder).expect("as before");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("SAFE: lustre at ") && out.contains("for all hosts"), "{out}");
    let (code, out, err) = mounted_as(all, update, &folder).expect("as before");
    assert_eq!(code, 0, "{out}{err}");
    let unknown = "newfs server rw";
    let (code, out, err) = mounted_as(unknown, "doctor a.h5", &folder).expect("as before");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("UNKNOWN: newfs at ") && out.contains("--listen"), "{out}");
}

/// A `doctor` in the background, which is ended with the test.
struct Doctor(Option<Child>);

impl Doctor {
    fn start(command: &mut Command) -> Self {
        Self(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")))
    }

    fn listen(folder: &Path) -> Self {
        Self::start(Command::new(PROGRAM).arg("doctor").arg(folder).args(["--listen", "--timeout", "60"]))
    }

    fn pid(&self) -> nix::unistd::Pid {
        let id = self.0.as_ref().expect("runs").id();
        nix::unistd::Pid::from_raw(i32::try_from(id).expect("pid"))
    }

    fn end(mut self) -> (i32, String, String) {
        finished(&self.0.take().expect("runs").wait_with_output().expect("ends"))
    }
}

impl Drop for Doctor {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    for _ in 0..6000 {
        if there() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} does not come");
}

fn is_listening(folder: &Path) -> bool {
    let folders = std::fs::read_dir(folder).expect("folder").filter_map(Result::ok);
    folders.map(|entry| entry.path().join("listening")).any(|path| path.exists())
}

#[test]
fn two_that_meet_on_one_host_say_that_it_proves_nothing() {
    let scratch = Scratch::new();
    let folder = scratch.path("data");
    std::fs::create_dir(&folder).expect("mkdir");
    let listener = Doctor::listen(&folder);
    let (code, out, err) = run(&["doctor", folder.to_str().expect("UTF-8"), "--peer", "--timeout", "60"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, listened, err) = listener.end();
    assert_eq!(code, 0, "{listened}{err}");
    assert!(err.contains("now run on another host"), "{err}");
    let verdict = |out: &str| out.lines().next().expect("a line").to_owned();
    assert_eq!(verdict(&out), verdict(&listened));
    for out in [out, listened] {
        assert!(out.contains("17 of 17 tests passed") && out.contains("proves nothing"), "{out}");
    }
    assert!(is_empty(&folder));
}

/// Namespaces make one machine look like two hosts, with their own names and boot ids.
#[test]
fn two_hosts_meet_and_both_say_who_the_other_was() {
    let scratch = Scratch::new();
    let folder = scratch.path("data");
    std::fs::create_dir(&folder).expect("mkdir");
    std::fs::write(scratch.path("boot"), "another\n").expect("write");
    let listener = Doctor::listen(&folder);
    let script = r#"
hostname node-b || exit 99
mount --bind "$BOOT" /proc/sys/kernel/random/boot_id 2>/dev/null || exit 99
exec "$H" doctor "$DIR" --peer --timeout 60 --json
"#;
    let variables = [("DIR", folder.to_str().expect("UTF-8")), ("BOOT", &scratch.text("boot"))];
    let Some((code, out, err)) = apart(script, &variables) else { return };
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let hosts = &report["hosts"];
    assert_eq!((hosts["host"].as_str(), hosts["same_host"].as_bool()), (Some("node-b"), Some(false)), "{report}");
    assert!(report["why"].as_str().is_some_and(|why| why.contains("locks hold between node-b and")), "{report}");
    let (code, out, err) = listener.end();
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("and node-b, as tested") && !out.contains("proves nothing"), "{out}");
    assert!(is_empty(&folder));
}

/// One of two hosts has mounted it with local locks: both learn of it.
#[test]
fn what_one_of_two_hosts_refuses_is_refused_by_both() {
    let scratch = Scratch::new();
    let folder = scratch.path("data");
    std::fs::create_dir(&folder).expect("mkdir");
    std::fs::write(scratch.path("boot"), "another\n").expect("write");
    let listener = Doctor::listen(&folder);
    let script = r#"
hostname node-b || exit 99
mount --bind "$BOOT" /proc/sys/kernel/random/boot_id 2>/dev/null || exit 99
mount --bind "$DIR" "$DIR" || exit 99
sed "s#\( $DIR .*\) - .*#\1 - lustre mgs:/work rw,localflock#" /proc/$$/mountinfo > "$BOOT-table" || exit 98
mount --bind "$BOOT-table" /proc/$$/mountinfo 2>/dev/null || exit 99
exec "$H" doctor "$DIR" --peer --timeout 60
"#;
    let variables = [("DIR", folder.to_str().expect("UTF-8")), ("BOOT", &scratch.text("boot"))];
    let Some((code, out, err)) = apart(script, &variables) else { return };
    assert_eq!(code, 10, "{out}{err}");
    assert!(out.starts_with("SAFE ON ONE HOST ONLY: lustre at ") && out.contains("that does not rule out"), "{out}");
    let (code, out, err) = listener.end();
    assert_eq!(code, 10, "{out}{err}");
    assert!(out.starts_with("SAFE ON ONE HOST ONLY: on node-b: lustre at "), "{out}");
}

#[test]
fn who_meets_nobody_says_whom_it_waited_for() {
    let scratch = Scratch::new();
    let folder = scratch.path("data");
    std::fs::create_dir(&folder).expect("mkdir");
    for (how, whom) in [("--listen", "--peer"), ("--peer", "--listen")] {
        let (code, _, err) = run(&["doctor", folder.to_str().expect("UTF-8"), how, "--timeout", "0.5"]);
        assert_eq!(code, 6, "{err}");
        assert!(err.contains(&format!("'h5part doctor {whom}' on another host")), "{err}");
        assert!(is_empty(&folder), "{how}");
    }
}

/// Its files are removed however it ends: by itself after a signal that it can catch, by its child after `kill -9`.
#[test]
fn nothing_is_left_of_one_that_is_ended() {
    use nix::sys::signal::{Signal, kill};
    let scratch = Scratch::new();
    for (number, signal) in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL].into_iter().enumerate() {
        let folder = scratch.path(&number.to_string());
        std::fs::create_dir(&folder).expect("mkdir");
        let mut listener = Doctor::listen(&folder);
        wait_for("a listener", || is_listening(&folder));
        // Its side process has been started once it has a child. Nobody has answered yet.
        let children = format!("/proc/{0}/task/{0}/children", listener.pid());
        wait_for("its side", || std::fs::read_to_string(&children).is_ok_and(|text| !text.trim().is_empty()));
        kill(listener.pid(), signal).expect("is there");
        let status = listener.0.take().expect("runs").wait().expect("ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(signal as i32));
        wait_for("the end of its files", || is_empty(&folder));
    }
}
