//! Commits that cannot be made in place: as a whole through the log of a change, and through the library where they touch
//! library columns.

use super::cells::{read_cells, read_window, write_pieces};
use super::change::{Alone, Changing};
use super::commit::{Outcome, first_difference};
use super::handle::Store;
use super::read::CellReader;
use super::repack::{self, Repacked, is_by_chunks};
use super::request::Request;
use super::view::{Held, View};
use crate::h5::H5Change;
use h5part_base::dataspace::{Column, Runs, Stamps, Window, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::lock::Fence;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::{Stamp, State};
use h5part_base::storage::StorageFile;
use std::borrow::Cow;

/// How the commits treat what they find.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    pub(super) accept_foreign: bool,
    pub(super) suspect: bool,
    pub(super) outcome: Outcome,
    pub(super) fence: Option<&'a dyn Fence>,
}

/// Makes the commits in one change. Those that cannot be made (a foreign value is in the way) have
/// their error in the answer; the others are made.
pub(super) fn run<'v>(
    store: &Store,
    alone: &Alone,
    view: &View,
    requests: &[Request<'v>],
    mut repacked: Repacked<'v>,
    terms: Terms<'_>,
) -> Result<Vec<Result<(), ErrorKind>>, ErrorKind> {
    store.change_alone(alone, |site| {
        terms.fence.map_or(Ok(()), Fence::check)?;
        let commits = Commits { store, h5: Some(site.h5), file: site.file, view, terms };
        let answers = requests.iter().map(|request| commits.check(request)).collect::<Result<Vec<_>, _>>()?;
        let accepted = requests.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(request, _)| request);
        // Chunks hold the values of all commits: where one is refused, they are made again.
        if answers.iter().any(Result::is_err) {
            repacked = repack::plan(view, &accepted)?;
        }
        repacked.write(site.h5, view)?;
        for request in accepted {
            commits.make(request)?;
        }
        Ok(answers)
    })
}

