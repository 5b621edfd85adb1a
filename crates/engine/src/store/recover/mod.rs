//! Recovers what dead writers left half-written.

mod begun;
mod put_back;
mod recorder;
mod unfinished;

use super::handle::Store;
use super::resolve::Resolved;
use super::table_view::TableView;
use crate::h5::H5File;
use begun::Begun;
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::lock::{Dead, Gate, RowLocks, StockReaders, records};
use h5part_base::record::row::{self, HEADER, RecordHeader, RecordId, START};
use h5part_base::storage::{Mode, Storage, StorageFile};
use put_back::{has_work, put_back};
use serde::Serialize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(super) use recorder::Recorder;
pub(crate) use unfinished::ForeignValues;
pub(super) use unfinished::{cells_of, settle_rows};

/// What a recovery found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Writers that had died.
    pub dead_writers: u64,
    /// Their records that were not spent.
    pub records: u64,
    /// Cells whose old value was put back.
    pub restored: u64,
    /// Cells that need nothing: they were never touched, are finished, or were committed again since.
    pub settled: u64,
    /// Cells that had no value when a writer died in them. They hold fill again.
    pub reset: u64,
    /// Cells that another program has changed since. They are left as they are.
    pub foreign: u64,
    /// Records of another file that had this name before. They are left as they are.
    pub other_file: u64,
    /// Structural changes that were sealed, and are now applied.
    pub changes_applied: u64,
    /// Structural changes that were not sealed, and are now undone.
    pub changes_discarded: u64,
    /// Cells of dead writers whose old value is in no record: the file was moved or copied without its sidecar in the
    /// middle of a commit.
    pub without_record: u64,
    /// Logs of structural changes that are damaged or do not belong to the file. They are set aside.
    pub logs_aside: u64,
}

impl std::ops::AddAssign for Recovery {
    fn add_assign(&mut self, other: Self) {
        self.dead_writers += other.dead_writers;
        self.records += other.records;
        self.restored += other.restored;
        self.settled += other.settled;
        self.reset += other.reset;
        self.foreign += other.foreign;
        self.other_file += other.other_file;
        self.changes_applied += other.changes_applied;
        self.changes_discarded += other.changes_discarded;
        self.logs_aside += other.logs_aside;
        self.without_record += other.without_record;
    }
}

/// The result of settling rows without a record.
struct Settled {
    recovery: Recovery,
    /// Cells whose old value is in no record. `None`: a record explains some cells that are still unsettled.
    without_record: Option<u64>,
}

impl Store {
    /// Recovers from all dead writers of the store. Rows that they left half-written get their old values back, and a
    /// sealed structural change is applied.
    ///
    /// **Concurrency.** Writers, readers and other recoveries may run beside it. Each row is put back under its lock.
    /// If a recovery is killed, the next one finishes it. Writers recover on their own the rows that they meet.
    ///
    /// # Errors
    /// As [`Store::writer`]; [`ErrorKind::NewerFormat`] for records of a newer version, which stay as they are.
    pub fn recover(&self) -> Result<Recovery> {
        self.recover_by(ForeignValues::IfDurable)
    }

    /// As [`Store::recover`]. `foreign` says which values of other programs count in rows that a dead writer left.
    pub(crate) fn recover_by(&self, foreign: ForeignValues) -> Result<Recovery> {
        self.try_recover(foreign).at("recover", &self.paths.file)
    }

