//! Moves cells and stamps between file and memory.

use h5part_base::dataspace::{ColumnLayout, Piece, Run, Runs, StampRows, Stamps, Window, pieces};
use h5part_base::error::ErrorKind;
use h5part_base::num::to_usize;
use h5part_base::storage::StorageFile;

/// Cells are checked in blocks of about this many bytes, which fit into the processor's cache.
const BLOCK_BYTES: u64 = 256 << 10;
/// Stamps that begin less than this many bytes apart are read by one call.
const NEAR_BYTES: u64 = 4096;

/// Reads all stamps of the rows of the runs, in ascending order of rows. Rows that another program appended have no
/// stamps yet; they read as zero.
pub(crate) fn read_stamps(
    file: &dyn StorageFile,
    stamps: &Stamps,
    runs: &Runs,
    out: &mut StampRows,
) -> Result<(), ErrorKind> {
    read_window(file, stamps, stamps.all(), runs, out)
}

/// Reads some of the stamps of each row, as [`read_stamps`] does.
pub(super) fn read_window(
    file: &dyn StorageFile,
    stamps: &Stamps,
    window: Window,
    runs: &Runs,
    out: &mut StampRows,
) -> Result<(), ErrorKind> {
    out.reset(window, to_usize(runs.len()));
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(out.words_mut());
    let mut plan = Vec::new();
    window.pieces(stamps, &runs.in_row_order().before(stamps.layout.rows), &mut plan);
    // The stamps of scattered rows are near each other. Reading what lies between them is cheaper than another call.
    let mut near = Vec::new();
    for group in plan.chunk_by(|a, b| b.address.saturating_sub(a.address) < NEAR_BYTES) {
        match group {
            [Piece { address, value, len }] => file.read_at(&mut bytes[*value..value + len], *address)?,
            [first, .., last] => {
                let end = last.address + last.len as u64;
                near.resize(to_usize(end - first.address), 0);
                file.read_at(&mut near, first.address)?;
                for &Piece { address, value, len } in group {
                    let at = to_usize(address - first.address);
                    bytes[value..value + len].copy_from_slice(&near[at..at + len]);
                }
            }
            [] => {}
        }
    }
    Ok(())
}

/// Reads cells into the places that the runs give for their values.
pub(super) fn read_cells(
    file: &dyn StorageFile,
    layout: &ColumnLayout,
    runs: &Runs,
    out: &mut [u8],
) -> Result<(), ErrorKind> {
    let mut plan = Vec::new();
    pieces(layout, runs, &mut plan);
    for Piece { address, value, len } in plan {
        file.read_at(&mut out[value..value + len], address)?;
    }
    Ok(())
}

/// The cell at `index` among cells of `size` bytes each.
pub(super) fn cell_at(cells: &[u8], index: u64, size: usize) -> &[u8] {
    let start = to_usize(index) * size;
    &cells[start..start + size]
}

/// The same cell for writing.
pub(super) fn cell_at_mut(cells: &mut [u8], index: u64, size: usize) -> &mut [u8] {
    let start = to_usize(index) * size;
    &mut cells[start..start + size]
}

/// Sets all elements of cells to fill.
pub(super) fn fill_with(cells: &mut [u8], fill: &[u8]) {
    for element in cells.chunks_exact_mut(fill.len().max(1)) {
        element.copy_from_slice(fill);
    }
}

/// Writes the planned pieces of `values`.
pub(super) fn write_pieces(file: &dyn StorageFile, plan: &[Piece], values: &[u8]) -> Result<(), ErrorKind> {
    for &Piece { address, value, len } in plan {
        file.write_at(&values[value..value + len], address)?;
    }
    Ok(())
}

/// Calls `look(position in order of rows, row, bytes)` for every cell of the runs.
pub(crate) fn for_each_cell(
    file: &dyn StorageFile,
    layout: &ColumnLayout,
    runs: &Runs,
    buf: &mut Vec<u8>,
    mut look: impl FnMut(usize, u64, &[u8]) -> Result<(), ErrorKind>,
) -> Result<(), ErrorKind> {
    let cell = to_usize(layout.cell_bytes);
    let block_rows = (BLOCK_BYTES / layout.cell_bytes.max(1)).max(1);
    let mut position = 0;
    for &Run { row, count, .. } in runs.as_slice() {
        let mut done = 0;
        while done < count {
            let (address, here) = layout.find(row + done);
            let rows = here.min(count - done).min(block_rows);
            buf.resize(to_usize(rows) * cell, 0);
            file.read_at(buf, address)?;
            for (k, bytes) in buf.chunks_exact(cell).enumerate() {
                look(position + k, row + done + k as u64, bytes)?;
            }
            position += to_usize(rows);
            done += rows;
        }
    }
    Ok(())
}

/// Whether all elements of a cell are fill.
pub(crate) fn is_fill(cell: &[u8], fill: &[u8]) -> bool {
    let size = fill.len();
    // If a cell starts with fill and equals itself shifted by one element, all its elements are fill.
    size == 0 || cell.len() < size || (cell[..size] == *fill && cell[size..] == cell[..cell.len() - size])
}

#[cfg(test)]
mod tests {
    use super::is_fill;

    #[test]
    fn fill_is_recognised() {
        let nan = f64::NAN.to_le_bytes();
        assert!(is_fill(&nan.repeat(7), &nan));
        for at in [0, 7, 8, 55] {
            let mut cell = nan.repeat(7);
            cell[at] ^= 1;
            assert!(!is_fill(&cell, &nan), "byte {at}");
        }
        assert!(is_fill(&[0; 5], &[0]) && !is_fill(&[0, 0, 1], &[0]));
    }
}
