//! Limits a program's memory: by a control group if one can be made, else by a resource limit.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An amount of memory in bytes, which people write as 500M, 2G, 1.5G.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub u64);

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not an amount of memory such as 500M or 2G");
        let trimmed = text.trim().trim_end_matches(['B', 'b']).trim_end_matches('i');
        let (number, power) = match trimmed.chars().last().map(|c| c.to_ascii_uppercase()) {
            Some('K') => (&trimmed[..trimmed.len() - 1], 1),
            Some('M') => (&trimmed[..trimmed.len() - 1], 2),
            Some('G') => (&trimmed[..trimmed.len() - 1], 3),
            Some('T') => (&trimmed[..trimmed.len() - 1], 4),
            _ => (trimmed, 0),
        };
        // Repeated multiplication is exact, while a power of a float need not be.
        let unit = (0..power).fold(1.0, |unit, _| unit * 1024.0);
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        let bytes: f64 = number * unit;
        if !(1.0..9e18).contains(&bytes) {
            return Err(bad());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was just checked")]
        Ok(Self(bytes as u64))
    }
}

/// A memory limit for one program after another. A control group serves one at a time.
#[derive(Debug)]
pub enum MemoryLimit {
    /// Limits what the program and everything that it starts use together.
    Group {
        /// The group's folder, which is removed when this is dropped.
        folder: PathBuf,
        /// Its list of processes.
        processes: File,
    },
    /// Limits the data of each process (`RLIMIT_DATA`).
    Each(Memory),
}

impl MemoryLimit {
    /// A new control group if the system lets us make one, else a resource limit.
    #[must_use]
    pub fn new(memory: Memory, name: &str) -> Self {
        own_groups()
            .into_iter()
            .find_map(|(folder, limit)| Self::group(&folder.join(format!("h5part-{name}")), limit, memory).ok())
            .unwrap_or(Self::Each(memory))
    }

    fn group(folder: &Path, limit: &str, memory: Memory) -> io::Result<Self> {
        fs::create_dir(folder)?;
        let made = fs::write(folder.join(limit), memory.0.to_string())
            .and_then(|()| OpenOptions::new().write(true).open(folder.join("cgroup.procs")));
        match made {
            Ok(processes) => Ok(Self::Group { folder: folder.to_owned(), processes }),
            Err(e) => {
                let _ = fs::remove_dir(folder);
                Err(e)
            }
        }
    }

    pub(super) fn rlimit(&self) -> Option<u64> {
        match self {
            Self::Group { .. } => None,
            Self::Each(memory) => Some(memory.0),
        }
    }

    pub(super) fn group_descriptor(&self) -> Option<i32> {
        match self {
            Self::Group { processes, .. } => Some(processes.as_raw_fd()),
            Self::Each(_) => None,
        }
    }

    /// Describes the limit.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Group { .. } => "a control group",
            Self::Each(_) => "RLIMIT_DATA",
        }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Self::Group { folder, .. } = self {
            // The folder stays if something in it still runs.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// This process's own groups that can limit memory: version 2, then version 1, each with the name of the limit's file.
fn own_groups() -> Vec<(PathBuf, &'static str)> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                groups.push((Path::new(root).join(path), "memory.max"));
            }
        } else if controllers.split(',').any(|c| c == "memory") {
            groups.push((Path::new("/sys/fs/cgroup/memory").join(path), "memory.limit_in_bytes"));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let bytes = |text: &str| text.parse::<Memory>().map(|m| m.0);
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert_eq!(bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(bytes("500m"), Ok(500 << 20));
        assert_eq!(bytes("4096"), Ok(4096));
        for bad in ["", "G", "-1G", "0", "nan", "1e30", "two"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
