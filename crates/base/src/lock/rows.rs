//! Exclusive locks on rows. Whoever holds a row's lock knows that nobody else is writing the row.

use super::ofd::{self, Kind};
use super::paths::Paths;
use super::{Patience, holders};
use crate::error::ErrorKind;
use crate::inherited::LockFile;
use std::fs::File;
use std::io;
use std::ops::Range;

/// A commit locks at most this many ranges: the cost of a kernel lock grows with their number.
pub const MAX_RANGES: usize = 64;
/// Bits of a row number: the offset of a lock is `table id << ROW_BITS | row`.
const ROW_BITS: u32 = 40;
/// The byte of the turnstile. Table ids start at 1, so it belongs to no row.
pub(super) const TURNSTILE: Range<u64> = 0..1;

/// One descriptor on `rows.lock`. Locks taken through it exclude every other descriptor, even in the same process.
#[derive(Debug)]
pub struct RowLocks {
    file: LockFile,
    paths: Paths,
}

/// Some locked rows of a table. They are unlocked when this is dropped.
#[derive(Debug)]
pub struct RowGuard<'a> {
    locks: &'a RowLocks,
    ranges: Vec<Range<u64>>,
}

impl RowLocks {
    /// Opens `rows.lock`. Makes the sidecar and the file if they are missing.
    ///
    /// # Errors
    /// As mkdir(2) and open(2).
    pub fn open(paths: &Paths) -> io::Result<Self> {
        std::fs::create_dir_all(&paths.sidecar)?;
        let file = paths.options().write(true).create(true).truncate(false).open(&paths.rows)?;
        Ok(Self { file: LockFile::new(file), paths: paths.clone() })
    }

    /// Opens `rows.lock` without creating it. `None`: it does not exist.
    ///
    /// # Errors
    /// As open(2).
    pub fn look(paths: &Paths) -> io::Result<Option<Self>> {
        let file = paths.look_for(&paths.options(), &paths.rows)?;
        Ok(file.map(|file| Self { file: LockFile::new(file), paths: paths.clone() }))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Locks ascending ranges of rows of a table, and waits for each in turn. Since every process locks in ascending
    /// order, there are no deadlocks.
    ///
    /// # Errors
    /// [`ErrorKind::LockTimeout`]; nothing stays locked then.
    pub fn lock(&self, table: u64, rows: &[Range<u64>], patience: &Patience) -> Result<RowGuard<'_>, ErrorKind> {
        let mut guard = RowGuard { locks: self, ranges: Vec::with_capacity(rows.len()) };
        for range in rows {
            let range = offset(table, range.start)..offset(table, range.end);
            let attempt = || ofd::set(&self.file, Kind::Exclusive, &range);
            patience.wait("a row lock", attempt, || holders::of_range(&self.paths, &range))?;
            guard.ranges.push(range);
        }
        Ok(guard)
    }

    /// Whether someone else holds the lock of a row, and so is writing it.
    ///
    /// # Errors
    /// As fcntl(2).
    pub fn is_locked(&self, table: u64, row: u64) -> io::Result<bool> {
        Ok(ofd::conflict(&self.file, Kind::Shared, &(offset(table, row)..offset(table, row + 1)))?.is_some())
    }
}

impl Drop for RowGuard<'_> {
    fn drop(&mut self) {
        for range in &self.ranges {
            // If this fails, closing the descriptor releases it.
            let _ = ofd::set(&self.locks.file, Kind::Unlock, range);
        }
    }
}

fn offset(table: u64, row: u64) -> u64 {
    (table << ROW_BITS) + row
}

/// The table and the rows that a range of bytes stands for; `None`: it is not about rows.
pub(super) fn rows_of(range: &Range<u64>) -> Option<(u64, Range<u64>)> {
    let table = range.start >> ROW_BITS;
    let first_of_table = table << ROW_BITS;
    (table > 0).then(|| (table, range.start - first_of_table..range.end - first_of_table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn setup() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a.h5");
        std::fs::write(&file, b"x").expect("write");
        let paths = Paths::of(&file).expect("paths");
        (dir, paths)
    }

    #[test]
    #[cfg_attr(miri, ignore = "locks files")]
    fn overlapping_rows_exclude_each_other_and_others_do_not() {
        let (_dir, paths) = setup();
        let (a, b) = (RowLocks::open(&paths).expect("a"), RowLocks::open(&paths).expect("b"));
        let quick = Patience { timeout: Duration::from_millis(5), ..Default::default() };
        let guard = a.lock(1, &[0..10, 20..30], &quick).expect("locks");
        drop(b.lock(1, &[10..20, 30..40], &quick).expect("disjoint rows"));
        drop(b.lock(2, &[0..10], &quick).expect("another table"));
        let error = b.lock(1, &[15..21], &quick).expect_err("held");
        assert!(matches!(error, ErrorKind::LockTimeout { .. }));
        let locked = |row| b.is_locked(1, row).expect("looks");
        assert_eq!([0, 9, 10, 19, 20, 29, 30].map(locked), [true, true, false, false, true, true, false]);
        assert!(!a.is_locked(1, 5).expect("looks"), "one's own locks are not others'");
        drop(guard);
        drop(b.lock(1, &[15..21], &quick).expect("free again"));
        assert!(!a.is_locked(1, 15).expect("looks"));
    }
}
