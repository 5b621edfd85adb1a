//! Plans the number of workers from machine and needs. It does no I/O.

use super::machine::Machine;
use h5part_base::error::{ErrorKind, Result};
use serde::Serialize;

/// What the work needs, and what the user asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Number of tasks. More workers would have nothing to do.
    pub tasks: Option<u64>,
    /// Memory that a worker needs, in bytes.
    pub memory_per_worker: Option<u64>,
    /// Number of workers, if the user asked for one.
    pub workers: Option<usize>,
    /// Threads per worker, if the user asked for a number.
    pub threads: Option<usize>,
    /// Accept numbers of workers and threads whose product exceeds the cores.
    pub oversubscribe: bool,
}

/// A number of workers, and of threads per worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Workers at the same time: processes or threads.
    pub workers: usize,
    /// Threads per worker.
    pub threads: usize,
    /// Cores that they share.
    pub cores: usize,
    /// Memory that they may use together, in bytes: 80 % of the available memory.
    pub memory: u64,
    /// Why these numbers were chosen, in sentences.
    pub reasons: Vec<String>,
    /// Warnings about them, in sentences. Only numbers that the user asked for can be too large.
    pub warnings: Vec<String>,
}

/// The share of the memory that may be used: four fifths.
fn usable(available: u64) -> u64 {
    available / 5 * 4
}

impl Budget {
    /// Plans the workers. Numbers that the user did not ask for never exceed cores or memory, except that there is
    /// always one worker.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Oversubscribed`]: the user asked for more workers and threads than there are cores, several
    /// of each, without `oversubscribe`. Two by two processes on two cores were 2.6 times slower than one.
    pub fn plan(machine: &Machine, need: &Need) -> Result<Self, ErrorKind> {
        let (cores, limit) = machine.cores();
        let memory = usable(machine.memory().0);
        let (workers_asked, threads_asked) = (need.workers.map(|n| n.max(1)), need.threads.map(|n| n.max(1)));
        let mut plan = Self { workers: 1, threads: 1, cores, memory, reasons: vec![], warnings: vec![] };
        plan.reasons.push(format!(
            "{} may be used: {} ({} logical processors in all, on {}).",
            count(cores, "core"),
            limit.words(),
            machine.logical(),
            count(machine.physical(), "physical core")
        ));
        let by_cores = cores / threads_asked.unwrap_or(1);
        let by_memory = plan.fit(machine, need);
        plan.workers = workers_asked.unwrap_or_else(|| by_cores.min(by_memory).min(tasks(need)).max(1));
        plan.threads = threads_asked.unwrap_or_else(|| (cores / plan.workers).max(1));
        plan.explain(need, by_cores, by_memory);
        let (workers, threads) = (plan.workers, plan.threads);
        let both = workers_asked.is_some_and(|n| n > 1) && threads_asked.is_some_and(|n| n > 1);
        if both && workers.saturating_mul(threads) > cores && !need.oversubscribe {
            return Err(crate::ErrorKind::Oversubscribed { workers, threads, cores }.into());
        }
        plan.warn(need, by_memory);
        Ok(plan)
    }

    /// How many workers the memory has room for, possibly none.
    fn fit(&mut self, machine: &Machine, need: &Need) -> usize {
        let Some(each) = need.memory_per_worker.filter(|each| *each > 0) else { return usize::MAX };
        let fit = self.memory / each;
        let (available, limit) = machine.memory();
        self.reasons.push(format!(
            "{} of memory is available ({}); 80 % of it has room for {} of {} each.",
            size(available),
            limit.words(),
            count(usize::try_from(fit).unwrap_or(usize::MAX), "worker"),
            size(each)
        ));
        usize::try_from(fit).unwrap_or(usize::MAX)
    }

    fn explain(&mut self, need: &Need, by_cores: usize, by_memory: usize) {
        let why = match need.workers {
            Some(_) => "as asked for",
            None if self.workers == tasks(need) && self.workers < by_cores => "there are no more tasks",
            None if self.workers < by_cores || by_memory == 0 => "the memory has room for no more",
            None => "the cores are all in use then",
        };
        let each =
            if self.threads > 1 { format!(", with {} each", count(self.threads, "thread")) } else { String::new() };
        self.reasons.push(format!("{}{each}: {why}.", count(self.workers, "worker")));
    }

    fn warn(&mut self, need: &Need, by_memory: usize) {
        let busy = self.workers.saturating_mul(self.threads);
        if busy > self.cores {
            let text = format!(
                "{} of {} each on {}: they will wait for each other; {} would do",
                count(self.workers, "worker"),
                count(self.threads, "thread"),
                count(self.cores, "core"),
                self.cores
            );
            self.warnings.push(text);
        }
        if self.workers > by_memory {
            let each = need.memory_per_worker.unwrap_or(0);
            let text = format!(
                "{} of {} each need more than 80 % of the memory that is available ({}): the system may kill some",
                count(self.workers, "worker"),
                size(each),
                size(self.memory)
            );
            self.warnings.push(text);
        }
    }
}