/// Makes commits in a file that is being built: nothing is there that could be in their way.
pub(super) fn build(
    store: &Store,
    site: &Changing<'_>,
    view: &View,
    requests: &[Request<'_>],
) -> Result<(), ErrorKind> {
    repack::plan(view, &requests.iter())?.write(site.h5, view)?;
    let terms = Terms { accept_foreign: true, suspect: false, outcome: Outcome::Committed, fence: None };
    let commits = Commits { store, h5: Some(site.h5), file: site.file, view, terms };
    requests.iter().try_for_each(|request| commits.make(request))
}

/// The same of direct columns of a wide table, whose stamps lie in several sectors. The caller is alone inside the gate.
pub(super) fn run_in_log(
    store: &Store,
    alone: &Alone,
    view: &View,
    requests: &[Request<'_>],
    terms: Terms<'_>,
) -> Result<Vec<Result<(), ErrorKind>>, ErrorKind> {
    store.change_bytes(&alone.gate, view.uuid, |file| {
        terms.fence.map_or(Ok(()), Fence::check)?;
        let commits = Commits { store, h5: None, file, view, terms };
        let answers = requests.iter().map(|request| commits.check(request)).collect::<Result<Vec<_>, _>>()?;
        let accepted = requests.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        accepted.map(|(request, _)| request).try_for_each(|request| commits.make(request))?;
        Ok(answers)
    })
}

struct Commits<'a> {
    store: &'a Store,
    /// `None`: no library column is touched.
    h5: Option<&'a H5Change>,
    /// As it will be.
    file: &'a dyn StorageFile,
    view: &'a View,
    terms: Terms<'a>,
}

impl Commits<'_> {
    fn h5(&self) -> Result<&H5Change, ErrorKind> {
        self.h5.ok_or_else(|| ErrorKind::Hdf5("the file is not open".to_owned()))
    }

    /// Whether a commit may be made: no other program's value is in its way.
    fn check(&self, request: &Request<'_>) -> Result<Result<(), ErrorKind>, ErrorKind> {
        let table = &self.view.table;
        let Some(stamps) = &table.stamps else { return Ok(Ok(())) };
        let (columns, window) = self.columns(request, stamps)?;
        let mut words = Vec::new();
        for part in request.runs.parts(rows_at_once(stamps), None) {
            read_window(self.file, stamps, window, &part, &mut words)?;
            for column in &columns {
                if let Some(row) = self.foreign(column, window, &part, &words)? {
                    return Ok(Err(ErrorKind::ForeignChange { column: column.name.clone(), row }));
                }
            }
        }
        for (name, expected) in &request.expected {
            let now = self.bytes_of(table.column(name)?, &request.runs)?;
            if let Some(row) =
                first_difference(&request.runs.in_row_order(), &now, &in_row_order(&request.runs, expected))
            {
                return Ok(Err(ErrorKind::NotAsExpected { column: (*name).to_owned(), row }));
            }
        }
        Ok(Ok(()))
    }

    /// Makes a commit. What is written by chunks is there already.
    fn make(&self, request: &Request<'_>) -> Result<(), ErrorKind> {
        let table = &self.view.table;
        let Some(stamps) = &table.stamps else {
            for (name, bytes) in &request.values {
                self.write(table.column(name)?, &request.runs, bytes)?;
            }
            return Ok(());
        };
        let (columns, window) = self.columns(request, stamps)?;
        for (column, (_, bytes)) in columns.iter().zip(&request.values) {
            self.write(column, &request.runs, bytes)?;
        }
        let count = to_usize(request.runs.len()).max(1);
        let rows: Vec<(u64, u64)> = request.runs.iter().collect();
        let at_once = rows_at_once(stamps);
        let (mut words, mut plan) = (Vec::new(), Vec::new());
        let parts = request.runs.parts(at_once, None);
        for (part, rows) in parts.iter().zip(rows.chunks(to_usize(at_once))) {
            read_window(self.file, stamps, window, part, &mut words)?;
            for (column, (_, bytes)) in columns.iter().zip(&request.values) {
                self.stamp(column, window, (rows, bytes, bytes.len() / count), &mut words)?;
            }
            window.pieces(stamps, part, &mut plan);
            write_pieces(self.file, &plan, bytemuck::cast_slice(&words))?;
        }
        Ok(())
    }

    /// The columns of a commit, and the stamps of a row that it is about.
    fn columns(&self, request: &Request<'_>, stamps: &Stamps) -> Result<(Vec<&Column>, Window), ErrorKind> {
        let finder = self.view.table.finder(request.values.len());
        let columns = request.values.iter().map(|(name, _)| finder.column(name)).collect::<Result<Vec<_>, _>>()?;
        let window = stamps.window(columns.iter().filter_map(|column| column.stamp));
        Ok((columns, window))
    }

    /// The first row in which another program's value would be overwritten.
    fn foreign(&self, column: &Column, window: Window, runs: &Runs, words: &[u64]) -> Result<Option<u64>, ErrorKind> {
        let target = self.view.stamped(column)?;
        let stamp_of = |k: usize| Stamp(words[k * window.width + window.at(target.place)]);
        let mut look = false;
        for k in 0..words.len() / window.width {
            match stamp_of(k).state() {
                State::Unstamped => look |= self.terms.suspect,
                State::Committed | State::Vacant => look = true,
                State::Writing => {}
                State::Unknown(state) => return Err(ErrorKind::NewerFormat { found: u64::from(state), known: 3 }),
            }
        }
        if !look || self.terms.accept_foreign {
            return Ok(None);
        }
        let bytes = self.bytes_of(column, runs)?;
        let cell = bytes.len() / to_usize(runs.len()).max(1);
        let mut cells = runs.iter().zip(bytes.chunks_exact(cell.max(1))).enumerate();
        let foreign = cells.find(|(k, ((row, _), cell))| target.held(stamp_of(*k), *row, cell) == Held::Foreign);
        Ok(foreign.map(|(_, ((row, _), _))| row))
    }

    /// The bytes of rows of a column, in ascending order of rows.
    fn bytes_of(&self, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        match &column.layout {
            // The library lacks some of the filters that we have.
            Err(_) if is_by_chunks(column) => CellReader::new(self.store).read_inside(self.view, column, runs),
            Err(_) => Ok(self.h5()?.read_rows(&self.view.table.path, column, runs)?),
            Ok(layout) => {
                let len = to_usize(runs.len() * layout.cell_bytes);
                let mut bytes = vec![0; len];
                read_cells(self.file, layout, &runs.in_row_order(), &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Sets the stamps in memory to what they will be: the change is atomic, and always durable. Of the values: rows
    /// with their places, all bytes, and bytes of a cell.
    fn stamp(
        &self,
        column: &Column,
        window: Window,
        (rows, bytes, cell): (&[(u64, u64)], &[u8], usize),
        words: &mut [u64],
    ) -> Result<(), ErrorKind> {
        let target = self.view.stamped(column)?;
        for (k, &(row, index)) in rows.iter().enumerate() {
            let word = &mut words[k * window.width + window.at(target.place)];
            let version = Stamp(*word).next_version();
            let start = to_usize(index) * cell;
            *word = match self.terms.outcome {
                Outcome::NotThere => 0,
                Outcome::Committed => {
                    let stamp = Stamp::committed(version).with_durability(true);
                    target.seed.seal(stamp, row, &bytes[start..start + cell]).0
                }
            };
        }
        Ok(())
    }

    fn write(&self, column: &Column, runs: &Runs, bytes: &[u8]) -> Result<(), ErrorKind> {
        match &column.layout {
            Ok(layout) => {
                let mut plan = Vec::new();
                pieces(layout, runs, &mut plan);
                write_pieces(self.file, &plan, bytes)
            }
            Err(_) if is_by_chunks(column) => Ok(()),
            Err(_) => Ok(self.h5()?.write_rows(&self.view.table.path, column, runs, &in_row_order(runs, bytes))?),
        }
    }
}

/// Rows whose stamps are in memory at once: of a narrow table all.
fn rows_at_once(stamps: &Stamps) -> u64 {
    if stamps.is_wide() { stamps.block_rows(u64::MAX) } else { u64::MAX }
}

fn in_row_order<'b>(runs: &Runs, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    if *runs == runs.in_row_order() {
        return Cow::Borrowed(bytes);
    }
    let cell = bytes.len() / to_usize(runs.len()).max(1);
    let cells = runs.iter().map(|(_, index)| to_usize(index) * cell);
    Cow::Owned(cells.flat_map(|start| &bytes[start..start + cell]).copied().collect())
}
