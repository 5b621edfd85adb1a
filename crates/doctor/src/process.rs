//! A side in a process of its own. It receives requests on its standard input, and answers on its standard output.

use super::desk::{Answer, Desk, Kernel, Request};
use super::folder;
use super::trial::Side;
use h5part_base::error::ErrorKind;
use h5part_base::lock::Shared;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How to start a process that calls [`serve`] for a folder.
pub type Start<'a> = &'a dyn Fn(&Path) -> io::Result<Command>;

/// A process that acts as one side. It is killed when this is dropped.
pub struct Process<'a> {
    start: Start<'a>,
    folder: &'a Path,
    patience: Duration,
    running: Running,
}

struct Running {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl<'a> Process<'a> {
    /// Starts the process. An answer must come within `patience`.
    ///
    /// # Errors
    /// As starting processes.
    pub fn new(start: Start<'a>, folder: &'a Path, patience: Duration) -> io::Result<Self> {
        Ok(Self { start, folder, patience, running: Running::new(start, folder)? })
    }
}

impl Side for Process<'_> {
    fn ask(&mut self, request: &Request) -> Result<Answer, ErrorKind> {
        if *request == Request::Die {
            self.running = Running::new(self.start, self.folder)?;
            return Ok(Answer::Done);
        }
        self.running.ask(request, self.patience)
    }
}

impl Running {
    fn new(start: Start<'_>, folder: &Path) -> io::Result<Self> {
        let mut command = start(folder)?;
        // Ctrl-C is for the program that the user started, which removes the test files.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        Ok(Self { child, requests, answers: BufReader::new(answers) })
    }

    fn ask(&mut self, request: &Request, patience: Duration) -> Result<Answer, ErrorKind> {
        let line = serde_json::to_string(request).map_err(io::Error::from)?;
        writeln!(self.requests, "{line}").and_then(|()| self.requests.flush()).map_err(ErrorKind::Io)?;
        let mut fds = [PollFd::new(self.answers.get_ref().as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, timeout).map_err(io::Error::from)? == 0 {
            let what = format!("process {}, which was asked: {request:?}", self.child.id());
            return Err(crate::ErrorKind::NoAnswer { what, waited_s: patience.as_secs_f64() }.into());
        }
        let mut answer = String::new();
        match self.answers.read_line(&mut answer).map_err(ErrorKind::Io)? {
            0 => Err(ErrorKind::Io(io::Error::other("a process of the tests ended too early"))),
            _ => Ok(serde_json::from_str(&answer).map_err(io::Error::from)?),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // After this wait, its locks are released.
        let _ = self.child.wait();
    }
}

/// Acts as a side on the files in `folder`, until standard input ends. If the tests have not ended by then, the program
/// that runs them has died, and the files are removed.
///
/// # Errors
/// As reading and writing the standard streams.
pub fn serve(folder: &Path, shared: Shared) -> io::Result<()> {
    let mut desk = Desk::new(folder, Box::new(Kernel)).sharing(shared);
    for line in io::stdin().lock().lines() {
        let answer = desk.answer(&serde_json::from_str(&line?)?);
        let mut out = io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    folder::clear(folder);
    Ok(())
}
