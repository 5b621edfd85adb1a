//! Processor time and memory, as the system reports them, of this thread, this process, or one child.

use nix::errno::Errno;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::io;
use std::process::{Child, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Memory counters are kept per processor and added up from time to time. Two readings of the same memory differ by
/// less than this, in bytes.
const SLACK: u64 = 1 << 20;

/// What one child used. This is not the maximum over all children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChildUsage {
    /// When it was started, in seconds since 1970.
    pub start_s: f64,
    /// Time from its start to its end, in seconds.
    pub wall_s: f64,
    /// Processor time, user plus system, of it and of the children that it waited for, in seconds.
    pub cpu_s: f64,
    /// Peak of its resident memory (or that of the largest child that it waited for), in bytes.
    pub memory_bytes: u64,
    /// Whether the peak is only an upper bound. Linux passes the peak of the starting process on to the program. So a
    /// program that uses less memory than its starter looks like one that uses as much. Starters that use little memory
    /// get exact values.
    pub memory_at_most: bool,
}

/// Whose processor time to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// That of the thread that measures.
    Thread,
    /// That of all threads of its process.
    Process,
}

impl Whose {
    /// Processor time so far. getrusage(2) would report it as of the scheduler's last tick.
    pub(super) fn cpu(self) -> Duration {
        let clock = match self {
            Self::Thread => ClockId::CLOCK_THREAD_CPUTIME_ID,
            Self::Process => ClockId::CLOCK_PROCESS_CPUTIME_ID,
        };
        clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
    }
}

/// Peak of this process's resident memory since its program was started, in bytes.
pub fn own_peak() -> u64 {
    /// The first value of getrusage(2), if that was the peak of our starter; else 0.
    static INHERITED: OnceLock<u64> = OnceLock::new();
    let told = told_peak();
    let own = |program: u64| if program + SLACK < told { told } else { 0 };
    let inherited = *INHERITED.get_or_init(|| program_peak().map_or(0, own));
    // Reading /proc takes 20 us, getrusage(2) less than one.
    if told > inherited { told } else { program_peak().unwrap_or(told) }
}

/// The peak of this process, or of its starter if that is larger, in bytes.
fn told_peak() -> u64 {
    // RUSAGE_THREAD gives the same peak without visiting the other threads.
    let kib = getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.max_rss());
    u64::try_from(kib).unwrap_or(0).saturating_mul(1024)
}

/// The peak of this program alone, in bytes.
fn program_peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Seconds since 1970.
pub(super) fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// Waits until one child ends, and returns what it used. `started` is when it was spawned.
///
/// If its standard input is a pipe of ours, that is closed first, as [`Child::wait`] does.
///
/// **Concurrency.** Any number of threads may wait, each for a child of its own. Meanwhile nobody may wait for an
/// arbitrary child, since this could take the end of this one. Afterwards the child is reaped, but `child` does not
/// know it: do not wait for it again or signal it, since its process id may belong to another process by then.
///
/// # Errors
/// As waitid(2) and wait4(2).
pub fn wait_child(child: &mut Child, started: Instant) -> io::Result<(ExitStatus, ChildUsage)> {
    drop(child.stdin.take());
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Returns when it has ended, without reaping it.
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
            // Waits by its own processor time, not the clock's: on a busy machine a thread gets only a part of it.
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
