//! Is a file system safe for shared writing? What the mount says of its locks, and whether they hold: between
//! threads, between processes, between hosts. `docs/doctor.md` says what is tested.
//!
//! Processes are started for the tests, since a lock call on a broken file system may never return: [`examine`]
//! takes the way to start them as an argument. Each calls [`serve`], and dies when its tests are over.

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
pub use meeting::{Introduction, Waits};
pub use process::{Process, Start, serve};
pub use trial::{Check, Side, trial};
pub use verdict::{Hosts, Level, Verdict};

use folder::TestFolder;
use h5part_base::error::{self as base, At, Result};
use h5part_base::lock::{FileSystem, Paths, ProcessId};
use meeting::{Listener, Peer};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A call on this host is waited for so long.
const CALL: Duration = Duration::from_secs(30);

/// What is to be tested between hosts.
#[derive(Clone, Copy, Debug)]
pub enum Meeting<'a> {
    /// Nothing.
    None,
    /// Wait for another host.
    Listen(Waits<'a>),
    /// Join one that waits.
    Join(Waits<'a>),
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The path, with symbolic links resolved.
    pub path: PathBuf,
    /// The answer.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What it is on.
    pub file_system: System,
    /// What was tested between threads: descriptors of one process. Nothing where it fails between processes.
    pub threads: Vec<Check>,
    /// What was tested between processes.
    pub processes: Vec<Check>,
    /// What was tested with another host; null: nothing.
    pub hosts: Option<Hosts>,
    /// What calls take; null where they fail.
    pub latency: Option<Latency>,
    /// Whether change times tell writes apart.
    pub change_times: ChangeTimes,
    /// What is free.
    pub free: Space,
    /// Limits of this process.
    pub limits: Limits,
    /// What else is worth to be known.
    pub notes: Vec<String>,
    /// Release of the kernel.
    pub kernel: String,
    /// Version of h5part.
    pub version: &'static str,
}

/// Looks at a folder, a file, or a file yet to be made. Files of its own, in the folder, are cleared away
/// whatever happens; others are not touched. It may run beside anything.
///
/// # Errors
/// No such folder, [`base::ErrorKind::ReadOnly`]; [`ErrorKind::NoAnswer`] where nobody was met; as starting processes.
pub fn examine(path: &Path, start: Start<'_>, meeting: Meeting<'_>) -> Result<Report> {
    let place = Place::of(path).at("look at", path)?;
    place.examine(start, meeting).at("test the locks of", &place.folder)
}

struct Place {
    path: PathBuf,
    folder: PathBuf,
    links: u64,
    system: FileSystem,
}

impl Place {
    fn of(path: &Path) -> Result<Self, base::ErrorKind> {
        let path = if path.is_dir() { path.canonicalize()? } else { Paths::of_new(path)?.file };
        let found = path.metadata().ok();
        let folder = match &found {
            Some(found) if found.is_dir() => path.clone(),
            _ => path.parent().unwrap_or(Path::new("/")).to_owned(),
        };
        let links = found.filter(std::fs::Metadata::is_file).map_or(1, |found| found.nlink());
        // A file may be mounted by itself.
        let system = FileSystem::of(if path.exists() { &path } else { &folder });
        Ok(Self { path, folder, links, system })
    }

    fn examine(&self, start: Start<'_>, meeting: Meeting<'_>) -> Result<Report, base::ErrorKind> {
        let test = TestFolder::new(&self.folder)?;
        let processes = between_processes(test.path(), start, CALL)?;
        // What fails, or never returns, is not tried in this process.
        let works = processes.iter().all(|check| check.passed);
        let threads = if works { between_threads(test.path())? } else { Vec::new() };
        let latency = if works { Some(Latency::measure(test.path())?) } else { None };
        let change_times = ChangeTimes::measure(test.path())?;
        drop(test);
        let hosts = self.meet(start, meeting)?;
        let verdict = verdict::judge(&self.system, self.links, &[&processes, &threads], hosts.as_ref());
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
            refusal: self.system.sharing().refusal().map(|why| format!("{}: {}", self.system, why.what)),
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
                let checks = trial([&mut peer, &mut side], [&names[0], &names[1]])?;
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
            format!("{} and {} are one host: this proves nothing of what holds between hosts", hosts.host, hosts.peer)
        });
        let held = hosts.filter(|hosts| !hosts.same_host && hosts.checks.iter().all(|check| check.passed));
        let held = held.filter(|_| verdict.is_refused()).map(|hosts| {
            format!(
                "all tests between {} and {} passed; that does not rule out what is said above",
                hosts.host, hosts.peer
            )
        });
        [forgets, coarse, same, held].into_iter().flatten().collect()
    }
}

/// Of the one that listens, and of the one that joined it.
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

fn between_threads(folder: &Path) -> Result<Vec<Check>, base::ErrorKind> {
    let mut first = Desk::new(folder, Box::new(Kernel));
    let mut second = Desk::new(folder, Box::new(Kernel));
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
        // One that ends is an error: nothing was learned of the locks.
        let ends = |_: &Path| Ok(Command::new("true"));
        assert!(between_processes(folder.path(), &ends, Duration::from_secs(60)).is_err());
    }

    #[test]
    fn hosts_of_one_name_are_told_apart() {
        assert_eq!(names("a", "b"), ["a", "b"]);
        assert_eq!(names("a", "a"), ["a (which listens)", "a (its peer)"]);
    }
}
