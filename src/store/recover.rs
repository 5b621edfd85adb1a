//! Keeping records, and putting back what dead writers left half-written.

use super::cells::read_stamps;
use super::handle::Store;
use super::resolve::Resolved;
use super::stamp::{Stamp, State};
use super::view::View;
use crate::dataspace::{Rows, Stamps, cover};
use crate::error::{At, ErrorKind, Result};
use crate::lock::{Dead, Gate, MAX_RANGES, Owner, Paths, Patience, RowLocks};
use crate::record::row::{self, Entry, HEADER, Header, Origin, START};
use crate::storage::{Mode, Storage, StorageFile};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// A writer's own record: what the commit under way overwrites.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Keeps the writer's lock. Gone once the writer failed: then others look after its record.
    owner: Option<Owner>,
    file: Box<dyn StorageFile>,
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
    /// Cells that another program changed since: left alone.
    pub foreign: u64,
    /// Records of another file that was in this one's place: left alone.
    pub other_file: u64,
    /// Structural changes that were sealed: they are made now.
    pub changes_applied: u64,
    /// Structural changes that were not sealed: they are undone.
    pub changes_discarded: u64,
    /// Logs of structural changes that are damaged, or do not belong to the file: kept aside.
    pub logs_aside: u64,
}

impl std::ops::AddAssign for Recovery {
    fn add_assign(&mut self, other: Self) {
        self.dead_writers += other.dead_writers;
        self.records += other.records;
        self.restored += other.restored;
        self.settled += other.settled;
        self.foreign += other.foreign;
        self.other_file += other.other_file;
        self.changes_applied += other.changes_applied;
        self.changes_discarded += other.changes_discarded;
        self.logs_aside += other.logs_aside;
    }
}

impl Recorder {
    pub(super) fn open(storage: &dyn Storage, paths: &Paths) -> Result<Self, ErrorKind> {
        let owner = Owner::register(paths)?;
        let file = storage.open(owner.path(), Mode::Write)?;
        Ok(Self { owner: Some(owner), file, commits: 0 })
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
        self.try_recover().at("recover", &self.paths.file)
    }

