//! Commits that cannot be made in place. They go through the log of a change as a whole, and through the library if
//! they touch library columns.

use super::inspect::{Cells, Inspection, first_difference};
use super::repack::{self, Repacked, is_by_chunks};
use super::{Answers, CommitOptions, CommitRequest, Durability, Outcome};
use crate::h5::H5Change;
use crate::store::cells::{cell_at, read_cells, read_window, write_pieces};
use crate::store::change::{Changing, Exclusive};
use crate::store::handle::Store;
use crate::store::read::CellReader;
use crate::store::table_view::TableView;
use h5part_base::dataspace::{Column, Runs, StampRows, Stamps, Window, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::record::stamp::Stamp;
use h5part_base::storage::StorageFile;
use std::borrow::Cow;

/// Makes the commits in one change. A commit that would overwrite a foreign value has its error in the answers; the
/// others are made.
pub(super) fn run<'v>(
    store: &Store,
    exclusive: &Exclusive,
    view: &TableView,
    requests: &[CommitRequest<'v>],
    mut repacked: Repacked<'v>,
    options: &CommitOptions<'_>,
) -> Result<Answers, ErrorKind> {
    store.change_exclusively(exclusive, |site| {
        options.check_fence()?;
        let commits = Commits { store, h5: Some(site.h5), file: site.file, view, options };
        let answers = requests.iter().map(|request| commits.check(request)).collect::<Result<Vec<_>, _>>()?;
        let accepted = requests.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(request, _)| request);
        // Chunks hold the values of all commits, so they are made again if one commit is refused.
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

/// Makes commits in a file under construction. It holds no values that could be in their way.
pub(in crate::store) fn build(
    store: &Store,
    site: &Changing<'_>,
    view: &TableView,
    requests: &[CommitRequest<'_>],
) -> Result<(), ErrorKind> {
    repack::plan(view, &requests.iter())?.write(site.h5, view)?;
    let options = CommitOptions {
        durability: Durability::Power,
        accept_foreign: true,
        suspect: false,
        outcome: Outcome::Committed,
        fence: None,
    };
    let commits = Commits { store, h5: Some(site.h5), file: site.file, view, options: &options };
    requests.iter().try_for_each(|request| commits.make(request))
}

/// Makes commits to direct columns of a wide table whose stamps lie in several sectors. The caller holds the gate
/// exclusively.
pub(super) fn run_in_log(
    store: &Store,
    exclusive: &Exclusive,
    view: &TableView,
    requests: &[CommitRequest<'_>],
    options: &CommitOptions<'_>,
) -> Result<Answers, ErrorKind> {
    store.change_bytes(&exclusive.gate, view.uuid, |file| {
        options.check_fence()?;
        let commits = Commits { store, h5: None, file, view, options };
        let answers = requests.iter().map(|request| commits.check(request)).collect::<Result<Vec<_>, _>>()?;
        let accepted = requests.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        accepted.map(|(request, _)| request).try_for_each(|request| commits.make(request))?;
        Ok(answers)
    })
}

/// Commits during a change.
struct Commits<'a> {
    store: &'a Store,
    /// `None`: no library column is touched.
    h5: Option<&'a H5Change>,
    /// The file as it will be.
    file: &'a dyn StorageFile,
    view: &'a TableView,
    options: &'a CommitOptions<'a>,
}

impl Commits<'_> {
    fn h5(&self) -> Result<&H5Change, ErrorKind> {
        self.h5.ok_or_else(|| ErrorKind::Hdf5("the file is not open".to_owned()))
    }

    /// Checks that a commit overwrites no value of another program.
    fn check(&self, request: &CommitRequest<'_>) -> Result<Result<(), ErrorKind>, ErrorKind> {
        let table = &self.view.table;
        let Some(stamps) = &table.stamps else { return Ok(Ok(())) };
        let (columns, window) = self.columns(request, stamps)?;
        let mut found = StampRows::default();
        for part in request.runs.parts(rows_at_once(stamps), None) {
            read_window(self.file, stamps, window, &part, &mut found)?;
            for column in &columns {
                let target = &self.view.stamped(column)?;
                let inspection = Inspection { target, stamps: &found, options: self.options, nothing_there: false };
                let mut cells = CellsOfChange { commits: self, column, runs: &part };
                if let Some(row) = inspection.run(&mut cells, None)?.foreign {
                    return Ok(Err(target.foreign_change(row)));
                }
            }
        }
        for (name, expected) in &request.expected {
            let column = table.column(name)?;
            let (mut now, mut expected) =
                (self.bytes_of(column, &request.runs)?, in_row_order(&request.runs, expected).into_owned());
            column.end_texts(&mut now);
            column.end_texts(&mut expected);
            if let Some(row) = first_difference(&request.runs.in_row_order(), &now, &expected) {
                return Ok(Err(ErrorKind::NotAsExpected { column: (*name).to_owned(), row }));
            }
        }
        Ok(Ok(()))
    }

    /// Makes a commit. Values that go by chunks were written before.
    fn make(&self, request: &CommitRequest<'_>) -> Result<(), ErrorKind> {
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
        let (mut words, mut plan) = (StampRows::default(), Vec::new());
        let parts = request.runs.parts(at_once, None);
        for (part, rows) in parts.iter().zip(rows.chunks(to_usize(at_once))) {
            read_window(self.file, stamps, window, part, &mut words)?;
            for (column, (_, bytes)) in columns.iter().zip(&request.values) {
                self.stamp(column, (rows, bytes, bytes.len() / count), &mut words)?;
            }
            window.pieces(stamps, part, &mut plan);
            write_pieces(self.file, &plan, bytemuck::cast_slice(words.words()))?;
        }
        Ok(())
    }

    /// The columns of a commit, and the window of stamps that they need.
    fn columns(&self, request: &CommitRequest<'_>, stamps: &Stamps) -> Result<(Vec<&Column>, Window), ErrorKind> {
        let finder = self.view.table.finder(request.values.len());
        let columns = request.values.iter().map(|(name, _)| finder.column(name)).collect::<Result<Vec<_>, _>>()?;
        let window = stamps.window(columns.iter().filter_map(|column| column.stamp));
        Ok((columns, window))
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

    /// Sets the stamps in memory to their final state, since the change is atomic and always durable. The values are
    /// given as rows with their places, all bytes, and the size of a cell.
    fn stamp(
        &self,
        column: &Column,
        (rows, bytes, cell): (&[(u64, u64)], &[u8], usize),
        words: &mut StampRows,
    ) -> Result<(), ErrorKind> {
        let target = self.view.stamped(column)?;
        for (k, &(row, index)) in rows.iter().enumerate() {
            let word = words.get_mut(k, target.place);
            let version = Stamp(*word).next_version();
            *word = match self.options.outcome {
                Outcome::NotThere => 0,
                Outcome::Committed => {
                    let stamp = Stamp::committed(version).with_durability(true);
                    target.seed.seal(stamp, row, cell_at(bytes, index, cell)).0
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

/// Cells of any column, read from the library or the file.
struct CellsOfChange<'a> {
    commits: &'a Commits<'a>,
    column: &'a Column,
    runs: &'a Runs,
}

impl Cells for CellsOfChange<'_> {
    fn for_each(&mut self, mut look: impl FnMut(usize, u64, &[u8])) -> Result<(), ErrorKind> {
        let bytes = self.commits.bytes_of(self.column, self.runs)?;
        let cell = bytes.len() / to_usize(self.runs.len()).max(1);
        let cells = self.runs.iter().zip(bytes.chunks_exact(cell.max(1)));
        cells.enumerate().for_each(|(k, ((row, _), bytes))| look(k, row, bytes));
        Ok(())
    }
}

/// How many rows' stamps are in memory at once. For a narrow table: all.
fn rows_at_once(stamps: &Stamps) -> u64 {
    if stamps.is_wide() { stamps.block_rows(u64::MAX) } else { u64::MAX }
}

fn in_row_order<'b>(runs: &Runs, bytes: &'b [u8]) -> Cow<'b, [u8]> {
    if *runs == runs.in_row_order() {
        return Cow::Borrowed(bytes);
    }
    let cell = bytes.len() / to_usize(runs.len()).max(1);
    let cells = runs.iter().map(|(_, index)| cell_at(bytes, index, cell));
    Cow::Owned(cells.flatten().copied().collect())
}
