//! One row commit, in the order of steps of `docs/design.md`, "A row commit".
//!
//! The gate is held by the caller; everything here happens under it.

use super::cells::{for_each_cell, is_fill, read_stamps, write_pieces};
use super::stamp::{Stamp, State};
use super::view::{Stamped, View};
use crate::dataspace::{Piece, Runs, Stamps, cover, pieces};
use crate::error::ErrorKind;
use crate::lock::{MAX_RANGES, Patience, RowLocks};
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

pub(super) fn run(
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
    runs: &Runs,
    sets: &[Set<'_>],
    terms: Terms,
    scratch: &mut Scratch,
) -> Result<(), Failed> {
    let unstamped = || ErrorKind::Unstamped(view.table.path.clone());
    let stamps = view.table.stamps.as_ref().ok_or_else(unstamped).map_err(Failed::Before)?;
    let file = view.file.as_ref();
    // 3. Row locks, kept until the stamps are final.
    let ranges = cover(runs.as_slice(), MAX_RANGES);
    let _rows = locks.lock(stamps.table, &ranges, patience).map_err(Failed::Before)?;
    // 4. What is there?
    inspect(file, stamps, runs, sets, terms, scratch).map_err(Failed::Before)?;
    // 5. Here the old values of what is overwritten go to the writer's record.
    prepare_stamps(stamps.width, runs, sets, scratch);
    write(file, stamps, runs, sets, terms.durability, scratch).map_err(Failed::During)
}

/// Reads stamps and cells under the row locks; a value that no stamp explains is an error.
fn inspect(
    file: &dyn StorageFile,
    stamps: &Stamps,
    runs: &Runs,
    sets: &[Set<'_>],
    terms: Terms,
    scratch: &mut Scratch,
) -> Result<(), ErrorKind> {
    let Scratch { stamps: words, cells, .. } = scratch;
    read_stamps(file, stamps, runs, words)?;
    for Set { target, .. } in sets {
        let column = target.column;
        let foreign = |row| ErrorKind::ForeignChange { column: column.name.clone(), row };
        let stamp_of = |k: usize| Stamp(words[k * stamps.width + target.place]);
        let mut unsettled = false;
        for k in 0..words.len() / stamps.width {
            match stamp_of(k).state() {
                State::Unstamped => unsettled |= terms.suspect,
                State::Committed => unsettled = true,
                // A writer died in it: no value.
                State::Writing => {}
                State::Unknown(state) => return Err(ErrorKind::NewerFormat { found: u64::from(state), known: 2 }),
            }
        }
        if !unsettled || terms.accept_foreign {
            continue;
        }
        for_each_cell(file, target.layout, runs, cells, |k, row, bytes| {
            let stamp = stamp_of(k);
            let expected = match stamp.state() {
                State::Unstamped => is_fill(bytes, &column.fill),
                State::Committed => target.seed.matches(stamp, row, bytes),
                State::Writing | State::Unknown(_) => true,
            };
            if expected { Ok(()) } else { Err(foreign(row)) }
        })?;
    }
    Ok(())
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
