//! Finds the holder of a lock, as far as the system tells: from the kernel's list of locks, from the descriptors of the
//! processes that left a note, and from the notes themselves.

use super::owner::{self, OwnerNote, Process};
use super::paths::Paths;
use super::shared::lease_s;
use crate::storage::Shared;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// One process that holds a lock of the store, or has a note in its sidecar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Process id on its host.
    pub pid: i32,
    /// Name of its host.
    pub host: String,
    /// Its command line.
    pub command: String,
    /// Seconds since its writer was opened. Without a note, seconds since the process started.
    pub for_s: Option<u64>,
    /// Whether the process is stopped (SIGSTOP). It is alive and keeps its locks.
    pub stopped: bool,
    /// How many commits its writer has made, told about every tenth of a second. `None`: it has no writer.
    #[serde(skip)]
    pub commits: Option<u64>,
}

/// Who holds which lock of a store.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LockReport {
    /// Holders of `FILE.lock`.
    pub gate: Vec<Holder>,
    /// Holders of the HDF5 file's own lock.
    pub file: Vec<Holder>,
    /// Living writers.
    pub writers: Vec<Holder>,
    /// Number of notes that dead writers left.
    pub stale_notes: usize,
}

/// Looks up all holders. It takes no lock that anybody could wait for.
///
/// # Errors
/// As opening and reading the sidecar's files.
pub fn report(paths: &Paths) -> io::Result<LockReport> {
    let notes = owner::notes(paths)?;
    let stale_notes = notes.iter().filter(|(_, alive)| !alive).count();
    let writers = notes.iter().filter(|(_, alive)| *alive).map(|(note, _)| Holder::of_note(note)).collect();
    Ok(LockReport {
        gate: flock_holders(&paths.gate, &notes),
        file: flock_holders(&paths.file, &notes),
        writers,
        stale_notes,
    })
}

/// How often to look for a holder.
const LOOKS: usize = 5;

/// Text for a wait on a `flock` lock.
pub(super) fn of_file(paths: &Paths, file: &Path) -> String {
    with_lease(paths, flock_holder(paths, file))
}

fn flock_holder(paths: &Paths, file: &Path) -> String {
    // The kernel lists locks page by page. While others change, one can slip through between two pages.
    let pids = (0..LOOKS).map(|_| flock_pids(file)).find(|pids| !pids.is_empty()).unwrap_or_default();
    let others: Vec<i32> = pids.iter().copied().filter(|&pid| pid != own_pid()).collect();
    if others.is_empty() && !pids.is_empty() {
        return "this process itself, through another descriptor (is the file, a group or a dataset of it still open \
                in the HDF5 library?)"
            .to_owned();
    }
    let notes = owner::notes(paths).unwrap_or_default();
    describe(&others.into_iter().map(|pid| Holder::of_pid(pid, &notes)).collect::<Vec<_>>())
}

/// Text for a wait on a byte range of `rows.lock`.
pub(super) fn of_range(paths: &Paths, range: &Range<u64>) -> String {
    with_lease(paths, range_holder(paths, range))
}

fn range_holder(paths: &Paths, range: &Range<u64>) -> String {
    let living: Vec<OwnerNote> =
        owner::notes(paths).unwrap_or_default().into_iter().filter_map(|(note, alive)| alive.then_some(note)).collect();
    let Ok(inode) = fs::metadata(&paths.rows).map(|m| m.ino()) else { return describe(&[]) };
    let certain: Vec<Holder> = living
        .iter()
        .filter(|note| note.runs_here() && note.pid != own_pid() && holds(note.pid, inode, range))
        .map(Holder::of_note)
        .collect();
    if certain.is_empty() {
        let others: Vec<Holder> = living.iter().filter(|n| n.pid != own_pid()).map(Holder::of_note).collect();
        return match others.len() {
            0 => describe(&[]),
            1 => describe(&others),
            n => format!("one of {n} writers: {}", describe(&others)),
        };
    }
    describe(&certain)
}

/// Where hosts share the store, adds how long the locks of a dead host stay.
fn with_lease(paths: &Paths, mut holder: String) -> String {
    if let (Shared::Nfs, Some(lease_s)) = (paths.shared, paths.file.parent().and_then(lease_s)) {
        let most_s = 2 * lease_s;
        let _ = write!(holder, "; if its host has died, the server frees its locks {lease_s} to {most_s} s later");
    }
    holder
}

/// Whom a call to the server may be waiting for.
#[must_use]
pub fn of_server(paths: &Paths) -> String {
    with_lease(paths, "a host that does not answer, or by the server itself".to_owned())
}

/// Text for a wait on a byte of any file. There are no notes, so all processes are searched.
pub(super) fn of_byte(file: &Path, range: &Range<u64>) -> String {
    let Ok(inode) = fs::metadata(file).map(|m| m.ino()) else { return describe(&[]) };
    let holding: Vec<i32> = pids().filter(|&pid| holds(pid, inode, range)).collect();
    if holding == [own_pid()] {
        return "another thread of this process".to_owned();
    }
    describe(&holding.into_iter().map(|pid| Holder::of_pid(pid, &[])).collect::<Vec<_>>())
}

