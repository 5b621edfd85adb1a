//! The pool's side of a worker process.

use super::wire::{Hello, Order, Report, send, split};
use crate::pool::Death;
use nix::poll::{PollFd, PollFlags, poll};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The first argument of a worker process; its parent's id is the second.
pub(super) const FLAG: &str = "h5part-pool-worker";
/// How long a worker that has closed its end of the pipe may take to end.
const PARTING: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(1);
/// Bytes per read.
const PIECE: usize = 1 << 16;

/// A worker process. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    child: Child,
    /// `None`: closed, which tells the worker to end.
    orders: Option<ChildStdin>,
    reports: ChildStdout,
    /// Bytes that were read and are not a complete report yet.
    read: Vec<u8>,
    oom_kills: Option<u64>,
}

impl Worker {
    /// Starts this program again as a worker. It is killed when the calling thread ends.
    pub(super) fn start(hello: &Hello) -> io::Result<Self> {
        // This is the running file itself, even if another file took its name.
        let mut command = Command::new("/proc/self/exe");
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        command.arg(FLAG).arg(std::process::id().to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for the program that the user started, which decides about its workers.
        command.process_group(0);
        let oom_kills = oom_kills();
        let mut child = command.spawn()?;
        let (Some(orders), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let mut worker = Self { child, orders: Some(orders), reports, read: Vec::new(), oom_kills };
        worker.tell(&Order::Hello(hello.clone()))?;
        Ok(worker)
    }

    pub(super) fn tell(&mut self, order: &Order) -> io::Result<()> {
        let orders = self.orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        send(orders, order)
    }

    /// Its next report. `None`: nothing arrived in time. At its end: [`io::ErrorKind::UnexpectedEof`].
    pub(super) fn hear(&mut self, at_most: Duration) -> io::Result<Option<Report>> {
        loop {
            if let Some(report) = split(&mut self.read)? {
                return Ok(Some(report));
            }
            if !self.says_more(at_most)? {
                // A process that a task left behind may keep the pipe open although the worker is dead.
                let is_dead = self.child.try_wait()?.is_some();
                match (is_dead, is_dead && self.says_more(Duration::ZERO)?) {
                    (true, true) => {}
                    (true, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    (false, _) => return Ok(None),
                }
            }
            let mut piece = vec![0; PIECE];
            match self.reports.read(&mut piece)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => self.read.extend_from_slice(&piece[..n]),
            }
        }
    }

    /// Whether there is something to read, or the pipe has ended.
    fn says_more(&self, at_most: Duration) -> io::Result<bool> {
        let timeout = u16::try_from(at_most.as_millis()).unwrap_or(u16::MAX);
        match poll(&mut [PollFd::new(self.reports.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn kill(&mut self) {
        // If it is already dead, nothing is left to do.
        let _ = self.child.kill();
    }

    /// Returns how it ended. A worker that does not end is killed.
    pub(super) fn bury(mut self) -> Death {
        self.orders = None;
        match self.part() {
            Ok(status) => self.death(status),
            Err(e) => Death::Vanished(format!("its worker cannot be waited for: {e}")),
        }
    }

    fn part(&mut self) -> io::Result<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < PARTING {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(LOOK);
        }
        self.child.kill()?;
        self.child.wait()
    }

    fn death(&self, status: ExitStatus) -> Death {
        match (status.code(), status.signal()) {
            (Some(code), _) => Death::Exit(code),
            (None, Some(number)) => {
                let killed = number == nix::sys::signal::Signal::SIGKILL as i32;
                let out_of_memory = killed && oom_kills() > self.oom_kills;
                Death::Signal { number, out_of_memory }
            }
            (None, None) => Death::Vanished("its worker ended in an unknown way".to_owned()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.orders = None;
        // The system clears a zombie that stays.
        let _ = self.part();
    }
}

/// How many times the system has killed a process for lack of memory.
fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}
