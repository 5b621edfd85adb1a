//! Reading rows beside writers: stamps, cells, stamps again; rows whose stamps changed in between are read again.

use super::part::Part;
use super::wanted::{Cells, Wanted, Way};
use crate::h5::H5File;
use crate::store::cells::{fill_with, read_window};
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use crate::store::values::CellState;
use h5part_base::dataspace::{Rows, Runs, StampRows, Stamps, Window};
use h5part_base::error::ErrorKind;
use h5part_base::lock::Patience;
use h5part_base::num::to_usize;
use rayon::prelude::*;
use std::time::Duration;

/// A row whose stamps keep changing is read up to this many times. Then it counts as being written.
const TRIES: u32 = 100;
/// A row that says COMMITTED but does not match its checksum after this many reads is damaged.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_micros(50);
/// Cells are read in parts of about this many bytes, and checked while they are in the processor's cache.
const PART_BYTES: usize = 256 << 10;
/// Stamps are read in parts of this many rows.
const STAMP_ROWS: u64 = 1 << 15;

/// The stamps of the rows that were read, and the rows to read again, with their places.
type Passed = (StampRows, Vec<(u64, usize)>);

/// State for reading rows.
pub(super) struct Look<'a> {
    view: &'a TableView,
    patience: &'a Patience,
    /// Open if a column is read through the library.
    h5: Option<H5File>,
    wanted: Vec<Wanted<'a>>,
    /// Which stamps of each row are read.
    window: Window,
}

impl<'a> Look<'a> {
    /// Opens the file in the library if one of the columns needs it. With `all`, all stamps of each row are read.
    pub(super) fn new(
        store: &'a Store,
        view: &'a TableView,
        mut wanted: Vec<Wanted<'a>>,
        all: bool,
    ) -> Result<Self, ErrorKind> {
        let through_library = wanted.iter().any(|wanted| matches!(wanted.way, Way::Library));
        let h5 = through_library.then(|| H5File::open(&view.file, &store.paths.file)).transpose()?;
        let places = || wanted.iter().filter_map(|wanted| Some(wanted.stamped.as_ref()?.place));
        let window = view
            .table
            .stamps
            .as_ref()
            .map_or_else(Window::default, |stamps| if all { stamps.all() } else { stamps.window(places()) });
        for wanted in &mut wanted {
            wanted.at = wanted.stamped.as_ref().map_or(0, |stamped| window.at(stamped.place));
        }
        Ok(Self { view, patience: &store.patience, h5, wanted, window })
    }

