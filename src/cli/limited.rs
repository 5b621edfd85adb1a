//! Opens files of unknown origin in a process of its own, with limits: HDF5 crashes on some malformed files, and never
//! finishes reading others.
//!
//! The program starts itself again with the same arguments and the descriptors 0, 1 and 2. The child sets its own
//! limits, dies with its parent, and does the work. The parent reports how it ended.

use super::exit::Exit;
use h5part::Result;
use h5part_base::error::At;
use h5part_base::lock;
use h5part_engine::h5;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Environment variable with the parent's process id, for the child.
const PARENT: &str = "H5PART_LIMITED_BY";
/// Environment variable that overrides the time limit of one look at a file, in seconds.
const SECONDS: &str = "H5PART_LOOK_SECONDS";
/// Most memory of the child: this many bytes, plus a multiple of the file's length.
const MEMORY: u64 = 4 << 30;
const MEMORY_A_BYTE: u64 = 4;
/// The child's exit code if the library took too long.
const OVERDUE: u8 = 113;

/// The result of the work.
pub enum Outcome {
    /// The child did it, or reported an error.
    Done(u8),
    /// The library crashed, or did not finish in time.
    Crashed(String),
}

/// Whether the file must be opened in a process of its own, since it exists and others may have written to it.
pub fn is_needed(file: &Path) -> bool {
    if std::env::var_os(PARENT).is_some() {
        return false;
    }
    // If the lookup fails, the command itself reports the error.
    lock::Paths::of(file).is_ok_and(|paths| paths.file.is_file() && !lock::is_ours(&paths).unwrap_or(false))
}

/// Runs the whole command in a child.
pub fn run(file: &Path) -> Result<Outcome> {
    let child = || {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(std::env::args_os().skip(1)).env(PARENT, std::process::id().to_string());
        command.status()
    };
    let status = child().at("start a process for", file)?;
    Ok(outcome(status))
}

fn outcome(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(code), _) if code == i32::from(OVERDUE) => {
            Outcome::Crashed("did not finish reading it in time".to_owned())
        }
        (Some(code), _) => Outcome::Done(u8::try_from(code).unwrap_or(Exit::Io as u8)),
        (None, Some(signal)) => match Signal::try_from(signal) {
            // These signals come from outside: the user or the system.
            Ok(Signal::SIGINT | Signal::SIGTERM | Signal::SIGHUP | Signal::SIGKILL | Signal::SIGPIPE) => {
                Outcome::Done(128u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
            }
            Ok(Signal::SIGABRT) => {
                Outcome::Crashed("aborted on it (SIGABRT), or needed more memory than the file should".to_owned())
            }
            Ok(known) => Outcome::Crashed(format!("crashed on it ({known})")),
            Err(_) => Outcome::Crashed(format!("crashed on it (signal {signal})")),
        },
        (None, None) => Outcome::Done(Exit::Io as u8),
    }
}

/// Sets the limits, in the child, before anything else.
pub fn begin(files: &[PathBuf]) -> Result<()> {
    let Some(parent) = std::env::var(PARENT).ok() else { return Ok(()) };
    let file = files.first().map_or(Path::new(""), PathBuf::as_path);
    let limits = || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have died before.
        if parent_id().to_string() != parent || getppid() == Pid::from_raw(1) {
            return Err(std::io::Error::other("its parent is gone"));
        }
        let len: u64 = files.iter().map(|file| std::fs::metadata(file).map_or(0, |m| m.len())).sum();
        lower(Resource::RLIMIT_AS, MEMORY.saturating_add(len.saturating_mul(MEMORY_A_BYTE)))?;
        lower(Resource::RLIMIT_CORE, 0)?;
        Ok(())
    };
    limits().at("limit the process for", file)?;
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).map(Duration::from_secs);
    h5::limit(seconds, overdue).at("limit HDF5 for", file)
}

fn lower(resource: Resource, most: u64) -> std::io::Result<()> {
    let (soft, hard) = getrlimit(resource)?;
    Ok(setrlimit(resource, soft.min(most), hard.min(most))?)
}

fn overdue() -> ! {
    std::process::exit(i32::from(OVERDUE))
}
