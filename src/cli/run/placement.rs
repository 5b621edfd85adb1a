//! Decides where programs run, and how many at once.

use super::RUN;
use h5part::ledger::Ledger;
use h5part::{ErrorKind, Result};
use h5part_base::num::to_usize;
use h5part_tasks::budget::{Budget, Machine, Need};
use h5part_tasks::pool::{Mode, choose};
use h5part_tasks::program::Memory;

/// What the user asked for, and how much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub mode: Option<Mode>,
    pub jobs: Option<usize>,
    /// Memory limit of each program.
    pub memory: Option<Memory>,
}

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub struct Placement {
    pub mode: Mode,
    pub jobs: usize,
    pub warnings: Vec<String>,
}

impl Asked {
    /// Decides the mode: that of `--mode`, else of the variable, else one that fits. A user who asks for several
    /// programs at once gets `serial` only by name.
    pub fn mode(&self) -> Result<Mode> {
        let several = self.jobs.filter(|jobs| *jobs > 1).map(|_| Mode::Threads);
        choose(self.mode, several).map(|chosen| chosen.mode)
    }

    /// Decides mode and number for this machine and the remaining tasks.
    pub fn settle(&self, mode: Mode, ledger: &Ledger) -> Result<Placement> {
        let tally = ledger.tally()?;
        let left = tally.total - tally.done - tally.failed;
        self.on(&Machine::probe(), mode, left).map_err(|kind| kind.at(RUN, ledger.path()))
    }

    fn on(&self, machine: &Machine, mode: Mode, left: u64) -> Result<Placement, ErrorKind> {
        let workers = if mode == Mode::Serial { Some(1) } else { self.jobs };
        let memory_per_worker = self.memory.map(|memory| memory.0);
        // Threads of the program's own are unknown here. For such a program the user must ask for fewer at once.
        let need = Need { tasks: Some(left), memory_per_worker, workers, threads: Some(1), oversubscribe: false };
        let mut budget = Budget::plan(machine, &need)?;
        if let Some(jobs) = self.jobs.filter(|jobs| mode == Mode::Serial && *jobs > 1) {
            budget.warnings.push(format!("mode serial runs one program after the other: -j {jobs} says nothing to it"));
        }
        // More programs than tasks would find nothing to do.
        let jobs = budget.workers.min(to_usize(left).max(1));
        Ok(Placement { mode, jobs, warnings: budget.warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h5part_tasks::budget::Cpu;

    fn place(mode: Mode, jobs: Option<usize>, memory: Option<u64>, left: u64) -> (usize, usize) {
        let cpus = (0..4).map(|number| Cpu { number, core: number, allowed: true }).collect();
        let machine = Machine { cpus, memory_available: 10 << 30, ..Machine::default() };
        let asked = Asked { mode: None, jobs, memory: memory.map(|gib| Memory(gib << 30)) };
        let place = asked.on(&machine, mode, left).expect("a place");
        (place.jobs, place.warnings.len())
    }

    #[test]
    fn what_was_asked_for_is_obeyed_and_the_rest_fits() {
        let (threads, processes) = (Mode::Threads, Mode::Processes);
        assert_eq!(place(threads, None, None, 100), (4, 0));
        assert_eq!(place(processes, None, None, 3), (3, 0));
        assert_eq!(place(threads, None, None, 0), (1, 0));
        // 0.8 * 10 GiB has room for two of 4 GiB, and for none of 9 GiB.
        assert_eq!(place(threads, None, Some(4), 100), (2, 0));
        assert_eq!(place(threads, None, Some(9), 100), (1, 1));
        assert_eq!(place(threads, Some(3), Some(4), 100), (3, 1));
        assert_eq!(place(processes, Some(5), None, 100), (5, 1));
        assert_eq!(place(threads, Some(1_000_000), None, 3), (3, 1));
        assert_eq!(place(Mode::Serial, None, None, 100), (1, 0));
        assert_eq!(place(Mode::Serial, Some(2), None, 100), (1, 1));
    }
}
