//! Structural changes: the library works on the file under an overlay, which is then sealed and applied.

use super::handle::Store;
use crate::h5::{Anomaly, Failed, H5Change, H5File, Superblock, check_superblock};
use h5part_base::error::{At, ErrorKind, Result};
use h5part_base::lock::{ExclusiveGate, Gate, RowLocks, SharedGate, StockReaders};
use h5part_base::record::{Overlay, Sealed};
use h5part_base::storage::{Mode, StorageFile};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// The file during a structural change.
pub(super) struct Changing<'a> {
    /// As the library sees it.
    pub(super) h5: &'a H5Change,
    /// The same bytes, for cells and stamps. The library does not see what is written here. What the library creates
    /// during the change appears here only after [`H5Change::flush`].
    pub(super) file: &'a dyn StorageFile,
    /// The file before the change.
    pub(super) before: &'a Arc<dyn StorageFile>,
}

/// Proof that the gate is held exclusively.
pub(super) struct Exclusive {
    pub(super) gate: ExclusiveGate,
}

impl Store {
    /// Changes the structure of the file through the library. `work` may make any changes; all of them are applied, or
    /// none.
    ///
    /// **Concurrency.** Any number of processes may call it; one works at a time. Row commits wait meanwhile and go on
    /// afterwards. The call waits for stock programs that have the file open, and keeps new ones out. **Atomic**: the
    /// whole change. **Survives** loss of power once it has returned. A kill before that leaves the file as it was,
    /// readable for everybody, or the next process to enter the gate finishes the change. It costs what it changes, not
    /// what the file holds.
    ///
    /// Direct columns of tables must stay where they are. All groups, datasets and attributes must be dropped before
    /// `work` returns.
    ///
    /// # Errors
    /// Those of `work`; [`ErrorKind::StillOpen`], [`ErrorKind::LockTimeout`], [`ErrorKind::LogAside`], library and I/O
    /// errors. After an error the file is unchanged, unless the last step failed: see [`Store::recover`].
    pub fn change<T>(&self, work: impl FnOnce(&H5Change) -> std::result::Result<T, Failed>) -> Result<T> {
        self.enter_exclusively()
            .and_then(|exclusive| self.change_exclusively(&exclusive, |site| Ok(work(site.h5)?)))
            .at("change", &self.paths.file)
    }

    /// Makes a change while stock readers may open and close the file; they are kept out only for the instant in which
    /// the change is applied. If one of them does not leave in time, `change` is called once more with all of them kept
    /// out from the start.
    pub(super) fn change_beside_readers<T>(
        &self,
        mut change: impl FnMut(&Exclusive) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let exclusive = self.enter_exclusively_with(StockReaders::MayStay)?;
        let outcome = change(&exclusive);
        drop(exclusive);
        match outcome {
            // No other wait inside can time out.
            Err(ErrorKind::LockTimeout { .. }) => change(&self.enter_exclusively()?),
            other => other,
        }
    }

    /// Enters the gate exclusively, and recovers what dead writers left behind.
    pub(super) fn enter_exclusively(&self) -> Result<Exclusive, ErrorKind> {
        self.enter_exclusively_with(StockReaders::MustLeave)
    }

