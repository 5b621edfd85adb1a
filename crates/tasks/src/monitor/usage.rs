//! What the system says of processor time and memory: of this thread, this process, and one child.

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Counters of memory are kept for each processor and added up now and then: two looks at the same
/// memory differ by less than this, in bytes.
const SLACK: u64 = 1 << 20;

/// What one child used, for itself: not the most that any child used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChildUsage {
    /// When it was started, in seconds since 1970.
    pub start_s: f64,
    /// From its start to its end, in seconds.
    pub wall_s: f64,
    /// Processor time, user and system together, of it and of the children that it waited for, in
    /// seconds.
    pub cpu_s: f64,
    /// Peak of its resident memory (or of the largest child that it waited for), in bytes.
    pub memory_bytes: u64,
    /// The peak is this or less. Linux hands the peak of the process that starts a program on to the
    /// program; so what uses less memory than its starter cannot be told apart from one that uses as
    /// much. Starters that use little memory themselves get exact figures.
    pub memory_at_most: bool,
}

/// Whose processor time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the thread that measures.
    Thread,
    /// That of all threads of its process.
    Process,
}

impl Whose {
    /// Processor time so far. Resource usage (getrusage) would be as of the last tick of the scheduler.
    pub(super) fn cpu(self) -> Duration {
        let clock = match self {
            Self::Thread => ClockId::CLOCK_THREAD_CPUTIME_ID,
            Self::Process => ClockId::CLOCK_PROCESS_CPUTIME_ID,
        };
        clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
    }
}

/// Peak of this process' resident memory since its program was started, in bytes.
pub fn own_peak() -> u64 {
    /// What getrusage told at first, if that was the peak of whoever started us; else 0.
    static INHERITED: OnceLock<u64> = OnceLock::new();
    let told = told_peak();
    let own = |program: u64| if program + SLACK < told { told } else { 0 };
    let inherited = *INHERITED.get_or_init(|| program_peak().map_or(0, own));
    // Reading /proc takes 20 us, getrusage less than one.
    if told > inherited { told } else { program_peak().unwrap_or(told) }
}

/// Of this process, or of the one that started it if that is more, in bytes.
fn told_peak() -> u64 {
    // Of the thread: the peak is the same, and no other threads are visited.
    let kib = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.max_rss());
    u64::try_from(kib).unwrap_or(0).saturating_mul(1024)
}

/// Of this program alone, in bytes.
fn program_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Seconds since 1970.
pub(super) fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// Waits for the end of one child, and says what that child used. `started` is when it was spawned.
///
/// Its standard input, if that is a pipe of ours, is closed first, as [`Child::wait`] does.
///
/// **Concurrency.** Any number of threads may wait, each for a child of its own. Nobody may wait for
/// any child whatever meanwhile, which would take the end of this one. Afterwards the child is gone,
/// which `child` does not know: don't wait for it again and don't signal it, its process id may belong to
/// another by then.
///
/// # Errors
/// As waitid(2) and wait4(2).
pub fn wait_child(child: &mut Child, started: Instant) -> io::Result<(ExitStatus, ChildUsage)> {
    drop(child.stdin.take());
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Returns when it has ended, and leaves it to be reaped.
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    while let Err(e) = waitid(Id::Pid(Pid::from_raw(pid)), flags) {
        if e != Errno::EINTR {
            return Err(e.into());
        }
    }
    let wall = started.elapsed();
    let used =
        wait4::try_wait4_pid(child.id())?.ok_or_else(|| io::Error::other("a child that had ended runs again"))?;
    let usage = ChildUsage {
        start_s: unix_s() - wall.as_secs_f64(),
        wall_s: wall.as_secs_f64(),
        cpu_s: (used.rusage.utime + used.rusage.stime).as_secs_f64(),
        memory_bytes: used.rusage.maxrss,
        memory_at_most: used.rusage.maxrss <= told_peak(),
    };
    Ok((used.status, usage))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn processor_time_is_that_of_the_thread_and_the_peak_rises() {
        let (thread, process, peak) = (Whose::Thread.cpu(), Whose::Process.cpu(), own_peak());
        let other = std::thread::spawn(|| {
            // Its own processor time, not the clock's: on a busy machine a thread gets a part of it.
            let start = Whose::Thread.cpu();
            while Whose::Thread.cpu() < start + Duration::from_millis(60) {
                black_box(start);
            }
        });
        let ballast = black_box(vec![1u8; 64 << 20]);
        other.join().expect("ends");
        let all = Whose::Process.cpu().saturating_sub(process);
        let own = Whose::Thread.cpu().saturating_sub(thread);
        assert!(all > own + Duration::from_millis(10));
        assert!(own_peak() >= peak.max(64 << 20));
        drop(ballast);
        assert!(own_peak() >= 64 << 20, "a peak stays");
    }
}
