//! Any bytes as an HDF5 file, in this process: our own code neither panics nor takes memory beyond bounds.
//!
//! The HDF5 library itself is not made for files that somebody has tampered with: a finding all of whose
//! frames are in C is not ours. What the program makes of it is looked at by the target `program`.
#![no_main]

use h5part_base::dataspace::Rows;
use h5part_base::lock::Patience;
use h5part_engine::store::Store;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

/// So much is read of each column, in rows and in bytes.
const ROWS: u64 = 50;
const BYTES: u64 = 1 << 20;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| h5part_fuzz::folder().join("malformed.h5"));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("write");
    let patience = Patience { timeout: Duration::from_secs(5), ..Patience::default() };
    let store = Store::open(&*FILE).expect("the file is there").with_patience(patience);
    let _ = store.identity();
    let Ok(tables) = store.tables() else { return };
    for table in tables.iter().map(|listing| &listing.table) {
        let Ok(mut reader) = store.reader(&table.path) else { continue };
        for column in &reader.table().columns.clone() {
            let size = column.dtype.as_ref().map_or(1, |dtype| dtype.size());
            let cell = column.shape.iter().try_fold(size, |n, &k| n.checked_mul(k));
            let rows = table.rows.min(ROWS);
            if cell.and_then(|cell| cell.checked_mul(rows)).is_some_and(|bytes| bytes <= BYTES) {
                let _ = reader.read(&column.name, &Rows::range(0..rows));
            }
        }
    }
});
