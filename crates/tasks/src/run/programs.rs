//! Tasks that are programs. Each is started, watched, and ended with its run.

use super::stop::{Level, Stop};
use super::{Event, Observer, Tasks};
use crate::ledger::{Claim, End, FENCE_VAR, LEDGER_VAR, Ledger, Reason, TASK_VAR};
use crate::monitor::{ChildUsage, Monitor, Record, wait_child};
use crate::program::{
    ATTEMPT_VAR, Alive, Home, Homes, INDEX_VAR, Inputs, Keeper, Memory, MemoryLimit, ROWS_VAR, Running, Template,
    rows_of, signal_group,
};
use h5part_base::error::At;
use h5part_base::error::ErrorKind;
use h5part_base::error::Result;
use h5part_base::lock::Patience;
use h5part_base::sync;
use nix::sys::signal::Signal;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Time between the first signal and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// Interval between checks whether a program's task is still ours.
const LOOK: Duration = Duration::from_secs(1);
/// Within this time one signal counts as sent to several processes at once.
const AT_ONCE: Duration = Duration::from_millis(200);

/// How to start programs.
#[derive(Debug)]
pub struct Launch {
    /// The command.
    pub template: Template,
    /// Where it runs, and where its output goes.
    pub homes: Box<dyn Homes>,
    /// Kill a program that runs longer than this. Its task counts as failed.
    pub time_limit: Option<Duration>,
    /// Most memory of a program.
    pub memory: Option<Memory>,
    /// Number of processors that each program may use, for its measurement; 0 counts as one.
    pub cores: u32,
    /// Kills what programs leave behind when this process is killed.
    pub keeper: Option<Keeper>,
    /// How long to wait for a program of an earlier attempt.
    pub patience: Patience,
}

/// A ledger's tasks as programs.
pub struct Programs<'a> {
    ledger: &'a Ledger,
    launch: Launch,
    monitor: Monitor,
    observer: &'a dyn Observer,
    running: Mutex<HashMap<i32, Watched>>,
    inputs: Inputs,
    spares: Mutex<Vec<File>>,
}

/// A running program.
#[derive(Debug)]
struct Watched {
    claim: Claim,
    deadline: Option<Instant>,
    looked: Instant,
    /// Why it is being ended, and when SIGKILL is due.
    ending: Option<(Why, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    TimedOut,
    Stopped,
    NotOurs,
}

impl<'a> Programs<'a> {
    /// Programs for the tasks of a ledger. Logs and measurements go into its folder.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]: the program does not exist. As creating the folder.
    pub fn new(ledger: &'a Ledger, launch: Launch, observer: &'a dyn Observer) -> Result<Self> {
        let monitor = Monitor::open(ledger.sidecar().join("monitor"))?;
        let folder = ledger.sidecar().join("programs");
        let inputs = Inputs::new(folder).at("make inputs of programs in", ledger.sidecar())?;
        Ok(Self { ledger, launch, monitor, observer, inputs, running: Mutex::default(), spares: Mutex::default() })
    }

    fn start(
        &self,
        claim: &Claim,
        home: &Home,
        alive: &mut Alive<'_>,
        output: Option<&File>,
        memory: Option<&MemoryLimit>,
    ) -> io::Result<Running> {
        let parts = self.launch.template.of(claim);
        let mut command = Command::new(&parts[0]);
        command.args(&parts[1..]);
        command.env(LEDGER_VAR, self.ledger.path()).env(TASK_VAR, &claim.name).env(FENCE_VAR, claim.fence.to_string());
        command.env(ROWS_VAR, rows_of(claim)).env(INDEX_VAR, claim.index.to_string());
        command.env(ATTEMPT_VAR, claim.attempts.to_string());
        if let Some(folder) = &home.folder {
            command.current_dir(folder);
        }
        Running::start(command, alive, output, memory, self.launch.keeper.as_ref())
    }

