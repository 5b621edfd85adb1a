//! Facts about a folder: its file system, and limits on its use.

use super::desk::{DATA, GATE, ROWS};
use h5part_base::lock::{FileSystem, LockCall};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The mount that holds a folder.
#[derive(Clone, Debug, Serialize)]
pub struct System {
    /// Its kind: `ext4`, `nfs4`.
    pub kind: String,
    /// Mount point; null if the mount table does not list it.
    pub mount_point: Option<PathBuf>,
    /// What is mounted.
    pub source: Option<String>,
    /// The part of it that is mounted.
    pub root: Option<PathBuf>,
    /// Device number, `major:minor`.
    pub device: Option<String>,
    /// Options, beginning with those of the mount.
    pub options: Vec<String>,
}

impl System {
    pub(super) fn of(system: &FileSystem) -> Self {
        let mount = system.mount.as_ref();
        Self {
            kind: system.kind.clone(),
            mount_point: mount.map(|m| m.point.clone()),
            source: mount.map(|m| m.source.clone()),
            root: mount.map(|m| m.root.clone()),
            device: mount.map(|m| m.device.clone()),
            options: mount.map(|m| m.options.clone()).unwrap_or_default(),
        }
    }
}

/// Free space.
#[derive(Clone, Debug, Serialize)]
pub struct Space {
    /// Bytes that this user may use.
    pub bytes: u64,
    /// Files that may be created; null if the file system has no such limit.
    pub files: Option<u64>,
}

impl Space {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let found = statvfs(folder)?;
        let files = (found.files() > 0).then(|| found.files_available());
        Ok(Self { bytes: found.blocks_available().saturating_mul(found.fragment_size()), files })
    }
}

/// Limits of this process; null if there is no limit.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    /// Length of a file, in bytes (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Memory, in bytes (`RLIMIT_AS`).
    pub address_space_bytes: Option<u64>,
    /// Data, in bytes (`RLIMIT_DATA`).
    pub data_bytes: Option<u64>,
}

impl Limits {
    pub(super) fn of_this_process() -> io::Result<Self> {
        let soft = |resource| -> io::Result<Option<u64>> {
            let (soft, _) = getrlimit(resource)?;
            Ok((soft != nix::libc::RLIM_INFINITY).then_some(soft))
        };
        Ok(Self {
            file_bytes: soft(Resource::RLIMIT_FSIZE)?,
            open_files: soft(Resource::RLIMIT_NOFILE)?,
            address_space_bytes: soft(Resource::RLIMIT_AS)?,
            data_bytes: soft(Resource::RLIMIT_DATA)?,
        })
    }
}

/// Durations of calls in microseconds: medians of a few. They are for information, and do not affect the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Taking and releasing a flock(2) lock.
    pub flock_us: f64,
    /// Taking and releasing a byte-range lock.
    pub range_us: f64,
    /// fdatasync(2) after 4 KiB.
    pub sync_us: f64,
}

impl Latency {
    /// Measures with the files of a test.
    pub(super) fn measure(folder: &Path) -> io::Result<Self> {
        let open = |name| OpenOptions::new().read(true).write(true).open(folder.join(name));
        let (gate, rows, data) = (open(GATE)?, open(ROWS)?, open(DATA)?);
        let cycle = |file, call: &LockCall| {
            median(33, || {
                call.take(file, true)?;
                call.release(file)
            })
        };
        Ok(Self {
            flock_us: cycle(&gate, &LockCall::Whole)?,
            range_us: cycle(&rows, &LockCall::Bytes(0..1))?,
            sync_us: median(7, || {
                data.write_all_at(&[b'.'; 4096], 0)?;
                data.sync_data()
            })?,
        })
    }
}

fn median(times: usize, mut call: impl FnMut() -> io::Result<()>) -> io::Result<f64> {
    let mut taken = Vec::with_capacity(times);
    for _ in 0..times {
        let start = Instant::now();
        call()?;
        taken.push(start.elapsed().as_secs_f64() * 1e6);
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[times / 2])
}

/// Whether change times distinguish one write from the next. The witness relies on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeTimes {
    /// Number of consecutive writes.
    pub writes: usize,
    /// Writes that changed the file's change time.
    pub told_apart: usize,
    /// The smallest difference seen, in microseconds; null if there was none.
    pub step_us: Option<u64>,
}

const WRITES: usize = 64;

impl ChangeTimes {
    pub(super) fn measure(folder: &Path) -> io::Result<Self> {
        let data = OpenOptions::new().write(true).open(folder.join(DATA))?;
        let mut times = Vec::with_capacity(WRITES + 1);
        for _ in 0..=WRITES {
            data.write_all_at(b".", 0)?;
            let found = data.metadata()?;
            times.push(i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec()));
        }
        Ok(Self::of(&times))
    }

    /// Evaluates the times after each write, in nanoseconds.
    fn of(times: &[i128]) -> Self {
        let steps = times.windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs());
        let others: Vec<u128> = steps.filter(|step| *step > 0).collect();
        let smallest = others.iter().min().and_then(|nanos| u64::try_from(nanos / 1000).ok());
        Self { writes: times.len().saturating_sub(1), told_apart: others.len(), step_us: smallest }
    }

    /// Whether two writes may have the same time.
    #[must_use]
    pub fn are_coarse(&self) -> bool {
        self.told_apart < self.writes
    }
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    text.map_or_else(|_| String::new(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_times_are_known() {
        let fine = ChangeTimes::of(&[0, 5_000, 9_000, 20_000]);
        assert_eq!(fine, ChangeTimes { writes: 3, told_apart: 3, step_us: Some(4) });
        assert!(!fine.are_coarse());
        let coarse = ChangeTimes::of(&[0, 0, 0, 4_000_000]);
        assert_eq!(coarse, ChangeTimes { writes: 3, told_apart: 1, step_us: Some(4000) });
        assert!(coarse.are_coarse() && ChangeTimes::of(&[7, 7]).step_us.is_none());
    }

    #[test]
    fn the_median_is_the_middle() {
        let mut calls = 0;
        assert!(
            median(7, || {
                calls += 1;
                Ok(())
            })
            .expect("median")
                >= 0.0
        );
        assert_eq!(calls, 7);
    }
}
