//! Kills processes while they are at work, on machines of any speed.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::time::{Duration, Instant};

/// Kills at instants spread over the time that the work takes here. A kill that comes too late moves the next ones
/// forward, one that comes in time moves them back. So a loop until a number of kills ends.
pub struct Killer {
    random: ChaCha8Rng,
    /// A kill comes at most this long after the start.
    span: Duration,
}

impl Killer {
    /// Starts with a guess of how long the work takes. `H5PART_SEED` repeats a test.
    pub fn new(guess: Duration) -> Self {
        let told = std::env::var("H5PART_SEED").ok().and_then(|text| text.parse().ok());
        let seed = told.unwrap_or_else(|| u64::from(std::process::id()));
        println!("H5PART_SEED={seed}");
        Self { random: ChaCha8Rng::seed_from_u64(seed), span: guess }
    }

    /// A random number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / 2f64.powi(32)
    }

    /// Returns whether the process was killed before its end. If it ended first, it must have succeeded. Its children
    /// die with it and are gone when this returns.
    pub fn kill(&mut self, child: &mut Child) -> bool {
        std::thread::sleep(self.span.mul_f64(self.share()));
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, Signal::SIGSTOP).expect("stops");
        // From here on it starts no children.
        waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT).expect("stops");
        let children = children(child.id());
        child.kill().expect("kills");
        let ended = child.wait().expect("ends");
        let killed = ended.signal() == Some(9);
        assert!(killed || ended.success(), "{ended}");
        until("its children die with it", || !children.iter().any(|&pid| lives(pid)));
        self.span = self.span.mul_f64(if killed { 1.25 } else { 0.7 });
        killed
    }
}

/// Long enough for any machine. A hang is reported here, with a better message than the timeout of the whole test
/// gives.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Waits until `done` returns `true`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it takes too long: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Children of a process, whichever of its threads started them.
pub fn children(pid: u32) -> Vec<i32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let lists = threads.flatten().map(|thread| std::fs::read_to_string(thread.path().join("children")));
    lists
        .flat_map(|list| list.unwrap_or_default().split_whitespace().flat_map(str::parse).collect::<Vec<_>>())
        .collect()
}

/// Whether a process lives: at least one of its threads is no zombie. The first thread may be one while others still
/// have files open.
pub fn lives(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    stats.any(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}
