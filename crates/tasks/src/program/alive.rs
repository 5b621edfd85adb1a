//! Whether a task's former program still lives, wherever it is.
//!
//! A program's standard input is a file at its end that is locked (flock(2)) through the very descriptor that it
//! inherits, and so is the log that takes what it says: the locks last as long as the program, or anything it
//! started, has one of them open. Shells give what they start in the background another input, but not another
//! output. Who wants to start the task again waits for both locks.

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

/// The input and the log of a task's program, locked.
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
    /// Waits until no program of the task lives; one that its runner left behind on this host is ended. The folder
    /// of the log is there. `again`: there may have been programs of the task before, whose inputs are looked for.
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

    /// Another descriptor of the log: what is written through it comes to its end.
    ///
    /// # Errors
    /// As dup(2).
    pub fn log(&self) -> io::Result<File> {
        self.log.try_clone()
    }

    /// Notes which processes it belongs to; the reading position stays at the end, so that the program reads
    /// nothing.
    ///
    /// # Errors
    /// As write(2).
    pub fn note(&mut self, program: &Running) -> io::Result<()> {
        let note = Note { group: program.group(), host: host(), task: self.task.clone() };
        self.input.write_all(note.text().as_bytes())
    }

    /// Adds what is in a file to the log; the file is empty then.
    ///
    /// # Errors
    /// As reading the one and writing the other.
    pub fn add(&mut self, mut file: &File) -> io::Result<()> {
        if file.metadata()?.len() > 0 {
            file.rewind()?;
            io::copy(&mut file, &mut self.log)?;
            file.set_len(0)?;
            file.rewind()?;
        }
        Ok(())
    }

    /// Adds a line to the log. A log that cannot be written to is no reason for a task to fail.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.log, "h5part: {text}");
    }

    /// The program has ended, with all that it started. A log in which nothing was said goes away, unless it is
    /// to be kept. Returns whether all that it started has ended, too.
    #[must_use]
    pub fn end(self, keep_log: bool) -> bool {
        let Self { inputs, input, input_path, log, log_path, task: _ } = self;
        if !keep_log && log.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(log_path);
        }
        drop(input);
        // Something that left the program's process group may have it still: then it stays for the next
        // attempt to see.
        inputs.give_back(input_path)
    }
}

fn shown(held: &[(File, Note)]) -> String {
    held.first().map_or_else(
        || "unknown".to_owned(),
        |(_, Note { group, host, .. })| format!("process group {group} on {host}"),
    )
}

/// Ends the processes that hold a lock that we do not: their runner has died, since the task is ours now. Only
/// those that are seen to have one of the files open: the group's number may be another's by now.
fn end_left_behind(note: &Note, input: &File, log: &File) -> io::Result<()> {
    if note.host != host() {
        return Ok(());
    }
    let files = [Identity::from(input.metadata()?), Identity::from(log.metadata()?)];
    for pid in members(note.group) {
        if has_open(pid, &files) {
            // It may just have ended.
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