    /// Reads until no row changes while it is read. Returns the stamps of the rows.
    pub(super) fn settle(&self, rows: &Runs, out: &mut [Cells<'_>]) -> Result<StampRows, ErrorKind> {
        let (mut words, mut moved) = self.pass(rows, out, 1)?;
        for attempt in 2..=TRIES {
            if moved.is_empty() {
                break;
            }
            (self.patience.sleep)(PAUSE);
            moved = self.look_again(&moved, &mut words, out, attempt)?;
        }
        Ok(words)
    }

    /// Reads the rows that changed once more. `moved` holds each row and its place.
    fn look_again(
        &self,
        moved: &[(u64, usize)],
        words: &mut StampRows,
        out: &mut [Cells<'_>],
        attempt: u32,
    ) -> Result<Vec<(u64, usize)>, ErrorKind> {
        let rows = Rows::list(&moved.iter().map(|(row, _)| *row).collect::<Vec<_>>()).runs()?;
        let mut fresh: Vec<(Vec<u8>, Vec<CellState>)> =
            out.iter().map(|c| (vec![0; c.cell * moved.len()], vec![CellState::Plain; moved.len()])).collect();
        let mut cells: Vec<Cells<'_>> = fresh
            .iter_mut()
            .zip(out.iter())
            .map(|((bytes, states), whole)| Cells { cell: whole.cell, bytes, states })
            .collect();
        let (now, still) = self.pass(&rows, &mut cells, attempt)?;
        for (row, (_, place)) in now.rows().zip(moved) {
            words.set_row(*place, row);
        }
        for (whole, (bytes, states)) in out.iter_mut().zip(&fresh) {
            for ((cell, state), (_, place)) in bytes.chunks_exact(whole.cell.max(1)).zip(states).zip(moved) {
                whole.bytes[place * whole.cell..(place + 1) * whole.cell].copy_from_slice(cell);
                whole.states[*place] = *state;
            }
        }
        Ok(still.into_iter().map(|(row, place)| (row, moved[place].1)).collect())
    }

    /// One pass. Returns the stamps, and the rows to read again, ascending, with their places.
    fn pass(&self, rows: &Runs, out: &mut [Cells<'_>], attempt: u32) -> Result<Passed, ErrorKind> {
        let stamps = self.view.table.stamps.as_ref().filter(|_| self.wanted.iter().any(|w| w.stamped.is_some()));
        let words = match stamps {
            Some(stamps) => self.stamps(stamps, rows)?,
            None => StampRows::default(),
        };
        let mut parts = Vec::new();
        for (wanted, cells) in self.wanted.iter().zip(out.iter_mut()) {
            match &wanted.way {
                Way::Library => self.read_via_library(wanted, rows, words.words(), cells)?,
                _ => parts.extend(Part::divide(wanted, rows, PART_BYTES, &words, cells)),
            }
        }
        let file = self.view.file.as_ref();
        // A single part is not worth waking another thread for.
        if parts.len() < 2 {
            parts.into_iter().try_for_each(|part| part.read(file))?;
        } else {
            parts.into_par_iter().try_for_each(|part| part.read(file))?;
        }
        let Some(stamps) = stamps else { return Ok((words, Vec::new())) };
        let mut again = self.moved(stamps, rows, &words)?;
        for (_, place) in &again {
            self.hide(*place, out);
        }
        if attempt <= LOOKS {
            again.extend(changed(rows, out));
            again.sort_unstable();
            again.dedup();
        }
        Ok((words, again))
    }

    /// The stamps of the rows.
    fn stamps(&self, stamps: &Stamps, rows: &Runs) -> Result<StampRows, ErrorKind> {
        let file = self.view.file.as_ref();
        let parts = rows.parts(STAMP_ROWS, None);
        let mut words = StampRows::default();
        if let [part] = parts.as_slice() {
            read_window(file, stamps, self.window, part, &mut words)?;
            return Ok(words);
        }
        words.reset(self.window, to_usize(rows.len()));
        let words_a_part = to_usize(STAMP_ROWS) * self.window.width;
        words.words_mut().par_chunks_mut(words_a_part).zip(&parts).try_for_each(|(words, part)| {
            let mut read = StampRows::default();
            read_window(file, stamps, self.window, part, &mut read)?;
            words.copy_from_slice(read.words());
            Ok::<(), ErrorKind>(())
        })?;
        Ok(words)
    }

    /// Rows whose stamps have changed, with their places.
    fn moved(&self, stamps: &Stamps, rows: &Runs, words: &StampRows) -> Result<Vec<(u64, usize)>, ErrorKind> {
        let file = self.view.file.as_ref();
        let places: Vec<usize> = self.wanted.iter().filter(|w| w.stamped.is_some()).map(|w| w.at).collect();
        let parts = rows.parts(STAMP_ROWS, None);
        let most = to_usize(STAMP_ROWS);
        let look = |(k, part): (usize, &Runs)| {
            let (first, mut now) = (k * most, StampRows::default());
            read_window(file, stamps, self.window, part, &mut now)?;
            let before = words.rows_from(first, now.len());
            let mut moved = Vec::new();
            // The fast path, which nearly always applies.
            if before == now.words() {
                return Ok(moved);
            }
            for ((row, at), (old, new)) in part.iter().zip(before.chunks_exact(self.window.width).zip(now.rows())) {
                if places.iter().any(|&place| old[place] != new[place]) {
                    moved.push((row, first + to_usize(at)));
                }
            }
            Ok::<_, ErrorKind>(moved)
        };
        let found: Vec<Vec<(u64, usize)>> = if parts.len() < 2 {
            parts.iter().enumerate().map(look).collect::<Result<_, _>>()?
        } else {
            parts.par_iter().enumerate().map(look).collect::<Result<_, _>>()?
        };
        Ok(found.into_iter().flatten().collect())
    }

    /// Treats a row that changed as "not there" until it is read again.
    fn hide(&self, place: usize, out: &mut [Cells<'_>]) {
        for (wanted, cells) in self.wanted.iter().zip(out).filter(|(wanted, _)| wanted.stamped.is_some()) {
            cells.states[place] = CellState::Writing;
            fill_with(&mut cells.bytes[place * cells.cell..(place + 1) * cells.cell], &wanted.column.fill);
        }
    }

    fn read_via_library(
        &self,
        wanted: &Wanted<'_>,
        rows: &Runs,
        words: &[u64],
        cells: &mut Cells<'_>,
    ) -> Result<(), ErrorKind> {
        let h5 = self.h5.as_ref().ok_or_else(|| ErrorKind::Hdf5("the file is not open".to_owned()))?;
        cells.bytes.copy_from_slice(&h5.read_rows(&self.view.table.path, wanted.column, rows)?);
        wanted.judge(rows, words, cells);
        Ok(())
    }
}

/// Rows that do not match their checksums, with their places. A damaged row stays in this state; a row that was read in
/// the middle of a commit does not.
fn changed(rows: &Runs, out: &[Cells<'_>]) -> Vec<(u64, usize)> {
    let is = |place: usize| out.iter().any(|cells| cells.states[place] == CellState::Changed);
    if out.iter().all(|cells| !cells.states.contains(&CellState::Changed)) {
        return Vec::new();
    }
    rows.iter()
        .map(|(row, _)| row)
        .enumerate()
        .filter(|(place, _)| is(*place))
        .map(|(place, row)| (row, place))
        .collect()
}
