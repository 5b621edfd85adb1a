//! What the processes of this host use. A worker counts together with everything that it started.

use std::collections::HashMap;
use std::time::Instant;

/// Linux reports processor time in hundredths of a second, whatever the kernel's own tick is.
const TICKS: f64 = 100.0;

/// Processor time by process, with the previous look.
#[derive(Debug, Default)]
pub struct Usage {
    now: HashMap<i32, Process>,
    before: HashMap<i32, f64>,
    at: Option<Instant>,
    /// Seconds between the last two looks.
    took_s: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Process {
    parent: i32,
    cpu_s: f64,
}

/// Usage of a worker and its descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// Number of processors kept busy since the last look.
    pub busy: f64,
    pub memory_bytes: u64,
}

impl Usage {
    /// Reads all processes that this user may see.
    pub fn look(&mut self) {
        let now = Instant::now();
        self.took_s = self.at.map_or(0.0, |at| (now - at).as_secs_f64());
        self.at = Some(now);
        self.before = self.now.iter().map(|(pid, process)| (*pid, process.cpu_s)).collect();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let process = |pid: i32| Some((pid, parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?));
        self.now = pids.filter_map(process).collect();
    }

    /// `None`: it is not a process of this host, or has ended.
    pub fn of(&self, pid: i32) -> Option<Used> {
        self.now.get(&pid)?;
        let mut used = Used::default();
        for (one, process) in self.now.iter().filter(|(one, _)| self.is_below(**one, pid)) {
            used.memory_bytes += memory_bytes(*one);
            // A process that began since the last look did all of its work since then.
            let since = process.cpu_s - self.before.get(one).copied().unwrap_or(0.0);
            if self.took_s > 0.0 {
                used.busy += since.max(0.0) / self.took_s;
            }
        }
        Some(used)
    }

    fn is_below(&self, pid: i32, top: i32) -> bool {
        const DEEPEST: usize = 64;
        let mut at = pid;
        for _ in 0..DEEPEST {
            if at == top {
                return true;
            }
            match self.now.get(&at) {
                Some(process) if process.parent > 0 => at = process.parent,
                _ => return false,
            }
        }
        false
    }
}

/// Parses the line of /proc/PID/stat. The program's name in it may contain anything.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |k: usize| fields.get(k)?.parse::<f64>().ok();
    Some(Process { parent: fields.get(1)?.parse().ok()?, cpu_s: (number(11)? + number(12)?) / TICKS })
}

/// Resident memory of a process, in bytes.
fn memory_bytes(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_counted_with_what_it_started() {
        let line = "12 (a ) b) S 7 12 12 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 5 1000 25 18446744073709551615";
        assert_eq!(parse(line), Some(Process { parent: 7, cpu_s: 2.0 }));
        assert_eq!(parse("12 (x"), None);
        let process = |parent, cpu_s| Process { parent, cpu_s };
        // No system has process ids this large.
        let top = i32::MAX - 5;
        let processes = [(top, process(1, 3.0)), (top + 1, process(top, 1.0)), (top + 2, process(top + 1, 0.5))];
        let now = [(1, process(0, 9.0))].into_iter().chain(processes).collect();
        let usage = Usage { now, before: HashMap::from([(top, 2.0), (top + 1, 1.0)]), at: None, took_s: 1.0 };
        assert_eq!(usage.of(top), Some(Used { busy: 1.5, memory_bytes: 0 }));
        assert_eq!(usage.of(99), None);
        let mut own = Usage::default();
        own.look();
        let pid = i32::try_from(std::process::id()).expect("pid");
        assert!(own.of(pid).is_some_and(|used| used.memory_bytes > 0));
    }
}
