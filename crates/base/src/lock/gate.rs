//! The turnstile, the gate, and the HDF5 file's own lock. They are always taken together, in this order.

use super::ofd::{self, Kind};
use super::paths::Paths;
use super::rows::{RowLocks, TURNSTILE};
use super::wait::Patience;
use super::{courtesy::Courtesy, holders, witness};
use crate::error::{ErrorKind, Gone};
use crate::inherited::LockFile;
use crate::storage::{Facts, Mode, Storage, StorageFile};
use crate::sync;
use fs2::FileExt;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The byte of `rows.lock` that processes share while they wait at the turnstile or the gate.
const QUEUE: Range<u64> = 3..4;
/// A structural change lets waiting processes go first, for at most this long.
const QUEUE_PASSES: Duration = Duration::from_millis(100);
const QUEUE_LOOK: Duration = Duration::from_micros(200);
/// Stock readers that opened the file during a change get this long to close it.
const READERS_LEAVE: Duration = Duration::from_millis(100);
const READERS_LOOK: Duration = Duration::from_micros(200);

/// One process's descriptors on the gate. They are opened close-on-exec and never duplicated, so that neither a child
/// process nor another [`Gate`] holds or releases them.
#[derive(Debug)]
pub struct Gate {
    gate: LockFile,
    data: LockFile,
    /// The HDF5 file, for reading and writing inside the gate. Where several hosts share it, this is the open file that
    /// `data` locks.
    file: Arc<dyn StorageFile>,
    storage: Arc<dyn Storage>,
    turnstile: Arc<RowLocks>,
    paths: Paths,
    courtesy: Mutex<Courtesy>,
}

/// The shared side of the gate. Row commits may run; structural changes may not, and no stock writer can open the file.
#[derive(Debug)]
pub struct SharedGate {
    gate: Arc<Gate>,
    suspect: bool,
    /// Whether the name still refers to the file that the lock is on.
    named: bool,
}

/// The exclusive side of the gate. Nobody else writes, and no stock writer has the file open. [`StockReaders`] says
/// what stock readers may do.
#[derive(Debug)]
pub struct ExclusiveGate {
    gate: Arc<Gate>,
    suspect: bool,
    stock: StockReaders,
}

/// The gate alone, held while another program changes the file. The HDF5 file's own lock is left to that program, and the
/// witness stays as it is, so that the next process to enter sees that the file was changed.
#[derive(Debug)]
pub struct HeldGate(Arc<Gate>);

/// Keeps everyone else from opening the file while it lives.
#[derive(Debug)]
pub struct ReadersOut<'a>(&'a ExclusiveGate);

/// What stock readers may do during a structural change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockReaders {
    /// The change waits for them once. After that they may open the file again until
    /// [`ExclusiveGate::keep_readers_out`]; until then nothing changes that they can see.
    MayStay,
    /// The change waits for them, and keeps them out until it ends.
    MustLeave,
}

/// Locks on a file that has not been checked yet.
#[derive(Debug)]
struct Entered {
    gate: Arc<Gate>,
    stays: bool,
}

impl Entered {
    fn new(gate: &Arc<Gate>) -> Self {
        Self { gate: Arc::clone(gate), stays: false }
    }

    /// Keeps the locks when this is dropped. The caller releases them.
    fn stay(mut self) {
        self.stays = true;
    }
}

impl Gate {
    /// Opens the descriptors. Makes `FILE.lock` and the sidecar if they are missing.
    ///
    /// # Errors
    /// As open(2).
    pub fn open(paths: &Paths, storage: &Arc<dyn Storage>, turnstile: Arc<RowLocks>) -> io::Result<Arc<Self>> {
        let gate = open_gate(&paths.gate)?;
        let file: Arc<dyn StorageFile> = Arc::from(storage.open(&paths.file, Mode::Write)?);
        let data = match file.lock_handle()? {
            Some(handle) => handle,
            None => OpenOptions::new().read(true).write(true).open(&paths.file)?,
        };
        let (storage, courtesy) = (Arc::clone(storage), Mutex::new(Courtesy::new(paths)));
        let data = LockFile::new(data);
        Ok(Arc::new(Self { gate, data, file, storage, turnstile, paths: paths.clone(), courtesy }))
    }

