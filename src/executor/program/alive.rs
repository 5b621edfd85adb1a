//! Whether a task's former program still lives, wherever it is.
//!
//! A program's standard input is an empty file that is locked (flock(2)) through the very descriptor that it
//! inherits: the lock lasts as long as the program, or anything it started, has it open. Who wants to start
//! the task again waits for that lock.

use super::Running;
use crate::error::ErrorKind;
use crate::lock::Patience;
use crate::storage::Identity;
use fs2::FileExt;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The input of a task's program, locked.
#[derive(Debug)]
pub struct Alive {
    file: File,
    path: PathBuf,
}

impl Alive {
    /// Waits until no program of the task lives; one that its runner left behind on this host is ended.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], I/O errors.
    pub fn take(path: &Path, patience: &Patience) -> Result<Self, ErrorKind> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let attempt = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            if FileExt::try_lock(&file).is_err() {
                end_left_behind(&file)?;
                return Ok(None);
            }
            // It may have been removed between our open and our lock.
            let same = std::fs::metadata(path).is_ok_and(|named| {
                file.metadata().is_ok_and(|own| Identity::from(named).same_file(&Identity::from(own)))
            });
            Ok(same.then_some(file))
        };
        let holder = || format!("a program of an earlier attempt ({})", note_of(path));
        let file = patience.wait_for("the input of a task's program", attempt, holder)?;
        file.set_len(0)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Another descriptor of it, for the program.
    ///
    /// # Errors
    /// As dup(2).
    pub fn stdin(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Notes which processes it belongs to; the reading position stays at the end, so that the program reads
    /// nothing.
    ///
    /// # Errors
    /// As write(2).
    pub fn note(&mut self, program: &Running) -> io::Result<()> {
        self.file.write_all(format!("{} {}\n", program.group(), host()).as_bytes())
    }

    /// The program has ended, with all that it started.
    pub fn end(self) {
        let Self { file, path } = self;
        drop(file);
        // Something that left the program's process group may have it still: then it stays for the next
        // attempt to see.
        if File::open(&path).is_ok_and(|file| FileExt::try_lock(&file).is_ok()) {
            let _ = std::fs::remove_file(&path);
        }
    }
}

fn host() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

fn note_of(path: &Path) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => {
            let mut words = text.split_whitespace();
            format!("process group {} on {}", words.next().unwrap_or("?"), words.next().unwrap_or("?"))
        }
        _ => "unknown".to_owned(),
    }
}

/// Ends the processes that hold the lock of a file that we do not: their runner has died, since the task is
/// ours now.
fn end_left_behind(mut file: &File) -> io::Result<()> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(256).read_to_string(&mut text)?;
    let mut words = text.split_whitespace();
    let group = words.next().and_then(|word| word.parse::<i32>().ok()).filter(|&group| group > 1);
    if let (Some(group), Some(there)) = (group, words.next())
        && there == host()
    {
        // It may just have ended.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    Ok(())
}
