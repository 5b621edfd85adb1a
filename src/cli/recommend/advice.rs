//! Derives a recommendation from machine, wishes and measurements. It does no I/O.

use super::super::output::bytes;
use super::probe::{PAYS, Probe};
use h5part::ErrorKind;
use h5part_tasks::budget::{Budget, Machine, Need};
use h5part_tasks::pool::{Mode, PoolConfig};
use serde::Serialize;

/// A program that keeps more processors busy than this has threads of its own.
const ALONE: f64 = 1.3;

/// What is known besides the machine.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The mode that the environment sets.
    pub asked: Option<Mode>,
    pub tasks: Option<u64>,
    pub memory_per_worker: Option<u64>,
    pub command: &'a [String],
    /// Whether there is a SLURM to submit to.
    pub slurm: bool,
}

/// The recommendation, with reasons.
#[derive(Debug, Serialize)]
pub struct Advice {
    pub headline: String,
    pub mode: Mode,
    /// Workers at once.
    pub workers: usize,
    /// Threads per worker.
    pub threads: usize,
    pub cores: usize,
    /// Memory that the workers may use together, in bytes.
    pub memory: u64,
    pub reasons: Vec<String>,
    pub warnings: Vec<String>,
    pub command_line: String,
    /// The configuration of a pool for Rust programs.
    pub pool: PoolConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

impl Advice {
    pub fn of(machine: &Machine, wish: &Wish<'_>, probe: Option<Probe>) -> Result<Self, ErrorKind> {
        let mut reasons = Vec::new();
        if let Some(probe) = &probe {
            reasons.extend(told(probe));
        }
        let pays = probe.as_ref().is_none_or(|probe| probe.pays);
        let measured = probe.as_ref().and_then(|probe| probe.memory_bytes);
        let need = Need {
            tasks: wish.tasks,
            memory_per_worker: wish.memory_per_worker.or(measured),
            workers: (!pays || wish.asked == Some(Mode::Serial)).then_some(1),
            threads: if pays { probe.as_ref().and_then(own_threads) } else { None },
            oversubscribe: false,
        };
        let budget = Budget::plan(machine, &need)?;
        let (mode, why) = mode(wish.asked, pays, &budget);
        reasons.extend(budget.reasons);
        reasons.push(why.to_owned());
        if wish.slurm && mode != Mode::Slurm {
            reasons.push("There is a SLURM here: --mode slurm takes the tasks to its nodes.".to_owned());
        }
        let (workers, threads) = (budget.workers, budget.threads);
        Ok(Self {
            headline: headline(mode, workers, threads),
            mode,
            workers,
            threads,
            cores: budget.cores,
            memory: budget.memory,
            reasons,
            warnings: budget.warnings,
            command_line: command_line(mode, workers, threads, wish),
            pool: pool(mode, workers, threads, wish.memory_per_worker),
            probe,
        })
    }

    pub fn pool_json(&self) -> String {
        serde_json::to_string(&self.pool).unwrap_or_default()
    }
}

/// The program's own threads, estimated from its measured use.
fn own_threads(probe: &Probe) -> Option<usize> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate")]
    (probe.busy > ALONE).then(|| probe.busy.ceil() as usize)
}

fn mode(asked: Option<Mode>, pays: bool, budget: &Budget) -> (Mode, &'static str) {
    match asked {
        Some(mode) => (mode, "The mode is the one that H5PART_DISTRIBUTE asks for."),
        None if !pays => (Mode::Serial, "One after the other is as good, and easier to look at."),
        None if budget.workers == 1 => (Mode::Serial, "One worker needs no company: mode serial."),
        None => (
            Mode::Threads,
            "Mode threads starts at once and shares memory; a program that dies takes its own task with it alone. \
             A Rust task that may crash, leak or exit wants mode processes.",
        ),
    }
}

/// The measurements, in sentences.
fn told(probe: &Probe) -> Vec<String> {
    let Probe { serial, parallel, ratio, pays, memory_bytes, busy } = probe;
    let figures = format!(
        "{} runs took {:.3} s one after the other, {} runs {:.3} s with {} at a time: {ratio:.2} times as many per second",
        serial.runs, serial.wall_s, parallel.runs, parallel.wall_s, parallel.at_once
    );
    let verdict = match pays {
        true => format!("Parallel pays: {figures}."),
        false => format!(
            "Parallel does not pay: {figures}, not more than {PAYS}. Something other than cores holds it up: disk, \
             network, memory, or cores that others use."
        ),
    };
    let mut told = vec![verdict];
    if let Some(memory) = memory_bytes {
        told.push(format!("A run used up to {} of memory.", bytes(*memory)));
    }
    if *busy > ALONE {
        told.push(format!("A run kept {busy:.1} processors busy by itself: it has threads of its own."));
    }
    told
}

fn headline(mode: Mode, workers: usize, threads: usize) -> String {
    let s = |n: usize| if n == 1 { "" } else { "s" };
    format!("Mode {mode}: {workers} worker{} of {threads} thread{} each.", s(workers), s(threads))
}

/// Whether an argument has the form of a task's rows: `0:100`.
fn is_rows(part: &str) -> bool {
    part.split_once(':').is_some_and(|(start, end)| start.parse::<u64>().is_ok() && end.parse::<u64>().is_ok())
}

/// The command line. OpenMP, and libraries that follow its settings, start one thread per core unless told otherwise.
fn command_line(mode: Mode, workers: usize, threads: usize, wish: &Wish<'_>) -> String {
    let mut words = vec![format!("OMP_NUM_THREADS={threads} h5part run LEDGER --mode {mode}")];
    if mode != Mode::Serial {
        words.push(format!("-j {workers}"));
    }
    words.extend(wish.memory_per_worker.map(|limit| format!("--memory {}", amount(limit))));
    words.push("--".to_owned());
    // The rows of the probe are those of one task.
    words.extend(wish.command.iter().map(|part| if is_rows(part) { "{rows}".to_owned() } else { quoted(part) }));
    if wish.command.is_empty() {
        words.push("COMMAND {name}".to_owned());
    }
    words.join(" ")
}

