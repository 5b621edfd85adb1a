//! The keeper: a small process beside a runner, which kills the runner's programs when the runner is gone.
//!
//! The kernel kills a program with its runner, but not what the program started. The keeper has the other end of a
//! pipe. It is told of every process group that begins, by the program itself before it executes, and of every group
//! that ends. When the pipe closes, it kills the remaining groups.

use super::Running;
use h5part_base::sync;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// The runner's end of the pipe.
#[derive(Debug)]
pub struct Keeper {
    pipe: Mutex<ChildStdin>,
    _child: Child,
}

impl Keeper {
    /// Starts the keeper. `command` must run a process that calls [`keep`].
    ///
    /// # Errors
    /// As starting the process.
    pub fn start(mut command: Command) -> io::Result<Self> {
        // It has a process group of its own, so that Ctrl-C, which ends the runner, does not end it.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()?;
        let pipe = child.stdin.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(Self { pipe: Mutex::new(pipe), _child: child })
    }

    /// Where a program reports that it begins: a line with a plus and its process group.
    pub(super) fn descriptor(&self) -> i32 {
        sync::lock(&self.pipe).as_raw_fd()
    }

    pub(super) fn ended(&self, program: &Running) -> io::Result<()> {
        self.tell(&format!("-{}\n", program.group()))
    }

    /// A program reported that it begins, but could not be started.
    pub(super) fn nothing_begins(&self) -> io::Result<()> {
        self.tell("?\n")
    }

    fn tell(&self, line: &str) -> io::Result<()> {
        // A line is shorter than what a pipe takes at once, so it is written as a whole.
        sync::lock(&self.pipe).write_all(line.as_bytes())
    }
}

/// Interval between reads. Waking up for every line would cost as much as a short program.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads what is available, one portion at a time.
struct Unhurried<R>(R);

impl<R: Read> Read for Unhurried<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buf)?;
        if count > 0 {
            std::thread::sleep(PAUSE);
        }
        Ok(count)
    }
}

/// The keeper's work: reads until the runner is gone.
pub fn keep(input: impl Read) {
    let mut groups = BTreeSet::new();
    for line in BufReader::new(Unhurried(input)).lines().map_while(Result::ok) {
        let group = line.get(1..).and_then(|rest| rest.parse::<i32>().ok()).filter(|&group| group > 1);
        match (line.as_bytes().first(), group) {
            (Some(b'+'), Some(group)) => _ = groups.insert(group),
            (Some(b'-'), Some(group)) => _ = groups.remove(&group),
            // One of the groups does not exist.
            _ => groups.retain(|&group| killpg(Pid::from_raw(group), None).is_ok()),
        }
    }
    for group in groups {
        // It may have ended with the runner.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}
