//! Courtesy towards programs that poll the gate without waiting.
//!
//! A program that polls `FILE.lock` with a non-blocking exclusive lock, as `mbe_automation` does every 2 to 5 s, finds
//! it free by luck only: in 9 % of its tries beside four writers that never pause. It cannot announce that it waits, so
//! writers look for it: a process that opens `FILE.lock` but not `rows.lock` is not a writer of h5part. While there is
//! one, all writers stay away from the gate in the same half of every half second, so that each of its tries succeeds
//! with even odds. Without one, nothing is slowed down.

use super::holders;
use super::paths::Paths;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A writer younger than this does not look, so that short commands pay nothing.
const FIRST_LOOK: Duration = Duration::from_millis(200);
/// Time between two checks of who opened the gate (one system call).
const LOOK: Duration = Duration::from_millis(50);
/// Time between two checks of who has it open (reads /proc, a few milliseconds).
const SCAN: Duration = Duration::from_secs(4);
/// A sign of another program counts for this long: two of its longest pauses.
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

    /// Called before entering the gate. From time to time it looks for pollers; while there is one, it waits out the
    /// quiet half.
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
            // The system may be out of inotify instances. Then only the scan is used.
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

    /// Whether a process opened the gate and not the row locks. An open by one of our writers at the same moment can
    /// hide it; pollers come again.
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
