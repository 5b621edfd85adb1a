//! Pins workers to cores.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Numbers of the processors that this process may run on. Empty if the system does not tell.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return vec![] };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false)).collect()
}

/// Pins this thread, and the threads that it starts later, to these processors.
///
/// # Errors
/// As `sched_setaffinity(2)`; an error for an empty list.
pub fn keep_on(cpus: &[usize]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Runs `act` with this thread pinned to these processors, along with whatever it starts meanwhile. With an empty list,
/// or if the system refuses, it runs without pinning.
pub fn while_kept_on<T>(cpus: &[usize], act: impl FnOnce() -> T) -> T {
    let before = if cpus.is_empty() { vec![] } else { allowed() };
    let is_kept = !cpus.is_empty() && keep_on(cpus).is_ok();
    let done = act();
    if is_kept {
        let _ = keep_on(&before);
    }
    done
}

/// Processors of each worker: `threads` neighbouring ones each. If there are too few, workers share them in turn.
#[must_use]
pub fn shares(allowed: &[usize], workers: usize, threads: usize) -> Vec<Vec<usize>> {
    if allowed.is_empty() {
        return vec![];
    }
    let threads = threads.clamp(1, allowed.len());
    let share = |worker: usize| (0..threads).map(|k| allowed[(worker * threads + k) % allowed.len()]).collect();
    (0..workers).map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_get_neighbours_of_their_own_as_long_as_there_are_any() {
        assert_eq!(shares(&[0, 1, 4, 5], 2, 2), [[0, 1], [4, 5]]);
        assert_eq!(shares(&[0, 3], 3, 1), [[0], [3], [0]]);
        assert_eq!(shares(&[7], 2, 4), [[7], [7]]);
        assert!(shares(&[], 2, 1).is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "asks the system")]
    fn a_thread_is_kept_where_it_was_told() {
        let first = allowed()[0];
        let kept = std::thread::spawn(move || {
            keep_on(&[first]).expect("pins");
            allowed()
        });
        assert_eq!(kept.join().expect("ends"), [first]);
        let before = allowed();
        let kept = while_kept_on(&[first], || (allowed(), std::thread::spawn(allowed).join().expect("ends")));
        assert_eq!((kept, allowed()), ((vec![first], vec![first]), before.clone()));
        assert_eq!(while_kept_on(&[], allowed), before);
        assert!(keep_on(&[]).is_err());
    }
}
