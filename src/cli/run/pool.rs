//! Mode `processes`: several `h5part work` processes on one ledger. One that dies is replaced.

use super::super::ledger::watch as owners;
use super::super::output::say;
use super::RUN;
use super::ending::Ending;
use super::progress::{Progress, Watching};
use super::signals::next;
use super::told::Told;
use super::workers::{Kind, ProcessRun};
use h5part::ledger::{Ledger, Watch};
use h5part::{ErrorKind, Result};
use h5part_base::error::Kind as _;
use h5part_tasks::budget::pin;
use h5part_tasks::run::{Event, Level, Observer, Stop};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(200);
/// Most workers that may die in succession while no task ends.
const FRUITLESS: u32 = 10;

struct Pool<'a> {
    run: &'a dyn ProcessRun,
    ledger: &'a Ledger,
    progress: &'a Progress<'a>,
    workers: Vec<Worker>,
    /// Receives what workers report about their tasks.
    teller: Sender<Told>,
    told: Receiver<Told>,
    level: Level,
    /// Number of tasks that had ended when the last worker died, and of workers that died since.
    fruitless: (u64, u32),
}

/// A worker, with the threads that pass on its output and reports.
struct Worker {
    process: Child,
    words: JoinHandle<()>,
    told: JoinHandle<()>,
    /// Cores that it is pinned to.
    cores: Vec<usize>,
}

impl Worker {
    /// Waits until all output of an ended worker was passed on.
    fn join(self) {
        let _ = (self.words.join(), self.told.join());
    }
}

/// Runs workers. `cores`: those that each worker is pinned to; empty: no pinning. Returns what is left to report.
pub fn run(run: &dyn ProcessRun, count: usize, cores: &[Vec<usize>]) -> Result<Ending> {
    let (ledger, stop) = (run.ledger(), Arc::new(Stop::new()));
    let (homes, voice, keep_going) = (run.homes(), run.voice(), run.keeps_going());
    let progress =
        Progress::new(Watching { ledger, homes, voice, counts: true, at_a_time: count, keep_going, stop: &stop });
    let watch = progress.watch_memory()?;
    let signals = signals().map_err(|e| ErrorKind::Io(e).at(RUN, ledger.path()))?;
    let (teller, told) = channel();
    let mut pool = Pool {
        run,
        ledger,
        progress: &progress,
        workers: Vec::new(),
        teller,
        told,
        level: Level::Run,
        fruitless: (0, 0),
    };
    let outcome = pool.start(count, cores).and_then(|()| pool.until_all_have_ended(&signals));
    if outcome.is_err() {
        pool.signal(Signal::SIGTERM);
    }
    for mut worker in std::mem::take(&mut pool.workers) {
        // It releases its tasks, and ends.
        let _ = worker.process.wait();
        worker.join();
    }
    pool.take_told();
    drop((pool, watch));
    let ending = progress.end();
    outcome.map(|()| ending)
}

fn signals() -> std::io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

impl Pool<'_> {
    fn start(&mut self, count: usize, cores: &[Vec<usize>]) -> Result<()> {
        for number in 0..count {
            let worker = self.spawn(cores.get(number).cloned().unwrap_or_default())?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn spawn(&self, cores: Vec<usize>) -> Result<Worker> {
        let spawn = || {
            let mut command = Command::new(std::env::current_exe()?);
            // It has a process group of its own, so signals from the keyboard reach it only once, through us.
            command.args(self.run.worker_args(Kind::OfRun)).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut process = pin::while_kept_on(&cores, || command.spawn())?;
            let (said, say) = (process.stderr.take(), self.progress.voice());
            let pass_on = move |line: String| say(line.strip_prefix("h5part: ").unwrap_or(&line));
            let words = std::thread::spawn(move || {
                said.into_iter()
                    .flat_map(|said| BufReader::new(said).lines().map_while(io::Result::ok))
                    .for_each(pass_on);
            });
            let (tells, teller) = (process.stdout.take(), self.teller.clone());
            let told = std::thread::spawn(move || {
                let lines = tells.into_iter().flat_map(|tells| BufReader::new(tells).lines().map_while(io::Result::ok));
                // Anything else that it prints is not an event.
                for told in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                    let _ = teller.send(told);
                }
            });
            Ok(Worker { process, words, told, cores })
        };
        spawn().map_err(|e| ErrorKind::Io(e).at("start a worker for", self.ledger.path()))
    }

    fn until_all_have_ended(&mut self, signals: &Receiver<i32>) -> Result<()> {
        let mut watch = owners(Duration::MAX);
        while !self.workers.is_empty() {
            match signals.recv_timeout(TICK) {
                Ok(SIGCHLD) | Err(RecvTimeoutError::Timeout) => {}
                Ok(signal) => self.asked_to_end(signal),
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
            }
            self.look_after_workers(&mut watch)?;
            self.take_told();
            if self.level == Level::Run && self.progress.stop().level() > Level::Run {
                self.level = Level::Drain;
                self.signal(Signal::SIGINT);
            }
            self.progress.event(&Event::Tick);
            self.run.tick();
        }
        Ok(())
    }

    fn take_told(&self) {
        for told in self.told.try_iter() {
            self.run.told(&told);
            self.progress.take(&told);
        }
    }

    fn asked_to_end(&mut self, signal: i32) {
        let (level, text) = next(signal, self.level);
        self.level = level;
        say(text);
        self.signal(if level == Level::End { Signal::SIGTERM } else { Signal::SIGINT });
    }

    fn signal(&self, signal: Signal) {
        for worker in &self.workers {
            let _ = kill(Pid::from_raw(worker.process.id().cast_signed()), signal);
        }
    }

    fn look_after_workers(&mut self, watch: &mut Watch) -> Result<()> {
        let mut k = 0;
        while k < self.workers.len() {
            match self.workers[k].process.try_wait() {
                Ok(None) => k += 1,
                Ok(Some(status)) => {
                    let mut worker = self.workers.remove(k);
                    let cores = std::mem::take(&mut worker.cores);
                    worker.join();
                    if !status.success() {
                        self.has_died(status, cores, watch)?;
                    }
                }
                Err(e) => return Err(ErrorKind::Io(e).at("wait for a worker of", self.ledger.path())),
            }
        }
        Ok(())
    }

    /// Requeues its tasks at once, and replaces it.
    fn has_died(&mut self, status: ExitStatus, cores: Vec<usize>, watch: &mut Watch) -> Result<()> {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, code) => format!("ended with exit code {}", code.unwrap_or(-1)),
        };
        self.run.reap(watch, self.progress)?;
        let tally = self.ledger.tally()?;
        let ended = tally.done + tally.failed;
        self.fruitless = if ended > self.fruitless.0 { (ended, 0) } else { (ended, self.fruitless.1 + 1) };
        if self.fruitless.1 > FRUITLESS {
            let worker = self.workers.len();
            return Err(h5part_tasks::ErrorKind::Worker { worker, how: format!("{how}, as {FRUITLESS} before it") }
                .at(RUN, self.ledger.path()));
        }
        let goes_on = self.level == Level::Run && !tally.has_ended();
        let next = if goes_on { "; another takes its place" } else { "" };
        self.progress.event(&Event::Warning(format!("a worker {how}{next}")));
        if goes_on {
            let worker = self.spawn(cores)?;
            self.workers.push(worker);
        }
        Ok(())
    }
}
