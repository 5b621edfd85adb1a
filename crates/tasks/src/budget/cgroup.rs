//! Limits of the control group, version 1 or 2. The limits of its parent groups apply as well.

use std::path::{Path, PathBuf};

/// Memory of a group, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupMemory {
    pub(super) max: u64,
    /// Without the file pages that the kernel may reclaim.
    pub(super) used: u64,
}

/// What a group may use. `None`: no limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) quota: Option<f64>,
    pub(super) memory: Option<GroupMemory>,
}

/// A limit of version 1 above this means no limit.
const NO_LIMIT: u64 = 1 << 60;

pub(super) fn limits(root: &Path) -> Limits {
    let text = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Limits::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let mounted = root.join("sys/fs/cgroup");
        if controllers.is_empty() {
            for folder in folders(&[mounted.clone(), mounted.join("unified")], path) {
                found.lower(quota_v2(&folder), memory_v2(&folder));
            }
        } else {
            let has = |name: &str| controllers.split(',').any(|controller| controller == name);
            let first = controllers.split(',').next().unwrap_or_default();
            for folder in folders(&[mounted.join(controllers), mounted.join(first)], path) {
                let quota = has("cpu").then(|| quota_v1(&folder)).flatten();
                found.lower(quota, has("memory").then(|| memory_v1(&folder)).flatten());
            }
        }
    }
    found
}

impl Limits {
    /// Keeps the stricter of the known and the new limits.
    fn lower(&mut self, quota: Option<f64>, memory: Option<GroupMemory>) {
        if let Some(quota) = quota {
            self.quota = Some(self.quota.map_or(quota, |known| known.min(quota)));
        }
        if let Some(memory) = memory {
            let left = |m: &GroupMemory| m.max.saturating_sub(m.used);
            self.memory = Some(self.memory.filter(|known| left(known) <= left(&memory)).unwrap_or(memory));
        }
    }
}

/// The group's folder and its parents. In a container the path may be one of the host's; the group's own limits then
/// lie at the top.
fn folders(mounts: &[PathBuf], path: &str) -> Vec<PathBuf> {
    let Some(mount) = mounts.iter().find(|mount| mount.is_dir()) else { return vec![] };
    let group = mount.join(path.trim_start_matches('/'));
    group.ancestors().take_while(|folder| folder.starts_with(mount)).map(Path::to_path_buf).collect()
}

fn read(folder: &Path, name: &str) -> Option<String> {
    Some(std::fs::read_to_string(folder.join(name)).ok()?.trim().to_owned())
}

fn number(folder: &Path, name: &str) -> Option<u64> {
    read(folder, name)?.parse().ok()
}

fn quota_v2(folder: &Path) -> Option<f64> {
    let text = read(folder, "cpu.max")?;
    let (quota, period) = text.split_once(' ')?;
    share(quota.parse().ok()?, period.parse().ok()?)
}

fn quota_v1(folder: &Path) -> Option<f64> {
    // -1 means no limit.
    share(number(folder, "cpu.cfs_quota_us")?, number(folder, "cpu.cfs_period_us")?)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a period")]
fn share(quota_us: u64, period_us: u64) -> Option<f64> {
    (period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

fn memory_v2(folder: &Path) -> Option<GroupMemory> {
    let max = number(folder, "memory.max")?;
    Some(GroupMemory { max, used: used(folder, number(folder, "memory.current")?, "inactive_file") })
}

fn memory_v1(folder: &Path) -> Option<GroupMemory> {
    let max = number(folder, "memory.limit_in_bytes").filter(|max| *max < NO_LIMIT)?;
    Some(GroupMemory { max, used: used(folder, number(folder, "memory.usage_in_bytes")?, "total_inactive_file") })
}

fn used(folder: &Path, usage: u64, reclaimable: &str) -> u64 {
    let stat = read(folder, "memory.stat").unwrap_or_default();
    let free = stat.lines().find_map(|line| line.strip_prefix(reclaimable)?.trim().parse::<u64>().ok());
    usage.saturating_sub(free.unwrap_or(0))
}
