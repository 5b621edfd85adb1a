//! HDF5's shuffle: the first bytes of all elements come first, then the second ones, and so on. Bytes after the last
//! whole element stay in place.

/// Elements transposed at once: a few cache lines.
const BLOCK: usize = 64;

/// Shuffles elements.
pub(super) fn forward(element: usize, from: &[u8], to: &mut [u8]) {
    let count = from.len() / element;
    let whole = count * element;
    match element {
        2 => forward_of::<2>(&from[..whole], &mut to[..whole]),
        4 => forward_of::<4>(&from[..whole], &mut to[..whole]),
        8 => forward_of::<8>(&from[..whole], &mut to[..whole]),
        _ => {
            for (byte, plane) in to[..whole].chunks_exact_mut(count.max(1)).enumerate() {
                for (out, cell) in plane.iter_mut().zip(from.chunks_exact(element)) {
                    *out = cell[byte];
                }
            }
        }
    }
    to[whole..].copy_from_slice(&from[whole..]);
}

/// Restores elements.
pub(super) fn backward(element: usize, from: &[u8], to: &mut [u8]) {
    let count = to.len() / element;
    let whole = count * element;
    match element {
        2 => backward_of::<2>(&from[..whole], &mut to[..whole]),
        4 => backward_of::<4>(&from[..whole], &mut to[..whole]),
        8 => backward_of::<8>(&from[..whole], &mut to[..whole]),
        _ => {
            for (byte, plane) in from[..whole].chunks_exact(count.max(1)).enumerate() {
                for (cell, &value) in to.chunks_exact_mut(element).zip(plane) {
                    cell[byte] = value;
                }
            }
        }
    }
    to[whole..].copy_from_slice(&from[whole..]);
}

fn forward_of<const N: usize>(from: &[u8], to: &mut [u8]) {
    let count = from.len() / N;
    let (cells, _) = from.as_chunks::<N>();
    for (block, start) in cells.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
        for byte in 0..N {
            let plane = &mut to[byte * count + start..][..block.len()];
            for (out, cell) in plane.iter_mut().zip(block) {
                *out = cell[byte];
            }
        }
    }
}

fn backward_of<const N: usize>(from: &[u8], to: &mut [u8]) {
    let count = to.len() / N;
    let (cells, _) = to.as_chunks_mut::<N>();
    for (block, start) in cells.chunks_mut(BLOCK).zip((0..).step_by(BLOCK)) {
        let planes: [&[u8]; N] = std::array::from_fn(|byte| &from[byte * count + start..][..block.len()]);
        for (k, cell) in block.iter_mut().enumerate() {
            *cell = std::array::from_fn(|byte| planes[byte][k]);
        }
    }
}
