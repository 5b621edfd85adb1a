//! Keeping records, and putting back what dead writers left half-written.

use super::begun::Begun;
use super::cells::read_stamps;
use super::handle::Store;
use super::left::{self, Trust};
use super::resolve::Resolved;
use super::view::View;
use h5part_base::dataspace::{Guard, Rows, Stamps, cover};
use h5part_base::error::{At, ErrorKind, Item, Result};
use h5part_base::lock::{Dead, Gate, MAX_RANGES, Owner, Paths, Patience, RowLocks, Stock, records};
use h5part_base::record::row::{self, Entry, HEADER, Header, Origin, START};
use h5part_base::record::stamp::{Stamp, State};
use h5part_base::storage::{Mode, Storage, StorageFile};
use serde::Serialize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A writer's own record: what the commit under way overwrites.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Keeps the writer's lock. Gone once the writer failed: then others look after its record.
    owner: Option<Owner>,
    file: Box<dyn StorageFile>,
    storage: Arc<dyn Storage>,
    /// Folders on the way to the file whose entries are not known to be durable.
    unsynced: Vec<PathBuf>,
    commits: u64,
}

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

impl Recorder {
    pub(super) fn open(storage: &Arc<dyn Storage>, paths: &Paths) -> Result<Self, ErrorKind> {
        let owner = Owner::register(paths)?;
        let file = storage.open(owner.path(), Mode::Write)?;
        let mut unsynced = vec![paths.records.clone(), paths.sidecar.clone()];
        unsynced.extend(paths.file.parent().map(Path::to_owned));
        Ok(Self { owner: Some(owner), file, storage: Arc::clone(storage), unsynced, commits: 0 })
    }

    /// Writes what the next commit overwrites, and syncs it if the commit is to survive a loss of
    /// power.
    pub(super) fn write(&mut self, view: &View, entries: &[&Entry], durable: bool) -> Result<(), ErrorKind> {
        let unstamped = || ErrorKind::Unstamped(view.table.path.clone());
        if entries.iter().any(|e| u32::try_from(e.old.len()).is_err()) {
            return Err(ErrorKind::BadRequest("cells of 4 GiB or more cannot be overwritten".to_owned()));
        }
        self.commits += 1;
        let origin = Origin {
            uuid: view.uuid.ok_or_else(unstamped)?,
            device: view.identity.device,
            inode: view.identity.inode,
            generation: view.generation,
            table: view.table.stamps.as_ref().ok_or_else(unstamped)?.table,
            commit: self.commits,
        };
        self.file.write_at(&row::encode(&origin, entries), START)?;
        if durable {
            self.file.sync()?;
            // A record that no name leads to is none.
            for folder in &self.unsynced {
                self.storage.sync_folder(folder)?;
            }
            self.unsynced.clear();
        }
        Ok(())
    }

    /// The commit is done. Not synced: a record that reappears after a loss of power finds stamps
    /// that have moved on, and does nothing.
    pub(super) fn spend(&self) -> Result<(), ErrorKind> {
        Ok(self.file.write_at(&row::spent(), START)?)
    }

