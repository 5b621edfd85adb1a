//! The result of a run: done, failed by cause, retried, slowest, and the cost.

use super::super::output::{bytes, duration, line, say};
use super::causes::TOLD;
use super::ending::{Ending, SLOWEST, Slow, is_ours};
use h5part::Result;
use h5part::ledger::{ErrorKind, Ledger, Reason, StoreTasks, Tally, Task, TaskState};
use h5part_tasks::monitor::Recent;
use h5part_tasks::program::Homes;
use h5part_tasks::run;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Most failed tasks that are named.
const NAMED: usize = 20;
/// For at most this many failed tasks the store is asked what is missing.
const ASKED: usize = 1000;
/// Where to find out why tasks failed whose programs succeeded.
pub enum Reasons<'a> {
    /// Only the ledger.
    OfLedger,
    /// The rows that are missing in the store.
    OfRows(&'a StoreTasks<'a>),
    /// These reasons, by task name.
    Named(HashMap<String, String>),
}

impl<'a> Reasons<'a> {
    pub fn of(rows: Option<&'a StoreTasks<'_>>) -> Self {
        rows.map_or(Self::OfLedger, Self::OfRows)
    }
}

/// When a run began, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Began {
    at: Instant,
    unix_s: f64,
}

/// The result of a run. As JSON it is the last line of `--json`.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// Distinguishes it from the events before it.
    event: &'static str,
    #[serde(flatten)]
    pub tally: Tally,
    /// What this run did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<run::RunSummary>,
    /// The first of the tasks that failed finally.
    failures: Vec<Failure>,
    /// All tasks that failed finally, by cause, most frequent first.
    causes: Vec<Cause>,
    /// Tasks that are done after failed attempts.
    done_after_retry: u64,
    /// The slowest attempts of this run.
    slowest: Vec<Slow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    /// Why it was stopped early.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<String>,
    wall_s: f64,
}

#[derive(Debug, Serialize)]
struct Failure {
    name: String,
    reason: String,
    log: PathBuf,
}

#[derive(Debug, Serialize)]
struct Cause {
    cause: String,
    tasks: u64,
    /// Name of the first of these tasks.
    first: String,
    /// A log of one of these tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<PathBuf>,
}

/// What the programs of this run used.
#[derive(Debug, Serialize)]
struct Cost {
    cpu_s: f64,
    /// Requested processors times wall time, over all programs.
    core_s: f64,
    /// `cpu_s` divided by `core_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_share: Option<f64>,
    memory_bytes: u64,
    memory_at_most: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_limit_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_share: Option<f64>,
}

impl Began {
    pub fn now() -> Self {
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64());
        Self { at: Instant::now(), unix_s }
    }
}

impl RunReport {
    /// Reads the ledger and the measurements.
    pub fn of(ledger: &Ledger, homes: &dyn Homes, reasons: &Reasons<'_>, began: Began, ending: Ending) -> Result<Self> {
        let tally = ledger.tally()?;
        let recent = recent(ledger, began);
        let slow = recent.slowest.iter().map(|slow| (slow.task, None)).collect();
        let mut found = Found {
            ledger,
            homes,
            reasons,
            failures: Vec::new(),
            places: BTreeMap::new(),
            causes: Vec::new(),
            done_after_retry: 0,
            asked: 0,
            slow,
        };
        ledger.each(|place, task| task.map_or(Ok(()), |task| found.add(place, task)))?;
        let Found { failures, mut causes, done_after_retry, slow, .. } = found;
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.tasks));
        let slowest = recent.slowest.iter().map(|one| Slow {
            name: slow.get(&one.task).cloned().flatten().unwrap_or_else(|| one.task.to_string()),
            wall_s: one.wall_s,
            failed: one.failed,
        });
        let (mut slowest, cost) = (slowest.collect::<Vec<_>>(), Cost::of(&recent));
        let Ending { stopped, slowest: seen } = ending;
        if slowest.is_empty() {
            slowest = seen;
        }
        let wall_s = began.at.elapsed().as_secs_f64();
        Ok(Self {
            event: "summary",
            tally,
            here: None,
            failures,
            causes,
            done_after_retry,
            slowest,
            cost,
            stopped,
            wall_s,
        })
    }

    /// Reports why tasks failed, once per cause.
    pub fn tell_failures(&self) {
        for Cause { cause, tasks, first, log } in self.causes.iter().take(TOLD) {
            let (first, log) = (first.escape_debug(), log.as_ref().map(|log| log.display().to_string()));
            match (tasks, log) {
                (1, None) => say(format_args!("'{first}' failed: {cause}")),
                (1, Some(log)) => say(format_args!("'{first}' failed: {cause}; see {log}")),
                (_, None) => say(format_args!("{tasks} tasks failed: {cause}; first '{first}'")),
                (_, Some(log)) => say(format_args!("{tasks} tasks failed: {cause}; first '{first}', log {log}")),
            }
        }
        let more: u64 = self.causes.iter().skip(TOLD).map(|cause| cause.tasks).sum();
        if more > 0 {
            say(format_args!("and {more} more tasks failed, for other reasons"));
        }
    }

    /// The lines of the report.
    pub fn lines(&self) -> Vec<String> {
        let Tally { total, done, failed, waiting, running, .. } = self.tally;
        let others = [(failed, "failed"), (waiting, "wait"), (running, "are running elsewhere")];
        let others = others.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let parts = std::iter::once(format!("{done} of {total} tasks are done")).chain(others);
        let mut lines = vec![parts.collect::<Vec<_>>().join(", ")];
        if self.done_after_retry > 0 {
            let (count, is) = (self.done_after_retry, if self.done_after_retry == 1 { "task is" } else { "tasks are" });
            lines.push(format!("  retried    {count} {is} done after failed attempts"));
        }
        if !self.slowest.is_empty() {
            let one = |slow: &Slow| {
                let failed = if slow.failed { " (failed)" } else { "" };
                format!("'{}' {}{failed}", slow.name.escape_debug(), duration(slow.wall_s))
            };
            lines.push(format!("  slowest    {}", self.slowest.iter().map(one).collect::<Vec<_>>().join(", ")));
        }
        lines.push(format!("  wall time  {}", duration(self.wall_s)));
        lines.extend(self.cost.iter().flat_map(Cost::lines));
        lines
    }

    /// Prints the report.
    pub fn print(&self) -> Result<()> {
        self.lines().into_iter().try_for_each(line)
    }
}

