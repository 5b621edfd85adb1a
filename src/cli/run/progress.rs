//! Progress of a run: a bar on a terminal and a line per cause of failure, or JSON lines.

use super::super::task_bar::{Counts, TaskBar};
use super::causes::Causes;
use super::ending::{Ending, Slow, add_slow, is_ours};
use super::told::{Attempt, Failed, Told};
use h5part::Result;
use h5part::ledger::{Claim, End, ErrorKind, Ledger, Reason, Tally, TaskState};
use h5part_base::error::At;
use h5part_base::sync;
use h5part_tasks::budget::MemoryWatch;
use h5part_tasks::program::Homes;
use h5part_tasks::run::{Event, Level, Observer, Stop};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Interval between counts of tasks. It is at least this many times as long as a count takes.
const COUNT: Duration = Duration::from_millis(500);
const SHARE: u32 = 50;
/// Lines of one kind that are printed. Further ones are counted.
const TOLD: u64 = 20;

/// How much to print, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// Only errors.
    Quiet,
    /// A bar or lines, and each cause of failure.
    People,
    /// Also each task.
    Verbose,
    /// Each event as a JSON line on standard output.
    Json,
    /// JSON lines for the run that this process is a worker of.
    OfRun,
}

impl Voice {
    /// The voice for these options.
    pub fn of(quiet: bool, verbose: bool, json: bool) -> Self {
        match (quiet, json, verbose) {
            (true, ..) => Self::Quiet,
            (_, true, _) => Self::Json,
            (.., true) => Self::Verbose,
            _ => Self::People,
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::OfRun)
    }
}

/// How to watch a run.
pub struct Watching<'a> {
    pub ledger: &'a Ledger,
    /// Where the logs of tasks are.
    pub homes: &'a dyn Homes,
    pub voice: Voice,
    /// Whether to show counts during the run.
    pub counts: bool,
    /// Tasks that run at once.
    pub at_a_time: usize,
    /// Whether the run goes on although its first tasks all fail for the same reason.
    pub keep_going: bool,
    /// Asked to end otherwise.
    pub stop: &'a Arc<Stop>,
}

pub struct Progress<'a> {
    watching: Watching<'a>,
    state: Mutex<Seen>,
}

struct Seen {
    bar: TaskBar,
    due: Instant,
    counts: Counts,
    /// Why tasks failed, by name: cause and sentence. They are reported when the task ends.
    why: HashMap<String, (String, String)>,
    begun: HashMap<u64, Instant>,
    causes: Causes,
    /// Number of lines of other kinds that were printed, by kind.
    others: BTreeMap<&'static str, u64>,
    stopped: Option<String>,
    slowest: Vec<Slow>,
}

impl<'a> Progress<'a> {
    pub fn new(watching: Watching<'a>) -> Self {
        let shows = watching.counts && matches!(watching.voice, Voice::People | Voice::Verbose);
        let state = Seen {
            bar: TaskBar::new(watching.ledger.len(), !shows),
            due: Instant::now(),
            counts: Counts::default(),
            why: HashMap::new(),
            begun: HashMap::new(),
            causes: Causes::default(),
            others: BTreeMap::new(),
            stopped: None,
            slowest: Vec::new(),
        };
        Self { watching, state: Mutex::new(state) }
    }

    /// Call this when the run has ended.
    pub fn end(self) -> Ending {
        let Seen { bar, others, causes, stopped, slowest, .. } = sync::into_inner(self.state);
        bar.clear();
        if causes.untold() > 0 && self.watching.voice != Voice::OfRun {
            super::super::output::say(format_args!("and {} more causes of failure", causes.untold()));
        }
        for (kind, count) in others.into_iter().filter(|(_, count)| *count > TOLD) {
            super::super::output::say(format_args!("and {} more {kind}", count - TOLD));
        }
        Ending { stopped, slowest }
    }

    /// Explains why a task is about to fail: the cause that it shares with others, and what happened to it.
    pub fn explain(&self, task: &str, cause: String, what: String) {
        sync::lock(&self.state).why.insert(task.to_owned(), (cause, what));
    }

    /// Shows this text with the counts from now on.
    pub fn note(&self, text: String) {
        sync::lock(&self.state).bar.note(text);
    }

