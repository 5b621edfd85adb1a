//! Waits for a job array: decides what to do by the ledger and the queue.

use super::super::super::ledger::watch as owners;
use super::super::RUN;
use super::super::progress::{Progress, Voice, Watching};
use super::Plan;
use h5part::ledger::{Tally, Watch};
use h5part::{ErrorKind, Result};
use h5part_tasks::run::{Event, Observer, Stop};
use h5part_tasks::slurm::{Element, Phase, Submitted, cancel_waiting, look};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(200);
/// First and longest interval between looks at the queue. The latter is no burden for a controller.
const LOOKS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

/// A run that waits for its jobs.
pub struct Waiting<'a> {
    plan: &'a Plan<'a>,
    progress: Progress<'a>,
    jobs: Vec<String>,
    /// Each element as it was last seen.
    seen: BTreeMap<String, Element>,
    queue: Option<Queue>,
    /// Number of tasks that had ended when the jobs were submitted.
    ended_before: u64,
    /// Whether the controller did not answer.
    silent: bool,
}

/// Counts of the jobs' elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Queue {
    waits: usize,
    runs: usize,
    cancelled: usize,
    /// All elements ever seen.
    seen: usize,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Wait,
    Submit,
    Stop(Why),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// No task is left.
    Ended,
    /// A person cancelled all jobs, so submitting others would be wrong.
    Cancelled,
    /// The jobs have ended, but no task has ended with them.
    Fruitless,
}

fn ended(tally: &Tally) -> u64 {
    tally.done + tally.failed
}

/// Decides what to do. Tasks of dead owners were taken back before.
fn next(tally: &Tally, queue: Option<Queue>, ended_before: u64) -> Next {
    let gone = queue.filter(|queue| queue.waits + queue.runs == 0);
    match gone {
        _ if tally.has_ended() => Next::Stop(Why::Ended),
        // This also applies if others, who live, have all remaining tasks.
        None => Next::Wait,
        Some(_) if tally.waiting == 0 => Next::Wait,
        Some(queue) if queue.seen > 0 && queue.cancelled == queue.seen => Next::Stop(Why::Cancelled),
        Some(_) if ended(tally) <= ended_before => Next::Stop(Why::Fruitless),
        Some(_) => Next::Submit,
    }
}

impl<'a> Waiting<'a> {
    pub fn new(plan: &'a Plan<'a>, stop: &'a Arc<Stop>, submitted: Vec<Submitted>) -> Self {
        let (ledger, homes, voice) = (plan.ledger, plan.run.homes(), plan.run.voice());
        // If that is hopeless, the workers stop on their own.
        let watching = Watching { ledger, homes, voice, counts: true, at_a_time: 1, keep_going: true, stop };
        let progress = Progress::new(watching);
        let mut waiting = Self {
            plan,
            progress,
            jobs: Vec::new(),
            seen: BTreeMap::new(),
            queue: None,
            ended_before: 0,
            silent: false,
        };
        waiting.begin(submitted);
        waiting
    }

    fn begin(&mut self, submitted: Vec<Submitted>) {
        for Submitted { id, elements } in &submitted {
            self.tell(format!("SLURM job {id}: {elements} workers"));
        }
        self.jobs = submitted.into_iter().map(|job| job.id).collect();
        self.seen.clear();
        self.queue = None;
    }

    /// Prints a message, unless told to be quiet.
    fn tell(&self, text: String) {
        if self.plan.run.voice() != Voice::Quiet {
            self.progress.event(&Event::Warning(text));
        }
    }

    /// Waits until no task is left. If the jobs end before that, it submits again, as long as this helps.
    pub fn until_ended(mut self) -> Result<()> {
        let asked = interruption().map_err(|e| ErrorKind::Io(e).at(RUN, self.plan.ledger.path()))?;
        self.ended_before = ended(&self.plan.ledger.tally()?);
        let mut watch = self.watch();
        let (mut due, mut pause) = (Instant::now(), LOOKS.0);
        let outcome = loop {
            if asked.load(Ordering::Relaxed) {
                break Some(self.interrupted());
            }
            self.progress.event(&Event::Tick);
            self.plan.run.tick();
            if Instant::now() < due {
                std::thread::sleep(TICK);
                continue;
            }
            self.look();
            due = Instant::now() + pause;
            pause = (pause * 3 / 2).min(LOOKS.1);
            if self.queue.is_some_and(|queue| queue.waits + queue.runs == 0) {
                self.reap(&mut watch)?;
            }
            match next(&self.plan.ledger.tally()?, self.queue, self.ended_before) {
                Next::Wait => {}
                Next::Submit => {
                    self.ended_before = ended(&self.plan.ledger.tally()?);
                    let submitted = self.plan.submit()?;
                    self.begin(submitted);
                    (pause, watch) = (LOOKS.0, self.watch());
                }
                Next::Stop(why) => break self.stopped(why),
            }
        };
        let _ = self.progress.end();
        if let Some(text) = outcome {
            eprintln!("h5part: {text}");
        }
        Ok(())
    }

    fn watch(&self) -> Watch {
        owners(self.plan.run.stale_after())
    }