    /// The writer failed in a commit: from now on its record is everybody's.
    pub(super) fn abandon(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.abandon();
        }
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
        self.recover_by(Trust::Durable)
    }

    /// The same; `trust` says which values of other programs count in rows that a dead writer left.
    pub(crate) fn recover_by(&self, trust: Trust) -> Result<Recovery> {
        self.try_recover(trust).at("recover", &self.paths.file)
    }

    fn try_recover(&self, trust: Trust) -> Result<Recovery, ErrorKind> {
        self.check_sharing()?;
        let locks = self.open_locks()?;
        let gate = Gate::open(&self.paths, Arc::clone(&locks))?;
        let entered = gate.enter_shared(&self.patience)?;
        if !self.change_waits()? {
            return self.recover_all_rows(&locks, trust);
        }
        drop(entered);
        let _alone = self.enter_alone(&locks, Stock::Leaves)?;
        let mut found = Recovery::default();
        match self.resolve()? {
            Resolved::Nothing => {}
            Resolved::Applied => found.changes_applied = 1,
            Resolved::Discarded => found.changes_discarded = 1,
            Resolved::Aside { .. } => found.logs_aside = 1,
        }
        found += self.recover_all_rows(&locks, trust)?;
        Ok(found)
    }

    /// Looks after the rows of all tables, inside the gate, until no record is left that explains one. A program that
    /// was killed may still be on its way out: it lets its row locks go before its record.
    fn recover_all_rows(&self, locks: &RowLocks, trust: Trust) -> Result<Recovery, ErrorKind> {
        let mut found = Recovery::default();
        let attempt = || {
            found += self.recover_rows(locks)?;
            let settled = self.settle_tables(locks, trust)?;
            found += settled.recovery;
            Ok(settled.without_record)
        };
        let holder = || "a process that is about to end, or that puts back a dead writer's rows".to_owned();
        found.without_record = self.patience.wait_for("a recovery", attempt, holder)?;
        Ok(found)
    }

    /// Looks after the rows of all tables, inside the gate.
    pub(super) fn recover_rows(&self, locks: &RowLocks) -> Result<Recovery, ErrorKind> {
        recover_dead(self.storage.as_ref(), &self.paths, |all, header, file| {
            let Some(view) = self.table_of(header)? else {
                all.other_file += 1;
                return Ok(false);
            };
            *all += settle(&view, locks, &self.patience, header, file)?;
            Ok(true)
        })
    }

    /// Looks after the rows that have no record: those whose guard speaks get stamps, those that had no value have none
    /// again, the others are counted. Inside the gate.
    fn settle_tables(&self, locks: &RowLocks, trust: Trust) -> Result<Settled, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        let mut all = Settled { recovery: Recovery::default(), without_record: Some(0) };
        for listing in crate::h5::H5File::open(&file, &self.paths.file)?.tables()? {
            if listing.table.stamps.is_none() {
                continue;
            }
            let view = View::load(self.storage.as_ref(), &self.paths, &listing.table.path, Mode::Write)?;
            let record = |rows: &[Range<u64>]| has_record(self.storage.as_ref(), &self.paths, &view, rows);
            let counts = left::settle_all(&view, locks, &self.patience, trust, &record)?;
            all.recovery.settled += counts.finished;
            all.recovery.foreign += counts.foreign;
            if let Some(begun) = Begun::new(&view, locks, &record) {
                all.recovery.reset += begun.reset(&self.patience)?;
                all.without_record = all.without_record.zip(begun.without_record()?).map(|(a, b)| a + b);
            }
        }
        Ok(all)
    }

    /// The table that a record is about, if it is one of this file.
    fn table_of(&self, header: &Header) -> Result<Option<View>, ErrorKind> {
        let file: Arc<dyn StorageFile> = Arc::from(self.storage.open(&self.paths.file, Mode::Read)?);
        let tables = crate::h5::H5File::open(&file, &self.paths.file)?.tables()?;
        let ours = |t: &crate::h5::Listing| t.table.stamps.as_ref().is_some_and(|s| s.table == header.origin.table);
        let Some(listing) = tables.into_iter().find(ours) else { return Ok(None) };
        let view = View::load(self.storage.as_ref(), &self.paths, &listing.table.path, Mode::Write)?;
        Ok(belongs(&view, header).then_some(view))
    }
}

/// For a writer that opens the table of `view`, or meets something there that a record may explain.
/// Records of other tables are left to others.
pub(super) fn recover_table(
    storage: &dyn Storage,
    paths: &Paths,
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
) -> Result<Recovery, ErrorKind> {
    recover_dead(storage, paths, |all, header, file| {
        let ours = belongs(view, header);
        if ours {
            *all += settle(view, locks, patience, header, file)?;
        }
        Ok(ours)
    })
}

/// What a commit calls for that meets what its record may explain.
pub(super) struct Rescue<'a> {
    pub(super) storage: &'a dyn Storage,
    pub(super) paths: &'a Paths,
    pub(super) view: &'a View,
    pub(super) locks: &'a RowLocks,
    pub(super) patience: &'a Patience,
    pub(super) trust: Trust,
}

impl Rescue<'_> {
    /// Puts back what nobody else looks after.
    pub(super) fn recover(&self) -> Result<(), ErrorKind> {
        recover_table(self.storage, self.paths, self.view, self.locks, self.patience).map(|_| ())
    }

    /// Gives stamps to those of the rows, whose locks the caller holds, of which a guard speaks. Says whether there were
    /// any.
    pub(super) fn settle_left(&self, rows: &[Range<u64>]) -> Result<bool, ErrorKind> {
        let counts = left::settle(self.view, rows, self.trust)?;
        Ok(counts.finished + counts.foreign > 0)
    }

    /// Whether a record still has something to put back in these rows, whose locks the caller holds. Then
    /// another process is about to do so, or its writer died only now; until it is done, what is there must
    /// not pass for rows without a value.
    pub(super) fn is_needed(&self, rows: &[Range<u64>]) -> Result<bool, ErrorKind> {
        has_record(self.storage, self.paths, self.view, rows)
    }
}

