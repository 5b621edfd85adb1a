//! Commits to tables without stamps. They hold row locks, but guarantee less.

use super::{CommitError, CommitOptions, CommitRequest, Durability};
use crate::store::cells::write_pieces;
use crate::store::handle::Store;
use crate::store::table_view::TableView;
use h5part_base::checksum::crc32c;
use h5part_base::dataspace::{cover, pieces};
use h5part_base::lock::{MAX_RANGES, RowLocks};

/// Row locks of tables without stamps use numbers from here on. Numbers of stamped tables are lower.
const FIRST: u64 = 1 << 22;

pub(super) fn run(
    store: &Store,
    view: &TableView,
    locks: &RowLocks,
    requests: &[CommitRequest<'_>],
    options: &CommitOptions<'_>,
) -> Result<(), CommitError> {
    let mut plan = Vec::new();
    for request in requests {
        let ranges = cover(request.runs.as_slice(), MAX_RANGES);
        let rows = locks.lock(number(&view.table.path), &ranges, &store.patience);
        let _rows = rows.map_err(CommitError::BeforeWrite)?;
        options.check_fence().map_err(CommitError::BeforeWrite)?;
        for (name, bytes) in &request.values {
            let column = view.table.column(name).map_err(CommitError::BeforeWrite)?;
            let layout = column.direct().map_err(CommitError::BeforeWrite)?;
            pieces(layout, &request.runs, &mut plan);
            write_pieces(view.file.as_ref(), &plan, bytes).map_err(CommitError::DuringWrite)?;
        }
    }
    match options.durability {
        Durability::Power => view.file.sync().map_err(|e| CommitError::DuringWrite(e.into())),
        Durability::Process => Ok(()),
    }
}

/// Two tables with the same number only make each other wait now and then.
fn number(path: &str) -> u64 {
    FIRST | (u64::from(crc32c(path.as_bytes())) & (FIRST - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_the_lock_file() {
        for path in ["", "t", "a/b", "training/urea/ground_truth"] {
            let number = number(path);
            assert!((FIRST..1 << 23).contains(&number), "{number}");
        }
    }
}
