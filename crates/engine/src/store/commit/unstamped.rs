//! Commits to tables without stamps. They hold row locks, but guarantee less.

use super::{CommitError, CommitOptions, CommitRequest, Durability};
use crate::store::cells::write_pieces;
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use h5part_base::checksum::crc32c;
use h5part_base::dataspace::{Piece, Rows, cover, pieces, push_range};
use h5part_base::error::ErrorKind;
use h5part_base::lock::{MAX_RANGES, RowLocks};
use std::ops::Range;

/// Row locks of tables without stamps use numbers from here on. Numbers of stamped tables are lower.
const FIRST: u64 = 1 << 22;

/// Commits all requests, in their order. Whatever can be refused is refused before the first byte is written, and the
/// rows stay locked until all are durable.
pub(super) fn run(
    store: &Store,
    view: &TableView,
    locks: &RowLocks,
    requests: &[CommitRequest<'_>],
    options: &CommitOptions<'_>,
) -> Result<(), CommitError> {
    let planned = plan(view, requests).map_err(CommitError::BeforeWrite)?;
    let rows = locks.lock(number(&view.table.path), &locked_rows(requests)?, &store.patience);
    let _rows = rows.map_err(CommitError::BeforeWrite)?;
    options.check_fence().map_err(CommitError::BeforeWrite)?;
    for (pieces, bytes) in planned {
        write_pieces(view.file.as_ref(), &pieces, bytes).map_err(CommitError::DuringWrite)?;
    }
    match options.durability {
        Durability::Power => view.file.sync().map_err(|e| CommitError::DuringWrite(e.into())),
        Durability::Process => Ok(()),
    }
}

/// Values of a column, and where they go.
type Write<'a> = (Vec<Piece>, &'a [u8]);

/// Where the values of each column go.
fn plan<'a>(view: &TableView, requests: &'a [CommitRequest<'_>]) -> Result<Vec<Write<'a>>, ErrorKind> {
    let mut planned = Vec::new();
    for request in requests {
        for (name, bytes) in &request.values {
            let layout = view.table.column(name)?.direct()?;
            let mut at = Vec::new();
            pieces(layout, &request.runs, &mut at);
            planned.push((at, *bytes));
        }
    }
    Ok(planned)
}

/// The rows of all requests, as few ranges. Rows may occur in several requests.
fn locked_rows(requests: &[CommitRequest<'_>]) -> Result<Vec<Range<u64>>, CommitError> {
    let runs = requests.iter().flat_map(|request| request.runs.as_slice());
    let mut rows: Vec<Range<u64>> = runs.map(|run| run.row..run.end()).collect();
    rows.sort_unstable_by_key(|range| range.start);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for range in rows {
        push_range(&mut ranges, range);
    }
    let runs = Rows::ranges(ranges).runs().map_err(CommitError::BeforeWrite)?;
    Ok(cover(runs.as_slice(), MAX_RANGES))
}

/// Two tables with the same number only make each other wait now and then.
fn number(path: &str) -> u64 {
    FIRST | (u64::from(crc32c(path.as_bytes())) & (FIRST - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_all_requests_are_locked_once() {
        let request = |rows: &[u64]| {
            let runs = Rows::list(rows).runs().expect("runs");
            CommitRequest { runs, values: Vec::new(), expected: Vec::new() }
        };
        let requests = [request(&[7, 8]), request(&[2]), request(&[8, 3])];
        assert_eq!(locked_rows(&requests).expect("rows"), [2..4, 7..9]);
    }

    #[test]
    fn numbers_fit_the_lock_file() {
        for path in ["", "t", "a/b", "training/urea/ground_truth"] {
            let number = number(path);
            assert!((FIRST..1 << 23).contains(&number), "{number}");
        }
    }
}
