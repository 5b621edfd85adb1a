//! Handles Ctrl-C, SIGTERM, and the death of a parent.

use super::super::output::say;
use h5part_tasks::run::{Level, Stop};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;

/// From now on the first Ctrl-C stops claims, and a second one ends programs. SIGTERM, which SLURM sends before a time
/// limit or a preemption, ends them at once.
pub fn watch(stop: &Arc<Stop>, silent: bool) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let (level, text) = next(signal, stop.level());
            stop.raise(level);
            if !silent {
                say(text);
            }
        }
    });
    Ok(())
}

/// What a signal asks for.
pub fn next(signal: i32, now: Level) -> (Level, &'static str) {
    match (signal, now) {
        (SIGINT, Level::Run) => {
            (Level::Drain, "no more tasks are claimed; running programs finish (Ctrl-C again kills them)")
        }
        (SIGINT, _) => (Level::End, "running programs are killed; their tasks are requeued"),
        _ => (Level::End, "asked to end: running programs are killed, and their tasks requeued"),
    }
}

/// Ends a worker with its run, as if it had been asked to end.
pub fn end_with_parent() {
    // If this fails, the worker goes on until no task is left.
    let _ = set_pdeathsig(Signal::SIGTERM);
}
