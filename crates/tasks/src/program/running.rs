//! Runs one program from start to end.

use super::limit::MemoryLimit;
use super::{Alive, Keeper, spawn};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::process::{Child, Command};

/// A running program, in a process group of its own.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a program. Its input is empty. Its errors are appended to the log as they come, and so is its output,
    /// unless it has another file. Input and log keep the task's locks.
    ///
    /// # Errors
    /// As starting it: no such program, not executable, out of memory.
    pub fn start(
        mut command: Command,
        alive: &mut Alive<'_>,
        output: Option<&File>,
        memory: Option<&MemoryLimit>,
        keeper: Option<&Keeper>,
    ) -> io::Result<Self> {
        command.stdin(alive.stdin()?).stdout(output.map_or_else(|| alive.log(), File::try_clone)?).stderr(alive.log()?);
        spawn::prepare(&mut command, memory, keeper.map(Keeper::descriptor));
        let child = command.spawn().inspect_err(|_| {
            // If the keeper is gone, it need not be told.
            let _ = keeper.map(Keeper::nothing_begins);
        })?;
        let running = Self { child };
        // The position is at the end, so the program reads nothing, whatever is written there meanwhile.
        match alive.note(&running) {
            Ok(()) => Ok(running),
            Err(e) => {
                running.signal(Signal::SIGKILL);
                let mut running = running;
                let _ = running.child.wait();
                Err(e)
            }
        }
    }

    /// The process group that it leads.
    #[must_use]
    pub fn group(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Sends a signal to it and everything that it started.
    pub fn signal(&self, signal: Signal) {
        signal_group(self.group(), signal);
    }

    /// Waits until it has ended. Its process id stays in use until [`Running::into_child`] was waited for.
    ///
    /// # Errors
    /// As waitid(2).
    pub fn wait_ended(&self) -> io::Result<()> {
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            match waitid(Id::Pid(Pid::from_raw(self.group())), flags) {
                Ok(_) => return Ok(()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Call this after [`Running::wait_ended`]. Kills what the program left behind, and returns the child to wait for.
    #[must_use]
    pub fn into_child(self, keeper: Option<&Keeper>) -> Child {
        // Its own process id is still in use, so the group cannot be another one.
        self.signal(Signal::SIGKILL);
        if let Some(keeper) = keeper {
            // If the keeper is gone, it need not be told.
            let _ = keeper.ended(&self);
        }
        self.child
    }
}

/// Sends a signal to a process group, if it exists.
pub(crate) fn signal_group(group: i32, signal: Signal) {
    if group > 1 {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
