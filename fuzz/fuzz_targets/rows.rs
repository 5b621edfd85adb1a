//! SPEC: what is read stays within the table, and its own text means the same.
#![no_main]

use h5part_base::dataspace::Rows;
use libfuzzer_sys::fuzz_target;

const ROWS: u64 = 1000;

fuzz_target!(|text: &str| {
    let Ok(rows) = Rows::parse(text, ROWS) else { return };
    if rows.len() > 100_000 {
        return; // a list of many ranges: only its size is checked
    }
    assert!(rows.iter().all(|row| row < ROWS));
    // No rows have no text.
    if !rows.is_empty() {
        assert_eq!(Rows::parse(&rows.to_string(), ROWS).expect("its own text"), rows);
    }
    if let Ok(runs) = rows.runs() {
        assert_eq!(runs.iter().count() as u64, rows.len());
        assert!(runs.as_slice().windows(2).all(|w| w[0].end() <= w[1].row));
    }
});
