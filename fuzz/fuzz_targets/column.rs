//! NAME:DTYPE[:SHAPE][=FILL]: what is read has a size and a fill of one element.
#![no_main]

use h5part_base::dataspace::ColumnSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(column) = text.parse::<ColumnSpec>() {
        assert!(column.cell_bytes().is_some());
        assert_eq!(column.fill.len() as u64, column.dtype.size());
        assert!(!column.name.is_empty() && !column.name.contains('/'));
    }
});
