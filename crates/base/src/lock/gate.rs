//! Turnstile, gate, and the HDF5 file's own lock, always taken together and in this order.

use super::ofd::{self, Kind};
use super::paths::Paths;
use super::rows::{RowLocks, TURNSTILE};
use super::wait::Patience;
use super::{courtesy::Courtesy, holders, witness};
use crate::error::ErrorKind;
use crate::sync;
use fs2::FileExt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The byte of `rows.lock` that those share who wait at turnstile and gate.
const QUEUE: Range<u64> = 3..4;
/// A structural change lets those pass who have waited, but no longer than this.
const QUEUE_PASSES: Duration = Duration::from_millis(100);
const QUEUE_LOOK: Duration = Duration::from_micros(200);
/// Stock readers that came during a change are given so long to close the file.
const READERS_LEAVE: Duration = Duration::from_millis(100);
const READERS_LOOK: Duration = Duration::from_micros(200);

/// One process's descriptors on the gate. They are its own: opened close-on-exec, never
/// duplicated, so that neither a child nor another [`Gate`] holds or drops them.
#[derive(Debug)]
pub struct Gate {
    gate: File,
    data: File,
    turnstile: Arc<RowLocks>,
    paths: Paths,
    courtesy: Mutex<Courtesy>,
}

/// Row commits may happen; structural changes may not, nor may a stock writer open the file.
#[derive(Debug)]
pub struct SharedGate {
    gate: Arc<Gate>,
    suspect: bool,
    /// Whether the name still stands for the file that the lock is on.
    named: bool,
}

/// Nobody else writes, and no stock writer has the file open; see [`StockReaders`] for stock readers.
#[derive(Debug)]
pub struct ExclusiveGate {
    gate: Arc<Gate>,
    suspect: bool,
    stock: StockReaders,
}

/// Nobody else has the file open, until this is dropped.
#[derive(Debug)]
pub struct ReadersOut<'a>(&'a ExclusiveGate);

/// What becomes of stock readers during a structural change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockReaders {
    /// They are waited for, and may come again until [`ExclusiveGate::keep_readers_out`]: until then nothing changes
    /// that they may look at.
    MayStay,
    /// They are waited for, and kept out: the file is changed in place.
    MustLeave,
}

/// The locks alone, until what they guard was looked at.
#[derive(Debug)]
struct Entered {
    gate: Arc<Gate>,
    stays: bool,
}

impl Entered {
    fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), stays: false }
    }

    /// From here on somebody else unlocks.
    fn stay(mut self) {
        self.stays = true;
    }
}

