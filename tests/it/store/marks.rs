//! Files that other programs have marked as open for writing are refused until the mark is gone.

use crate::common::support::{Scratch, h5part, ok, py, python, run, small_store};
use h5part::ErrorKind;
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Store, Values};
use ndarray::Array1;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// An h5py program that writes in SWMR mode: it makes one step per input line.
struct SwmrWriter {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl SwmrWriter {
    fn start(path: &Path) -> Option<Self> {
        let script = r"
import h5py, sys
h = h5py.File(sys.argv[1], 'w', libver='latest')
d = h.create_dataset('t/x', (0,), maxshape=(None,), chunks=(10,), dtype='f8')
h.swmr_mode = True
print('ready', flush=True)
for line in sys.stdin:
    d.resize((len(d) + 100,)); d[-100:] = range(100); d.flush()
    print(len(d), flush=True)
h.close()
";
        let mut command = python(script, &[path.to_str().expect("UTF-8")])?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("piped")));
        let mut writer = Self { child, input, output };
        writer.answer();
        Some(writer)
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("reads");
        line
    }

    fn step(&mut self) {
        writeln!(self.input.as_mut().expect("open"), "go").expect("writes");
        assert!(!self.answer().is_empty(), "the SWMR writer died");
    }

    fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().expect("waits").success());
    }

    fn kill(mut self) {
        self.child.kill().expect("kills");
        self.child.wait().expect("waits");
    }
}

/// Every command that writes to an existing file, and every command that reads it.
fn commands(path: &str, scratch: &Scratch) -> Vec<Vec<String>> {
    let value = format!("x={}", scratch.npy("v.npy", &[1], &[2.5]));
    let (new, out) = (scratch.text("new.h5"), scratch.text("out.h5"));
    small_store(Path::new(&new), 3);
    [
        &["create", path, "u", "--rows", "10", "--column", "E:f64"][..],
        &["adopt", path, "t"],
        &["extend", path, "t", "--rows", "1000"],
        &["attr", path, "t", "unit=eV"],
        &["update", path, "t", "--rows", "0", "--set", &value],
        &["reset", path, "t", "--rows", "0"],
        &["recover", path],
        &["merge", path, &new],
        &["info", path],
        &["status", path],
        &["read", path, "t", "x", "--rows", "0"],
        &["publish", path, "-o", &out],
    ]
    .iter()
    .map(|args| args.iter().map(|&arg| arg.to_owned()).chain(["--timeout".to_owned(), "5".to_owned()]).collect())
    .collect()
}

#[test]
fn nothing_touches_a_file_beside_a_swmr_writer() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let Some(mut writer) = SwmrWriter::start(&path) else { return };
    writer.step();
    let before = std::fs::read(&path).expect("reads");
    for args in commands(path.to_str().expect("UTF-8"), &scratch) {
        let output = h5part().args(&args).output().expect("starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // Some commands do not wait.
        if output.status.code() == Some(2) {
            let fewer = &args[..args.len() - 2];
            let again = h5part().args(fewer).output().expect("starts");
            assert_eq!(again.status.code(), Some(6), "{fewer:?}: {}", String::from_utf8_lossy(&again.stderr));
            continue;
        }
        assert_eq!(output.status.code(), Some(6), "{args:?}: {said}");
        assert!(said.contains("SWMR") && said.contains("--clear-marks"), "{args:?}: {said}");
    }
    let (code, out, _) = run(&["verify", path.to_str().expect("UTF-8")]);
    assert!(code == 1 && out.contains("marked as open for writing"), "{out}");
    // Not even if the user asks for it: the writer lives.
    let (code, _, err) = run(&["recover", "--clear-marks", path.to_str().expect("UTF-8")]);
    assert!(code == 6 && err.contains("has it open for writing"), "{code}: {err}");
    assert!(std::fs::read(&path).expect("reads") == before, "not a byte has changed");
    writer.step();
    writer.end();
    let text = path.to_str().expect("UTF-8");
    ok(&["create", text, "u", "--rows", "10", "--column", "E:f64"]);
    assert_eq!(ok(&["read", text, "t", "x", "--rows", "150"]).trim(), "50.0");
    ok(&["verify", text]);
}