    /// Asks for an end when the run is hopeless.
    pub fn stop(&self) -> &Arc<Stop> {
        self.watching.stop
    }

    /// Warns about low memory from now on, until the returned value is dropped.
    pub fn watch_memory(&self) -> Result<MemoryWatch> {
        let say = self.voice();
        let warn = move |text: &str| say(&format!("warning: {text}"));
        let path = self.watching.ledger.path();
        MemoryWatch::start(Arc::new(warn)).map_err(h5part::ErrorKind::Io).at("watch the memory of", path)
    }

    /// A function that prints lines from any thread.
    pub fn voice(&self) -> impl Fn(&str) + Send + Sync + use<> {
        sync::lock(&self.state).bar.voice()
    }

    fn count(&self) {
        let mut seen = sync::lock(&self.state);
        let start = Instant::now();
        if start < seen.due {
            return;
        }
        // If the ledger cannot be read, the workers report it.
        if let Ok(Tally { total, done, failed, running, .. }) = self.watching.ledger.tally() {
            let before = seen.counts;
            seen.counts = Counts { done, failed, running, ..before };
            let counts = seen.counts;
            seen.bar.set(counts);
            if self.watching.voice == Voice::Json && counts != before {
                print(&Told::Progress { total, done, failed, running });
            }
        }
        seen.due = Instant::now() + COUNT.max(start.elapsed() * SHARE);
    }

    /// Handles an event of this process or of a worker process.
    pub fn take(&self, told: &Told) {
        let mut seen = sync::lock(&self.state);
        let voice = self.watching.voice;
        if voice.is_json() {
            print(told);
        }
        if voice == Voice::OfRun {
            return;
        }
        let text = match told {
            Told::Failed(failed) => {
                seen.counts.retried += u64::from(failed.retried);
                let is_told = seen.causes.add(failed, voice != Voice::Quiet || !failed.retried);
                (is_told || voice == Voice::Verbose).then(|| failure(failed))
            }
            Told::Done { .. } | Told::Completed { .. } => {
                seen.causes.done();
                other(told, voice)
            }
            _ => other(told, voice),
        };
        match told {
            Told::Done { attempt, wall_s: Some(wall_s) } => add_slow(&mut seen.slowest, attempt, *wall_s, false),
            Told::Failed(Failed { attempt, wall_s: Some(wall_s), .. }) => {
                add_slow(&mut seen.slowest, attempt, *wall_s, true);
            }
            _ => {}
        }
        if let Some(text) = text.filter(|_| !voice.is_json()) {
            seen.tell(told, &text);
        }
        if matches!(told, Told::Failed(_)) {
            self.stop_if_hopeless(&mut seen);
        }
    }

    fn stop_if_hopeless(&self, seen: &mut Seen) {
        let Watching { keep_going, at_a_time, ledger, stop, voice, .. } = self.watching;
        if keep_going {
            return;
        }
        let Some(cause) = seen.causes.hopeless(at_a_time) else { return };
        // Tasks that earlier runs, or others beside this one, have done show that the tasks can succeed.
        if ledger.tally().is_ok_and(|tally| tally.done > 0) {
            return;
        }
        stop.raise(Level::Drain);
        let (count, first, text) = (cause.tasks.len(), cause.first.escape_debug(), &cause.text);
        let log = cause.log.as_ref().map_or_else(String::new, |log| format!(", log {}", log.display()));
        seen.stopped = Some(text.clone());
        if voice.is_json() {
            let (tasks, first) = (count as u64, cause.first.clone());
            print(&Told::Stopped { tasks, cause: cause.text, first, log: cause.log });
        } else {
            seen.bar.say(&format!("stopped: the first {count} tasks all failed: {text}; first '{first}'{log}"));
            seen.bar.say("running programs finish; --keep-going continues the run");
        }
    }

