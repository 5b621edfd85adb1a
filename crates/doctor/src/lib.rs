//! Examines whether a file system is safe for shared writing: what its mount says about locks, and whether they work
//! between threads, processes and hosts. `docs/doctor.md` says what is tested.
//!
//! Processes are started for the tests, since a lock call on a broken file system may never return. [`examine`] gets
//! the way to start them as an argument. Each process calls [`serve`], and ends with its tests.

mod desk;
mod error;
mod facts;
mod folder;
mod meeting;
mod process;
mod trial;
mod verdict;

pub use desk::{Answer, Desk, Kernel, Lock, Locks, Request};
pub use error::ErrorKind;
pub use facts::{ChangeTimes, Latency, Limits, Space, System};
pub use h5part_base::error::Remedy;
pub use meeting::{Introduction, Waits};
pub use process::{Process, Start, serve};
use trial::clocks;
pub use trial::{Check, Side, trial};
pub use verdict::{Hosts, Level, Verdict};

use folder::TestFolder;
use h5part_base::error::{self as base, At, Result};
use h5part_base::lock::{FileSystem, Paths, ProcessId, Shared, lease_s};
use meeting::{Listener, Peer};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time limit for a call on this host.
const CALL: Duration = Duration::from_secs(30);

/// Which tests to run between hosts.
#[derive(Clone, Copy, Debug)]
pub enum Meeting<'a> {
    /// Nothing.
    None,
    /// Wait for another host.
    Listen(Waits<'a>),
    /// Join one that waits.
    Join(Waits<'a>),
}

/// The result of an examination.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The path, with symbolic links resolved.
    pub path: PathBuf,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The file system of the path.
    pub file_system: System,
    /// Tests between threads, that is, between descriptors of one process. Empty if a test between processes failed.
    pub threads: Vec<Check>,
    /// Tests between processes.
    pub processes: Vec<Check>,
    /// Tests with another host; null if there were none.
    pub hosts: Option<Hosts>,
    /// Durations of calls; null if the calls fail.
    pub latency: Option<Latency>,
    /// Whether change times distinguish writes.
    pub change_times: ChangeTimes,
    /// Free space.
    pub free: Space,
    /// Limits of this process.
    pub limits: Limits,
    /// Other remarks.
    pub notes: Vec<String>,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of h5part.
    pub version: &'static str,
}

/// Examines a folder, a file, or a path where a file is to be created, for stores that are `shared` in this way. It creates its own files in the folder, and
/// always removes them; it does not touch others. It may run beside anything.
///
/// # Errors
/// The folder does not exist, [`base::ErrorKind::ReadOnly`]; [`ErrorKind::NoAnswer`] if no other host was found; as
/// starting processes.
pub fn examine(path: &Path, shared: Shared, start: Start<'_>, meeting: Meeting<'_>) -> Result<Report> {
    let place = Place::of(path, shared).at("look at", path)?;
    place.examine(start, meeting).at("test the locks of", &place.folder)
}

struct Place {
    path: PathBuf,
    folder: PathBuf,
    links: u64,
    system: FileSystem,
    shared: Shared,
}