#[test]
fn the_mark_of_a_dead_program_is_cleared_where_that_is_asked_for() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let text = scratch.text("a.h5");
    let Some(mut writer) = SwmrWriter::start(&path) else { return };
    writer.step();
    writer.kill();
    let opens = "import h5py, sys; print(h5py.File(sys.argv[1], 'r')['t/x'][57])";
    assert_eq!(run(&["create", &text, "u", "--rows", "10", "--column", "E:f64"]).0, 6);
    let said = ok(&["recover", "--clear-marks", &text]);
    assert!(said.contains("cleared"), "{said}");
    assert!(ok(&["recover", "--clear-marks", &text]).contains("no mark"));
    assert_eq!(py(opens, &[&text]).expect("h5py").trim(), "57.0");
    ok(&["verify", &text]);
    ok(&["create", &text, "u", "--rows", "10", "--column", "E:f64"]);
    assert_eq!(py(opens, &[&text]).expect("h5py").trim(), "57.0");
}

/// The check of the file's metadata on entry includes the mark.
#[test]
fn a_mark_that_appears_while_a_writer_is_open_is_seen() {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let script = r"
import h5py, numpy as np, sys
with h5py.File(sys.argv[1], 'w', libver='latest') as h: h['t/x'] = np.zeros(10)
";
    if py(script, &[path.to_str().expect("UTF-8")]).is_none() {
        return;
    }
    ok(&["adopt", path.to_str().expect("UTF-8"), "t", "--committed", "all"]);
    let store = Store::open(&path).expect("store");
    let mut writer = store.writer("t").expect("writer");
    let mut reader = store.reader("t").expect("reader");
    let one = Array1::from_elem(1, 1.0);
    let mut commit = || writer.commit(&Rows::one(3), &[("x", Values::from(&one))]);
    commit().expect("commit");
    reader.read("x", &Rows::one(3)).expect("reads");
    // Another program opens the file and dies.
    let dies = "import h5py, os, sys; h = h5py.File(sys.argv[1], 'r+', libver='latest'); os.kill(os.getpid(), 9)";
    let mut command = python(dies, &[path.to_str().expect("UTF-8")]).expect("h5py");
    std::thread::sleep(std::time::Duration::from_millis(50));
    command.output().expect("runs");
    let refused = |kind: &ErrorKind| matches!(kind, ErrorKind::OpenForWriting { by: None, swmr: false });
    assert!(refused(commit().expect_err("refused").kind()));
    assert!(refused(reader.read("x", &Rows::one(3)).expect_err("refused").kind()));
    assert!(refused(store.writer("t").expect_err("refused").kind()));
    assert!(store.clear_marks().expect("clears"));
    commit().expect("goes on");
    assert_eq!(reader.read("x", &Rows::one(3)).expect("reads").mask().iter().filter(|&&m| m).count(), 1);
}

/// Files with every superblock version: h5part leaves no mark, wherever it is killed.
#[test]
fn h5part_sets_no_marks() {
    let scratch = Scratch::new();
    let script = r"
import h5py, numpy as np, sys
for libver in ['earliest', 'v108', 'v110', 'latest']:
    with h5py.File(f'{sys.argv[1]}/{libver}.h5', 'w', libver=libver) as h: h['t/x'] = np.zeros(10)
";
    if py(script, &[scratch.path("").to_str().expect("UTF-8")]).is_none() {
        return;
    }
    for libver in ["earliest", "v108", "v110", "latest"] {
        let path = scratch.path(&format!("{libver}.h5"));
        let store = Store::open(&path).expect("store");
        let marks = || std::fs::read(&path).expect("reads")[11];
        store
            .change(|h5| {
                h5.library().create_group("new")?;
                h5.flush()?;
                assert_eq!(marks(), 0, "{libver}");
                Ok(())
            })
            .expect("change");
        assert_eq!(marks(), 0, "{libver}");
    }
}
