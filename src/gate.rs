//! The gate, for programs that change the file through another library.

use h5part_base::lock::HeldGate;

/// The gate of a store, held until this is dropped: see [`Store::gate`](crate::Store::gate).
///
/// If the process dies, the kernel releases the gate. A child that is forked meanwhile does not hold it, provided that
/// the program calls the functions of [`fork`](crate::fork). While the gate is held, calls that write to the same store
/// wait for it, even in this process.
#[derive(Debug)]
#[must_use = "the gate is released when this is dropped"]
pub struct Gate(#[expect(dead_code, reason = "held for its lock")] HeldGate);

impl Gate {
    pub(crate) fn new(held: HeldGate) -> Self {
        Self(held)
    }
}