/// The processes that have the file open for writing, as far as this host shows them. `None`: there are none. This
/// process and writers of h5part are not included.
///
/// # Errors
/// As stat(2).
pub fn writers_elsewhere(paths: &Paths) -> io::Result<Option<String>> {
    let file = fs::metadata(&paths.file)?;
    let ids = pids().filter(|&pid| pid != own_pid() && is_open_for_writing(pid, &file, &paths.rows));
    let holders: Vec<Holder> = ids.map(|pid| Holder::of_pid(pid, &[])).collect();
    Ok((!holders.is_empty()).then(|| describe(&holders)))
}

/// A process that has the row locks open too is one of our writers.
fn is_open_for_writing(pid: i32, file: &fs::Metadata, rows: &Path) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let (mut writes, mut ours) = (false, false);
    for entry in descriptors.flatten() {
        let same = fs::metadata(entry.path()).is_ok_and(|m| (m.dev(), m.ino()) == (file.dev(), file.ino()));
        writes |= same && may_write(pid, &entry.file_name().to_string_lossy());
        ours |= fs::read_link(entry.path()).is_ok_and(|link| link == rows);
    }
    writes && !ours
}

/// Parses /proc/PID/fdinfo, a line such as `flags:\t0100002`, in octal. Modes 1 and 2 can write.
fn may_write(pid: i32, descriptor: &str) -> bool {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// Whether a program that is not one of our writers has the gate open. Writers have the row locks open, too.
pub(super) fn foreign_at_gate(paths: &Paths) -> bool {
    pids().filter(|&pid| pid != own_pid()).any(|pid| {
        let (mut gate, mut rows) = (false, false);
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        for link in descriptors.filter_map(|d| fs::read_link(d.ok()?.path()).ok()) {
            gate |= link == paths.gate;
            rows |= link == paths.rows;
        }
        gate && !rows
    })
}

impl Holder {
    fn of_note(note: &OwnerNote) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
        Self {
            pid: note.pid,
            host: note.host.clone(),
            command: note.command.clone(),
            for_s: Some(now.saturating_sub(note.since_s)),
            stopped: note.runs_here() && Process::read(note.pid).is_some_and(|p| p.stopped),
            commits: Some(note.commits),
        }
    }

    fn of_pid(pid: i32, notes: &[(OwnerNote, bool)]) -> Self {
        if let Some((note, _)) = notes.iter().find(|(note, alive)| *alive && note.pid == pid && note.runs_here()) {
            Self::of_note(note)
        } else {
            let process = Process::read(pid);
            Self {
                pid,
                host: owner::host(),
                command: owner::command(pid),
                for_s: process.as_ref().and_then(owner::age_s),
                stopped: process.is_some_and(|p| p.stopped),
                commits: None,
            }
        }
    }
}

fn describe(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return "a process that this host does not show (another user's, or on another host)".to_owned();
    }
    let one = |h: &Holder| {
        let since = h.for_s.map_or_else(String::new, |s| format!(", for {s} s"));
        let stopped = if h.stopped { ", stopped" } else { "" };
        format!("pid {} on {} ({}{since}{stopped})", h.pid, h.host, h.command)
    };
    holders.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn flock_holders(file: &Path, notes: &[(OwnerNote, bool)]) -> Vec<Holder> {
    let others = flock_pids(file).into_iter().filter(|&pid| pid != own_pid());
    others.map(|pid| Holder::of_pid(pid, notes)).collect()
}

/// Parses /proc/locks, lines such as `1: FLOCK ADVISORY WRITE 1234 fd:00:5678 0 EOF`.
fn flock_pids(file: &Path) -> Vec<i32> {
    let Ok(inode) = fs::metadata(file).map(|m| m.ino().to_string()) else { return Vec::new() };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let mut pids: Vec<i32> = locks
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|f| f.get(1) == Some(&"FLOCK") && f.get(5).is_some_and(|id| id.rsplit(':').next() == Some(&inode)))
        .filter_map(|f| f.get(4)?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

fn holds(pid: i32, inode: u64, range: &Range<u64>) -> bool {
    ranges_held(pid, inode).iter().any(|held| held.start < range.end && held.end > range.start)
}

/// From /proc/PID/fdinfo, lines such as `lock: 1: OFDLCK ADVISORY WRITE -1 fd:00:5678 7 9`.
fn ranges_held(pid: i32, inode: u64) -> Vec<Range<u64>> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return Vec::new() };
    let inode = inode.to_string();
    let range = |line: &str| {
        let f: Vec<&str> = line.strip_prefix("lock:")?.split_whitespace().collect();
        let is_same = f.get(1) == Some(&"OFDLCK") && f.get(5)?.rsplit(':').next() == Some(inode.as_str());
        let first = f.get(6)?.parse().ok()?;
        let last = f.get(7)?.parse().unwrap_or(u64::MAX);
        is_same.then(|| first..last.saturating_add(1))
    };
    let infos = descriptors.filter_map(|d| fs::read_to_string(d.ok()?.path()).ok());
    infos.flat_map(|info| info.lines().filter_map(range).collect::<Vec<_>>()).collect()
}

/// Rows that a process of this host has locked at this moment: number of the table, and rows. Empty where the system
/// does not show them. It takes no lock.
#[must_use]
pub fn rows_held(paths: &Paths, pid: i32) -> Vec<(u64, Range<u64>)> {
    let Ok(inode) = fs::metadata(&paths.rows).map(|m| m.ino()) else { return Vec::new() };
    ranges_held(pid, inode).iter().filter_map(super::rows::rows_of).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}
