//! One row commit, in the order of steps of `docs/design.md`, "A row commit".
//!
//! The gate is held by the caller; everything here happens under it.

use super::cells::{for_each_cell, is_fill, read_stamps, write_pieces};
use super::recover::Recorder;
use super::stamp::{Stamp, State};
use super::view::{Stamped, View};
use crate::dataspace::{Piece, Runs, Stamps, cover, pieces};
use crate::error::ErrorKind;
use crate::lock::{MAX_RANGES, Patience, RowLocks};
use crate::record::row::{Entry, PIECE, piece_sums};
use crate::storage::StorageFile;

/// What an acknowledged commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Loss of power: the commit is synced before it is acknowledged.
    #[default]
    Power,
    /// Death of any process (`kill -9`), not loss of power; no sync.
    Process,
}

/// Values of one column of a commit, checked against it.
#[derive(Debug)]
pub(super) struct Set<'a> {
    pub(super) target: Stamped<'a>,
    pub(super) bytes: &'a [u8],
}

/// What a commit needs beside its values; its buffers are kept from commit to commit.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    stamps: Vec<u64>,
    cells: Vec<u8>,
    plan: Vec<Piece>,
    stamp_plan: Vec<Piece>,
}

/// How a commit treats what it finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) durability: Durability,
    pub(super) accept_foreign: bool,
    /// Whether another program may have written into cells that have no stamp.
    pub(super) suspect: bool,
}

/// Whether bytes of the file may have changed when a commit failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing was written.
    Before(ErrorKind),
    /// Some of it was: nothing after it may be acknowledged.
    During(ErrorKind),
}

/// What a commit works on and with.
pub(super) struct Site<'a> {
    pub(super) view: &'a View,
    pub(super) locks: &'a RowLocks,
    pub(super) patience: &'a Patience,
    pub(super) recorder: &'a mut Recorder,
}

/// What the cells of a commit hold now.
enum Found {
    /// Empty, or values of ours; those are in the entries.
    Settled(Vec<Entry>),
    /// Something that the record of a dead writer may explain; else this is to be said.
    Unsettled(Option<ErrorKind>),
}

