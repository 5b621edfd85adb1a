//! Whether a task's former program still lives, wherever it is.
//!
//! A program's standard input is an empty file that is locked (flock(2)) through the very descriptor that it
//! inherits, and so is the log that takes what it says: the locks last as long as the program, or anything it
//! started, has one of them open. Shells give what they start in the background another input, but not another
//! output. Who wants to start the task again waits for both locks.

use super::Running;
use crate::error::ErrorKind;
use crate::lock::{Patience, host};
use crate::storage::Identity;
use fs2::FileExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgid};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The input and the log of a task's program, locked.
#[derive(Debug)]
pub struct Alive {
    input: File,
    input_path: PathBuf,
    log: File,
    log_path: PathBuf,
}

impl Alive {
    /// Waits until no program of the task lives; one that its runner left behind on this host is ended. The folder
    /// of the log is there.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn take(input_path: &Path, log_path: &Path, patience: &Patience) -> Result<Self, ErrorKind> {
        if let Some(folder) = input_path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let attempt = || {
            let input = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(input_path)?;
            let log = OpenOptions::new().create(true).append(true).open(log_path)?;
            if FileExt::try_lock(&input).is_err() || FileExt::try_lock(&log).is_err() {
                end_left_behind(&input, &log)?;
                return Ok(None);
            }
            let named = is_named(&input, input_path) && is_named(&log, log_path);
            Ok(named.then_some((input, log)))
        };
        let holder = || format!("a program of an earlier attempt ({})", note_of(input_path));
        let (input, log) = patience.wait_for("the input and the log of a task's program", attempt, holder)?;
        input.set_len(0)?;
        Ok(Self { input, input_path: input_path.to_owned(), log, log_path: log_path.to_owned() })
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
        self.input.write_all(format!("{} {}\n", program.group(), host()).as_bytes())
    }

    /// Adds what is in a file to the log; the file goes away.
    ///
    /// # Errors
    /// As reading the one and writing the other; the file is there still.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        match File::open(path) {
            Ok(mut file) => io::copy(&mut file, &mut self.log).and_then(|_| std::fs::remove_file(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Adds a line to the log. A log that cannot be written to is no reason for a task to fail.
    pub fn say(&mut self, text: &str) {
        let _ = writeln!(self.log, "h5part: {text}");
    }

    /// The program has ended, with all that it started. A log in which nothing was said goes away, unless it is
    /// to be kept.
    pub fn end(self, keep_log: bool) {
        let Self { input, input_path, log, log_path } = self;
        if !keep_log && log.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            let _ = std::fs::remove_file(log_path);
        }
        drop(input);
        // Something that left the program's process group may have it still: then it stays for the next
        // attempt to see.
        if File::open(&input_path).is_ok_and(|file| FileExt::try_lock(&file).is_ok()) {
            let _ = std::fs::remove_file(&input_path);
        }
    }
}

/// Whether a file still has its name: it may have been removed between our open and our lock.
fn is_named(file: &File, path: &Path) -> bool {
    let named = std::fs::metadata(path).map(Identity::from);
    let own = file.metadata().map(Identity::from);
    named.is_ok_and(|named| own.is_ok_and(|own| named.same_file(&own)))
}

fn note_of(path: &Path) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) => noted(&text)
            .map_or_else(|| "unknown".to_owned(), |(group, host)| format!("process group {group} on {host}")),
        Err(_) => "unknown".to_owned(),
    }
}

/// The process group that a note names, and its host.
fn noted(text: &str) -> Option<(i32, &str)> {
    let mut words = text.split_whitespace();
    let group = words.next()?.parse().ok().filter(|&group| group > 1)?;
    Some((group, words.next()?))
}

/// Ends the processes that hold a lock that we do not: their runner has died, since the task is ours now. Only
/// those that are seen to have one of the files open: the group's number may be another's by now.
fn end_left_behind(mut input: &File, log: &File) -> io::Result<()> {
    let mut text = String::new();
    input.seek(SeekFrom::Start(0))?;
    input.take(256).read_to_string(&mut text)?;
    let Some((group, there)) = noted(&text) else { return Ok(()) };
    if there != host() {
        return Ok(());
    }
    let files = [Identity::from(input.metadata()?), Identity::from(log.metadata()?)];
    for pid in members(group) {
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
