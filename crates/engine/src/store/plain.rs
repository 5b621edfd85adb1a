//! Commits to tables without stamps: under row locks, but with less to promise.

use super::cells::write_pieces;
use super::commit::{Durability, Failed};
use super::request::Request;
use super::view::View;
use crc_fast::{CrcAlgorithm, checksum};
use h5part_base::dataspace::{cover, pieces};
use h5part_base::lock::Fence;
use h5part_base::lock::{MAX_RANGES, Patience, RowLocks};

/// Numbers of tables without stamps, for their row locks, are from here on; those of stamped tables are
/// below.
const FIRST: u64 = 1 << 22;

pub(super) fn run(
    view: &View,
    locks: &RowLocks,
    patience: &Patience,
    requests: &[Request<'_>],
    durability: Durability,
    fence: Option<&dyn Fence>,
) -> Result<(), Failed> {
    let mut plan = Vec::new();
    for request in requests {
        let ranges = cover(request.runs.as_slice(), MAX_RANGES);
        let _rows = locks.lock(number(&view.table.path), &ranges, patience).map_err(Failed::Before)?;
        fence.map_or(Ok(()), Fence::check).map_err(Failed::Before)?;
        for (name, bytes) in &request.values {
            let column = view.table.column(name).map_err(Failed::Before)?;
            let layout = column.direct().map_err(Failed::Before)?;
            pieces(layout, &request.runs, &mut plan);
            write_pieces(view.file.as_ref(), &plan, bytes).map_err(Failed::During)?;
        }
    }
    match durability {
        Durability::Power => view.file.sync().map_err(|e| Failed::During(e.into())),
        Durability::Process => Ok(()),
    }
}

/// Two tables with one number keep each other waiting now and then, and nothing else.
fn number(path: &str) -> u64 {
    FIRST | (checksum(CrcAlgorithm::Crc32Iscsi, path.as_bytes()) & (FIRST - 1))
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