    fn try_recover(&self) -> Result<Recovery, ErrorKind> {
        self.check_sharing()?;
        let locks = Arc::new(RowLocks::open(&self.paths)?);
        let gate = Gate::open(&self.paths, Arc::clone(&locks))?;
        let entered = gate.enter_shared(&self.patience)?;
        if !self.change_waits()? {
            return self.recover_rows(&locks);
        }
        drop(entered);
        let _alone = self.enter_alone(&locks)?;
        let mut found = Recovery::default();
        match self.resolve()? {
            Resolved::Nothing => {}
            Resolved::Applied => found.changes_applied = 1,
            Resolved::Discarded => found.changes_discarded = 1,
            Resolved::Aside { .. } => found.logs_aside = 1,
        }
        found += self.recover_rows(&locks)?;
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
type Unspent = (Header, Box<dyn StorageFile>);

/// A dead writer's record, unless there is none, or it is spent, or it was not written to its end.
fn unspent(storage: &dyn Storage, path: &Path) -> Result<Option<Unspent>, ErrorKind> {
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

/// Puts back, row by row under their locks, what the record explains.
fn settle(
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
    header: &Header,
    file: &dyn StorageFile,
) -> Result<Recovery, ErrorKind> {
    let mut body = vec![0; usize::try_from(header.body_len).unwrap_or(usize::MAX)];
    file.read_at(&mut body, START + HEADER as u64)?;
    let Some(mut entries) = header.decode_body(&body) else { return Ok(Recovery::default()) };
    let Some(stamps) = &view.table.stamps else { return Ok(Recovery::default()) };
    entries.retain(|e| e.row < view.table.rows);
    entries.sort_by_key(|e| e.row);
    let mut rows: Vec<u64> = entries.iter().map(|e| e.row).collect();
    rows.dedup();
    let ranges = cover(Rows::list(&rows).runs()?.as_slice(), MAX_RANGES);
    let _rows = locks.lock(stamps.table, &ranges, patience)?;
    let mut done = Recovery { records: 1, ..Recovery::default() };
    let mut plans = Vec::new();
    for of_row in entries.chunk_by(|a, b| a.row == b.row) {
        plans.extend(PutBack::plan(view, stamps, of_row, &mut done)?);
    }
    let file = view.file.as_ref();
    // The guard must not speak while values change.
    if plans.iter().any(|plan| plan.hide.is_some()) {
        plans.iter().filter_map(|plan| plan.hide.as_ref()).try_for_each(|bytes| bytes.write(file))?;
        file.sync()?;
    }
    // Values first: neither a stamp nor a guard must ever speak for bytes that are not there yet.
    plans.iter().flat_map(|plan| &plan.values).try_for_each(|bytes| bytes.write(file))?;
    file.sync()?;
    plans.iter().flat_map(|plan| plan.guard.iter().chain([&plan.stamps])).try_for_each(|bytes| bytes.write(file))?;
    // Before the record is gone: a stamp that was lost with the power would stay WRITING for ever.
    file.sync()?;
    Ok(done)
}

/// Bytes and where they belong.
struct Bytes {
    address: u64,
    bytes: Vec<u8>,
}

impl Bytes {
    fn write(&self, file: &dyn StorageFile) -> Result<(), ErrorKind> {
        Ok(file.write_at(&self.bytes, self.address)?)
    }
}

/// How a row is put back: the parts are written one after the other.
struct PutBack {
    /// The guard, undefined.
    hide: Option<Bytes>,
    values: Vec<Bytes>,
    /// The guard as it was.
    guard: Option<Bytes>,
    stamps: Bytes,
}

impl PutBack {
    /// Looks at a row, whose lock is held; `None`: nothing is to be put back.
    fn plan(view: &View, stamps: &Stamps, entries: &[Entry], done: &mut Recovery) -> Result<Option<Self>, ErrorKind> {
        let row = entries[0].row;
        let mut words = Vec::new();
        read_stamps(view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut words)?;
        let mut guard = GuardCell::read(view, row)?;
        let (mut values, mut due) = (Vec::new(), false);
        for entry in entries {
            let place = usize::from(entry.place);
            let Some(cell) =
                cell_of(view, entry).filter(|_| [entry.new_stamp, entry.old_stamp].contains(&words[place]))
            else {
                // Time has moved on.
                done.settled += 1;
                continue;
            };
            let guard = guard.as_mut().filter(|guard| guard.place == place);
            let now = cell.read(view.file.as_ref())?;
            // While the row is written the guard is neither old nor new.
            let hidden = guard.as_ref().is_some_and(|guard| now == guard.undefined);
            if now != entry.old && !hidden && !row::is_explained(entry, &now) {
                done.foreign += 1;
                continue;
            }
            due |= now != entry.old || words[place] != entry.old_stamp;
            *(if now == entry.old { &mut done.settled } else { &mut done.restored }) += 1;
            words[place] = entry.old_stamp;
            match guard {
                Some(guard) => guard.last = Some(entry.old.clone()),
                None if now != entry.old => values.push(Bytes { address: cell.address, bytes: entry.old.clone() }),
                None => {}
            }
        }
        if !due {
            return Ok(None);
        }
        let (address, _) = stamps.layout.find(row);
        let stamps = Bytes { address, bytes: bytemuck::cast_slice(&words).to_vec() };
        let (hide, guard) = guard.map_or((None, None), |guard| guard.parts(&words));
        Ok(Some(Self { hide, values, guard, stamps }))
    }
}

/// Where the bytes of an entry lie.
struct Cell {
    address: u64,
    len: usize,
}

impl Cell {
    fn read(&self, file: &dyn StorageFile) -> Result<Vec<u8>, ErrorKind> {
        let mut bytes = vec![0; self.len];
        file.read_at(&mut bytes, self.address)?;
        Ok(bytes)
    }
}

/// The cell of an entry, if the table still has it where commits are made in place.
fn cell_of(view: &View, entry: &Entry) -> Option<Cell> {
    let stamps = view.table.stamps.as_ref()?;
    let column = view.table.columns.iter().find(|c| c.stamp == Some(usize::from(entry.place)))?;
    let layout = column.layout.as_ref().ok()?;
    let fits = layout.cell_bytes == entry.old.len() as u64 && usize::from(entry.place) < stamps.width;
    fits.then(|| Cell { address: layout.find(entry.row).0, len: entry.old.len() })
}

/// The guard cell of a row that is put back.
struct GuardCell {
    place: usize,
    address: u64,
    undefined: Vec<u8>,
    now: Vec<u8>,
    /// What the record says that it was.
    last: Option<Vec<u8>>,
}

impl GuardCell {
    fn read(view: &View, row: u64) -> Result<Option<Self>, ErrorKind> {
        let Some((guard, column)) = view.guard()? else { return Ok(None) };
        let cell = Cell { address: column.direct()?.find(row).0, len: guard.undefined.len() };
        let now = cell.read(view.file.as_ref())?;
        let (place, undefined) = (guard.place, guard.undefined.clone());
        Ok(Some(Self { place, address: cell.address, undefined, now, last: None }))
    }

    /// What to write before and after the values. What another program made of it stays.
    fn parts(self, words: &[u64]) -> (Option<Bytes>, Option<Bytes>) {
        let unfinished = Stamp(words[self.place]).state() == State::Writing;
        let Some(last) = self.last.or_else(|| unfinished.then(|| self.undefined.clone())) else {
            return (None, None);
        };
        let speaks = self.now != self.undefined;
        let hide = speaks.then(|| Bytes { address: self.address, bytes: self.undefined });
        (hide, Some(Bytes { address: self.address, bytes: last }))
    }
}