impl Place {
    fn of(path: &Path, shared: Shared) -> Result<Self, base::ErrorKind> {
        let path = if path.is_dir() { path.canonicalize()? } else { Paths::of_new(path)?.file };
        let found = path.metadata().ok();
        let folder = match &found {
            Some(found) if found.is_dir() => path.clone(),
            _ => path.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let links = found.filter(std::fs::Metadata::is_file).map_or(1, |found| found.nlink());
        // A file may be a mount of its own.
        let system = FileSystem::of(if path.exists() { &path } else { &folder });
        Ok(Self { path, folder, links, system, shared })
    }

    fn examine(&self, start: Start<'_>, meeting: Meeting<'_>) -> Result<Report, base::ErrorKind> {
        let test = TestFolder::new(&self.folder)?;
        let processes = between_processes(test.path(), start, CALL)?;
        // Calls that fail or never return must not be tried in this process.
        let works = processes.iter().all(|check| check.passed);
        let threads = if works { between_threads(test.path(), self.shared)? } else { Vec::new() };
        let latency = if works { Some(Latency::measure(test.path())?) } else { None };
        let change_times = ChangeTimes::measure(test.path())?;
        drop(test);
        let hosts = self.meet(start, meeting)?;
        let verdict = verdict::judge((&self.system, self.shared), self.links, &[&processes, &threads], hosts.as_ref());
        Ok(Report {
            path: self.path.clone(),
            notes: self.notes(&verdict, change_times, hosts.as_ref()),
            verdict,
            file_system: System::of(&self.system),
            threads,
            processes,
            hosts,
            latency,
            change_times,
            free: Space::of(&self.folder)?,
            limits: Limits::of_this_process()?,
            kernel: facts::kernel(),
            version: env!("CARGO_PKG_VERSION"),
        })
    }

    fn introduction(&self) -> Introduction {
        Introduction {
            process: ProcessId::this(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            file_system: self.system.to_string(),
            refusal: self.shared.refusal(&self.system).map(|why| format!("{}: {}", self.system, why.what)),
        }
    }

    fn meet(&self, start: Start<'_>, meeting: Meeting<'_>) -> Result<Option<Hosts>, base::ErrorKind> {
        let own = self.introduction();
        let (peer, checks) = match meeting {
            Meeting::None => return Ok(None),
            Meeting::Listen(waits) => {
                let listener = Listener::new(&self.folder, waits)?;
                let mut side = Process::new(start, listener.path(), CALL)?;
                listener.answer(&own, &mut side)?
            }
            Meeting::Join(waits) => {
                let mut peer = Peer::join(&self.folder, &own, waits)?;
                let folder = peer.path().to_owned();
                let mut side = Process::new(start, &folder, CALL)?;
                let names = names(&peer.introduction.process.host, &own.process.host);
                let mut checks = trial([&mut peer, &mut side], [&names[0], &names[1]])?;
                checks.push(clocks([&mut peer, &mut side], [&names[0], &names[1]])?);
                drop(side);
                let introduction = peer.introduction.clone();
                peer.end(&checks)?;
                (introduction, checks)
            }
        };
        Ok(Some(Hosts::new(&own, peer, checks)))
    }

    fn notes(&self, verdict: &Verdict, times: ChangeTimes, hosts: Option<&Hosts>) -> Vec<String> {
        let forgets = self.system.forgets().map(str::to_owned);
        let coarse = times.are_coarse().then(|| {
            let step = times.step_us.map_or_else(|| "its clock's tick".to_owned(), |us| format!("{us} us"));
            format!(
                "change times are coarse: what another program writes within {step} of h5part may go unnoticed by the \
                 witness (checksums are not affected)"
            )
        });
        let same = hosts.filter(|hosts| hosts.same_host).map(|hosts| {
            format!("{} and {} are one host: this proves nothing about other hosts", hosts.host, hosts.peer)
        });
        let held = hosts.filter(|hosts| !hosts.same_host && hosts.checks.iter().all(|check| check.passed));
        let held = held.filter(|_| verdict.is_refused()).map(|hosts| {
            format!(
                "all tests between {} and {} passed; that does not rule out what is said above",
                hosts.host, hosts.peer
            )
        });
        let by_nfs = self.shared == Shared::Nfs;
        let stores = by_nfs.then(|| {
            "whether the server stores what it acknowledges cannot be seen from here: it must export the folder with 'sync'"
                .to_owned()
        });
        let lease = by_nfs.then(|| lease_s(&self.folder)).flatten().map(|lease_s| {
            format!("the server keeps the locks of a host that died for {lease_s} to {} s", 2 * lease_s)
        });
        [forgets, coarse, same, held, stores, lease].into_iter().flatten().collect()
    }
}

/// Names for the host that listens, and for the one that joins it.
fn names(listens: &str, joined: &str) -> [String; 2] {
    let [a, b] = if listens == joined { [" (which listens)", " (its peer)"] } else { [""; 2] };
    [format!("{listens}{a}"), format!("{joined}{b}")]
}

fn between_processes(folder: &Path, start: Start<'_>, patience: Duration) -> Result<Vec<Check>, base::ErrorKind> {
    let mut first = Process::new(start, folder, patience)?;
    let mut second = Process::new(start, folder, patience)?;
    match trial([&mut first, &mut second], ["one process", "another process"]) {
        Err(silent) if matches!(silent.of(), Some(ErrorKind::NoAnswer { .. })) => {
            let what = "all calls return".to_owned();
            Ok(vec![Check { what, passed: false, seen: Some(silent.to_string()) }])
        }
        other => other,
    }
}

fn between_threads(folder: &Path, shared: Shared) -> Result<Vec<Check>, base::ErrorKind> {
    let [mut first, mut second] = [0, 1].map(|_| Desk::new(folder, Box::new(Kernel)).sharing(shared));
    trial([&mut first, &mut second], ["one thread", "another thread"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[cfg_attr(miri, ignore = "starts processes")]
    fn a_call_that_never_returns_is_a_finding() {
        let folder = tempfile::tempdir().expect("tempdir");
        let silent = |_: &Path| {
            let mut command = Command::new("sleep");
            command.arg("1000");
            Ok(command)
        };
        let checks = between_processes(folder.path(), &silent, Duration::from_millis(50)).expect("a finding");
        assert!(checks.len() == 1 && !checks[0].passed, "{checks:?}");
        assert!(checks[0].seen.as_deref().is_some_and(|seen| seen.contains("no answer from")), "{checks:?}");
        // A process that ends is an error, since it teaches nothing about the locks.
        let ends = |_: &Path| Ok(Command::new("true"));
        assert!(between_processes(folder.path(), &ends, Duration::from_secs(60)).is_err());
    }

    #[test]
    fn hosts_of_one_name_are_told_apart() {
        assert_eq!(names("a", "b"), ["a", "b"]);
        assert_eq!(names("a", "a"), ["a (which listens)", "a (its peer)"]);
    }
}
