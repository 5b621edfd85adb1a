//! What the cells of a commit hold before it is made: no value, a value of ours, or one of another program.

use super::{CommitOptions, CommitRequest};
use crate::store::cells::{cell_at, for_each_cell, read_cells, read_window};
use crate::store::table_view::{Direct, Held, Stamped, TableView};
use h5part_base::dataspace::{ColumnLayout, Guard, Piece, Runs, StampRows, Stamps, Window};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::record::row::{Entry, PIECE};
use h5part_base::record::stamp::{Stamp, StampState};
use h5part_base::storage::StorageFile;

/// Values for one column of a commit, and where the column lies.
#[derive(Debug)]
pub(super) struct ColumnWrite<'a> {
    pub(super) target: Direct<'a>,
    pub(super) bytes: &'a [u8],
}

/// A commit in place: all of its rows in all of its columns, which are direct.
#[derive(Debug)]
pub(super) struct CommitPlan<'a> {
    pub(super) runs: &'a Runs,
    pub(super) writes: Vec<ColumnWrite<'a>>,
    /// What columns must still hold.
    pub(super) expected: Vec<ColumnWrite<'a>>,
}

/// The state of one commit under way. Its buffers are kept from commit to commit.
#[derive(Debug, Default)]
pub(super) struct CommitState {
    /// The stamps of its rows: as found, then as they become.
    pub(super) stamps: StampRows,
    /// Where they lie.
    pub(super) stamp_plan: Vec<Piece>,
    /// Cells that have a value, column by column.
    pub(super) entries: Vec<Entry>,
    /// The guard cells, if the commit leaves out the guard column.
    pub(super) hidden_guard: Option<HiddenGuard>,
    /// Whether guard cells say anything but "undefined" now.
    pub(super) guard_speaks: bool,
}

/// Guard cells that a commit does not set. It hides them, and shows them again at the end.
#[derive(Debug)]
pub(super) struct HiddenGuard {
    /// In the order of the selection.
    pub(super) bytes: Vec<u8>,
    /// By position in order of rows: whether the cell is ours, so that its stamp changes, too.
    pub(super) ours: Vec<bool>,
}

/// What the cells of a commit hold.
pub(super) enum Found {
    /// Nothing, or values of ours. The entries hold the latter.
    Settled,
    /// Something that the record of a dead writer may explain. If it does not, this is the error.
    Unsettled(Option<ErrorKind>),
}

impl Found {
    pub(super) fn is_unsettled(&self) -> bool {
        matches!(self, Self::Unsettled(_))
    }
}

impl<'a> CommitPlan<'a> {
    /// The plan of a request, with the places of its columns.
    pub(super) fn of(request: &'a CommitRequest<'_>, view: &'a TableView) -> Result<Self, ErrorKind> {
        let finder = view.table.finder(request.values.len());
        let write = |&(name, bytes)| Ok(ColumnWrite { target: view.direct(finder.column(name)?)?, bytes });
        let writes = |of: &'a [(&str, &[u8])]| of.iter().map(write).collect::<Result<Vec<_>, ErrorKind>>();
        Ok(Self { runs: &request.runs, writes: writes(&request.values)?, expected: writes(&request.expected)? })
    }

