//! Owner notes say who a writer is, so that others can name the process that they wait for.

use super::calls::open_to_lock;
use super::paths::Paths;
use crate::inherited::LockFile;
use crate::storage::Facts;
use fs2::FileExt;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const SUFFIX: &str = "writer";
/// Bytes of the note at the start of the writer's file; the record follows it.
const NOTE_LEN: usize = 4096;
/// Bytes of its text. The number of commits so far follows.
const TEXT_LEN: usize = NOTE_LEN - 8;

/// A writer's note about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerNote {
    /// Process id on its host.
    pub pid: i32,
    /// Name of the host.
    pub host: String,
    /// Start of the process in clock ticks since boot; with the boot id it tells reused pids apart.
    pub start_ticks: u64,
    /// Id of the host's boot.
    pub boot_id: String,
    /// Its command line.
    pub command: String,
    /// SLURM job, array task and step ids, if there are any.
    pub slurm: Vec<(String, String)>,
    /// When the writer was opened, in seconds since 1970.
    pub since_s: u64,
    /// How many commits it has made, as it told last.
    #[serde(skip)]
    pub commits: u64,
}

/// A writer's own note: a file in the sidecar that is locked while the writer lives.
#[derive(Debug)]
pub struct Owner {
    path: PathBuf,
    /// Holds the lock. The kernel releases it when the process dies.
    file: LockFile,
    /// Whether the file stays so that others can recover from it.
    abandoned: bool,
}

/// The file of a writer that has died. We hold its lock, so that nobody else recovers from it meanwhile.
#[derive(Debug)]
pub struct Dead {
    path: PathBuf,
    _file: LockFile,
}

impl OwnerNote {
    /// The note of this process.
    #[must_use]
    pub fn this_process() -> Self {
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        let slurm = ["SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID"];
        let slurm = slurm.iter().filter_map(|&key| Some((key.to_owned(), std::env::var(key).ok()?)));
        Self {
            pid,
            host: host(),
            start_ticks: Process::read(pid).map_or(0, |p| p.start_ticks),
            boot_id: boot_id(),
            command: command(pid),
            slurm: slurm.collect(),
            since_s: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()),
            commits: 0,
        }
    }

    /// The first bytes of a writer's file. `None`: the note is being written, or is not one of ours.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (text, commits) = bytes.split_at(bytes.len().min(TEXT_LEN));
        let note: Self = serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
        Some(Self { commits: commits.try_into().map_or(0, u64::from_le_bytes), ..note })
    }

    /// What [`Self::parse`] reads.
    fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = format!("{:TEXT_LEN$}", serde_json::to_string(self)?).into_bytes();
        bytes.extend(self.commits.to_le_bytes());
        Ok(bytes)
    }

    /// Whether it is a running process of this host.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        let here = self.host == host() && self.boot_id == boot_id();
        here && Process::read(self.pid).is_some_and(|p| p.start_ticks == self.start_ticks)
    }
}

impl Owner {
    /// Creates this writer's file, with its note.
    ///
    /// # Errors
    /// As mkdir(2), open(2), write(2), flock(2).
    pub fn register(paths: &Paths) -> io::Result<Self> {
        std::fs::create_dir_all(&paths.records)?;
        let note = OwnerNote::this_process();
        let bytes = note.encode()?;
        loop {
            let name = format!("{}-{}.{SUFFIX}", note.pid, uuid::Uuid::new_v4().simple());
            let path = paths.records.join(name);
            let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            FileExt::lock(&file)?;
            // Before it was locked, another process may have taken it for a dead writer's file and removed it.
            if Facts::of(&file)?.identity.links > 0 {
                file.write_all(&bytes)?;
                return Ok(Self { path, file: LockFile::new(file), abandoned: false });
            }
        }
    }
}

impl Owner {
    /// The writer's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes how many commits the writer has made, for those who watch. Nothing depends on it, so errors do not count.
    pub fn tell(&self, commits: u64) {
        let _ = self.file.write_at(&commits.to_le_bytes(), TEXT_LEN as u64);
    }

