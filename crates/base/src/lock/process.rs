//! Identifies a process permanently, although pids are reused and hosts reboot.

use super::owner::{self, Process};
use serde::{Deserialize, Serialize};

/// A process, distinguished from all others with the same pid: earlier ones, later ones, and those on other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Pid on its host.
    pub pid: i32,
    /// Its start in clock ticks since boot.
    pub start_ticks: u64,
    /// Id of the host's boot.
    pub boot_id: String,
    /// The pid namespace of `pid`. Containers have their own.
    pub namespace: u64,
    /// Name of the host.
    pub host: String,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs here.
    Runs,
    /// It runs here and is stopped (SIGSTOP).
    Stopped,
    /// It has certainly ended.
    Ended,
    /// It cannot be seen from here.
    Elsewhere,
}

impl ProcessId {
    /// This process.
    #[must_use]
    pub fn this() -> Self {
        Self::of(i32::try_from(std::process::id()).unwrap_or(0)).unwrap_or_else(|| Self::named(0, 0))
    }

    /// A process of this host; `None` if there is no such process.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Some(Self::named(pid, Process::read(pid)?.start_ticks))
    }

    fn named(pid: i32, start_ticks: u64) -> Self {
        Self { pid, start_ticks, boot_id: owner::boot_id(), namespace: namespace(), host: owner::host() }
    }

    /// Whether it still runs, as far as this process can know.
    #[must_use]
    pub fn fate(&self) -> Fate {
        if self.host != owner::host() {
            return Fate::Elsewhere;
        }
        if self.boot_id != owner::boot_id() {
            // The host has rebooted, or this is another host with the same name, as containers may have. Only after a
            // reboot is the namespace the same.
            return if self.namespace == namespace() { Fate::Ended } else { Fate::Elsewhere };
        }
        if self.namespace != namespace() {
            return Fate::Elsewhere;
        }
        match Process::read(self.pid) {
            Some(process) if process.start_ticks != self.start_ticks || process.ended => Fate::Ended,
            Some(process) if process.stopped => Fate::Stopped,
            Some(_) => Fate::Runs,
            None => Fate::Ended,
        }
    }

    /// Its command line, if it runs here.
    #[must_use]
    pub fn command(&self) -> String {
        owner::command(self.pid)
    }
}

/// Inode of the pid namespace.
fn namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let text = link.to_string_lossy();
    text.trim_start_matches("pid:[").trim_end_matches(']').parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "starts a process")]
    fn a_process_is_there_until_it_ends_and_its_number_alone_is_not_it() {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("starts");
        let id = ProcessId::of(child.id().cast_signed()).expect("is there");
        assert_eq!(id.fate(), Fate::Runs);
        let earlier = ProcessId { start_ticks: id.start_ticks - 1, ..id.clone() };
        assert_eq!(earlier.fate(), Fate::Ended);
        let elsewhere = ProcessId { host: "another".to_owned(), ..id.clone() };
        assert_eq!(elsewhere.fate(), Fate::Elsewhere);
        let before_the_boot = ProcessId { boot_id: "another".to_owned(), ..id.clone() };
        assert_eq!(before_the_boot.fate(), Fate::Ended);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id.pid), nix::sys::signal::Signal::SIGSTOP).expect("stops");
        while id.fate() != Fate::Stopped {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().expect("kills");
        // A zombie counts as ended.
        while id.fate() != Fate::Ended {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.wait().expect("waits");
        assert_eq!(id.fate(), Fate::Ended);
    }
}