    /// The guard that covers its columns. All of them have the same guard.
    pub(super) fn guard<'s>(&self, stamps: &'s Stamps) -> Option<&'s Guard> {
        stamps.guard_of(self.writes.first()?.target.place)
    }

    /// Its write to the guard column, if it sets it.
    pub(super) fn guard_write(&self, guard: &Guard) -> Option<&ColumnWrite<'a>> {
        self.writes.iter().find(|write| write.target.place == guard.place)
    }

    /// Whether it requires the guard to say "undefined" in all of its rows.
    fn expects_nothing(&self, stamps: &Stamps) -> bool {
        let Some(guard) = self.guard(stamps) else { return false };
        let expected = self.expected.iter().find(|write| write.target.place == guard.place);
        expected
            .is_some_and(|write| write.bytes.chunks_exact(guard.undefined.len()).all(|cell| cell == guard.undefined))
    }

    /// The stamps of each row that it reads and writes: those of its columns and of their guard.
    fn window(&self, stamps: &Stamps) -> Window {
        let guard = self.guard(stamps).map(|guard| guard.place);
        stamps.window(self.writes.iter().map(|write| write.target.place).chain(guard))
    }

    /// Reads stamps and cells under the row locks, and keeps the bytes of cells that have a value.
    pub(super) fn inspect(
        &self,
        file: &dyn StorageFile,
        view: &TableView,
        stamps: &Stamps,
        options: &CommitOptions<'_>,
        state: &mut CommitState,
        buffer: &mut Vec<u8>,
    ) -> Result<Found, ErrorKind> {
        (state.hidden_guard, state.guard_speaks) = (None, false);
        state.entries.clear();
        read_window(file, stamps, self.window(stamps), self.runs, &mut state.stamps)?;
        // The guard says that nothing of value is there, and the caller trusts it.
        let nothing_there = options.accept_foreign && self.expects_nothing(stamps);
        let (mut interrupted, mut foreign) = (false, None);
        for ColumnWrite { target, .. } in &self.writes {
            let inspection = Inspection { target, stamps: &state.stamps, options, nothing_there };
            let keep = Keep { layout: target.layout, entries: &mut state.entries };
            let mut cells = CellsInPlace { file, layout: target.layout, runs: self.runs, buffer };
            let found = inspection.run(&mut cells, Some(keep))?;
            interrupted |= found.interrupted;
            foreign = foreign.or_else(|| found.foreign.map(|row| target.foreign_change(row)));
        }
        if let Some(guard) = self.guard(stamps) {
            self.inspect_guard(file, view, guard, state)?;
        }
        Ok(if foreign.is_some() || interrupted { Found::Unsettled(foreign) } else { Found::Settled })
    }

    /// Checks whether guard cells of the rows are set. They must not be while the rows are written.
    fn inspect_guard(
        &self,
        file: &dyn StorageFile,
        view: &TableView,
        guard: &Guard,
        state: &mut CommitState,
    ) -> Result<(), ErrorKind> {
        let target = view.guard_target(guard)?;
        let size = guard.undefined.len();
        let mut bytes = vec![0; to_usize(self.runs.len()).saturating_mul(size)];
        read_cells(file, target.layout, self.runs, &mut bytes)?;
        let speaks = |cell: &[u8]| cell != guard.undefined;
        state.guard_speaks = bytes.chunks_exact(size).any(speaks);
        if !state.guard_speaks || self.guard_write(guard).is_some() {
            return Ok(());
        }
        let mut ours = Vec::with_capacity(bytes.len() / size);
        for (k, (row, index)) in self.runs.iter().enumerate() {
            let start = to_usize(index) * size;
            let cell = &bytes[start..start + size];
            let stamp = Stamp(state.stamps.get(k, guard.place));
            ours.push(target.held(stamp, row, cell) == Held::Ours);
            if stamp.state() == StampState::Writing {
                // Its writer died, and recovery put no value back, so the guard does not count as set.
                bytes[start..start + size].copy_from_slice(&guard.undefined);
            } else if speaks(cell) {
                state.entries.push(entry(target.place, target.layout, row, stamp, cell));
            }
        }
        state.hidden_guard = Some(HiddenGuard { bytes, ours });
        Ok(())
    }

    /// Checks that columns still hold what the caller has seen.
    pub(super) fn check_expected(&self, file: &dyn StorageFile) -> Result<(), ErrorKind> {
        for ColumnWrite { target, bytes } in &self.expected {
            let mut now = vec![0; bytes.len()];
            read_cells(file, target.layout, self.runs, &mut now)?;
            let mut seen = bytes.to_vec();
            target.column.end_texts(&mut now);
            target.column.end_texts(&mut seen);
            if let Some(row) = first_difference(self.runs, &now, &seen) {
                return Err(ErrorKind::NotAsExpected { column: target.column.name.clone(), row });
            }
        }
        Ok(())
    }
}