    fn record(&self, claim: &Claim, attempt: u16, usage: &ChildUsage, failed: bool) -> Record {
        Record {
            task: Some(claim.index.into()),
            whole: true,
            attempt: attempt.into(),
            failed,
            cores: self.launch.cores,
            memory_limit_bytes: self.launch.memory.map_or(0, |memory| memory.0),
            ..usage.record("program")
        }
    }

    /// An empty file without a name, for the output of a program. These files are reused.
    fn spare(&self) -> io::Result<File> {
        let spare = sync::lock(&self.spares).pop();
        spare.map_or_else(|| tempfile::tempfile_in(self.ledger.sidecar()), Ok)
    }

    fn run_to_end(
        &self,
        claim: &Claim,
        running: Running,
        started: Instant,
        stop: &Stop,
    ) -> io::Result<(ExitStatus, ChildUsage, Option<Why>)> {
        let group = running.group();
        let deadline = self.launch.time_limit.map(|limit| started + limit);
        let watched = Watched { claim: claim.clone(), deadline, looked: started, ending: None };
        self.watched().insert(group, watched);
        if stop.level() == Level::End {
            // The end may have been asked for while the program was starting.
            self.tick(stop);
        }
        let ended = running.wait_ended();
        // From here on nobody sends it signals, since its process id may soon be reused.
        let why = self.watched().remove(&group).and_then(|watched| watched.ending).map(|(why, _)| why);
        let waited = wait_child(&mut running.into_child(self.launch.keeper.as_ref()), started);
        ended?;
        let (status, usage) = waited?;
        Ok((status, usage, why.or_else(|| with_us(status, stop))))
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        sync::lock(&self.running)
    }

    /// `None`: its log cannot be written, which was reported.
    fn alive(&self, claim: &Claim, home: &Home) -> Result<Option<Alive<'_>>, ErrorKind> {
        let again = claim.fence > 1;
        match Alive::take(&self.inputs, &claim.name, &home.log, again, &self.launch.patience) {
            Err(kind) if OpenOptions::new().create(true).append(true).open(&home.log).is_err() => {
                let name = claim.name.escape_debug();
                let text = format!("'{name}' was not started: {}", kind.at("write to", &home.log));
                self.observer.event(&Event::Warning(text));
                Ok(None)
            }
            taken => taken.map(Some),
        }
    }

    fn try_run(&self, claim: &Claim, stop: &Stop) -> Result<End, ErrorKind> {
        let home = self.launch.homes.of(self.ledger, claim.index, &claim.name);
        if let (None, Some(folder)) = (&home.folder, home.log.parent()) {
            std::fs::create_dir_all(folder)?;
        }
        let Some(mut alive) = self.alive(claim, &home)? else { return Ok(End::Failed(Reason::NotStarted)) };
        let output = if home.apart { Some(self.spare()?) } else { None };
        let name = format!("{}-{}", std::process::id(), claim.index);
        let memory = self.launch.memory.map(|memory| MemoryLimit::new(memory, &name));
        let (attempt, started) = (claim.attempts + 1, Instant::now());
        let end = match self.start(claim, &home, &mut alive, output.as_ref(), memory.as_ref()) {
            Ok(running) => {
                let (status, usage, why) = self.run_to_end(claim, running, started, stop)?;
                let end = end_of(status, why);
                let failed = end != End::Done;
                if let Err(e) = self.monitor.record(self.record(claim, attempt, &usage, failed)) {
                    self.observer.event(&Event::Warning(e.to_string()));
                }
                end
            }
            Err(e) => {
                alive.say(&format!("attempt {attempt} could not be started: {e}"));
                return Ok(End::Failed(Reason::NotStarted));
            }
        };
        let added = output.as_ref().map_or(Ok(()), |output| alive.add(output));
        if let Err(e) = &added {
            let e = io::Error::from(e.kind());
            self.observer.event(&Event::Warning(ErrorKind::from(e).at("add to", &home.log).to_string()));
        }
        if let End::Failed(reason) = end {
            alive.say(&format!("attempt {attempt} failed: {reason}"));
        }
        // It is reused unless something still has it open, or it is not empty.
        if alive.end(home.apart) && added.is_ok() {
            sync::lock(&self.spares).extend(output);
        }
        Ok(end)
    }

