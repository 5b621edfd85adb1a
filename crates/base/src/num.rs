//! Conversions between numbers of the file and of memory.

/// Converts a count or an offset in the file to an index in memory. One that is too large becomes [`usize::MAX`], which
/// makes the allocation or the access fail.
#[must_use]
pub fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