/// The first row whose cells differ; both are in the order of the selection.
pub(super) fn first_difference(runs: &Runs, one: &[u8], other: &[u8]) -> Option<u64> {
    let cell = one.len() / to_usize(runs.len()).max(1);
    let differs = |&(_, index): &(u64, u64)| cell_at(one, index, cell) != cell_at(other, index, cell);
    // The fast path, which nearly always applies.
    if one == other { None } else { runs.iter().find(differs).map(|(row, _)| row) }
}

/// Cells of one column in order of rows. Their stamps were read before.
pub(super) trait Cells {
    /// Calls `look(position, row, bytes)` for each cell.
    fn for_each(&mut self, look: impl FnMut(usize, u64, &[u8])) -> Result<(), ErrorKind>;
}

/// The cells of a direct column.
struct CellsInPlace<'a> {
    file: &'a dyn StorageFile,
    layout: &'a ColumnLayout,
    runs: &'a Runs,
    buffer: &'a mut Vec<u8>,
}

impl Cells for CellsInPlace<'_> {
    fn for_each(&mut self, mut look: impl FnMut(usize, u64, &[u8])) -> Result<(), ErrorKind> {
        for_each_cell(self.file, self.layout, self.runs, self.buffer, |k, row, bytes| {
            look(k, row, bytes);
            Ok(())
        })
    }
}

/// Keeps the values of a direct column that a commit overwrites.
pub(super) struct Keep<'a> {
    layout: &'a ColumnLayout,
    entries: &'a mut Vec<Entry>,
}

/// The inspection of one column of a commit.
pub(super) struct Inspection<'a> {
    pub(super) target: &'a Stamped<'a>,
    pub(super) stamps: &'a StampRows,
    pub(super) options: &'a CommitOptions<'a>,
    /// Whether cells without a committed value count as empty, whatever their bytes are.
    pub(super) nothing_there: bool,
}

/// What was found in one column.
#[derive(Default)]
pub(super) struct Inspected {
    /// Whether a writer died in one of the cells.
    interrupted: bool,
    /// The first row in which another program's value would be overwritten.
    pub(super) foreign: Option<u64>,
}

impl Inspection<'_> {
    /// Reads those cells whose stamps do not say everything. `keep`: where to keep the values found.
    pub(super) fn run(&self, cells: &mut impl Cells, mut keep: Option<Keep<'_>>) -> Result<Inspected, ErrorKind> {
        let stamp_of = |k: usize| Stamp(self.stamps.get(k, self.target.place));
        let (mut found, mut look) = (Inspected::default(), false);
        for k in 0..self.stamps.len() {
            match stamp_of(k).state() {
                StampState::Unstamped => look |= self.options.suspect && !self.nothing_there,
                StampState::Vacant => look |= !self.nothing_there,
                StampState::Committed => look = true,
                StampState::Writing => found.interrupted = true,
                StampState::Unknown(state) => return Err(ErrorKind::NewerFormat { found: u64::from(state), known: 3 }),
            }
        }
        if !look || (self.options.accept_foreign && keep.is_none()) {
            return Ok(found);
        }
        cells.for_each(|k, row, bytes| {
            let stamp = stamp_of(k);
            let held = self.target.held(stamp, row, bytes);
            if held == Held::Foreign && !self.options.accept_foreign {
                found.foreign.get_or_insert(row);
            }
            if let Some(keep) = keep.as_mut().filter(|_| held != Held::Nothing) {
                keep.entries.push(entry(self.target.place, keep.layout, row, stamp, bytes));
            }
        })?;
        Ok(found)
    }
}

fn entry(place: usize, layout: &ColumnLayout, row: u64, stamp: Stamp, bytes: &[u8]) -> Entry {
    let place = u16::try_from(place).unwrap_or(u16::MAX);
    let shift = u16::try_from(layout.find(row).0 % PIECE as u64).unwrap_or(0);
    Entry { row, place, shift, old_stamp: stamp.0, new_stamp: stamp.0, old: bytes.to_vec(), new_pieces: Vec::new() }
}