impl Gate {
    /// Opens the descriptors; makes `FILE.lock` and the sidecar where they are missing.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(paths: &Paths, turnstile: Arc<RowLocks>) -> io::Result<Arc<Self>> {
        let gate = open_gate(&paths.gate)?;
        let data = OpenOptions::new().read(true).write(true).open(&paths.file)?;
        let courtesy = Mutex::new(Courtesy::new(paths));
        Ok(Arc::new(Self { gate, data, turnstile, paths: paths.clone(), courtesy }))
    }

    /// Enters for row commits. Waits while a structural change, another program at the gate or a
    /// stock writer has the file.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; [`ErrorKind::LockFileGone`].
    pub fn enter_shared(self: &Arc<Self>, patience: &Patience) -> Result<SharedGate, ErrorKind> {
        sync::lock(&self.courtesy).give_way();
        pass(self.turnstile.file(), Some(&self.gate), &self.paths, patience)?;
        let entered = Entered::new(self);
        // The gate is not kept while a stock program has the file open: it may need the gate.
        if !taken(FileExt::try_lock_shared(&self.data))? {
            drop(entered);
            let both = || self.try_both();
            patience.wait("the HDF5 file", both, || holders::of_file(&self.paths, &self.paths.file))?;
            return self.shared(Entered::new(self));
        }
        self.shared(entered)
    }

    fn shared(self: &Arc<Self>, entered: Entered) -> Result<SharedGate, ErrorKind> {
        self.check_lock_files()?;
        // The witness watches the file that has the name; another one is none of its business.
        let named = same(&self.data, &self.paths.file).unwrap_or(false);
        let suspect = !named || witness::enter(self.turnstile.file(), &self.data)?;
        entered.stay();
        Ok(SharedGate { gate: Arc::clone(self), suspect, named })
    }

    fn try_both(&self) -> io::Result<bool> {
        if !taken(FileExt::try_lock_shared(&self.gate))? {
            return Ok(false);
        }
        let both = taken(FileExt::try_lock_shared(&self.data))?;
        if !both {
            FileExt::unlock(&self.gate)?;
        }
        Ok(both)
    }

    /// Enters for a structural change. Shared takers pass the turnstile one by one and wait behind
    /// this one, so that a stream of commits cannot starve it. While a stock program has the file open,
    /// the gate is given back, and commits go on: nobody but this one waits for it.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; [`ErrorKind::LockFileGone`].
    pub fn enter_exclusive(
        self: &Arc<Self>,
        patience: &Patience,
        stock: StockReaders,
    ) -> Result<ExclusiveGate, ErrorKind> {
        let whole = || {
            let entered = self.wait_exclusive(patience)?;
            let data = match stock {
                // Who has had the file open since before must not keep the gate closed for others.
                StockReaders::MayStay => self.try_lock_then_share(),
                StockReaders::MustLeave => taken(FileExt::try_lock(&self.data)),
            };
            Ok::<_, ErrorKind>(data?.then_some(entered))
        };
        let holder = || holders::of_file(&self.paths, &self.paths.file);
        let entered = patience.wait_for("the HDF5 file", whole, holder)?;
        self.check_lock_files()?;
        let suspect = witness::enter(self.turnstile.file(), &self.data)?;
        entered.stay();
        Ok(ExclusiveGate { gate: Arc::clone(self), suspect, stock })
    }

    fn try_lock_then_share(&self) -> io::Result<bool> {
        Ok(taken(FileExt::try_lock(&self.data))? && taken(FileExt::try_lock_shared(&self.data))?)
    }

    fn wait_exclusive(self: &Arc<Self>, patience: &Patience) -> Result<Entered, ErrorKind> {
        let rows = self.turnstile.file();
        let_queue_pass(rows, patience)?;
        let turnstile = || ofd::set(rows, Kind::Exclusive, &TURNSTILE);
        patience.wait("the turnstile", turnstile, || holders::of_range(&self.paths, &TURNSTILE))?;
        let gate = patience.wait("the gate", || taken(FileExt::try_lock(&self.gate)), || self.gate_holder());
        let entered = gate.map(|()| Entered::new(self));
        ofd::set(rows, Kind::Unlock, &TURNSTILE)?;
        entered
    }

    /// Both locks are dropped, the witness having noted how the file was left.
    fn leave_with_note(&self) {
        // Without a note the next one to enter looks closer, which is right.
        let _ = witness::leave(self.turnstile.file(), &self.data);
        self.leave();
    }

    fn gate_holder(&self) -> String {
        holders::of_file(&self.paths, &self.paths.gate)
    }

    /// Somebody who removes the lock files of a living store separates its writers.
    fn check_lock_files(&self) -> Result<(), ErrorKind> {
        let intact = same(&self.gate, &self.paths.gate)
            .and_then(|gate| Ok(gate && same(self.turnstile.file(), &self.paths.rows)?));
        match intact {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::LockFileGone),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(ErrorKind::LockFileGone),
            Err(e) => Err(e.into()),
        }
    }

    fn leave(&self) {
        // Closing the descriptors frees them too; there is nobody to tell here.
        let _ = FileExt::unlock(&self.data);
        let _ = FileExt::unlock(&self.gate);
    }
}

impl SharedGate {
    /// Whether the name stood for the file that the lock is on when it was taken.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// Whether another program may have written to the file at some time.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }
}

impl ExclusiveGate {
    /// Whether another program may have written to the file at some time.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// Whether the name still stands for the file that the lock is on.
    ///
    /// # Errors
    /// As stat(2).
    pub fn is_named(&self) -> io::Result<bool> {
        same(&self.gate.data, &self.gate.paths.file)
    }

    /// Keeps stock readers out while bytes change that they may look at. Those who came since the gate was entered are
    /// waited for, but not for long: the gate is closed for everybody meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]: a stock program has the file open, and may have written to it. What was read of the
    /// file is to be read again.
    pub fn keep_readers_out(&self, patience: &Patience) -> Result<ReadersOut<'_>, ErrorKind> {
        let gate = &self.gate;
        if self.stock == StockReaders::MustLeave {
            return Ok(ReadersOut(self));
        }
        let before = Touched::of(&gate.data)?;
        let start = Instant::now();
        loop {
            let out = taken(FileExt::try_lock(&gate.data))?;
            // A failed attempt costs the shared lock: for an instant a stock writer could have come, and left again.
            let kept = out || taken(FileExt::try_lock_shared(&gate.data))?;
            let unchanged = kept && Touched::of(&gate.data)? == before;
            if out && unchanged {
                return Ok(ReadersOut(self));
            }
            if !unchanged || start.elapsed() > READERS_LEAVE {
                let holder = holders::of_file(&gate.paths, &gate.paths.file);
                let waited_s = start.elapsed().as_secs_f64();
                return Err(ErrorKind::LockTimeout { what: "the HDF5 file", holder, waited_s });
            }
            (patience.sleep)(READERS_LOOK);
        }
    }
}

/// When a file was last written to, and how long it is.
#[derive(Debug, PartialEq, Eq)]
struct Touched(i64, i64, u64);

impl Touched {
    fn of(file: &File) -> io::Result<Self> {
        let found = file.metadata()?;
        Ok(Self(found.ctime(), found.ctime_nsec(), found.len()))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.stays {
            self.gate.leave();
        }
    }
}

impl Drop for ReadersOut<'_> {
    fn drop(&mut self) {
        if self.0.stock != StockReaders::MustLeave {
            // All bytes are where they belong: a stock writer that came in this instant would do no harm.
            let _ = FileExt::try_lock_shared(&self.0.gate.data);
        }
    }
}