    fn enter_exclusively_with(&self, stock: StockReaders) -> Result<Exclusive, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        // A change that a dead process left half-applied is finished with all stock readers kept out.
        let stock = if self.change_waits()? { StockReaders::MustLeave } else { stock };
        let gate = self.enter_gate(&locks, stock)?;
        if stock == StockReaders::MayStay && self.change_waits()? {
            drop(gate);
            return self.enter_exclusively_with(StockReaders::MustLeave);
        }
        self.resolve_or_refuse(gate.file())?;
        self.recover_rows(&locks, gate.file())?;
        Ok(Exclusive { gate })
    }

    /// Enters the gate exclusively. Refuses a file that another program has marked as open for writing.
    pub(super) fn enter_gate(&self, locks: &Arc<RowLocks>, stock: StockReaders) -> Result<ExclusiveGate, ErrorKind> {
        let gate = self.enter_gate_with_marks(locks, stock)?;
        Superblock::find(gate.file().as_ref())?.map_or(Ok(()), |found| found.refuse_marks())?;
        Ok(gate)
    }

    /// The same, but allows marks.
    pub(super) fn enter_gate_with_marks(
        &self,
        locks: &Arc<RowLocks>,
        stock: StockReaders,
    ) -> Result<ExclusiveGate, ErrorKind> {
        loop {
            let opened = self.opening(|| Gate::open(&self.paths, &self.storage, Arc::clone(locks)))?;
            let gate = opened.enter_exclusive(&self.patience, stock)?;
            // While we waited, another file may have taken the name.
            if gate.is_named()? {
                return Ok(gate);
            }
        }
    }

    /// Enters the gate for row commits. First finishes or undoes a change whose maker died.
    pub(super) fn enter_shared(&self, gate: &Arc<Gate>, locks: &Arc<RowLocks>) -> Result<SharedGate, ErrorKind> {
        loop {
            let entered = gate.enter_shared(&self.patience)?;
            if !self.change_waits()? {
                return Ok(entered);
            }
            drop(entered);
            let alone = self.enter_gate(locks, StockReaders::MustLeave)?;
            self.resolve_or_refuse(alone.file())?;
        }
    }

    /// Makes a change. The caller is inside the gate exclusively.
    pub(super) fn change_exclusively<T>(
        &self,
        exclusive: &Exclusive,
        work: impl FnOnce(&Changing<'_>) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let base = exclusive.gate.file();
        check_superblock(base.as_ref())?.refuse_marks()?;
        let h5 = H5File::open(base, &self.paths.file)?;
        if h5.is_published()? {
            return Err(ErrorKind::Published);
        }
        let uuid = h5.uuid()?;
        drop(h5);
        self.lay_over(&exclusive.gate, uuid, |file| Ok(H5Change::open(file, &self.paths.file, false)?), work)
    }

    /// Lets the library work on the file under an overlay, then seals and applies it.
    pub(super) fn lay_over<T>(
        &self,
        gate: &ExclusiveGate,
        uuid: Option<Uuid>,
        open: impl FnOnce(&Arc<dyn StorageFile>) -> Result<H5Change, ErrorKind>,
        work: impl FnOnce(&Changing<'_>) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let base = gate.file();
        let log: Arc<dyn StorageFile> = Arc::from(self.in_sidecar(self.open_log())?);
        let overlay = Arc::new(Overlay::new(Arc::clone(base), Arc::clone(&log), uuid)?);
        let file: Arc<dyn StorageFile> = Arc::<Overlay>::clone(&overlay);
        let outcome = open(&file)
            .and_then(|h5| h5.run(|h5| work(&Changing { h5, file: file.as_ref(), before: base })))
            .and_then(|done| {
                // The library would have cut addresses that do not fit without an error.
                if let Some(superblock) = Superblock::find(base.as_ref())? {
                    superblock.can_address(overlay.identity()?.len, 0)?;
                    if let Some(bytes) = superblock.few_length_bytes() {
                        self.check_read_back(base, &file, bytes)?;
                    }
                }
                Ok(done)
            });
        self.settle(gate, &overlay, &log, outcome)
    }

    /// Changes bytes of cells and stamps, all of them or none. The library is not involved: metadata stays as it is, so
    /// that nobody has to load a layout again.
    pub(super) fn change_bytes<T>(
        &self,
        gate: &ExclusiveGate,
        uuid: Option<Uuid>,
        work: impl FnOnce(&dyn StorageFile) -> Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        let base = gate.file();
        // The seal records what the bytes were. A loss of power must not take back commits that were not synced.
        base.sync()?;
        let log: Arc<dyn StorageFile> = Arc::from(self.in_sidecar(self.open_log())?);
        let overlay = Overlay::new(Arc::clone(base), Arc::clone(&log), uuid)?;
        let outcome = work(&overlay);
        self.settle(gate, &overlay, &log, outcome)
    }

    /// Seals and applies a change whose work succeeded; discards one whose work failed.
    fn settle<T>(
        &self,
        gate: &ExclusiveGate,
        overlay: &Overlay,
        log: &Arc<dyn StorageFile>,
        outcome: Result<T, ErrorKind>,
    ) -> Result<T, ErrorKind> {
        match outcome.and_then(|done| Ok((done, overlay.seal()?))) {
            Ok((done, sealed)) => {
                if let Some(sealed) = sealed {
                    self.apply(gate, overlay, &sealed, log.as_ref())?;
                }
                Ok(done)
            }
            Err(e) => {
                // If this fails, the next process to enter the gate discards it.
                let _ = overlay.discard();
                Err(e)
            }
        }
    }

    /// Keeps stock readers out for the writes only: the syncs before and after take a hundred times as long.
    fn apply(
        &self,
        gate: &ExclusiveGate,
        overlay: &Overlay,
        sealed: &Sealed,
        log: &dyn StorageFile,
    ) -> Result<(), ErrorKind> {
        let base = gate.file().as_ref();
        match gate.keep_readers_out(&self.patience) {
            Ok(_out) => sealed.write(base, log)?,
            Err(e) => {
                overlay.unseal()?;
                self.resolve(gate.file())?;
                return Err(e);
            }
        }
        base.sync()?;
        Ok(sealed.spend(log)?)
    }

    /// Checks that the library can still open everything that it could open before. Files with such short lengths are
    /// small.
    fn check_read_back(
        &self,
        base: &Arc<dyn StorageFile>,
        changed: &Arc<dyn StorageFile>,
        bytes: u8,
    ) -> Result<(), ErrorKind> {
        let odd = |file| Ok::<_, ErrorKind>(H5File::open(file, &self.paths.file)?.walk()?.oddities);
        let (before, after) = (odd(base)?, odd(changed)?);
        match after.into_iter().find(|found| found.1.is_unopenable() && !before.contains(found)) {
            None => Ok(()),
            Some((path, anomaly)) => {
                let what = match anomaly {
                    Anomaly::UnopenableAttribute(name) => format!("attribute '{name}' of '{path}'"),
                    _ => format!("'{path}'"),
                };
                let why = format!("would not read back as written: the lengths of the file have only {bytes} bytes");
                Err(ErrorKind::FormatLimit(format!("{what} {why}")))
            }
        }
    }

    fn open_log(&self) -> io::Result<Box<dyn StorageFile>> {
        let log = match self.storage.open(&self.paths.change, Mode::Write) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => self.storage.open(&self.paths.change, Mode::CreateNew)?,
            other => other?,
        };
        // Its name must survive whenever its bytes are needed, and so must the sidecar's. This also holds for a log
        // that exists already: its maker may have died before it synced the folder.
        if !self.log_is_named.load(Ordering::Acquire) {
            self.storage.sync_folder(&self.paths.sidecar)?;
            if let Some(folder) = self.paths.sidecar.parent() {
                self.storage.sync_folder(folder)?;
            }
            self.log_is_named.store(true, Ordering::Release);
        }
        Ok(log)
    }
}