    /// Asks the queue, and reports news.
    fn look(&mut self) {
        match look(&self.jobs) {
            Ok(elements) => {
                self.silent = false;
                self.compare(elements);
            }
            // The jobs go on without us.
            Err(e) if !self.silent => {
                self.silent = true;
                self.progress.event(&Event::Warning(format!("the queue cannot be seen: {e}")));
            }
            Err(_) => {}
        }
    }

    fn compare(&mut self, elements: Vec<Element>) {
        let mut queue = Queue::default();
        let mut reason = String::new();
        for element in elements {
            match element.phase() {
                Phase::Waits => {
                    queue.waits += 1;
                    reason.clone_from(&element.reason);
                }
                Phase::Runs => queue.runs += 1,
                Phase::Ended => {}
            }
            if let Some(text) = news(self.seen.get(&element.id), &element) {
                self.tell(text);
            }
            self.seen.insert(element.id.clone(), element);
        }
        queue.cancelled = self.seen.values().filter(|element| element.state == "CANCELLED").count();
        queue.seen = self.seen.len();
        let waits = match queue.waits {
            0 => String::new(),
            waits => format!(", {waits} wait ({reason})"),
        };
        self.progress.note(format!("SLURM: {} run{waits}", queue.runs));
        self.queue = Some(queue);
    }

    /// None of our jobs is left, so the tasks of their workers are taken back.
    fn reap(&self, watch: &mut Watch) -> Result<()> {
        self.plan.run.reap(watch, &self.progress)
    }

    fn interrupted(&self) -> String {
        let jobs = self.jobs.join(" ");
        format!("SLURM goes on with {jobs}: 'scancel {jobs}' ends that, --join waits for it again")
    }

    fn stopped(&self, why: Why) -> Option<String> {
        let logs = self.plan.folder();
        match why {
            Why::Ended => {
                // They would find nothing to do. SLURM may have forgotten them by now.
                let _ = cancel_waiting(&self.jobs);
                None
            }
            Why::Cancelled => Some("all jobs were cancelled; run the same command to go on".to_owned()),
            Why::Fruitless => {
                let logs = logs.display();
                Some(format!("all jobs have ended, and no task with them: nothing more is submitted; see {logs}"))
            }
        }
    }
}

/// News about an element that people should know.
fn news(before: Option<&Element>, now: &Element) -> Option<String> {
    if before.is_some_and(|before| now.restarts > before.restarts) {
        return Some(format!("SLURM job {} was requeued", now.id));
    }
    let is_new = before.is_none_or(|before| before.state != now.state);
    let is_bad = now.phase() == Phase::Ended && now.state != "COMPLETED";
    (is_new && is_bad).then(|| match now.reason.as_str() {
        "" | "None" => format!("SLURM job {} ended: {}", now.id, now.state),
        reason => format!("SLURM job {} ended: {} ({reason})", now.id, now.state),
    })
}

fn interruption() -> std::io::Result<Arc<AtomicBool>> {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(waiting: u64, running: u64, done: u64) -> Tally {
        Tally { total: waiting + running + done, waiting, running, done, ..Tally::default() }
    }

    #[test]
    fn what_follows() {
        let queue = |waits, runs, cancelled| Some(Queue { waits, runs, cancelled, seen: 4 });
        assert_eq!(next(&tally(0, 0, 9), queue(2, 1, 0), 0), Next::Stop(Why::Ended));
        assert_eq!(next(&tally(5, 0, 9), None, 0), Next::Wait, "the queue was not seen yet");
        assert_eq!(next(&tally(5, 1, 9), queue(0, 1, 3), 9), Next::Wait);
        assert_eq!(next(&tally(5, 1, 9), queue(1, 0, 3), 9), Next::Wait);
        assert_eq!(next(&tally(0, 1, 9), queue(0, 0, 0), 9), Next::Wait, "somebody else has the last task");
        assert_eq!(next(&tally(5, 0, 9), queue(0, 0, 4), 0), Next::Stop(Why::Cancelled));
        assert_eq!(next(&tally(5, 0, 9), queue(0, 0, 3), 8), Next::Submit);
        assert_eq!(next(&tally(5, 0, 9), queue(0, 0, 3), 9), Next::Stop(Why::Fruitless));
        // SLURM forgot them before they were ever seen, so nobody has said that they were cancelled.
        assert_eq!(next(&tally(5, 0, 9), Some(Queue::default()), 8), Next::Submit);
    }

    #[test]
    fn what_is_told() {
        let element = |state: &str, restarts| Element {
            id: "12_3".to_owned(),
            state: state.to_owned(),
            restarts,
            reason: "None".to_owned(),
        };
        let told = |before: &Element, now: &Element| news(Some(before), now);
        let runs = element("RUNNING", 0);
        assert_eq!(told(&runs, &element("COMPLETED", 0)), None);
        assert_eq!(told(&runs, &element("NODE_FAIL", 0)).as_deref(), Some("SLURM job 12_3 ended: NODE_FAIL"));
        assert_eq!(told(&element("NODE_FAIL", 0), &element("NODE_FAIL", 0)), None);
        assert_eq!(told(&runs, &element("PENDING", 1)).as_deref(), Some("SLURM job 12_3 was requeued"));
        assert_eq!(news(None, &element("CANCELLED", 0)).as_deref(), Some("SLURM job 12_3 ended: CANCELLED"));
    }
}
