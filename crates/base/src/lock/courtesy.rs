//! Room for programs that try the gate without waiting.
//!
//! A program that polls `FILE.lock` with a non-blocking exclusive lock (`mbe_automation` does so
//! every 2 to 5 s) finds it free by luck only: beside four writers that never pause in 9 % of its
//! tries. It cannot say that it waits, so writers look for it: who opens `FILE.lock` without
//! `rows.lock` is not one of them. While one is about, all writers stay away from the gate in the
//! same half of every half second, so that each of its tries succeeds with even odds. Without
//! one, nothing is slowed down.

use super::holders;
use super::paths::Paths;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A writer younger than this does not look: short commands pay nothing.
const FIRST_LOOK: Duration = Duration::from_millis(200);
/// Between two looks at who opened the gate (one system call).
const LOOK: Duration = Duration::from_millis(50);
/// Between two looks at who has it open (reads /proc, a few milliseconds).
const SCAN: Duration = Duration::from_secs(4);
/// How long a sign of another program counts: two of its longest pauses.
const MEMORY: Duration = Duration::from_secs(12);
/// The quiet half comes first in every period of the wall clock, which all writers of a host share.
const PERIOD_MS: u128 = 500;
const QUIET_MS: u128 = 250;

#[derive(Debug)]
pub(super) struct Courtesy {
    paths: Paths,
    next_look: Instant,
    next_scan: Instant,
    polite_until: Option<Instant>,
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    inotify: Inotify,
    gate: WatchDescriptor,
    rows: WatchDescriptor,
}

impl Courtesy {
    pub(super) fn new(paths: &Paths) -> Self {
        let first = Instant::now() + FIRST_LOOK;
        Self { paths: paths.clone(), next_look: first, next_scan: first, polite_until: None, watch: None }
    }

    /// Called before entering the gate: looks now and then, and waits out the quiet half while
    /// another program is about.
    pub(super) fn give_way(&mut self) {
        let now = Instant::now();
        if now >= self.next_look {
            self.next_look = now + LOOK;
            if self.look(now) {
                self.polite_until = Some(now + MEMORY);
            }
        }
        if self.polite_until.is_some_and(|until| now < until) {
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_millis());
            let quiet_left = QUIET_MS.saturating_sub(wall % PERIOD_MS);
            std::thread::sleep(Duration::from_millis(u64::try_from(quiet_left).unwrap_or(0)));
        }
    }

    fn look(&mut self, now: Instant) -> bool {
        let opened = match &mut self.watch {
            Some(watch) => watch.foreign_open(),
            // The system may be out of inotify instances: then the scan alone must do.
            none => {
                *none = Watch::new(&self.paths).ok();
                false
            }
        };
        let open = now >= self.next_scan && {
            self.next_scan = now + SCAN;
            holders::foreign_at_gate(&self.paths)
        };
        opened || open
    }
}

impl Watch {
    fn new(paths: &Paths) -> nix::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let gate = inotify.add_watch(&paths.gate, AddWatchFlags::IN_OPEN)?;
        let rows = inotify.add_watch(&paths.rows, AddWatchFlags::IN_OPEN)?;
        Ok(Self { inotify, gate, rows })
    }

    /// Whether somebody opened the gate who did not open the row locks as well. An open of ours in
    /// the same moment can hide one of theirs; theirs come again.
    fn foreign_open(&self) -> bool {
        let (mut gate, mut rows) = (false, false);
        while let Ok(events) = self.inotify.read_events() {
            for event in events {
                gate |= event.wd == self.gate;
                rows |= event.wd == self.rows;
            }
        }
        gate && !rows
    }
}
