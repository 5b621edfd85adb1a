//! Helpers for several tests.

pub use super::python::{py, python};
use assert_cmd::Command;
use h5part_base::dataspace::{ColumnSpec, Dtype, Rows};
use h5part_engine::h5::NewTable;
use h5part_engine::store::{Store, Values};
use h5part_input::npy::NpyWriter;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

/// The program under test.
pub fn h5part() -> Command {
    Command::new(env!("CARGO_BIN_EXE_h5part"))
}

/// Runs the program; returns exit code, standard output, standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    finished(&h5part().args(args).output().expect("starts"))
}

pub fn finished(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// Whether the program wrote only one message, perhaps with its hint on a line of its own.
pub fn is_one_error(err: &str) -> bool {
    let lines: Vec<&str> = err.lines().collect();
    match lines[..] {
        [message] => message.starts_with("h5part: "),
        [message, hint] => message.starts_with("h5part: cannot ") && hint.starts_with("hint: "),
        _ => false,
    }
}

/// Runs the program and expects success; returns standard output.
pub fn ok(args: &[&str]) -> String {
    let (code, out, err) = run(args);
    assert_eq!(code, 0, "{args:?} failed: {err}");
    out
}

/// A folder that is removed at the end of the test.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("tempdir"))
    }

    /// A folder in memory, where the system has one: for tests that need no disk.
    pub fn in_memory() -> Self {
        tempfile::tempdir_in("/dev/shm").map_or_else(|_| Self::new(), Self)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    /// Writes f64 values as a .npy file and returns its path.
    pub fn npy(&self, name: &str, shape: &[u64], values: &[f64]) -> String {
        self.npy_of(name, Dtype::F64, shape, values)
    }

    /// Like `npy`, for any element type.
    pub fn npy_of<T: bytemuck::NoUninit>(&self, name: &str, dtype: Dtype, shape: &[u64], values: &[T]) -> String {
        let path = self.path(name);
        let mut out = NpyWriter::create(&path, dtype, shape).expect("create");
        out.push(bytemuck::cast_slice(values)).expect("push");
        out.finish().expect("finish");
        path.to_str().expect("UTF-8").to_owned()
    }
}

/// A table `t` with E (f64), F (f64, 4x3) and status (i64, fill 1).
pub fn small_table(rows: u64) -> NewTable {
    let status = ColumnSpec { fill: 1i64.to_le_bytes().to_vec(), ..ColumnSpec::new("status", Dtype::I64, &[]) };
    let columns = vec![ColumnSpec::new("E", Dtype::F64, &[]), ColumnSpec::new("F", Dtype::F64, &[4, 3]), status];
    NewTable::new("t", rows, columns)
}

/// A new store with [`small_table`].
pub fn small_store(path: &Path, rows: u64) -> Store {
    let store = Store::new(path).expect("path");
    store.create(&small_table(rows), &|_, _| ()).expect("create");
    store
}

/// Makes a file with a table `t` of one column `E`. Each row in `committed` holds its own number.
pub fn commit_e(path: &str, rows: u64, committed: std::ops::Range<u64>) {
    let store = Store::new(path).expect("path");
    store.create(&NewTable::new("t", rows, vec![ColumnSpec::new("E", Dtype::F64, &[])]), &|_, _| ()).expect("create");
    let values: ndarray::Array1<f64> = committed.clone().map(|row| row as f64).collect();
    let mut writer = store.writer("t").expect("writer");
    writer.commit(&Rows::range(committed), &[("E", Values::from(&values))]).expect("commit");
}

/// Removes a file and what lies beside it: its locks, its stamps and temporary files of dead programs.
pub fn remove_store(path: &Path) {
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    for entry in std::fs::read_dir(path.parent().expect("folder")).expect("reads").flatten() {
        if entry.file_name().to_string_lossy().contains(&name) {
            let path = entry.path();
            let gone = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            gone.expect("removes");
        }
    }
}

/// Starts another program that holds the lock of this file exclusively. It holds the lock when this returns.
pub fn holder(path: &Path) -> Child {
    let mut holder = std::process::Command::new("flock");
    holder.args(["-F".as_ref(), "-x".as_ref(), path.as_os_str()]).args(["sh", "-c", "echo; exec sleep 30"]);
    let mut holder = holder.stdout(Stdio::piped()).spawn().expect("flock of util-linux");
    holder.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("has it");
    holder
}

/// Waits until a process has written this to its standard error. What it writes later is still to be read.
pub fn says(run: &mut Child, words: &str) {
    let mut said = Vec::new();
    // Reads byte by byte, so that nothing after the words is consumed.
    let (stderr, mut byte) = (run.stderr.as_mut().expect("piped"), [0]);
    while stderr.read(&mut byte).expect("reads") == 1 {
        said.push(byte[0]);
        if said.ends_with(words.as_bytes()) {
            return;
        }
    }
    panic!("it ended without '{words}': {}", String::from_utf8_lossy(&said));
}
