//! Puts back old values, row by row, where the record of a dead writer explains what is there.

use super::Recovery;
use crate::store::cells::read_stamps;
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Guard, Rows, StampRows, Stamps, cover};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{MAX_RANGES, RowLocks};
use h5part_base::num::to_usize;
use h5part_base::record::row::{self, Entry, HEADER, RecordHeader, START};
use h5part_base::record::stamp::{Stamp, StampState};
use h5part_base::storage::StorageFile;
use std::ops::Range;

/// The entries of a record. `None`: the record is incomplete.
fn entries(header: &RecordHeader, file: &dyn StorageFile) -> Result<Option<Vec<Entry>>, ErrorKind> {
    let mut body = vec![0; to_usize(header.body_len)];
    file.read_at(&mut body, START + HEADER as u64)?;
    Ok(header.decode_body(&body))
}

/// Whether a record has something to put back in these rows. The caller holds their locks.
pub(super) fn has_work(
    view: &TableView,
    header: &RecordHeader,
    file: &dyn StorageFile,
    rows: &[Range<u64>],
) -> Result<bool, ErrorKind> {
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

/// Puts back, row by row under their locks, what the record explains.
pub(super) fn put_back(
    store: &Store,
    view: &TableView,
    locks: &RowLocks,
    header: &RecordHeader,
    file: &dyn StorageFile,
) -> Result<Recovery, ErrorKind> {
    let Some(mut entries) = entries(header, file)? else { return Ok(Recovery::default()) };
    let Some(stamps) = &view.table.stamps else { return Ok(Recovery::default()) };
    entries.retain(|e| e.row < view.table.stamped_rows());
    entries.sort_by_key(|e| e.row);
    let mut rows: Vec<u64> = entries.iter().map(|e| e.row).collect();
    rows.dedup();
    let ranges = cover(Rows::list(&rows).runs()?.as_slice(), MAX_RANGES);
    let _rows = locks.lock(stamps.table, &ranges, &store.patience)?;
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
    // This precedes the removal of the record: a stamp that was lost with the power would stay WRITING for ever.
    view.file.sync()?;
    Ok(done)
}

/// How one row gets its old values back.
struct PutBack<'a> {
    row: u64,
    /// If its guard is set: the address of the guard cell, and the bytes that say "undefined".
    hide: Option<(u64, &'a [u8])>,
    /// Addresses and old bytes of its cells.
    values: Vec<(u64, &'a [u8])>,
    /// The same for its guard cell, which is written after them.
    guard: Option<(u64, &'a [u8])>,
    /// Its stamps, if anything of the row is written.
    words: Option<Vec<u64>>,
    /// Whether the stamps change.
    stamps_move: bool,
}

impl<'a> PutBack<'a> {
    /// Decides what to write. It writes nothing.
    fn plan(
        view: &'a TableView,
        stamps: &'a Stamps,
        entries: &'a [Entry],
        done: &mut Recovery,
    ) -> Result<Self, ErrorKind> {
        let row = entries[0].row;
        let mut plan = Self { row, hide: None, values: Vec::new(), guard: None, words: None, stamps_move: false };
        let mut found = StampRows::default();
        read_stamps(view.file.as_ref(), stamps, &Rows::one(row).runs()?, &mut found)?;
        let (found, mut words) = (found.words(), found.words().to_vec());
        // Whether the guard, if it is set, is the dead writer's or the one that is put back.
        let writing = |guard: &Guard| found.get(guard.place).is_some_and(|&w| Stamp(w).state() == StampState::Writing);
        // A commit has at most one guard.
        let guard_of_row = stamps.guard_of(usize::from(entries[0].place));
        let mut explained = guard_of_row.is_some_and(writing);
        // Whether there are values of another program, and whether the guard covers them.
        let (mut others, mut speaks) = (false, false);
        for entry in entries {
            let place = usize::from(entry.place);
            let column = view.table.columns.iter().find(|c| c.stamp == Some(place));
            let layout = column.and_then(|c| c.layout.as_ref().ok()).filter(|l| l.cell_bytes == entry.old.len() as u64);
            let word = words.get_mut(place).filter(|now| [entry.new_stamp, entry.old_stamp].contains(now));
            let Some((layout, word)) = layout.zip(word) else {
                // The cell was committed again since, or another program has removed the column.
                let is_lost = view.table.lost.iter().any(|lost| lost.place == place);
                *(if is_lost { &mut done.foreign } else { &mut done.settled }) += 1;
                continue;
            };
            let (address, _) = layout.find(row);
            let mut bytes = vec![0; entry.old.len()];
            view.file.read_at(&mut bytes, address)?;
            let guard = stamps.guard_at(place);
            // While a row is written, its guard is hidden: neither old nor new.
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
                // It is written even if it is unchanged, since it may be hidden until the values are there.
                plan.guard = Some((address, entry.old.as_slice()));
                explained = true;
            } else if bytes != entry.old {
                plan.values.push((address, entry.old.as_slice()));
            }
        }
        if let Some(guard) = guard_of_row.filter(|_| others && speaks) {
            // Another program has computed the row. Its guard happens to equal the old one.
            (plan.guard, explained, words[guard.place]) = (None, false, found[guard.place]);
        }
        if let Some(guard) = guard_of_row.filter(|_| explained) {
            plan.hide(guard, view)?;
        }
        plan.stamps_move = words != found;
        plan.words = (plan.stamps_move || plan.guard.is_some() || !plan.values.is_empty()).then_some(words);
        Ok(plan)
    }

    /// Plans to hide the guard, unless it is put back and no other value is.
    fn hide(&mut self, guard: &'a Guard, view: &TableView) -> Result<(), ErrorKind> {
        if self.values.is_empty() && self.guard.is_some() {
            return Ok(());
        }
        let (address, _) = view.guard_target(guard)?.layout.find(self.row);
        let mut bytes = vec![0; guard.undefined.len()];
        view.file.read_at(&mut bytes, address)?;
        self.hide = (bytes != guard.undefined).then_some((address, guard.undefined.as_slice()));
        Ok(())
    }

    /// Writes the guard, then the stamps.
    fn make_count(&self, view: &TableView, stamps: &Stamps) -> Result<(), ErrorKind> {
        let Some(words) = &self.words else { return Ok(()) };
        if let Some((address, bytes)) = self.guard {
            view.file.write_at(bytes, address)?;
        }
        let (address, _) = stamps.layout.find(self.row);
        Ok(view.file.write_at(bytemuck::cast_slice(words), address)?)
    }
}
