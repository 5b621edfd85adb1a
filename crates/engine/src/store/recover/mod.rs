//! Putting back what dead writers left half-written.

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
use h5part_base::record::row::{self, HEADER, Header, RecordId, START};
use h5part_base::storage::{Mode, Storage, StorageFile};
use put_back::{has_work, put_back};
use serde::Serialize;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(super) use recorder::Recorder;
pub(crate) use unfinished::ForeignValues;
pub(super) use unfinished::{cells_of, settle_rows};

/// What recovery found, and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// Writers that had died.
    pub dead_writers: u64,
    /// Records of theirs that were not spent.
    pub records: u64,
    /// Cells whose old value was put back.
    pub restored: u64,
    /// Cells that need nothing: never touched, finished, or committed again since.
    pub settled: u64,
    /// Cells that had no value when a writer died in them: they hold fill, and have none again.
    pub reset: u64,
    /// Cells that another program changed since: left alone.
    pub foreign: u64,
    /// Records of another file that was in this one's place: left alone.
    pub other_file: u64,
    /// Structural changes that were sealed: they are made now.
    pub changes_applied: u64,
    /// Structural changes that were not sealed: they are undone.
    pub changes_discarded: u64,
    /// Cells of dead writers whose old value is in no record here: the file was moved or copied without
    /// its sidecar in the middle of a commit.
    pub without_record: u64,
    /// Logs of structural changes that are damaged, or do not belong to the file: kept aside.
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

/// What became of rows without a record.
struct Settled {
    recovery: Recovery,
    /// Cells whose old value is in no record; `None`: a record explains some of those that are left.
    without_record: Option<u64>,
}

impl Store {
    /// Looks after all writers of the store that have died: rows that they left half-written get
    /// their old values back, and a structural change that was sealed is made.
    ///
    /// **Concurrency.** May run beside writers, readers and other recoveries; each row is put back
    /// under its lock. What is done already is not done again, so that a recovery that is killed is
    /// finished by the next one. Writers recover by themselves what they meet.
    ///
    /// # Errors
    /// As [`Store::writer`]; [`ErrorKind::NewerFormat`] for records of a newer version, which are
    /// left alone.
    pub fn recover(&self) -> Result<Recovery> {
        self.recover_by(ForeignValues::IfDurable)
    }

    /// The same; `foreign` says which values of other programs count in rows that a dead writer left.
    pub(crate) fn recover_by(&self, foreign: ForeignValues) -> Result<Recovery> {
        self.try_recover(foreign).at("recover", &self.paths.file)
    }

    fn try_recover(&self, foreign: ForeignValues) -> Result<Recovery, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        let gate = Gate::open(&self.paths, Arc::clone(&locks))?;
        let entered = gate.enter_shared(&self.patience)?;
        if !self.change_waits()? {
            return self.recover_all_rows(&locks, foreign);
        }
        drop(entered);
        let _alone = self.enter_gate(&locks, StockReaders::MustLeave)?;
        let mut found = Recovery::default();
        match self.resolve()? {
            Resolved::Nothing => {}
            Resolved::Applied => found.changes_applied = 1,
            Resolved::Discarded => found.changes_discarded = 1,
            Resolved::Aside { .. } => found.logs_aside = 1,
        }
        found += self.recover_all_rows(&locks, foreign)?;
        Ok(found)
    }

    /// Looks after the rows of all tables, inside the gate, until no record is left that explains one. A program that
    /// was killed may still be on its way out: it lets its row locks go before its record.
    fn recover_all_rows(&self, locks: &RowLocks, foreign: ForeignValues) -> Result<Recovery, ErrorKind> {
        let mut found = Recovery::default();
        let attempt = || {
            found += self.recover_rows(locks)?;
            let settled = self.settle_tables(locks, foreign)?;
            found += settled.recovery;
            Ok(settled.without_record)
        };
        let holder = || "a process that is about to end, or that puts back a dead writer's rows".to_owned();
        found.without_record = self.patience.wait_for("a recovery", attempt, holder)?;
        Ok(found)
    }

    /// Looks after the rows of all tables, inside the gate.
    pub(super) fn recover_rows(&self, locks: &RowLocks) -> Result<Recovery, ErrorKind> {
        // Mostly there is no record, and then no table is looked for. Several are mostly of one table.
        let mut tables = None;
        recover_dead(self, |all, header, file| {
            let tables = match &mut tables {
                Some(known) => known,
                None => tables.insert(self.stamped_tables()?),
            };
            let number = header.id.table;
            let Some((_, path)) = tables.iter().find(|(stamped, _)| *stamped == number) else {
                all.other_file += 1;
                return Ok(false);
            };
            let view = TableView::load(self, path, Mode::Write)?;
            if !belongs(&view, header) {
                all.other_file += 1;
                return Ok(false);
            }
            *all += put_back(self, &view, locks, header, file)?;
            Ok(true)
        })
    }

    /// Numbers and paths of the tables that have stamps.
    fn stamped_tables(&self) -> Result<Vec<(u64, String)>, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        let tables = H5File::open(&file, &self.paths.file)?.tables()?;
        let stamped = tables.into_iter().filter_map(|t| Some((t.table.stamps?.table, t.table.path)));
        Ok(stamped.collect())
    }

    /// Looks after the rows that have no record: those whose guard speaks get stamps, those that had no value have none
    /// again, the others are counted. Inside the gate.
    fn settle_tables(&self, locks: &RowLocks, foreign: ForeignValues) -> Result<Settled, ErrorKind> {
        let mut all = Settled { recovery: Recovery::default(), without_record: Some(0) };
        for (_, path) in self.stamped_tables()? {
            let view = TableView::load(self, &path, Mode::Write)?;
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

/// For a writer that opens the table of `view`, or meets something there that a record may explain.
/// Records of other tables are left to others.
pub(super) fn recover_table(store: &Store, view: &TableView, locks: &RowLocks) -> Result<Recovery, ErrorKind> {
    recover_dead(store, |all, header, file| {
        let ours = belongs(view, header);
        if ours {
            *all += put_back(store, view, locks, header, file)?;
        }
        Ok(ours)
    })
}

/// Whether a record of anybody explains what is in these rows.
pub(super) fn has_record(store: &Store, view: &TableView, rows: &[Range<u64>]) -> Result<bool, ErrorKind> {
    for path in records(&store.paths)? {
        let record = match unspent(store.storage.as_ref(), &path) {
            // Gone meanwhile.
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

/// Goes through the dead writers; `settle` says whether nothing is left to do for one.
fn recover_dead(
    store: &Store,
    mut settle: impl FnMut(&mut Recovery, &Header, &dyn StorageFile) -> Result<bool, ErrorKind>,
) -> Result<Recovery, ErrorKind> {
    let mut all = Recovery::default();
    for dead in Dead::all(&store.paths)? {
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

fn belongs(view: &TableView, header: &Header) -> bool {
    // Not the device: some file systems get another number with every mount.
    let RecordId { uuid, inode, table, .. } = header.id;
    let ours = view.table.stamps.as_ref().is_some_and(|s| s.table == table);
    ours && view.uuid == Some(uuid) && view.identity.inode == inode
}

/// A record that is not spent: what it says, and the file that it is in.
pub(crate) type Unspent = (Header, Box<dyn StorageFile>);

/// A dead writer's record, unless there is none, or it is spent, or it was not written to its end.
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
