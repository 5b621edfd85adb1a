//! The gate, for programs that change the file themselves.

use h5part_base::lock::HeldGate;

/// The gate of a store, held until this is dropped: see [`Store::gate`](crate::Store::gate).
///
/// If the process dies, the kernel releases it. A child that is forked meanwhile does not hold it. While it is held,
/// calls that write to the same store wait for it, also in this process.
#[derive(Debug)]
#[must_use = "the gate is released when this is dropped"]
pub struct Gate(#[expect(dead_code, reason = "held for its lock")] HeldGate);

impl Gate {
    pub(crate) fn new(held: HeldGate) -> Self {
        Self(held)
    }
}
