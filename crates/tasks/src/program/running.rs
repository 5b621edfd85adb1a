//! One program from its start to its end.

use super::limit::MemoryLimit;
use super::{Alive, Keeper, spawn};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::fs::File;
use std::io;
use std::process::{Child, Command};

/// A program that was started, in a process group of its own.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a program: its input is empty, its errors go to the end of the log, as they come, and so does its
    /// output, unless there is another file for it. What goes to input and log keeps the task's locks.
    ///
    /// # Errors
    /// As starting it: no such program, not executable, no memory.
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
            // A keeper that is gone has nothing to look after.
            let _ = keeper.map(Keeper::nothing_begins);
        })?;
        let running = Self { child };
        // The program reads nothing, whatever is noted meanwhile: its position is at the end.
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

    /// Sends a signal to it and all that it started.
    pub fn signal(&self, signal: Signal) {
        signal_group(self.group(), signal);
    }

    /// Waits until it has ended; its number stays taken until [`Running::into_child`] was waited for.
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

    /// To be waited for, when [`Running::wait_ended`] has returned: ends what it left behind first.
    #[must_use]
    pub fn into_child(self, keeper: Option<&Keeper>) -> Child {
        // Its own number is still taken: nobody else's group can be meant.
        self.signal(Signal::SIGKILL);
        if let Some(keeper) = keeper {
            // A keeper that is gone has nothing to look after.
            let _ = keeper.ended(&self);
        }
        self.child
    }
}

/// Sends a signal to a process group, if it is there.
pub(crate) fn signal_group(group: i32, signal: Signal) {
    if group > 1 {
        let _ = killpg(Pid::from_raw(group), signal);
    }
}
