//! Examines the machine.

use super::machine::{Cpu, Machine};
use super::{cgroup, cpus, pin};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// Where /proc and /sys are, and the environment.
struct Site<'a> {
    root: PathBuf,
    variable: &'a dyn Fn(&str) -> Option<String>,
    allowed: Vec<usize>,
}

impl Machine {
    /// Examines this machine now. What the system does not tell counts as absent.
    #[must_use]
    pub fn probe() -> Self {
        Self::at(&Site {
            root: PathBuf::from("/"),
            variable: &|name| std::env::var(name).ok(),
            allowed: pin::allowed(),
        })
    }

    fn at(site: &Site<'_>) -> Self {
        let allows = |number| site.allowed.is_empty() || site.allowed.contains(&number);
        let mut cpus = cpus::topology(&site.root);
        if cpus.is_empty() {
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            cpus = (0..count).map(|number| (number, number)).collect();
        }
        let cpus: Vec<Cpu> =
            cpus.into_iter().map(|(number, core)| Cpu { number, core, allowed: allows(number) }).collect();
        let number = |name| (site.variable)(name)?.trim().parse::<u64>().ok();
        let slurm_cpus = number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"));
        let slurm_cpus = slurm_cpus.and_then(|cpus| usize::try_from(cpus).ok());
        // 0 means all of the node's memory.
        let per_node = number("SLURM_MEM_PER_NODE").filter(|mib| *mib > 0);
        let per_cpu = || Some(number("SLURM_MEM_PER_CPU")?.saturating_mul(number("SLURM_CPUS_ON_NODE")?));
        let group = cgroup::limits(&site.root);
        let memory = meminfo(&site.root);
        Self {
            cpus,
            quota: group.quota,
            slurm_cpus,
            memory_total: memory.total,
            memory_available: memory.available,
            cgroup_left: group.memory.map(|memory| memory.max.saturating_sub(memory.used)),
            slurm_memory: per_node.or_else(per_cpu).map(|mib| mib.saturating_mul(MIB)),
        }
    }
}

#[derive(Debug, Default)]
struct Memory {
    total: u64,
    available: u64,
}

fn meminfo(root: &Path) -> Memory {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
    };
    let total = kib("MemTotal").unwrap_or(0).saturating_mul(1024);
    Memory { total, available: kib("MemAvailable").or_else(|| kib("MemFree")).unwrap_or(0).saturating_mul(1024) }
}

/// The share of memory in use, 0 to 1, of the machine or of the control group, whichever is larger.
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub(super) fn used_share() -> Option<f64> {
    let root = Path::new("/");
    let memory = meminfo(root);
    let share = |used: u64, max: u64| (max > 0).then(|| used as f64 / max as f64);
    let machine = share(memory.total.saturating_sub(memory.available), memory.total);
    let group = cgroup::limits(root).memory.and_then(|memory| share(memory.used, memory.max));
    [machine, group].into_iter().flatten().reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("folder")).expect("mkdir");
            fs::write(path, text).expect("write");
        }
    }

    fn probe(root: &Path, variables: &[(&str, &str)], allowed: &[usize]) -> Machine {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Machine::at(&Site { root: root.to_owned(), variable: &variable, allowed: allowed.to_vec() })
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes files")]
    fn a_node_with_hyperthreads_a_control_group_and_slurm() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        for number in 0..8 {
            let folder = format!("sys/devices/system/cpu/cpu{number}/topology");
            let core = (number % 4).to_string();
            write(root, &[(&format!("{folder}/core_id"), &core), (&format!("{folder}/physical_package_id"), "0\n")]);
        }
        let group = "sys/fs/cgroup/slurm/job_7";
        write(
            root,
            &[
                ("proc/meminfo", "MemTotal: 16000 kB\nMemFree: 1 kB\nMemAvailable:  8000 kB\n"),
                ("proc/self/cgroup", "0::/slurm/job_7/step_0\n"),
                ("sys/devices/system/cpu/cpufreq/x", ""),
                (&format!("{group}/step_0/cpu.max"), "max 100000\n"),
                (&format!("{group}/cpu.max"), "350000 100000\n"),
                (&format!("{group}/step_0/memory.max"), "max\n"),
                (&format!("{group}/memory.max"), "4000000\n"),
                (&format!("{group}/memory.current"), "3000000\n"),
                (&format!("{group}/memory.stat"), "anon 5\ninactive_file 1000000\n"),
            ],
        );
        let found = probe(root, &[], &[]);
        assert_eq!((found.logical(), found.physical()), (8, 4));
        assert_eq!(found.cores(), (3, super::super::Limit::ControlGroup));
        assert_eq!((found.memory_total, found.memory_available), (16_384_000, 8_192_000));
        assert_eq!(found.memory(), (2_000_000, super::super::Limit::ControlGroup));
        let slurm = [("SLURM_CPUS_ON_NODE", "8"), ("SLURM_CPUS_PER_TASK", "2"), ("SLURM_MEM_PER_CPU", "1")];
        let found = probe(root, &slurm, &[0, 1, 4, 5]);
        assert_eq!(found.cores(), (2, super::super::Limit::Affinity));
        assert_eq!(found.slurm_memory, Some(8 * MIB));
        let found = probe(root, &[("SLURM_MEM_PER_NODE", "1"), ("SLURM_CPUS_ON_NODE", "1")], &[]);
        assert_eq!((found.cores(), found.memory().0), ((1, super::super::Limit::Slurm), MIB));
    }

    #[test]
    #[cfg_attr(miri, ignore = "makes files")]
    fn control_groups_of_version_1_and_proc_cpuinfo() {
        let dir = tempfile::tempdir().expect("tempdir");
        let root = dir.path();
        let processor = |n: u32| format!("processor\t: {n}\nphysical id\t: {}\ncore id\t: 0\n\n", n % 2);
        let cpuinfo: String = (0..4).map(processor).collect();
        write(
            root,
            &[
                ("proc/cpuinfo", &cpuinfo),
                ("proc/meminfo", "MemTotal: 16000 kB\nMemFree: 1000 kB\n"),
                ("proc/self/cgroup", "4:memory:/box\n3:cpu,cpuacct:/box\n0::/\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000"),
                ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "150000"),
                ("sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"),
                ("sys/fs/cgroup/memory/box/memory.limit_in_bytes", "500000"),
                ("sys/fs/cgroup/memory/box/memory.usage_in_bytes", "600000"),
            ],
        );
        let found = probe(root, &[], &[]);
        assert_eq!((found.logical(), found.physical(), found.quota), (4, 2, Some(1.5)));
        // Memory over its limit leaves nothing.
        assert_eq!(found.memory(), (0, super::super::Limit::ControlGroup));
        assert_eq!(found.memory_available, 1_024_000);
    }

    #[test]
    #[cfg_attr(miri, ignore = "looks at the system")]
    fn this_machine_has_a_core_and_memory() {
        let found = Machine::probe();
        assert!(found.cores().0 >= 1 && found.memory_total > 0 && found.memory_available <= found.memory_total);
        assert!(used_share().is_some_and(|share| (0.0..=1.5).contains(&share)));
    }
}
