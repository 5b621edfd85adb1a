//! Numbers between file and memory.

/// A count or an offset of the file as an index in memory. One that memory cannot hold becomes [`usize::MAX`], at
/// which an allocation or an index fails.
#[must_use]
pub fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
