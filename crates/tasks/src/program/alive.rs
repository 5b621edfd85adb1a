//! Checks whether a task's earlier program still lives, wherever it runs.
//!
//! A program's standard input is a file whose end has been reached. It is locked (flock(2)) through the very descriptor
//! that the program inherits, and so is the log that takes its output. The locks last as long as the program, or
//! anything that it started, has one of them open. Shells give background commands another input, but not another
//! output. Whoever wants to start the task again waits for both locks.

use super::Running;
use super::inputs::{Inputs, Note, is_named};
use fs2::FileExt;
use h5part_base::error::ErrorKind;
use h5part_base::lock::{Patience, host};
use h5part_base::storage::Identity;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// The locked input and log of a task's program.
#[derive(Debug)]
pub struct Alive<'a> {
    inputs: &'a Inputs,
    input: File,
    input_path: PathBuf,
    log: File,
    log_path: PathBuf,
    /// The task's name, escaped.
    task: String,
}

impl<'a> Alive<'a> {
    /// Waits until no program of the task lives. One that its runner left behind on this host is killed. The folder of
    /// the log must exist. `again`: there may have been earlier programs of the task, whose inputs must be searched.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn take(
        inputs: &'a Inputs,
        task: &str,
        log_path: &Path,
        again: bool,
        patience: &Patience,
    ) -> Result<Self, ErrorKind> {
        let task = task.escape_debug().to_string();
        let again = again || inputs.has_met(&task);
        let attempt = || {
            let log = OpenOptions::new().create(true).append(true).open(log_path)?;
            let is_free = FileExt::try_lock(&log).is_ok();
            let held = if again || !is_free { inputs.held_for(&task) } else { Vec::new() };
            if !is_free || !held.is_empty() {
                held.iter().try_for_each(|(input, note)| end_left_behind(note, input, &log))?;
                return Ok(None);
            }
            Ok(is_named(&log, log_path).then_some(log))
        };
        let holder = || format!("a program of an earlier attempt ({})", shown(&inputs.held_for(&task)));
        let log = patience.wait_for("the input and the log of a task's program", attempt, holder)?;
        let (input, input_path) = inputs.take()?;
        Ok(Self { inputs, input, input_path, log, log_path: log_path.to_owned(), task })
    }

    /// Another descriptor of the input, for the program.
    ///
    /// # Errors
    /// As dup(2).
    pub fn stdin(&self) -> io::Result<File> {
        self.input.try_clone()
    }

    /// Another descriptor of the log, which appends.
    ///
    /// # Errors
    /// As dup(2).
    pub fn log(&self) -> io::Result<File> {
        self.log.try_clone()
    }

    /// Records the program's process group. The reading position stays at the end, so that the program reads nothing.
    ///
    /// # Errors
    /// As write(2).
    pub fn note(&mut self, program: &Running) -> io::Result<()> {
        let note = Note { group: program.group(), host: host(), task: self.task.clone() };
        self.input.write_all(note.text().as_bytes())
    }

    /// Appends the contents of a file to the log, and empties the file.
    ///
    /// # Errors
    /// As reading the file and writing the log.
    pub fn add(&mut self, mut file: &File) -> io::Result<()> {
        if file.metadata()?.len() > 0 {
            file.rewind()?;
            io::copy(&mut file, &mut self.log)?;
            file.set_len(0)?;
            file.rewind()?;
        }
        Ok(())
    }

    /// Appends a line to the log. A task does not fail because its log cannot be written.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.log, "h5part: {text}");
    }

    /// Call this when the program has ended. An empty log is removed, unless it is to be kept. Returns whether
    /// everything that the program started has ended, too.
    #[must_use]
    pub fn end(self, keep_log: bool) -> bool {
        let Self { inputs, input, input_path, log, log_path, task: _ } = self;
        if !keep_log && log.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(log_path);
        }
        drop(input);
        // A process that left the program's process group may still have it. Then the file stays for the next attempt
        // to see.
        inputs.give_back(input_path)
    }
}

fn shown(held: &[(File, Note)]) -> String {
    held.first().map_or_else(
        || "unknown".to_owned(),
        |(_, Note { group, host, .. })| format!("process group {group} on {host}"),
    )
}

/// Kills processes that hold a lock that we want. Their runner has died, since the task is ours now. Only processes
/// that have one of the files open are killed, since the group's number may be in use again.
fn end_left_behind(note: &Note, input: &File, log: &File) -> io::Result<()> {
    if note.host != host() {
        return Ok(());
    }
    let files = [Identity::from(input.metadata()?), Identity::from(log.metadata()?)];
    for pid in members(note.group) {
        if has_open(pid, &files) {
            // It may have just ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    Ok(())
}

/// The processes of a group.
fn members(group: i32) -> impl Iterator<Item = i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().filter_map(std::result::Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(move |&pid| getpgid(Some(Pid::from_raw(pid))) == Ok(Pid::from_raw(group)))
}

fn has_open(pid: i32, files: &[Identity]) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    descriptors
        .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
        .map(Identity::from)
        .any(|open| files.iter().any(|file| open.same_file(file)))
}