    fn try_recover(&self, foreign: ForeignValues) -> Result<Recovery, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        let gate = Gate::open(&self.paths, &self.storage, Arc::clone(&locks))?;
        let entered = gate.enter_shared(&self.patience)?;
        if !self.change_waits()? {
            return self.recover_all_rows(&locks, entered.file(), foreign);
        }
        drop(entered);
        let alone = self.enter_gate(&locks, StockReaders::MustLeave)?;
        let mut found = Recovery::default();
        match self.resolve(alone.file())? {
            Resolved::Nothing => {}
            Resolved::Applied => found.changes_applied = 1,
            Resolved::Discarded => found.changes_discarded = 1,
            Resolved::Aside { .. } => found.logs_aside = 1,
        }
        found += self.recover_all_rows(&locks, alone.file(), foreign)?;
        Ok(found)
    }

    /// Recovers the rows of all tables, until no record is left that explains one. The caller is inside the gate. A
    /// program that was killed may still be exiting: it releases its row locks before its record.
    fn recover_all_rows(
        &self,
        locks: &RowLocks,
        file: &Arc<dyn StorageFile>,
        foreign: ForeignValues,
    ) -> Result<Recovery, ErrorKind> {
        let mut found = Recovery::default();
        let attempt = || {
            found += self.recover_rows(locks, file)?;
            let settled = self.settle_tables(locks, file, foreign)?;
            found += settled.recovery;
            Ok(settled.without_record)
        };
        let holder = || "a process that is exiting, or that is recovering a dead writer's rows".to_owned();
        found.without_record = self.patience.wait_for("a recovery", attempt, holder)?;
        Ok(found)
    }

    /// Puts back the rows of all tables that a record explains. The caller is inside the gate.
    pub(super) fn recover_rows(&self, locks: &RowLocks, file: &Arc<dyn StorageFile>) -> Result<Recovery, ErrorKind> {
        // The tables are listed once, and only if there is a record.
        let mut tables = None;
        recover_dead(self, |all, header, record| {
            let tables = match &mut tables {
                Some(known) => known,
                None => tables.insert(self.stamped_tables(file)?),
            };
            let number = header.id.table;
            let Some((_, path)) = tables.iter().find(|(stamped, _)| *stamped == number) else {
                all.other_file += 1;
                return Ok(false);
            };
            let view = TableView::load_inside(self, path, file)?;
            if !belongs(&view, header) {
                all.other_file += 1;
                return Ok(false);
            }
            *all += put_back(self, &view, locks, header, record)?;
            Ok(true)
        })
    }

    /// Numbers and paths of the tables that have stamps.
    fn stamped_tables(&self, file: &Arc<dyn StorageFile>) -> Result<Vec<(u64, String)>, ErrorKind> {
        let tables = H5File::open(file, &self.paths.file)?.tables()?;
        let stamped = tables.into_iter().filter_map(|t| Some((t.table.stamps?.table, t.table.path)));
        Ok(stamped.collect())
    }

    /// Settles the rows that no record explains. Rows whose guard is set get stamps, fresh ones get their fill back,
    /// and the others are counted. The caller is inside the gate.
    fn settle_tables(
        &self,
        locks: &RowLocks,
        file: &Arc<dyn StorageFile>,
        foreign: ForeignValues,
    ) -> Result<Settled, ErrorKind> {
        let mut all = Settled { recovery: Recovery::default(), without_record: Some(0) };
        for (_, path) in self.stamped_tables(file)? {
            let view = TableView::load_inside(self, &path, file)?;
            let record = |rows: &[Range<u64>]| has_record(self, &view, rows);
            let counts = unfinished::settle_all(self, &view, locks, foreign, &record)?;
            all.recovery.settled += counts.finished;
            all.recovery.foreign += counts.foreign;
            if let Some(begun) = Begun::new(&view, locks, &record) {
                all.recovery.reset += begun.reset(&self.patience)?;
                all.without_record = all.without_record.zip(begun.without_record()?).map(|(a, b)| a + b);
            }
        }
        Ok(all)
    }
}

/// Puts back the rows of one table that a record explains. The caller is inside the gate.
pub(super) fn recover_table(store: &Store, view: &TableView, locks: &RowLocks) -> Result<Recovery, ErrorKind> {
    recover_dead(store, |all, header, file| {
        let ours = belongs(view, header);
        if ours {
            *all += put_back(store, view, locks, header, file)?;
        }
        Ok(ours)
    })
}

/// Whether the record of any writer explains what is in these rows.
pub(super) fn has_record(store: &Store, view: &TableView, rows: &[Range<u64>]) -> Result<bool, ErrorKind> {
    for path in records(&store.paths)? {
        let record = match unspent(store.storage.as_ref(), &path) {
            // Its writer has removed it meanwhile.
            Err(ErrorKind::NotFound { what: Item::File, .. }) => None,
            other => other?,
        };
        if let Some((header, file)) = record.filter(|(header, _)| belongs(view, header))
            && has_work(view, &header, file.as_ref(), rows)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Calls `settle` for the record of each dead writer, and removes the record if `settle` says that it is done.
fn recover_dead(
    store: &Store,
    mut settle: impl FnMut(&mut Recovery, &RecordHeader, &dyn StorageFile) -> Result<bool, ErrorKind>,
) -> Result<Recovery, ErrorKind> {
    let mut all = Recovery::default();
    for dead in store.opening(|| Dead::all(&store.paths))? {
        all.dead_writers += 1;
        let done = match unspent(store.storage.as_ref(), dead.path())? {
            None => true,
            Some((header, file)) => settle(&mut all, &header, file.as_ref())?,
        };
        if done {
            dead.clear();
        }
    }
    Ok(all)
}

fn belongs(view: &TableView, header: &RecordHeader) -> bool {
    // The device number is not compared: on some file systems it changes with every mount.
    let RecordId { uuid, inode, table, .. } = header.id;
    let ours = view.table.stamps.as_ref().is_some_and(|s| s.table == table);
    ours && view.uuid == Some(uuid) && view.identity.inode == inode
}

/// A record that is not spent: its header and its file.
pub(crate) type Unspent = (RecordHeader, Box<dyn StorageFile>);

/// Reads a record. `None`: it is empty, spent or incomplete.
pub(crate) fn unspent(storage: &dyn Storage, path: &Path) -> Result<Option<Unspent>, ErrorKind> {
    let file = storage.open(path, Mode::Read)?;
    let len = file.identity()?.len;
    if len < START + HEADER as u64 {
        return Ok(None);
    }
    let mut head = [0; HEADER];
    file.read_at(&mut head, START)?;
    let header = row::decode_header(&head)?;
    Ok(header.filter(|h| h.body_len <= len - START - HEADER as u64).map(|h| (h, file)))
}
