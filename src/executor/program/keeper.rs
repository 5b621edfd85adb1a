//! The keeper: a small process beside a runner that ends the runner's programs when the runner is gone.
//!
//! The kernel kills a program with its runner, but not what the program started. The keeper has the other end
//! of a pipe: it is told of every process group that begins and ends, and when the pipe closes, it kills those
//! that are left.

use super::Running;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The runner's end.
#[derive(Debug)]
pub struct Keeper {
    pipe: Mutex<ChildStdin>,
    _child: Child,
}

impl Keeper {
    /// Starts the keeper: `command` runs a process that calls [`keep`].
    ///
    /// # Errors
    /// As starting it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        // In a group of its own: what ends the runner, from the keyboard, does not end it.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn()?;
        let pipe = child.stdin.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(Self { pipe: Mutex::new(pipe), _child: child })
    }

    pub(super) fn begins(&self, program: &Running) -> io::Result<()> {
        self.tell('+', program)
    }

    pub(super) fn ended(&self, program: &Running) -> io::Result<()> {
        self.tell('-', program)
    }

    fn tell(&self, sign: char, program: &Running) -> io::Result<()> {
        // A line is shorter than what a pipe takes at once, and whole.
        let line = format!("{sign}{}\n", program.group());
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes())
    }
}

/// What the keeper does: reads until the runner is gone.
pub fn keep(input: impl BufRead) {
    let mut groups = BTreeSet::new();
    for line in input.lines().map_while(Result::ok) {
        let Some(group) = line.get(1..).and_then(|rest| rest.parse::<i32>().ok()).filter(|&g| g > 1) else { continue };
        match line.as_bytes()[0] {
            b'+' => groups.insert(group),
            _ => groups.remove(&group),
        };
    }
    for group in groups {
        // It may have ended with the runner.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}
