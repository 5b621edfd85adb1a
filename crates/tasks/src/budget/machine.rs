//! The resources of this machine.

use serde::Serialize;

/// A logical processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Its number in the system.
    pub number: usize,
    /// The physical core that it belongs to. Others with the same number share the core.
    pub core: usize,
    /// Whether this process may run on it (affinity).
    pub allowed: bool,
}

/// The machine, and what this process may use of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Logical processors.
    pub cpus: Vec<Cpu>,
    /// CPU time that the control group may use, in numbers of processors.
    pub quota: Option<f64>,
    /// Processors that SLURM gives to this task, or otherwise to the job on this node.
    pub slurm_cpus: Option<usize>,
    /// Memory of the machine, in bytes.
    pub memory_total: u64,
    /// Memory that the system reports as available, in bytes.
    pub memory_available: u64,
    /// Memory that is left to the control group, in bytes.
    pub cgroup_left: Option<u64>,
    /// Memory that SLURM gives to the job on this node, in bytes.
    pub slurm_memory: Option<u64>,
}

/// What limits a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The machine itself.
    Machine,
    /// The CPU affinity of the process.
    Affinity,
    /// The control group.
    ControlGroup,
    /// SLURM's allocation.
    Slurm,
}

impl Limit {
    /// Describes the limit.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Machine => "all that the machine has",
            Self::Affinity => "those that this process is pinned to",
            Self::ControlGroup => "the limit of the control group",
            Self::Slurm => "what SLURM has allocated",
        }
    }
}

impl Machine {
    /// Logical processors, all of them; at least 1.
    #[must_use]
    pub fn logical(&self) -> usize {
        self.cpus.len().max(1)
    }

    /// Physical cores, all of them; at least 1.
    #[must_use]
    pub fn physical(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.core)).max(1)
    }

    /// Cores that workers may use, at least 1, and what limits them. Two logical processors of one core count once,
    /// since computing gains little from the second.
    #[must_use]
    pub fn cores(&self) -> (usize, Limit) {
        let allowed = distinct(self.cpus.iter().filter(|cpu| cpu.allowed).map(|cpu| cpu.core)).max(1);
        let mut found = (self.physical(), Limit::Machine);
        let mut lower = |cores: usize, limit| {
            if cores.max(1) < found.0 {
                found = (cores.max(1), limit);
            }
        };
        lower(allowed, Limit::Affinity);
        if let Some(cpus) = self.slurm_cpus {
            lower(cpus, Limit::Slurm);
        }
        if let Some(quota) = self.quota {
            lower(whole(quota), Limit::ControlGroup);
        }
        found
    }

    /// Memory that may still be used, in bytes, and what limits it.
    #[must_use]
    pub fn memory(&self) -> (u64, Limit) {
        let mut found = (self.memory_available, Limit::Machine);
        for (bytes, limit) in [(self.cgroup_left, Limit::ControlGroup), (self.slurm_memory, Limit::Slurm)] {
            if let Some(bytes) = bytes.filter(|bytes| *bytes < found.0) {
                found = (bytes, limit);
            }
        }
        found
    }
}

fn distinct(numbers: impl Iterator<Item = usize>) -> usize {
    let mut numbers: Vec<usize> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
fn whole(quota: f64) -> usize {
    // Half a processor is not worth another worker.
    quota.floor() as usize
}