    fn told(&self, event: &Event<'_>) -> Option<Told> {
        let mut seen = sync::lock(&self.state);
        Some(match event {
            Event::Begins(claim) => {
                seen.begun.insert(claim.place, Instant::now());
                Told::Begun((*claim).into())
            }
            Event::Ended(claim, end, state) => {
                let wall_s = seen.begun.remove(&claim.place).map(|begun| begun.elapsed().as_secs_f64());
                let why = seen.why.remove(&claim.name);
                let attempt = Attempt::from(*claim);
                match end {
                    End::Done => Told::Done { attempt, wall_s },
                    End::Released => Told::Released(attempt),
                    End::Failed(reason) => self.failed(claim, *reason, *state, why, wall_s),
                }
            }
            Event::NotCommitted(claim, kind, _) => {
                let cause = match kind.of() {
                    Some(ErrorKind::NotCommitted { missing, .. }) => ErrorKind::columns_missing(missing),
                    _ => kind.to_string(),
                };
                seen.why.insert(claim.name.clone(), (cause, format!("exited with 0, but {kind}")));
                return None;
            }
            Event::Lost(claim, error) => {
                seen.begun.remove(&claim.place);
                Told::Lost { error: error.to_string() }
            }
            Event::Expired(expired) => Told::Taken {
                task: expired.claim.name.clone(),
                owner: expired.owner.clone(),
                reason: expired.reason.to_string(),
                state: expired.state.word().to_owned(),
            },
            Event::Completed(claim) => Told::Completed { task: claim.name.clone() },
            Event::Warning(text) => Told::Warning { text: text.clone() },
            Event::Tick => return None,
        })
    }

    fn failed(
        &self,
        claim: &Claim,
        reason: Reason,
        state: TaskState,
        why: Option<(String, String)>,
        wall_s: Option<f64>,
    ) -> Told {
        let (cause, what) = why.unwrap_or_else(|| (reason.to_string(), format!("failed: {reason}")));
        let log = self.watching.homes.of(self.watching.ledger, claim.index, &claim.name).log;
        let log = Some(log).filter(|log| is_ours(log));
        let code = match reason {
            Reason::Exit(code) => Some(i32::from(code)),
            Reason::Signal(signal) => Some(-i32::from(signal)),
            _ => None,
        };
        Told::Failed(Failed {
            attempt: claim.into(),
            cause,
            what,
            code,
            log,
            retried: state == TaskState::Waiting,
            wall_s,
        })
    }
}

impl Seen {
    fn tell(&mut self, told: &Told, text: &str) {
        let kind = match told {
            Told::Taken { .. } => "tasks of dead workers",
            Told::Completed { .. } => "tasks of dead workers whose rows are committed",
            Told::Lost { .. } => "tasks that others took over",
            Told::Warning { .. } => "warnings",
            _ => return self.bar.say(text),
        };
        let count = self.others.entry(kind).or_default();
        *count += 1;
        if *count <= TOLD {
            self.bar.say(text);
        }
    }
}

/// Writes an event. If the reader went away, the run goes on.
fn print(told: &Told) {
    if let Ok(mut line) = serde_json::to_vec(told) {
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}

fn failure(failed: &Failed) -> String {
    let Failed { attempt, what, log, retried, .. } = failed;
    let next = if *retried { "it is retried" } else { "it is not retried" };
    let log = log.as_ref().map_or_else(String::new, |log| format!("; see {}", log.display()));
    format!("'{}' {what}; {next}{log}", attempt.task.escape_debug())
}

/// The line for people, if there is one.
fn other(told: &Told, voice: Voice) -> Option<String> {
    let is_quiet = voice == Voice::Quiet;
    match told {
        Told::Done { attempt, wall_s } if voice == Voice::Verbose => {
            let took = wall_s.map_or_else(String::new, |s| format!(" in {}", super::super::output::duration(s)));
            Some(format!("'{}' is done{took}", attempt.task.escape_debug()))
        }
        Told::Released(attempt) if voice == Voice::Verbose => {
            Some(format!("'{}' was released", attempt.task.escape_debug()))
        }
        Told::Lost { error } => Some(error.clone()),
        Told::Taken { task, owner, reason, state } if !is_quiet => {
            Some(format!("'{}' was taken from {owner}: {reason}; it is {state}", task.escape_debug()))
        }
        Told::Completed { task } if !is_quiet => {
            Some(format!("'{}' is done nevertheless: its rows are committed", task.escape_debug()))
        }
        Told::Warning { text } => Some(text.clone()),
        _ => None,
    }
}

impl Observer for Progress<'_> {
    fn event(&self, event: &Event<'_>) {
        if matches!(event, Event::Tick) {
            if self.watching.counts {
                self.count();
            }
        } else if let Some(told) = self.told(event) {
            self.take(&told);
        }
    }
}
