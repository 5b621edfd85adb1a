//! Which logical processors share a core.

use std::collections::BTreeMap;
use std::path::Path;

/// Numbers of each logical processor and its physical core.
pub(super) fn topology(root: &Path) -> Vec<(usize, usize)> {
    let mut found = from_sys(root);
    if found.is_empty() {
        found = from_cpuinfo(root);
    }
    found.sort_unstable();
    // Cores are identified by package and by number within it. These pairs are mapped to plain numbers.
    let mut cores = BTreeMap::new();
    let number = |(number, place): (usize, (usize, usize))| {
        let next = cores.len();
        (number, *cores.entry(place).or_insert(next))
    };
    found.into_iter().map(number).collect()
}

type Place = (usize, usize);

fn from_sys(root: &Path) -> Vec<(usize, Place)> {
    let Ok(entries) = std::fs::read_dir(root.join("sys/devices/system/cpu")) else { return vec![] };
    let cpu = |entry: std::fs::DirEntry| {
        let number = entry.file_name().to_str()?.strip_prefix("cpu")?.parse().ok()?;
        let topology = entry.path().join("topology");
        let read = |name| std::fs::read_to_string(topology.join(name)).ok()?.trim().parse::<usize>().ok();
        // An offline processor has no topology. A virtual one may have no package.
        Some((number, (read("physical_package_id").unwrap_or(0), read("core_id")?)))
    };
    entries.flatten().filter_map(cpu).collect()
}

fn from_cpuinfo(root: &Path) -> Vec<(usize, Place)> {
    let text = std::fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let processor = |block: &str| {
        let field = |name: &str| {
            let value = block.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then_some(value)
            });
            value?.trim().parse::<usize>().ok()
        };
        let number = field("processor")?;
        Some((number, (field("physical id").unwrap_or(0), field("core id").unwrap_or(number))))
    };
    text.split("\n\n").filter_map(processor).collect()
}