pub(super) fn run(
    site: &mut Site<'_>,
    runs: &Runs,
    sets: &[Set<'_>],
    terms: Terms,
    scratch: &mut Scratch,
    recover: impl FnOnce() -> Result<(), ErrorKind>,
) -> Result<(), Failed> {
    let view = site.view;
    let unstamped = || ErrorKind::Unstamped(view.table.path.clone());
    let stamps = view.table.stamps.as_ref().ok_or_else(unstamped).map_err(Failed::Before)?;
    let file = view.file.as_ref();
    // 3. Row locks, kept until the stamps are final.
    let ranges = cover(runs.as_slice(), MAX_RANGES);
    let lock = || site.locks.lock(stamps.table, &ranges, site.patience).map_err(Failed::Before);
    let mut rows = lock()?;
    // 4. What is there?
    let mut found = inspect(file, stamps, runs, sets, terms, scratch).map_err(Failed::Before)?;
    if let Found::Unsettled(_) = found {
        // Recovery takes row locks of its own, in order.
        drop(rows);
        recover().map_err(Failed::Before)?;
        rows = lock()?;
        found = inspect(file, stamps, runs, sets, terms, scratch).map_err(Failed::Before)?;
    }
    let mut entries = match found {
        Found::Settled(entries) => entries,
        Found::Unsettled(Some(error)) => return Err(Failed::Before(error)),
        // A writer died in a row that had no value, and nothing needs to be put back.
        Found::Unsettled(None) => collect(file, stamps, runs, sets, scratch).map_err(Failed::Before)?,
    };
    prepare_stamps(stamps.width, runs, sets, scratch);
    // 5. Nothing of value is overwritten before a copy of it exists.
    if !entries.is_empty() {
        complete(&mut entries, stamps.width, runs, sets, scratch);
        site.recorder.write(view, &entries, terms.durability).map_err(Failed::Before)?;
    }
    write(file, stamps, runs, sets, terms.durability, scratch).map_err(Failed::During)?;
    if !entries.is_empty() {
        site.recorder.spend().map_err(Failed::During)?;
    }
    drop(rows);
    Ok(())
}

/// Reads stamps and cells under the row locks, and keeps the bytes of cells that have a value.
fn inspect(
    file: &dyn StorageFile,
    stamps: &Stamps,
    runs: &Runs,
    sets: &[Set<'_>],
    terms: Terms,
    scratch: &mut Scratch,
) -> Result<Found, ErrorKind> {
    let Scratch { stamps: words, cells, .. } = scratch;
    read_stamps(file, stamps, runs, words)?;
    let (mut entries, mut interrupted, mut foreign) = (Vec::new(), false, None);
    for Set { target, .. } in sets {
        let stamp_of = |k: usize| Stamp(words[k * stamps.width + target.place]);
        let mut look = false;
        for k in 0..words.len() / stamps.width {
            match stamp_of(k).state() {
                State::Unstamped => look |= terms.suspect,
                State::Committed => look = true,
                State::Writing => interrupted = true,
                State::Unknown(state) => return Err(ErrorKind::NewerFormat { found: u64::from(state), known: 2 }),
            }
        }
        if !look {
            continue;
        }
        for_each_cell(file, target.layout, runs, cells, |k, row, bytes| {
            let stamp = stamp_of(k);
            let (has_value, is_ours) = match stamp.state() {
                State::Unstamped => (!is_fill(bytes, &target.column.fill), false),
                State::Committed => (true, target.seed.matches(stamp, row, bytes)),
                State::Writing | State::Unknown(_) => (false, true),
            };
            if has_value && !is_ours && !terms.accept_foreign {
                foreign.get_or_insert(ErrorKind::ForeignChange { column: target.column.name.clone(), row });
            }
            if has_value {
                entries.push(entry(target, row, stamp, bytes));
            }
            Ok(())
        })?;
    }
    Ok(if foreign.is_some() || interrupted { Found::Unsettled(foreign) } else { Found::Settled(entries) })
}

/// The entries of cells that have a stamped value, where others of the commit have none.
fn collect(
    file: &dyn StorageFile,
    stamps: &Stamps,
    runs: &Runs,
    sets: &[Set<'_>],
    scratch: &mut Scratch,
) -> Result<Vec<Entry>, ErrorKind> {
    let mut entries = Vec::new();
    let Scratch { stamps: words, cells, .. } = scratch;
    for Set { target, .. } in sets {
        for_each_cell(file, target.layout, runs, cells, |k, row, bytes| {
            let stamp = Stamp(words[k * stamps.width + target.place]);
            if stamp.state() == State::Committed {
                entries.push(entry(target, row, stamp, bytes));
            }
            Ok(())
        })?;
    }
    Ok(entries)
}

fn entry(target: &Stamped<'_>, row: u64, stamp: Stamp, bytes: &[u8]) -> Entry {
    let place = u16::try_from(target.place).unwrap_or(u16::MAX);
    let shift = u16::try_from(target.layout.find(row).0 % PIECE as u64).unwrap_or(0);
    Entry { row, place, shift, old_stamp: stamp.0, new_stamp: 0, old: bytes.to_vec(), new_pieces: Vec::new() }
}

/// Adds to the entries what the commit will write. They are in the order of sets and rows.
fn complete(entries: &mut [Entry], width: usize, runs: &Runs, sets: &[Set<'_>], scratch: &Scratch) {
    let mut entries = entries.iter_mut().peekable();
    for Set { target, bytes } in sets {
        let cell = usize::try_from(target.layout.cell_bytes).unwrap_or(usize::MAX);
        for (k, (row, index)) in runs.iter().enumerate() {
            let is_this = |e: &&mut Entry| e.row == row && usize::from(e.place) == target.place;
            if let Some(entry) = entries.next_if(is_this) {
                let start = usize::try_from(index).unwrap_or(usize::MAX) * cell;
                entry.new_stamp = scratch.stamps[k * width + target.place];
                entry.new_pieces = piece_sums(&bytes[start..start + cell], entry.shift);
            }
        }
    }
}

/// Sets the stamps in memory to WRITING, with the new versions and checksums.
fn prepare_stamps(width: usize, runs: &Runs, sets: &[Set<'_>], scratch: &mut Scratch) {
    for Set { target, bytes } in sets {
        let cell = usize::try_from(target.layout.cell_bytes).unwrap_or(usize::MAX);
        for (k, (row, index)) in runs.iter().enumerate() {
            let word = &mut scratch.stamps[k * width + target.place];
            let version = Stamp(*word).next_version();
            let start = usize::try_from(index).unwrap_or(usize::MAX) * cell;
            let checksum = target.seed.checksum(row, version, &bytes[start..start + cell]);
            *word = Stamp::writing(version, checksum).0;
        }
    }
}

fn write(
    file: &dyn StorageFile,
    stamps: &Stamps,
    runs: &Runs,
    sets: &[Set<'_>],
    durability: Durability,
    scratch: &mut Scratch,
) -> Result<(), ErrorKind> {
    let Scratch { stamps: words, plan, stamp_plan, .. } = scratch;
    pieces(&stamps.layout, &runs.in_row_order(), stamp_plan);
    write_pieces(file, stamp_plan, bytemuck::cast_slice(words))?;
    let power = durability == Durability::Power;
    // Before any value lies there: after a loss of power a value without a stamp would pass for
    // another program's.
    if power {
        file.sync()?;
    }
    // 6. The values. Their checksums were just computed, so their pages are resident: a kill falls
    // between pages only.
    for Set { target, bytes } in sets {
        pieces(target.layout, runs, plan);
        write_pieces(file, plan, bytes)?;
    }
    if power {
        file.sync()?;
    }
    // 7. The stamps of a row lie within one sector: they become final together.
    for Set { target, .. } in sets {
        for row in words.chunks_exact_mut(stamps.width) {
            row[target.place] = Stamp(row[target.place]).finished().0;
        }
    }
    write_pieces(file, stamp_plan, bytemuck::cast_slice(words))?;
    if power {
        file.sync()?;
    }
    Ok(())
}