/// Formats an amount as `--memory` accepts it.
fn amount(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "K")];
    let whole = units.iter().find(|(power, _)| bytes.is_multiple_of(1 << power));
    whole.map_or_else(|| bytes.to_string(), |(power, unit)| format!("{}{unit}", bytes >> power))
}

/// Quotes a word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+{}".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn pool(mode: Mode, workers: usize, threads: usize, memory_per_worker: Option<u64>) -> PoolConfig {
    let mut pool = PoolConfig::new(mode, workers);
    pool.kwargs.memory_per_worker = memory_per_worker;
    if threads > 1 { pool.with_inner(PoolConfig::new(Mode::Threads, threads)) } else { pool }
}

#[cfg(test)]
mod tests {
    use super::super::probe::Runs;
    use super::*;
    use h5part_tasks::budget::Cpu;

    const GIB: u64 = 1 << 30;

    fn advice(wish: &Wish<'_>, probe: Option<Probe>) -> Advice {
        let cpus = (0..4).map(|number| Cpu { number, core: number, allowed: true }).collect();
        let machine = Machine { cpus, memory_available: 10 * GIB, ..Machine::default() };
        Advice::of(&machine, wish, probe).expect("an advice")
    }

    fn numbers(wish: &Wish<'_>, probe: Option<Probe>) -> (Mode, usize, usize) {
        let advice = advice(wish, probe);
        (advice.mode, advice.workers, advice.threads)
    }

    fn probe(ratio: f64, busy: f64, memory_bytes: Option<u64>) -> Probe {
        let runs = |at_once, wall_s| Runs { runs: 4, at_once, wall_s };
        Probe { serial: runs(1, ratio), parallel: runs(4, 1.0), ratio, pays: ratio > PAYS, memory_bytes, busy }
    }

    const NONE: Wish<'_> = Wish { asked: None, tasks: None, memory_per_worker: None, command: &[], slurm: false };

    #[test]
    fn what_is_known_decides() {
        assert_eq!(numbers(&NONE, None), (Mode::Threads, 4, 1));
        assert_eq!(numbers(&Wish { tasks: Some(2), ..NONE }, None), (Mode::Threads, 2, 2));
        assert_eq!(numbers(&Wish { tasks: Some(1), ..NONE }, None), (Mode::Serial, 1, 4));
        assert_eq!(numbers(&Wish { memory_per_worker: Some(3 * GIB), ..NONE }, None), (Mode::Threads, 2, 2));
        assert_eq!(numbers(&Wish { asked: Some(Mode::Processes), ..NONE }, None), (Mode::Processes, 4, 1));
        assert_eq!(numbers(&Wish { asked: Some(Mode::Serial), ..NONE }, None), (Mode::Serial, 1, 4));
    }

    #[test]
    fn figures_of_a_probe_decide_with_it() {
        assert_eq!(numbers(&NONE, Some(probe(3.9, 1.0, None))), (Mode::Threads, 4, 1));
        assert_eq!(numbers(&NONE, Some(probe(1.1, 1.0, None))), (Mode::Serial, 1, 4));
        // Of the 8 GiB that may be used, a run takes 3. A program that is said to need less is believed.
        assert_eq!(numbers(&NONE, Some(probe(3.9, 1.0, Some(3 * GIB)))), (Mode::Threads, 2, 2));
        let told = Wish { memory_per_worker: Some(GIB), ..NONE };
        assert_eq!(numbers(&told, Some(probe(3.9, 1.0, Some(3 * GIB)))), (Mode::Threads, 4, 1));
        assert_eq!(numbers(&NONE, Some(probe(1.5, 1.9, None))), (Mode::Threads, 2, 2));
        let told = advice(&NONE, Some(probe(1.1, 1.0, Some(5_000_000)))).reasons;
        assert!(
            told[0].starts_with("Parallel does not pay: 4 runs took 1.100 s") && told[1].contains("5.0 MB"),
            "{told:?}"
        );
    }

    #[test]
    fn the_command_line_can_be_pasted() {
        let command = ["sh", "-c", "it's {name}", "{rows}", ""].map(str::to_owned);
        let wish = Wish { memory_per_worker: Some(3 * GIB / 2), command: &command, ..NONE };
        let line = "OMP_NUM_THREADS=1 h5part run LEDGER --mode threads -j 4 --memory 1536M -- \
                    sh -c 'it'\\''s {name}' {rows} ''";
        assert_eq!(advice(&wish, None).command_line, line);
        let command = ["./compute.sh", "0:100", "a:b"].map(str::to_owned);
        let line = advice(&Wish { command: &command, ..NONE }, None).command_line;
        assert!(line.ends_with("-- ./compute.sh {rows} a:b"), "{line}");
        let line = "OMP_NUM_THREADS=4 h5part run LEDGER --mode serial -- COMMAND {name}";
        assert_eq!(advice(&Wish { tasks: Some(1), ..NONE }, None).command_line, line);
        let pool = advice(&Wish { tasks: Some(2), ..NONE }, None).pool_json();
        let inner = r#"{"type":"threads","kwargs":{"max_workers":2}}"#;
        assert_eq!(pool, format!(r#"{{"type":"threads","kwargs":{{"max_workers":2,"inner":{inner}}}}}"#));
        assert_eq!([5, 2048, 5 << 20].map(amount), ["5", "2K", "5M"]);
    }
}