fn tasks(need: &Need) -> usize {
    need.tasks.map_or(usize::MAX, |tasks| usize::try_from(tasks).unwrap_or(usize::MAX).max(1))
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// `12.3 GB`.
#[expect(clippy::cast_precision_loss, reason = "for display")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::super::machine::Cpu;
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1_000_000_000;

    /// A machine with hyperthreads. Processor `n` belongs to core `n % cores`.
    fn machine(cores: usize, per_core: usize, gb: u64) -> Machine {
        let cpus = (0..cores * per_core).map(|number| Cpu { number, core: number % cores, allowed: true });
        Machine { cpus: cpus.collect(), memory_total: gb * GB, memory_available: gb * GB, ..Machine::default() }
    }

    fn numbers(machine: &Machine, need: &Need) -> (usize, usize, usize) {
        let plan = Budget::plan(machine, need).expect("a plan");
        (plan.workers, plan.threads, plan.warnings.len())
    }

    #[test]
    fn numbers_of_known_machines() {
        let none = Need::default();
        let each = |gb: u64| Need { memory_per_worker: Some(gb * GB), ..none };
        // A laptop whose hyperthreads do not count, a node, and a host with one core.
        assert_eq!(numbers(&machine(4, 2, 16), &none), (4, 1, 0));
        assert_eq!(numbers(&machine(64, 1, 256), &none), (64, 1, 0));
        assert_eq!(numbers(&machine(1, 1, 1), &none), (1, 1, 0));
        // The memory has room for 0.8 * 16 / 5 = 2 workers, which get all cores. If it has room for none, there is one
        // worker and a warning.
        assert_eq!(numbers(&machine(4, 1, 16), &each(5)), (2, 2, 0));
        assert_eq!(numbers(&machine(4, 1, 16), &each(13)), (1, 4, 1));
        assert_eq!(numbers(&machine(4, 1, 16), &Need { tasks: Some(3), ..none }), (3, 1, 0));
        // A container of 1.5 processors, an array task, and a process pinned to the two halves of one core.
        assert_eq!(numbers(&Machine { quota: Some(1.5), ..machine(8, 1, 8) }, &none), (1, 1, 0));
        assert_eq!(numbers(&Machine { slurm_cpus: Some(6), ..machine(8, 1, 8) }, &none), (6, 1, 0));
        let mut kept = machine(4, 2, 8);
        kept.cpus.iter_mut().for_each(|cpu| cpu.allowed = cpu.core == 3);
        assert_eq!(numbers(&kept, &none), (1, 1, 0));
        // SLURM gave 4 GB of 256.
        assert_eq!(numbers(&Machine { slurm_memory: Some(4 * GB), ..machine(64, 1, 256) }, &each(1)), (3, 21, 0));
    }

    #[test]
    fn what_was_asked_for_is_obeyed_with_a_warning_and_two_by_two_on_two_cores_is_not() {
        let two = machine(2, 1, 8);
        let asked = |workers, threads| Need { workers, threads, ..Need::default() };
        assert_eq!(numbers(&two, &asked(Some(2), None)), (2, 1, 0));
        assert_eq!(numbers(&two, &asked(None, Some(2))), (1, 2, 0));
        assert_eq!(numbers(&two, &asked(Some(5), None)), (5, 1, 1));
        assert_eq!(numbers(&two, &asked(None, Some(5))), (1, 5, 1));
        let error = Budget::plan(&two, &asked(Some(2), Some(2))).expect_err("refused");
        assert_eq!(error.to_string(), "2 workers with 2 threads each would share 2 cores, without 'oversubscribe'");
        let overruled = Need { oversubscribe: true, ..asked(Some(2), Some(2)) };
        assert_eq!(numbers(&two, &overruled), (2, 2, 1));
        let large = Need { memory_per_worker: Some(6 * GB), ..asked(Some(2), None) };
        let plan = Budget::plan(&two, &large).expect("obeyed");
        assert!(plan.warnings[0].contains("2 workers of 6.0 GB each need more than 80 %"), "{plan:?}");
    }

    fn machines() -> impl Strategy<Value = Machine> {
        let cpus = prop::collection::vec((0..16usize, any::<bool>()), 0..40);
        let memory = (0..300u64, prop::option::of(0..300u64), prop::option::of(0..300u64));
        (cpus, prop::option::of(0.0..40.0f64), prop::option::of(0..40usize), memory).prop_map(
            |(cpus, quota, slurm_cpus, (available, group, slurm))| Machine {
                cpus: cpus
                    .into_iter()
                    .enumerate()
                    .map(|(number, (core, allowed))| Cpu { number, core, allowed })
                    .collect(),
                quota,
                slurm_cpus,
                memory_total: 300 * GB,
                memory_available: available * GB,
                cgroup_left: group.map(|gb| gb * GB),
                slurm_memory: slurm.map(|gb| gb * GB),
            },
        )
    }

    proptest! {
        #[test]
        fn automatic_choices_never_oversubscribe(
            machine in machines(),
            tasks in prop::option::of(0..100u64),
            each in prop::option::of(0..100u64),
            workers in prop::option::of(1..50usize),
            threads in prop::option::of(1..50usize),
        ) {
            let memory_per_worker = each.map(|gb| gb * GB);
            let need = Need { tasks, memory_per_worker, workers, threads, oversubscribe: true };
            let plan = Budget::plan(&machine, &need).expect("a plan");
            let (cores, _) = machine.cores();
            prop_assert!(plan.workers >= 1 && plan.threads >= 1 && cores >= 1);
            // Numbers that the user asked for are obeyed.
            prop_assert!(workers.is_none_or(|n| n == plan.workers) && threads.is_none_or(|n| n == plan.threads));
            let within_cores = plan.workers * plan.threads <= cores;
            let within_memory = each.is_none_or(|gb| plan.workers as u64 * gb * GB <= machine.memory().0 / 5 * 4);
            if workers.is_none() && threads.is_none() {
                prop_assert!(within_cores);
                prop_assert!(tasks.is_none_or(|n| plan.workers as u64 <= n.max(1)));
            }
            if workers.is_none() {
                prop_assert!(within_memory || plan.workers == 1);
                prop_assert!(within_cores || plan.workers == 1);
            }
            // Nothing is exceeded without a warning.
            prop_assert_eq!(plan.warnings.len(), usize::from(!within_cores) + usize::from(!within_memory));
        }
    }
}