impl Drop for SharedGate {
    fn drop(&mut self) {
        if self.named {
            self.gate.leave_with_note();
        } else {
            self.gate.leave();
        }
    }
}

impl Drop for ExclusiveGate {
    fn drop(&mut self) {
        if !self.is_named().unwrap_or(false) {
            // Another file took the name, and the note is about that.
            let _ = ofd::set(self.gate.turnstile.file(), Kind::Unlock, &witness::PRESENCE);
            self.gate.leave();
        } else {
            self.gate.leave_with_note();
        }
    }
}

/// The shared side for those who only read, with whatever permissions: nothing is made, and a
/// store that nobody ever wrote has no gate to pass.
#[derive(Debug)]
pub struct ReadGate {
    // Left in this order: whoever has the gate for itself finds the HDF5 file free.
    _data: File,
    _gate: Option<File>,
}

impl ReadGate {
    /// Enters for loading a layout; left when dropped.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], open(2).
    pub fn enter(paths: &Paths, patience: &Patience) -> Result<Self, ErrorKind> {
        let gate = match File::open(&paths.gate) {
            Ok(gate) => Some(gate),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => None,
            Err(e) => return Err(e.into()),
        };
        match (RowLocks::look(paths)?, &gate) {
            (Some(rows), gate) => pass(rows.file(), gate.as_ref(), paths, patience)?,
            (None, Some(gate)) => wait_shared(gate, paths, patience)?,
            (None, None) => {}
        }
        let data = File::open(&paths.file)?;
        let attempt = || taken(FileExt::try_lock_shared(&data));
        patience.wait("the HDF5 file", attempt, || holders::of_file(paths, &paths.file))?;
        Ok(Self { _data: data, _gate: gate })
    }
}

/// Whether h5part alone has ever written to the file: then it is no file of unknown origin. Takes no lock.
///
/// # Errors
/// As open(2).
pub fn is_ours(paths: &Paths) -> io::Result<bool> {
    match RowLocks::look(paths)? {
        Some(rows) => witness::knows(rows.file(), &File::open(&paths.file)?),
        None => Ok(false),
    }
}

/// The gate of a file that is not there yet, held by the one who makes it.
#[derive(Debug)]
pub struct CreationLock(#[expect(dead_code, reason = "held for its lock")] File);

impl CreationLock {
    /// Takes the gate exclusively; left when dropped.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], open(2).
    pub fn take(paths: &Paths, patience: &Patience) -> Result<Self, ErrorKind> {
        let gate = open_gate(&paths.gate)?;
        patience.wait("the gate", || taken(FileExt::try_lock(&gate)), || holders::of_file(paths, &paths.gate))?;
        Ok(Self(gate))
    }

    /// The file is there now, and nobody but h5part has written to it.
    ///
    /// # Errors
    /// As open(2) and pwrite(2).
    pub fn hand_over(self, paths: &Paths) -> io::Result<()> {
        witness::begin(RowLocks::open(paths)?.file(), &File::open(&paths.file)?, false)
    }
}

/// Takes the shared side of the gate, through the turnstile. Those who have to wait are in a queue,
/// which is let pass before the next structural change: changes in close succession starve nobody.
fn pass(rows: &File, gate: Option<&File>, paths: &Paths, patience: &Patience) -> Result<(), ErrorKind> {
    let free = || Ok(ofd::conflict(rows, Kind::Shared, &TURNSTILE)?.is_none());
    let enter = || gate.map_or(Ok(true), |gate| taken(FileExt::try_lock_shared(gate)));
    if free()? && enter()? {
        return Ok(());
    }
    ofd::set(rows, Kind::Shared, &QUEUE)?;
    let entered = patience
        .wait("the turnstile", free, || holders::of_range(paths, &TURNSTILE))
        .and_then(|()| gate.map_or(Ok(()), |gate| wait_shared(gate, paths, patience)));
    ofd::set(rows, Kind::Unlock, &QUEUE)?;
    entered
}

fn wait_shared(gate: &File, paths: &Paths, patience: &Patience) -> Result<(), ErrorKind> {
    patience.wait("the gate", || taken(FileExt::try_lock_shared(gate)), || holders::of_file(paths, &paths.gate))
}

/// Lets those in the queue enter first, for a while.
fn let_queue_pass(rows: &File, patience: &Patience) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < QUEUE_PASSES && ofd::conflict(rows, Kind::Exclusive, &QUEUE)?.is_some() {
        (patience.sleep)(QUEUE_LOOK);
    }
    Ok(())
}

/// Whether the path names the file that is open.
fn same(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
}

/// `flock` outcomes: taken, held by another, or an error.
pub(super) fn taken(outcome: Result<(), fs2::TryLockError>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(fs2::TryLockError::WouldBlock) => Ok(false),
        Err(fs2::TryLockError::Error(e)) => Err(e),
    }
}

/// Never truncated, never removed. A lock file of another user may be read-only for us.
fn open_gate(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => File::open(path).map_err(|_| e),
        other => other,
    }
}
