//! What the system does to a process: a full disk, a file-size limit, a stopped neighbour, a clock that jumps. A test
//! is skipped, with the reason, if the system does not allow it.

use crate::common::support::{Scratch, finished, h5part, ok, run};
use h5part_engine::store::Store;
use h5part_engine::verify::Verify;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_h5part");

/// Runs a shell script with the program as `$H`.
fn shell(script: &str, folder: &str) -> (i32, String, String) {
    let output = Command::new("sh").args(["-c", script]).env("H", PROGRAM).env("DIR", folder).output();
    finished(&output.expect("starts"))
}

fn sound(store: &Store) {
    let report = store.verify(&Verify { repair: true, ..Verify::default() }, &|_, _| ()).expect("looks");
    assert!(report.sound, "{:#?}", report.findings);
}

/// Values for rows 0 to 9 of `t`, which already hold 1.5.
fn a_store(scratch: &Scratch) -> String {
    let file = scratch.text("a.h5");
    ok(&["create", &file, "t", "--rows", "1000", "--column", "E:f64", "--column", "F:f64:50"]);
    let e = scratch.npy("e.npy", &[10], &[1.5; 10]);
    let f = scratch.npy("f.npy", &[10, 50], &[1.5; 500]);
    ok(&["update", &file, "t", "--rows", "0:10", "--set", &format!("E={e}"), "--set", &format!("F={f}")]);
    scratch.npy("more.npy", &[500, 50], &vec![2.5; 25_000]);
    file
}

#[test]
fn a_full_disk() {
    let scratch = Scratch::new();
    let folder = scratch.text("disk");
    std::fs::create_dir(&folder).expect("folder");
    a_store(&scratch);
    let script = r#"
mount -t tmpfs -o size=3m none "$DIR" 2>/dev/null || exit 99
cp "$DIR"/../a.h5 "$DIR"/ || exit 98
F="$DIR"/a.h5
MORE="$DIR"/../more.npy
dd if=/dev/zero of="$DIR"/ballast bs=4096 2>/dev/null
codes=
for command in "extend $F t --rows 9000" "create $F u --rows 5000 --column x:f64:100" "update $F t --rows 0:500 --set F=$MORE" "attr $F t a=1"; do
    "$H" $command >/dev/null 2>"$DIR"/../err
    codes="$codes $?"
    cat "$DIR"/../err >&2
done
rm "$DIR"/ballast
"$H" recover "$F" >/dev/null || exit 97
"$H" verify "$F" || exit 96
"$H" update "$F" t --rows 0:500 --set F="$MORE" >/dev/null || exit 95
"$H" verify "$F" >/dev/null || exit 94
echo "codes:$codes"
"#;
    let wrapped = format!("unshare -m sh -c '{}'", script.replace('\'', "'\\''"));
    let (code, out, err) = shell(&wrapped, &folder);
    if code == 99 || err.contains("unshare") {
        println!("skipped: a tmpfs cannot be mounted here: {err}");
        return;
    }
    assert_eq!(code, 0, "{out}{err}");
    let codes = out.lines().find_map(|line| line.strip_prefix("codes:")).expect("printed");
    let codes: Vec<&str> = codes.split_whitespace().collect();
    assert_eq!(&codes[..2], ["7", "7"], "{out}{err}");
    assert!(codes.iter().all(|code| ["0", "7"].contains(code)), "{out}{err}");
    let mut messages = err.lines().filter(|line| !line.is_empty() && !line.starts_with("hint: "));
    assert!(messages.all(|line| line.contains("a.h5")), "{err}");
}

/// A write that crosses the limit is short; the next one fails.
#[test]
fn a_limit_on_the_length_of_files() {
    let scratch = Scratch::new();
    let file = a_store(&scratch);
    let len = std::fs::metadata(&file).expect("there").len();
    let folder = scratch.text("");
    // In blocks of 512 bytes, near the file's own length and within what lies beside it.
    for blocks in [0, 1, 8, 9, 12, len / 512, len / 512 + 1, len / 512 + 20] {
        for command in [
            "extend \"$DIR\"a.h5 t --rows 9000",
            "create \"$DIR\"a.h5 u --rows 5000 --column x:f64:100",
            "update \"$DIR\"a.h5 t --rows 0:500 --set F=\"$DIR\"more.npy",
            "attr \"$DIR\"a.h5 t a=1",
            "create \"$DIR\"new.h5 u --rows 5000 --column x:f64:100",
        ] {
            let (code, out, err) = shell(&format!("ulimit -f {blocks} && exec \"$H\" {command}"), &folder);
            // The error names the sidecar if the sidecar cannot be written.
            assert!([0, 7].contains(&code), "limit {blocks}, {command}: {code} {out}{err}");
            assert!(code == 0 || err.contains(".h5"), "limit {blocks}, {command}: {err}");
            let store = Store::open(&file).expect("opens");
            store.recover().expect("recovers");
            sound(&store);
            let mut reader = store.reader("t").expect("reader");
            let block = reader.read("E", &h5part_base::dataspace::Rows::range(0..10)).expect("read");
            assert!(block.array::<f64>().expect("f64").iter().all(|&v| v == 1.5), "limit {blocks}, {command}");
            assert!(code == 0 || !scratch.path("new.h5").exists(), "limit {blocks}");
        }
    }
}

