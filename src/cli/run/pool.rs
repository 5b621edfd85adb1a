//! Mode `processes`: several `h5part work` on one ledger. One that dies is replaced.

use super::super::ledger::watch as owners;
use super::RUN;
use super::launch::Launching;
use super::signals::next;
use super::tell::Teller;
use h5part::executor::ledgered::{Event, Level, Observer};
use h5part::ledger::{Ledger, StoreTasks, Watch};
use h5part::{ErrorKind, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(200);
/// Workers that die one after the other without a task that ends in between.
const FRUITLESS: u32 = 10;

struct Pool<'a> {
    launching: &'a Launching,
    ledger: &'a Ledger,
    rows: Option<&'a StoreTasks<'a>>,
    teller: &'a Teller<'a>,
    workers: Vec<Child>,
    level: Level,
    /// Tasks that had ended when the last worker died, and workers that died since.
    fruitless: (u64, u32),
}

pub fn run(launching: &Launching, ledger: &Ledger, rows: Option<&StoreTasks<'_>>, count: usize) -> Result<()> {
    let teller = Teller::new(ledger, launching.quiet);
    let watch = teller.watch_memory()?;
    let signals = signals().map_err(|e| ErrorKind::Io(e).at(RUN, ledger.path()))?;
    let mut pool =
        Pool { launching, ledger, rows, teller: &teller, workers: Vec::new(), level: Level::Run, fruitless: (0, 0) };
    let outcome = pool.start(count).and_then(|()| pool.until_all_have_ended(&signals));
    if outcome.is_err() {
        pool.signal(Signal::SIGTERM);
    }
    for mut worker in std::mem::take(&mut pool.workers) {
        // It gives back what it has, and ends.
        let _ = worker.wait();
    }
    drop(watch);
    teller.end();
    outcome
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
    fn start(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let worker = self.spawn()?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let spawn = || {
            let mut command = Command::new(std::env::current_exe()?);
            // In a group of its own: signals from the keyboard reach it through us, once.
            command
                .args(self.launching.worker_args(self.ledger, &["--of-run".into()]))
                .stdin(Stdio::null())
                .process_group(0)
                .spawn()
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
            self.teller.event(&Event::Tick);
        }
        Ok(())
    }

    fn asked_to_end(&mut self, signal: i32) {
        let (level, text) = next(signal, self.level);
        self.level = level;
        eprintln!("h5part: {text}");
        self.signal(if level == Level::End { Signal::SIGTERM } else { Signal::SIGINT });
    }

    fn signal(&self, signal: Signal) {
        for worker in &self.workers {
            let _ = kill(Pid::from_raw(worker.id().cast_signed()), signal);
        }
    }

    fn look_after_workers(&mut self, watch: &mut Watch) -> Result<()> {
        let mut k = 0;
        while k < self.workers.len() {
            match self.workers[k].try_wait() {
                Ok(None) => k += 1,
                Ok(Some(status)) => {
                    self.workers.remove(k);
                    if !status.success() {
                        self.has_died(status, watch)?;
                    }
                }
                Err(e) => return Err(ErrorKind::Io(e).at("wait for a worker of", self.ledger.path())),
            }
        }
        Ok(())
    }

    /// Its task goes back at once, and another takes its place.
    fn has_died(&mut self, status: ExitStatus, watch: &mut Watch) -> Result<()> {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was ended by signal {signal}"),
            (None, code) => format!("ended with exit code {}", code.unwrap_or(-1)),
        };
        for lapsed in self.ledger.reap(watch)? {
            self.teller.event(&Event::Lapsed(&lapsed));
            if let Some(rows) = self.rows
                && rows.settle(lapsed.claim.place)?
            {
                self.teller.event(&Event::Settled(&lapsed.claim));
            }
        }
        let tally = self.ledger.tally()?;
        let ended = tally.done + tally.failed;
        self.fruitless = if ended > self.fruitless.0 { (ended, 0) } else { (ended, self.fruitless.1 + 1) };
        if self.fruitless.1 > FRUITLESS {
            let worker = self.workers.len();
            return Err(ErrorKind::Worker { worker, how: format!("{how}, as {FRUITLESS} before it") }
                .at(RUN, self.ledger.path()));
        }
        let goes_on = self.level == Level::Run && !tally.has_ended();
        let next = if goes_on { "; another takes its place" } else { "" };
        self.teller.event(&Event::Warning(format!("a worker {how}{next}")));
        if goes_on {
            let worker = self.spawn()?;
            self.workers.push(worker);
        }
        Ok(())
    }
}
