//! The worker's side of a worker process.

use super::wire::{Hello, Order, Report, receive, send};
use super::worker::FLAG;
use crate::budget::pin;
use crate::pool::host::{Host, OpenPool};
use crate::pool::task::TaskError;
use crate::pool::work::Registry;
use crate::pool::{EventKind, Job, Payload};
use h5part_base::sync;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, close, dup2_stdin, dup2_stdout, getppid};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

static CALLED: AtomicBool = AtomicBool::new(false);
static WORKER: AtomicBool = AtomicBool::new(false);
/// Exit code after a panic, the same as that of any panicking program.
const PANICKED: i32 = 101;
/// Exit code of a worker that cannot start.
const UNFIT: i32 = 102;

/// As [`crate::pool::serve`]. `open` gives tasks pools of their own.
pub(crate) fn serve(registry: &Registry, open: OpenPool) {
    CALLED.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().as_deref() != Some(OsStr::new(FLAG)) {
        return;
    }
    WORKER.store(true, Ordering::Relaxed);
    let parent = arguments.next().and_then(|id| id.to_str()?.parse().ok());
    let code = match parent.map(|parent| work(registry, open, Pid::from_raw(parent))) {
        Some(Ok(code)) => code,
        // The parent is gone, so nobody needs an error message.
        Some(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => 0,
        Some(Err(e)) => {
            eprintln!("h5part: a worker process cannot start: {e}");
            UNFIT
        }
        None => UNFIT,
    };
    std::process::exit(code)
}

pub(super) fn is_called() -> bool {
    CALLED.load(Ordering::Relaxed)
}

pub(super) fn is_worker() -> bool {
    WORKER.load(Ordering::Relaxed)
}

fn work(registry: &Registry, open: OpenPool, parent: Pid) -> io::Result<i32> {
    set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before.
    if getppid() != parent {
        return Ok(0);
    }
    let (mut orders, mut reports) = pipes()?;
    close_all_but(&[orders.as_raw_fd(), reports.as_raw_fd()])?;
    let Order::Hello(hello) = receive(&mut orders)? else { return Ok(UNFIT) };
    let host = prepare(registry, open, hello)?;
    let (line, jobs) = (Arc::new(Line::default()), channel());
    let reader = Arc::clone(&line);
    std::thread::Builder::new().name("orders".to_owned()).spawn(move || reader.listen(&mut orders, &jobs.0))?;
    run(&host, &line, &jobs.1, &mut reports)
}

/// Moves the pipes to the pool to where no task reads or writes by accident.
fn pipes() -> io::Result<(File, File)> {
    // They are closed in programs that a task starts.
    let orders = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let reports = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    Ok((orders, reports))
}

/// Closes inherited descriptors: the HDF5 library opens files such that every child keeps them, and their locks, open.
fn close_all_but(kept: &[RawFd]) -> io::Result<()> {
    let mut open: Vec<RawFd> = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for fd in open.into_iter().filter(|fd| *fd > 2 && !kept.contains(fd)) {
        // One of them listed the others, and is closed by now.
        let _ = close(fd);
    }
    Ok(())
}

fn prepare(registry: &Registry, open: OpenPool, hello: Hello) -> io::Result<Host> {
    if let Some(limit) = hello.memory_limit {
        let (soft, hard) = getrlimit(Resource::RLIMIT_AS)?;
        setrlimit(Resource::RLIMIT_AS, soft.min(limit), hard.min(limit))?;
    }
    if !hello.cores.is_empty() {
        // If this fails, tasks run without pinning.
        let _ = pin::keep_on(&hello.cores);
    }
    Ok(Host::new(registry, hello.inner, open))
}

/// A job, and the flag that tells it to stop.
type Ordered = (Job, Arc<AtomicBool>);

/// Shared by the thread that listens and the one that works.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<Serving>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Serving {
    /// Jobs that were ordered and have not ended.
    jobs: usize,
    /// Results that were sent and not yet taken.
    sent: usize,
    stop: Arc<AtomicBool>,
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Serving> {
        sync::lock(&self.state)
    }

    /// Receives orders until the pool ends.
    fn listen(&self, orders: &mut File, jobs: &Sender<Ordered>) {
        while let Ok(order) = receive(orders) {
            let mut state = self.lock();
            match order {
                Order::Job(job) => {
                    state.jobs += 1;
                    state.stop = Arc::default();
                    let _ = jobs.send((job, Arc::clone(&state.stop)));
                }
                Order::Taken => state.sent = state.sent.saturating_sub(1),
                Order::Stop => state.stop.store(true, Ordering::Relaxed),
                Order::Hello(_) => {}
            }
            drop(state);
            self.changed.notify_all();
        }
        if self.lock().jobs > 0 {
            // Nobody wants the task's result. `exit` would shut down libraries that the task is still using.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
        // An idle worker notices that no more jobs can come.
    }

    /// Waits until the last result was taken. `false`: the job must stop. So one result of a worker is on its way while
    /// it computes the next.
    fn has_room(&self, stop: &AtomicBool) -> bool {
        let mut state = self.lock();
        while state.sent > 0 && !stop.load(Ordering::Relaxed) {
            state = sync::wait(&self.changed, state);
        }
        let wanted = !stop.load(Ordering::Relaxed);
        state.sent += usize::from(wanted);
        wanted
    }
}

fn run(host: &Host, line: &Line, jobs: &Receiver<Ordered>, reports: &mut File) -> io::Result<i32> {
    while let Ok((job, stop)) = jobs.recv() {
        send(reports, &Report::Begun)?;
        let mut sink =
            |part: u64, value: Payload| line.has_room(&stop) && send(reports, &Report::Part { part, value }).is_ok();
        let end = match host.run(&job, &stop, &mut sink) {
            EventKind::Done { parts } => Report::Done { parts },
            EventKind::Failed(error) => Report::Failed(error),
            EventKind::Partial { .. } | EventKind::Lost(_) => continue,
        };
        send(reports, &end)?;
        if matches!(end, Report::Failed(TaskError::Panicked(_))) {
            return Ok(PANICKED);
        }
        line.lock().jobs -= 1;
    }
    Ok(0)
}