    /// Decides which signal, if any, a program gets now.
    fn judge(&self, watched: &mut Watched, stop: &Stop, now: Instant) -> Option<Signal> {
        if let Some((_, due)) = watched.ending {
            return (now >= due).then_some(Signal::SIGKILL);
        }
        let why = if stop.level() == Level::End {
            Why::Stopped
        } else if watched.deadline.is_some_and(|deadline| now >= deadline) {
            Why::TimedOut
        } else if now.duration_since(watched.looked) >= LOOK {
            watched.looked = now;
            let ours = self.ledger.task(watched.claim.place).is_ok_and(|task| task.is_held(watched.claim.fence));
            if ours {
                return None;
            }
            Why::NotOurs
        } else {
            return None;
        };
        watched.ending = Some((why, now + GRACE));
        Some(Signal::SIGTERM)
    }
}

impl Tasks for Programs<'_> {
    fn run(&self, claim: &Claim, stop: &Stop) -> End {
        self.try_run(claim, stop).unwrap_or_else(|e| {
            let text = e.at("run the program of", &claim.name).to_string();
            self.observer.event(&Event::Warning(text));
            End::Failed(Reason::NotStarted)
        })
    }

    fn note_failure(&self, claim: &Claim, why: &ErrorKind) {
        let home = self.launch.homes.of(self.ledger, claim.index, &claim.name);
        let text = format!("h5part: attempt {} failed: exited with 0, but {why}\n", claim.attempts + 1);
        let add = || {
            if let Some(folder) = home.log.parent() {
                std::fs::create_dir_all(folder)?;
            }
            OpenOptions::new().create(true).append(true).open(&home.log)?.write_all(text.as_bytes())
        };
        if let Err(e) = add() {
            let text = ErrorKind::from(e).at("add to", &home.log).to_string();
            self.observer.event(&Event::Warning(text));
        }
    }

    fn tick(&self, stop: &Stop) {
        let now = Instant::now();
        for (group, watched) in self.watched().iter_mut() {
            if let Some(signal) = self.judge(watched, stop, now) {
                signal_group(*group, signal);
                // A stopped program handles the first signal only when it continues.
                signal_group(*group, Signal::SIGCONT);
            }
        }
    }
}

/// A signal to a whole SLURM job, or to everything in a terminal, also reaches the program, perhaps before us. Then the
/// program was stopped and has not failed.
fn with_us(status: ExitStatus, stop: &Stop) -> Option<Why> {
    let signal = status.signal().or(status.code().map(|code| code - 128))?;
    if stop.level() < Level::End && ![Signal::SIGTERM, Signal::SIGHUP].contains(&Signal::try_from(signal).ok()?) {
        return None;
    }
    stop.wait(Level::Drain, AT_ONCE);
    (stop.level() == Level::End).then_some(Why::Stopped)
}

fn end_of(status: ExitStatus, why: Option<Why>) -> End {
    match (why, status.code(), status.signal()) {
        // It ended well before the signal came.
        (Some(Why::TimedOut | Why::Stopped) | None, Some(0), _) => End::Done,
        (Some(Why::TimedOut), ..) => End::Failed(Reason::TimedOut),
        (Some(Why::Stopped | Why::NotOurs), ..) => End::Released,
        (None, Some(code), _) => End::Failed(u8::try_from(code).map_or(Reason::None, Reason::Exit)),
        (None, None, signal) => {
            let signal = signal.and_then(|signal| u8::try_from(signal).ok());
            End::Failed(signal.map_or(Reason::None, Reason::Signal))
        }
    }
}