/// A process that is stopped while it holds the lock of a row, or the gate.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_holder_that_is_stopped_is_named_and_nobody_hangs() {
    let scratch = Scratch::new();
    let file = a_store(&scratch);
    let script = "import fcntl, os, signal, sys\nf = open(sys.argv[1] + '.lock', 'a')\nfcntl.flock(f, fcntl.LOCK_EX)\nprint('locked', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)\nsys.stdin.read()";
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let holder = Command::new(python).args(["-c", script, &file]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(holder) = holder else {
        println!("skipped: there is no Python");
        return;
    };
    let mut holder = Stopped(holder);
    let mut line = String::new();
    BufReader::new(holder.0.stdout.as_mut().expect("piped")).read_line(&mut line).expect("says so");
    let pid = holder.0.id();
    let stopped = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    });
    assert!(stopped, "it stops itself");
    let values = format!("E={}", scratch.npy("e.npy", &[10], &[2.5; 10]));
    for args in [
        &["update", &file, "t", "--rows", "0:10", "--set", &values, "--timeout", "0.3"][..],
        &["extend", &file, "t", "--rows", "2000", "--timeout", "0.3"],
        &["read", &file, "t", "E", "--rows", "0", "-o", &scratch.text("o.npy"), "--timeout", "0.3"],
        &["verify", &file, "--timeout", "0.3"],
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, 6, "{args:?}: {err}");
        assert!(err.contains(&format!("pid {pid}")) && err.contains("stopped"), "{args:?}: {err}");
    }
    kill(Pid::from_raw(i32::try_from(pid).expect("pid")), Signal::SIGCONT).expect("goes on");
    drop(holder.0.stdin.take());
    ok(&["update", &file, "t", "--rows", "0:10", "--set", &values]);
}

/// The clock of a process differs from its neighbours' by an hour or ten years, in either direction.
#[test]
fn clocks_that_differ_and_jump() {
    let fake = |offset: &str| {
        let mut command = Command::new("faketime");
        command.args(["-f", offset, PROGRAM]);
        command
    };
    if !fake("+0").arg("--version").output().is_ok_and(|o| o.status.success()) {
        println!("skipped: faketime is not installed");
        return;
    }
    let scratch = Scratch::new();
    let file = a_store(&scratch);
    let mut streams = Vec::new();
    for offset in ["-10y", "-1h", "+0", "+1h", "+10y"] {
        let mut child = fake(offset)
            .args(["update", &file, "t", "--stream"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        streams.push((child, out));
    }
    for turn in 0..20 {
        for (k, (child, out)) in streams.iter_mut().enumerate() {
            let request = format!(r#"{{"rows": {}, "set": {{"E": {turn}.5}}}}"#, 100 + k);
            writeln!(child.stdin.as_mut().expect("piped"), "{request}").expect("write");
            let mut answer = String::new();
            out.read_line(&mut answer).expect("answers");
            assert!(answer.contains(r#""ok":true"#), "{answer}");
        }
    }
    // The report of locks computes how long each is held: nothing overflows.
    ok(&["info", &file, "--json"]);
    for (child, _) in &mut streams {
        child.kill().expect("kill");
        child.wait().expect("ends");
    }
    let output = fake("-10y").args(["verify", &file, "--repair"]).output().expect("starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let mut reader = Store::open(&file).expect("opens").reader("t").expect("reader");
    let block = reader.read("E", &h5part_base::dataspace::Rows::range(100..105)).expect("read");
    assert!(block.array::<f64>().expect("f64").iter().all(|&v| v == 19.5));
    // A program with an unchanged clock.
    assert!(h5part().args(["verify", &file]).output().expect("starts").status.success());
}