    /// The HDF5 file. Write to it inside the gate only.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn StorageFile> {
        &self.file
    }

    /// Whether the name refers to the file that this opened.
    ///
    /// # Errors
    /// As stat(2).
    pub fn is_named(&self) -> io::Result<bool> {
        Ok(self.storage.identity(&self.paths.file)?.same_file(&self.file.identity()?))
    }

    /// Enters for row commits. Waits for a structural change, for another program that holds the gate, and for a stock
    /// writer that has the file open.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; [`ErrorKind::Replaced`] if the lock files are gone.
    pub fn enter_shared(self: &Arc<Self>, patience: &Patience) -> Result<SharedGate, ErrorKind> {
        sync::lock(&self.courtesy).give_way();
        pass(self.turnstile.file(), Some(&self.gate), &self.paths, patience)?;
        let entered = Entered::new(self);
        // The gate is released while a stock program has the file open: that program may need the gate.
        if !taken(FileExt::try_lock_shared(&*self.data))? {
            drop(entered);
            let both = || self.try_both();
            patience.wait("the HDF5 file", both, || holders::of_file(&self.paths, &self.paths.file))?;
            return self.shared(Entered::new(self));
        }
        self.shared(entered)
    }

    fn shared(self: &Arc<Self>, entered: Entered) -> Result<SharedGate, ErrorKind> {
        self.check_lock_files()?;
        // The witness describes the file that has the name, not another one.
        let named = self.is_named().unwrap_or(false);
        let suspect = !named || witness::enter(self.turnstile.file(), &self.data)?;
        entered.stay();
        Ok(SharedGate { gate: Arc::clone(self), suspect, named })
    }

    fn try_both(&self) -> io::Result<bool> {
        if !taken(FileExt::try_lock_shared(&*self.gate))? {
            return Ok(false);
        }
        let both = taken(FileExt::try_lock_shared(&*self.data))?;
        if !both {
            FileExt::unlock(&*self.gate)?;
        }
        Ok(both)
    }

    /// Enters for a structural change. Row commits pass the turnstile one by one and wait behind this call, so that a
    /// stream of them cannot starve it. While a stock program has the file open, the gate is released and commits go
    /// on: only this call waits for that program.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; [`ErrorKind::Replaced`] if the lock files are gone.
    pub fn enter_exclusive(
        self: &Arc<Self>,
        patience: &Patience,
        stock: StockReaders,
    ) -> Result<ExclusiveGate, ErrorKind> {
        let whole = || {
            let entered = self.wait_exclusive(patience)?;
            let data = match stock {
                // A program that opened the file before must not keep the gate closed for others.
                StockReaders::MayStay => self.try_lock_then_share(),
                StockReaders::MustLeave => taken(FileExt::try_lock(&*self.data)),
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

    /// Enters for another program that changes the file, as [`Gate::enter_exclusive`] does, but leaves the HDF5 file's own
    /// lock to that program. Stock programs that have the file open are not waited for.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; [`ErrorKind::Replaced`] if the lock files are gone.
    pub fn hold(self: &Arc<Self>, patience: &Patience) -> Result<HeldGate, ErrorKind> {
        let entered = self.wait_exclusive(patience)?;
        self.check_lock_files()?;
        entered.stay();
        Ok(HeldGate(Arc::clone(self)))
    }

    fn try_lock_then_share(&self) -> io::Result<bool> {
        Ok(taken(FileExt::try_lock(&*self.data))? && taken(FileExt::try_lock_shared(&*self.data))?)
    }

    fn wait_exclusive(self: &Arc<Self>, patience: &Patience) -> Result<Entered, ErrorKind> {
        let rows = self.turnstile.file();
        let_queue_pass(rows, patience)?;
        let turnstile = || ofd::set(rows, Kind::Exclusive, &TURNSTILE);
        patience.wait("the turnstile", turnstile, || holders::of_range(&self.paths, &TURNSTILE))?;
        let gate = patience.wait("the gate", || taken(FileExt::try_lock(&*self.gate)), || self.gate_holder());
        let entered = gate.map(|()| Entered::new(self));
        ofd::set(rows, Kind::Unlock, &TURNSTILE)?;
        entered
    }

    /// Updates the witness, then releases both locks.
    fn leave_with_note(&self) {
        // Without the witness the next process to enter checks the bytes of cells, which is safe.
        let _ = witness::leave(self.turnstile.file(), &self.data);
        self.leave();
    }

    fn gate_holder(&self) -> String {
        holders::of_file(&self.paths, &self.paths.gate)
    }

    /// Refuses a lock file that was removed. A program that removes it separates the writers of a living store.
    fn check_lock_files(&self) -> Result<(), ErrorKind> {
        let intact = same(&self.gate, &self.paths.gate)
            .and_then(|gate| Ok(gate && same(self.turnstile.file(), &self.paths.rows)?));
        match intact {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::Replaced(Gone::LockFiles)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(ErrorKind::Replaced(Gone::LockFiles)),
            Err(e) => Err(e.into()),
        }
    }

    fn leave(&self) {
        // If this fails, closing the descriptors releases them.
        let _ = FileExt::unlock(&*self.data);
        let _ = FileExt::unlock(&*self.gate);
    }
}

impl SharedGate {
    /// Whether the name referred to the file that the lock is on when it was taken.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.named
    }

    /// The HDF5 file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn StorageFile> {
        &self.gate.file
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

    /// Whether the name still refers to the file that the lock is on.
    ///
    /// # Errors
    /// As stat(2).
    pub fn is_named(&self) -> io::Result<bool> {
        self.gate.is_named()
    }

    /// The HDF5 file.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn StorageFile> {
        &self.gate.file
    }

    /// Keeps stock readers out while bytes change that they can see. Waits for those that opened the file since the
    /// gate was entered, but only briefly, since the gate is closed for everyone meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]: a stock program has the file open and may have written to it. Everything that was
    /// read from the file must be read again.
    pub fn keep_readers_out(&self, patience: &Patience) -> Result<ReadersOut<'_>, ErrorKind> {
        let gate = &self.gate;
        if self.stock == StockReaders::MustLeave {
            return Ok(ReadersOut(self));
        }
        let before = Facts::of(&gate.data)?;
        let start = Instant::now();
        loop {
            let out = taken(FileExt::try_lock(&*gate.data))?;
            // A failed attempt releases the shared lock, so a stock writer could have opened the file for an instant.
            let kept = out || taken(FileExt::try_lock_shared(&*gate.data))?;
            let unchanged = kept && Facts::of(&gate.data)? == before;
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

impl HeldGate {
    /// Whether the name still stands for the file that was opened before the gate was taken.
    ///
    /// # Errors
    /// As stat(2).
    pub fn is_named(&self) -> io::Result<bool> {
        self.0.is_named()
    }
}

impl Drop for HeldGate {
    fn drop(&mut self) {
        self.0.leave();
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
            // All bytes are written, so a stock writer that opens the file in this instant does no harm.
            let _ = FileExt::try_lock_shared(&*self.0.gate.data);
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
        if self.is_named().unwrap_or(false) {
            self.gate.leave_with_note();
        } else {
            // Another file took the name, and the witness describes that one.
            let _ = ofd::set(self.gate.turnstile.file(), Kind::Unlock, &witness::PRESENCE);
            self.gate.leave();
        }
    }
}

/// The shared side of the gate for reading, which needs no write permission. It creates no files. A store that nobody
/// has written to has no gate.
#[derive(Debug)]
pub struct ReadGate {
    // Fields are dropped in this order, so that whoever holds the gate exclusively finds the HDF5 file free.
    _data: LockFile,
    _gate: Option<LockFile>,
}

impl ReadGate {
    /// Enters to load a layout. Dropping it leaves the gate.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], open(2).
    pub fn enter(paths: &Paths, patience: &Patience) -> Result<Self, ErrorKind> {
        let gate = match paths.look_for(OpenOptions::new().read(true), &paths.gate) {
            Ok(gate) => gate.map(LockFile::new),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => None,
            Err(e) => return Err(e.into()),
        };
        match (RowLocks::look(paths)?, &gate) {
            (Some(rows), gate) => pass(rows.file(), gate.as_deref(), paths, patience)?,
            (None, Some(gate)) => wait_shared(gate, paths, patience)?,
            (None, None) => {}
        }
        let data = LockFile::new(File::open(&paths.file)?);
        let attempt = || taken(FileExt::try_lock_shared(&*data));
        patience.wait("the HDF5 file", attempt, || holders::of_file(paths, &paths.file))?;
        Ok(Self { _data: data, _gate: gate })
    }
}

/// Whether only h5part has ever written to the file, so that its origin is known. Takes no lock.
///
/// # Errors
/// As open(2).
pub fn is_ours(paths: &Paths) -> io::Result<bool> {
    match RowLocks::look(paths)? {
        Some(rows) => witness::knows(rows.file(), &File::open(&paths.file)?),
        None => Ok(false),
    }
}

/// The gate of a file that does not exist yet, held by the process that creates it.
#[derive(Debug)]
pub struct CreationLock(#[expect(dead_code, reason = "held for its lock")] LockFile);

impl CreationLock {
    /// Enters the gate exclusively. Dropping it leaves the gate.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`], open(2).
    pub fn take(paths: &Paths, patience: &Patience) -> Result<Self, ErrorKind> {
        let gate = open_gate(&paths.gate)?;
        patience.wait("the gate", || taken(FileExt::try_lock(&*gate)), || holders::of_file(paths, &paths.gate))?;
        Ok(Self(gate))
    }

    /// Records that the file exists now, and that only h5part has written to it.
    ///
    /// # Errors
    /// As open(2) and pwrite(2).
    pub fn hand_over(self, paths: &Paths) -> io::Result<()> {
        witness::begin(RowLocks::open(paths)?.file(), &File::open(&paths.file)?, false)
    }
}

/// Enters the shared side of the gate through the turnstile. Processes that must wait join a queue, which goes before
/// the next structural change. So changes in close succession starve nobody.
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

/// Lets the queue enter first, for a limited time.
fn let_queue_pass(rows: &File, patience: &Patience) -> io::Result<()> {
    let start = Instant::now();
    while start.elapsed() < QUEUE_PASSES && ofd::conflict(rows, Kind::Exclusive, &QUEUE)?.is_some() {
        (patience.sleep)(QUEUE_LOOK);
    }
    Ok(())
}

/// Whether the path refers to the open file.
fn same(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
}

/// The outcome of `flock`: taken, held by another, or an error.
pub(super) fn taken(outcome: Result<(), fs2::TryLockError>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(fs2::TryLockError::WouldBlock) => Ok(false),
        Err(fs2::TryLockError::Error(e)) => Err(e),
    }
}

/// Opens the lock file, which is never truncated and never removed. Another user's lock file may be read-only for us.
fn open_gate(path: &Path) -> io::Result<LockFile> {
    let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => File::open(path).map_err(|_| e),
        other => other,
    };
    file.map(LockFile::new)
}
