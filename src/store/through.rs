//! Commits that touch library columns: as a whole through the library, as one structural change.

use super::cells::{read_cells, read_stamps, write_pieces};
use super::change::{Alone, Changing};
use super::commit::{Outcome, first_difference};
use super::fence::Fence;
use super::handle::Store;
use super::read::CellReader;
use super::repack::{self, Repacked, is_by_chunks};
use super::request::Request;
use super::stamp::{Stamp, State};
use super::view::{Held, View};
use crate::dataspace::{Column, Runs, Stamps, pieces};
use crate::error::ErrorKind;
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
        let commits = Commits { store, site, view, terms };
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
    let commits = Commits { store, site, view, terms };
    requests.iter().try_for_each(|request| commits.make(request))
}

struct Commits<'a> {
    store: &'a Store,
    site: &'a Changing<'a>,
    view: &'a View,
    terms: Terms<'a>,
}

impl Commits<'_> {
    /// Whether a commit may be made: no other program's value is in its way.
    fn check(&self, request: &Request<'_>) -> Result<Result<(), ErrorKind>, ErrorKind> {
        let table = &self.view.table;
        let Some(stamps) = &table.stamps else { return Ok(Ok(())) };
        let mut words = Vec::new();
        read_stamps(self.site.file, stamps, &request.runs, &mut words)?;
        for (name, _) in &request.values {
            if let Some(row) = self.foreign(table.column(name)?, stamps, &request.runs, &words)? {
                return Ok(Err(ErrorKind::ForeignChange { column: (*name).to_owned(), row }));
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
        let mut words = Vec::new();
        read_stamps(self.site.file, stamps, &request.runs, &mut words)?;
        for (name, bytes) in &request.values {
            let column = table.column(name)?;
            self.stamp(column, stamps, request, bytes, &mut words)?;
            self.write(column, &request.runs, bytes)?;
        }
        let mut plan = Vec::new();
        pieces(&stamps.layout, &request.runs.in_row_order(), &mut plan);
        write_pieces(self.site.file, &plan, bytemuck::cast_slice(&words))
    }

    /// The first row in which another program's value would be overwritten.
    fn foreign(&self, column: &Column, stamps: &Stamps, runs: &Runs, words: &[u64]) -> Result<Option<u64>, ErrorKind> {
        let target = self.view.stamped(column)?;
        let stamp_of = |k: usize| Stamp(words[k * stamps.width + target.place]);
        let mut look = false;
        for k in 0..words.len() / stamps.width {
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
        let cell = bytes.len() / usize::try_from(runs.len()).unwrap_or(usize::MAX).max(1);
        let mut cells = runs.iter().zip(bytes.chunks_exact(cell.max(1))).enumerate();
        let foreign = cells.find(|(k, ((row, _), cell))| target.held(stamp_of(*k), *row, cell) == Held::Foreign);
        Ok(foreign.map(|(_, ((row, _), _))| row))
    }

    /// The bytes of rows of a column, in ascending order of rows.
    fn bytes_of(&self, column: &Column, runs: &Runs) -> Result<Vec<u8>, ErrorKind> {
        match &column.layout {
            // The library lacks some of the filters that we have.
            Err(_) if is_by_chunks(column) => CellReader::new(self.store).read_inside(self.view, column, runs),
            Err(_) => self.site.h5.read_rows(&self.view.table.path, column, runs),
            Ok(layout) => {
                let len = usize::try_from(runs.len() * layout.cell_bytes).unwrap_or(usize::MAX);
                let mut bytes = vec![0; len];
                read_cells(self.site.file, layout, &runs.in_row_order(), &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// Sets the stamps in memory to what they will be: the change is atomic, and always durable.
    fn stamp(
        &self,
        column: &Column,
        stamps: &Stamps,
        request: &Request<'_>,
        bytes: &[u8],
        words: &mut [u64],
    ) -> Result<(), ErrorKind> {
        let target = self.view.stamped(column)?;
        let cell = bytes.len() / usize::try_from(request.runs.len()).unwrap_or(usize::MAX).max(1);
        for (k, (row, index)) in request.runs.iter().enumerate() {
            let word = &mut words[k * stamps.width + target.place];
            let version = Stamp(*word).next_version();
            let start = usize::try_from(index).unwrap_or(usize::MAX) * cell;
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
                write_pieces(self.site.file, &plan, bytes)
            }
            Err(_) if is_by_chunks(column) => Ok(()),
            Err(_) => self.site.h5.write_rows(&self.view.table.path, column, runs, &in_row_order(runs, bytes)),
        }
    }
}

fn in_row_order<'b>(runs: &Runs, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    if *runs == runs.in_row_order() {
        return Cow::Borrowed(bytes);
    }
    let cell = bytes.len() / usize::try_from(runs.len()).unwrap_or(usize::MAX).max(1);
    let cells = runs.iter().map(|(_, index)| usize::try_from(index).unwrap_or(usize::MAX) * cell);
    Cow::Owned(cells.flat_map(|start| &bytes[start..start + cell]).copied().collect())
}