impl Cost {
    fn of(recent: &Recent) -> Option<Self> {
        let Recent { cpu_s, core_s, memory_bytes, memory_at_most, .. } = *recent;
        let limit = Some(recent.memory_limit_bytes).filter(|limit| *limit > 0);
        (recent.records > 0).then(|| Self {
            cpu_s,
            core_s,
            cpu_share: (core_s > 0.0).then(|| cpu_s / core_s),
            memory_bytes,
            memory_at_most,
            memory_limit_bytes: limit,
            memory_share: limit.map(|limit| share(memory_bytes, limit)),
        })
    }

    fn lines(&self) -> Vec<String> {
        let used = self.cpu_share.map_or_else(String::new, |share| format!("{:.0} % of ", share * 100.0));
        let at_most = if self.memory_at_most { "at most " } else { "" };
        let of_limit = self.memory_limit_bytes.zip(self.memory_share).map_or_else(String::new, |(limit, share)| {
            format!(", {:.0} % of the limit of {}", share * 100.0, bytes(limit))
        });
        vec![
            format!("  CPU        {used}{} asked for", duration(self.core_s)),
            format!("  memory     {at_most}{} at the peak{of_limit}", bytes(self.memory_bytes)),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for display")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

/// Missing or unreadable measurements do not affect the rest of the report.
fn recent(ledger: &Ledger, began: Began) -> Recent {
    Recent::read(&ledger.sidecar().join("monitor"), began.unix_s, SLOWEST).unwrap_or_default()
}

/// The result of one walk over the tasks.
struct Found<'a> {
    ledger: &'a Ledger,
    homes: &'a dyn Homes,
    reasons: &'a Reasons<'a>,
    failures: Vec<Failure>,
    places: BTreeMap<String, usize>,
    causes: Vec<Cause>,
    done_after_retry: u64,
    asked: usize,
    /// Names of the slowest tasks by number.
    slow: HashMap<u64, Option<String>>,
}

impl Found<'_> {
    fn add(&mut self, place: u64, task: &Task) -> Result<()> {
        self.done_after_retry += u64::from(task.state == TaskState::Done && task.attempts > 0);
        if let Some(name) = self.slow.get_mut(&u64::from(task.index)) {
            *name = Some(self.ledger.listed(place, task)?.name);
        }
        if task.state == TaskState::Failed { self.add_failed(place, task) } else { Ok(()) }
    }

    fn add_failed(&mut self, place: u64, task: &Task) -> Result<()> {
        let text = self.cause(place, task)?;
        let known = self.places.get(&text).copied();
        let needs_log = known.is_none_or(|at| self.causes[at].log.is_none());
        let is_named = self.failures.len() < NAMED;
        let described = if needs_log || is_named {
            let name = self.ledger.listed(place, task)?.name;
            let log = self.homes.of(self.ledger, task.index, &name).log;
            Some((name, log))
        } else {
            None
        };
        let at = known.unwrap_or(self.causes.len());
        if known.is_none() {
            self.places.insert(text.clone(), at);
            let first = described.as_ref().map_or_else(String::new, |(name, _)| name.clone());
            self.causes.push(Cause { cause: text.clone(), tasks: 0, first, log: None });
        }
        let cause = &mut self.causes[at];
        cause.tasks += 1;
        if let Some((name, log)) = described {
            if needs_log && task.reason != Reason::Cancelled && is_ours(&log) {
                cause.log = Some(log.clone());
            }
            if is_named {
                self.failures.push(Failure { name, reason: text, log });
            }
        }
        Ok(())
    }

    /// The cause, in the words that all tasks with this cause share.
    fn cause(&mut self, place: u64, task: &Task) -> Result<String> {
        let reason = task.reason.to_string();
        if task.reason != Reason::NoData || self.asked >= ASKED {
            return Ok(reason);
        }
        self.asked += 1;
        match self.reasons {
            Reasons::OfRows(rows) => {
                let missing = rows.missing_columns(task.index)?;
                // The columns are committed by now: someone else has done it.
                Ok(if missing.is_empty() { reason } else { ErrorKind::columns_missing(&missing) })
            }
            Reasons::Named(why) => {
                let name = self.ledger.listed(place, task)?.name;
                Ok(why.get(&name).cloned().unwrap_or_else(|| "it could not be archived".to_owned()))
            }
            Reasons::OfLedger => Ok(reason),
        }
    }
}