    /// Gives the record up: the writer failed and will not commit again. Others recover from it as if the writer had
    /// died. The file stays.
    pub fn abandon(mut self) {
        // Closing the descriptor releases the lock.
        self.abandoned = true;
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.abandoned {
            // If it cannot be removed, the next writer clears it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Dead {
    /// The files of all writers that have died, except those that others recover from now.
    ///
    /// # Errors
    /// As reading the folder.
    pub fn all(paths: &Paths) -> io::Result<Vec<Self>> {
        let files = files(paths)?.into_iter();
        // Another process may have removed it between our open and our lock.
        let there = |file: &File| Facts::of(file).is_ok_and(|found| found.identity.links > 0);
        let dead = files.filter(|(_, file)| FileExt::try_lock(file).is_ok() && there(file));
        Ok(dead.map(|(path, file)| Self { path, _file: LockFile::new(file) }).collect())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it: nothing is left to do for the writer.
    pub fn clear(self) {
        // Another user's file may stay. It is examined again later, and nothing is done twice.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The files of all writers, dead or alive.
///
/// # Errors
/// As reading the folder.
pub fn records(paths: &Paths) -> io::Result<Vec<PathBuf>> {
    Ok(files(paths)?.into_iter().map(|(path, _)| path).collect())
}

/// The notes of all writers, and whether each writer lives, which its lock tells.
pub(super) fn notes(paths: &Paths) -> io::Result<Vec<(OwnerNote, bool)>> {
    let mut notes = Vec::new();
    for (path, file) in files(paths)? {
        let mut bytes = Vec::new();
        if (&file).take(NOTE_LEN as u64).read_to_end(&mut bytes).is_err() {
            continue;
        }
        if let Some(note) = OwnerNote::parse(&bytes) {
            notes.push((note, FileExt::try_lock(&file).is_err()));
        }
        drop((path, file));
    }
    Ok(notes)
}

fn files(paths: &Paths) -> io::Result<Vec<(PathBuf, File)>> {
    let entries = match std::fs::read_dir(&paths.records) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == SUFFIX) {
            match open_to_lock(&path) {
                Ok(file) => files.push((path, file)),
                // The file was removed meanwhile, or belongs to another user.
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(files)
}

/// A process, according to /proc.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) start_ticks: u64,
    pub(super) stopped: bool,
    /// Whether it is a zombie with all its threads: it has ended, but its parent has not waited for it.
    pub(super) ended: bool,
}

impl Process {
    pub(super) fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name is in parentheses and may contain anything.
        let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
        let state = *fields.first()?;
        // The state is that of its first thread, which may have ended while others still run or finish a write.
        let threads: u64 = fields.get(17)?.parse().ok()?;
        let (stopped, ended) = (matches!(state, "T" | "t"), matches!(state, "Z" | "X") && threads <= 1);
        Some(Self { start_ticks: fields.get(19)?.parse().ok()?, stopped, ended })
    }
}

/// Seconds since the process was started.
pub(super) fn age_s(process: &Process) -> Option<u64> {
    // The clock ticks of /proc (USER_HZ) are 100 per second on all platforms.
    const TICKS_PER_S: u64 = 100;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let up_s: u64 = uptime.split('.').next()?.parse().ok()?;
    Some(up_s.saturating_sub(process.start_ticks / TICKS_PER_S))
}

/// Name of this host; empty if the system does not say.
#[must_use]
pub fn host() -> String {
    nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}

pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id"));
    id.map_or_else(|_| String::new(), |id| id.trim().to_owned())
}

/// Command line of a process, shortened to fit on one line.
pub(super) fn command(pid: i32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    // An error must stay on one line, whatever arguments a program was given.
    let line = line.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "locks files")]
    fn notes_of_the_dead_are_cleared_and_those_of_the_living_stay() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a.h5");
        std::fs::write(&file, b"x").expect("write");
        let paths = Paths::of(&file).expect("paths");
        let living = Owner::register(&paths).expect("registers");
        let dead = paths.records.join("1-dead.writer");
        std::fs::write(&dead, serde_json::to_string(&OwnerNote::this_process()).expect("json")).expect("write");
        let alive: Vec<bool> = notes(&paths).expect("notes").into_iter().map(|(_, alive)| alive).collect();
        assert_eq!(alive.iter().filter(|&&a| a).count(), 1);
        for file in Dead::all(&paths).expect("dead") {
            assert_eq!(file.path(), dead);
            file.clear();
        }
        assert!(!dead.exists() && living.path.exists());
        assert!(OwnerNote::this_process().runs_here());
    }

    /// A note has no checksum: it only tells people who holds a lock, and the lock itself decides.
    #[test]
    #[cfg_attr(miri, ignore = "asks the system for the host's name, and takes locks")]
    fn no_bit_flip_and_no_truncation_of_a_note_is_an_error() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a.h5");
        std::fs::write(&file, b"x").expect("write");
        let paths = Paths::of(&file).expect("paths");
        std::fs::create_dir_all(&paths.records).expect("mkdir");
        let path = paths.records.join("1-dead.writer");
        let note = OwnerNote { slurm: vec![("SLURM_JOB_ID".to_owned(), "7".to_owned())], ..OwnerNote::this_process() };
        let note = OwnerNote { commits: 77, ..note };
        let text = serde_json::to_string(&note).expect("json");
        let padded = note.encode().expect("json");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("write");
            notes(&paths).expect("notes")
        };
        assert_eq!(read(&padded), [(note.clone(), false)]);
        for len in 0..=text.len() {
            let cut = OwnerNote { commits: 0, ..note.clone() };
            let expected = if len < text.len() { vec![] } else { vec![(cut, false)] };
            assert_eq!(read(&padded[..len]), expected, "{len} bytes");
        }
        for bit in 0..text.len() * 8 {
            let mut other = padded.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let found = read(&other);
            assert!(found.iter().all(|(other, locked)| *other != note && !locked), "bit {bit}: {found:?}");
            // Whatever the note says, looking it up must not fail.
            assert!(found.iter().filter(|(note, _)| note.runs_here()).count() <= 1, "bit {bit}");
        }
    }
}