/// Whether a record of anybody explains what is in these rows.
pub(super) fn has_record(
    storage: &dyn Storage,
    paths: &Paths,
    view: &View,
    rows: &[Range<u64>],
) -> Result<bool, ErrorKind> {
    for path in records(paths)? {
        let record = match unspent(storage, &path) {
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

fn has_work(view: &View, header: &Header, file: &dyn StorageFile, rows: &[Range<u64>]) -> Result<bool, ErrorKind> {
    let Some(stamps) = &view.table.stamps else { return Ok(false) };
    let Some(mut entries) = entries(header, file)? else { return Ok(false) };
    entries.retain(|e| e.row < view.table.stamped_rows() && rows.iter().any(|range| range.contains(&e.row)));
    entries.sort_by_key(|e| e.row);
    for of_row in entries.chunk_by(|a, b| a.row == b.row) {
        let mut done = Recovery::default();
        let plan = PutBack::plan(view, stamps, of_row, &mut done)?;
        if done.restored > 0 || plan.stamps_move {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Goes through the dead writers; `settle` says whether nothing is left to do for one.
fn recover_dead(
    storage: &dyn Storage,
    paths: &Paths,
    mut settle: impl FnMut(&mut Recovery, &Header, &dyn StorageFile) -> Result<bool, ErrorKind>,
) -> Result<Recovery, ErrorKind> {
    let mut all = Recovery::default();
    for dead in Dead::all(paths)? {
        all.dead_writers += 1;
        let done = match unspent(storage, dead.path())? {
            None => true,
            Some((header, file)) => settle(&mut all, &header, file.as_ref())?,
        };
        if done {
            dead.clear();
        }
    }
    Ok(all)
}

fn belongs(view: &View, header: &Header) -> bool {
    // Not the device: some file systems get another number with every mount.
    let Origin { uuid, inode, table, .. } = header.origin;
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

/// `None`: the record was not written to its end.
fn entries(header: &Header, file: &dyn StorageFile) -> Result<Option<Vec<Entry>>, ErrorKind> {
    let mut body = vec![0; usize::try_from(header.body_len).unwrap_or(usize::MAX)];
    file.read_at(&mut body, START + HEADER as u64)?;
    Ok(header.decode_body(&body))
}

/// Puts back, row by row under their locks, what the record explains.
fn settle(
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
    header: &Header,
    file: &dyn StorageFile,
) -> Result<Recovery, ErrorKind> {
    let Some(mut entries) = entries(header, file)? else { return Ok(Recovery::default()) };
    let Some(stamps) = &view.table.stamps else { return Ok(Recovery::default()) };
    entries.retain(|e| e.row < view.table.stamped_rows());
    entries.sort_by_key(|e| e.row);
    let mut rows: Vec<u64> = entries.iter().map(|e| e.row).collect();
    rows.dedup();
    let ranges = cover(Rows::list(&rows).runs()?.as_slice(), MAX_RANGES);
    let _rows = locks.lock(stamps.table, &ranges, patience)?;
    let mut done = Recovery { records: 1, ..Recovery::default() };
    let of_rows = entries.chunk_by(|a, b| a.row == b.row);
    let plans: Vec<PutBack<'_>> =
        of_rows.map(|of_row| PutBack::plan(view, stamps, of_row, &mut done)).collect::<Result<_, _>>()?;
    // A guard must not speak of a row into which old values are being put back.
    for (address, undefined) in plans.iter().filter_map(|plan| plan.hide) {
        view.file.write_at(undefined, address)?;
    }
    if plans.iter().any(|plan| plan.hide.is_some()) {
        view.file.sync()?;
    }
    for (address, old) in plans.iter().flat_map(|plan| &plan.values) {
        view.file.write_at(old, *address)?;
    }
    // Values first: neither a stamp nor a guard must ever speak for bytes that are not there yet.
    view.file.sync()?;
    for plan in &plans {
        plan.make_count(view, stamps)?;
    }
    // Before the record is gone: a stamp that was lost with the power would stay WRITING for ever.
    view.file.sync()?;
    Ok(done)
}

/// How a row gets its values back, where the record explains what is there.
struct PutBack<'a> {
    row: u64,
    /// Where its guard speaks, and what says "undefined".
    hide: Option<(u64, &'a [u8])>,
    /// Byte addresses and old bytes of its cells.
    values: Vec<(u64, &'a [u8])>,
    /// The same of its guard cell, which comes after them.
    guard: Option<(u64, &'a [u8])>,
    /// Its stamps, if anything of it is written.
    words: Option<Vec<u64>>,
    /// Whether they change.
    stamps_move: bool,
}

impl<'a> PutBack<'a> {
    /// Writes nothing.
    fn plan(view: &'a View, stamps: &'a Stamps, entries: &'a [Entry], done: &mut Recovery) -> Result<Self, ErrorKind> {
        let row = entries[0].row;
        let mut plan = Self { row, hide: None, values: Vec::new(), guard: None, words: None, stamps_move: false };
        let mut words = Vec::new();
        read_stamps(view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut words)?;
        let found = words.clone();
        // Whether the guard, if it speaks, is that of the dead writer or the one that comes back.
        let writing = |guard: &Guard| found.get(guard.place).is_some_and(|&w| Stamp(w).state() == State::Writing);
        // A commit has one guard at most.
        let guard_of_row = stamps.guard_of(usize::from(entries[0].place));
        let mut explained = guard_of_row.is_some_and(writing);
        // Values of another program, and whether the guard speaks of them.
        let (mut others, mut speaks) = (false, false);
        for entry in entries {
            let place = usize::from(entry.place);
            let column = view.table.columns.iter().find(|c| c.stamp == Some(place));
            let layout = column.and_then(|c| c.layout.as_ref().ok()).filter(|l| l.cell_bytes == entry.old.len() as u64);
            let word = words.get_mut(place).filter(|now| [entry.new_stamp, entry.old_stamp].contains(now));
            let Some((layout, word)) = layout.zip(word) else {
                // Time has moved on; or another program has taken the column away.
                let is_lost = view.table.lost.iter().any(|lost| lost.place == place);
                *(if is_lost { &mut done.foreign } else { &mut done.settled }) += 1;
                continue;
            };
            let (address, _) = layout.find(row);
            let mut bytes = vec![0; entry.old.len()];
            view.file.read_at(&mut bytes, address)?;
            let guard = stamps.guard_at(place);
            // While the row is written the guard is neither old nor new.
            let hidden = guard.is_some_and(|guard| bytes == guard.undefined);
            if bytes != entry.old && !hidden && !row::is_explained(entry, &bytes) {
                done.foreign += 1;
                explained &= guard.is_none();
                others |= guard.is_none();
                continue;
            }
            *(if bytes == entry.old { &mut done.settled } else { &mut done.restored }) += 1;
            *word = entry.old_stamp;
            if guard.is_some() {
                speaks = !hidden;
                // Also where it has not changed: it may be hidden until the values are there.
                plan.guard = Some((address, entry.old.as_slice()));
                explained = true;
            } else if bytes != entry.old {
                plan.values.push((address, entry.old.as_slice()));
            }
        }
        if let Some(guard) = guard_of_row.filter(|_| others && speaks) {
            // It is the other program's, which has computed the row, and happens to be what was there before.
            (plan.guard, explained, words[guard.place]) = (None, false, found[guard.place]);
        }
        if let Some(guard) = guard_of_row.filter(|_| explained) {
            plan.hide(guard, view)?;
        }
        plan.stamps_move = words != found;
        plan.words = (plan.stamps_move || plan.guard.is_some() || !plan.values.is_empty()).then_some(words);
        Ok(plan)
    }

    /// Unless nothing is to be put back that a guard which comes back speaks of.
    fn hide(&mut self, guard: &'a Guard, view: &View) -> Result<(), ErrorKind> {
        if self.values.is_empty() && self.guard.is_some() {
            return Ok(());
        }
        let (address, _) = view.guard_target(guard)?.layout.find(self.row);
        let mut bytes = vec![0; guard.undefined.len()];
        view.file.read_at(&mut bytes, address)?;
        self.hide = (bytes != guard.undefined).then_some((address, guard.undefined.as_slice()));
        Ok(())
    }

    /// The guard, then the stamps.
    fn make_count(&self, view: &View, stamps: &Stamps) -> Result<(), ErrorKind> {
        let Some(words) = &self.words else { return Ok(()) };
        if let Some((address, bytes)) = self.guard {
            view.file.write_at(bytes, address)?;
        }
        let (address, _) = stamps.layout.find(self.row);
        Ok(view.file.write_at(bytemuck::cast_slice(words), address)?)
    }
}
