//! A direct commit changes no byte outside raw data and stamps.

use crate::common::support::{Scratch, small_store};
use h5part_base::dataspace::{ColumnLayout, Place, Rows};
use h5part_engine::store::Values;
use ndarray::Array1;
use std::ops::Range;

fn extents(layout: &ColumnLayout) -> Vec<Range<u64>> {
    match &layout.place {
        Place::Contiguous { address } => vec![*address..address + layout.rows * layout.cell_bytes],
        Place::Chunked { chunk_rows, addresses } => {
            addresses.iter().map(|a| *a..a + chunk_rows * layout.cell_bytes).collect()
        }
    }
}

#[test]
fn a_commit_changes_no_metadata() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 5000);
    let before = std::fs::read(store.path()).expect("read");
    let mut writer = store.writer("t").expect("writer");
    let rows: Vec<u64> = (0..5000).step_by(7).collect();
    let energies: Array1<f64> = rows.iter().map(|&r| r as f64).collect();
    for _ in 0..3 {
        writer.commit(&Rows::list(&rows), &[("E", Values::from(&energies))]).expect("commit");
    }
    let table = writer.table();
    let mut allowed = extents(table.column("E").expect("E").direct().expect("direct"));
    allowed.extend(extents(&table.stamps.as_ref().expect("stamps").layout));
    let after = std::fs::read(store.path()).expect("read");
    assert_eq!(before.len(), after.len());
    let changed: Vec<u64> = (0..before.len()).filter(|&i| before[i] != after[i]).map(|i| i as u64).collect();
    assert!(changed.len() > rows.len() * 8, "something was written");
    let outside = changed.iter().find(|i| !allowed.iter().any(|range| range.contains(i)));
    assert_eq!(outside, None, "a byte outside raw data and stamps changed");
}

#[test]
fn the_stamps_of_a_row_lie_within_one_sector() {
    let scratch = Scratch::new();
    for rows in [1, 3, 100, 5000] {
        let store = small_store(&scratch.path(&format!("{rows}.h5")), rows);
        let reader = store.reader("t").expect("reader");
        let layout = &reader.table().stamps.as_ref().expect("stamps").layout;
        for row in 0..rows {
            let (address, _) = layout.find(row);
            assert_eq!(address / 512, (address + layout.cell_bytes - 1) / 512, "row {row} of {rows}");
        }
    }
}

#[test]
fn raw_data_is_page_aligned_and_the_superblock_is_version_2() {
    let scratch = Scratch::new();
    let store = small_store(&scratch.path("a.h5"), 100_000);
    assert_eq!(std::fs::read(store.path()).expect("read")[8], 2);
    for column in &store.reader("t").expect("reader").table().columns {
        for extent in extents(column.direct().expect("direct")) {
            assert_eq!(extent.start % 4096, 0, "{} at {}", column.name, extent.start);
        }
    }
}
