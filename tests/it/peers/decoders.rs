//! Filters that h5part only decodes: values packed by hdf5plugin and HDF5's own `SZip`.
//!
//! `tests/fixtures/decoders.py` made the file.

use crate::common::support::Scratch;
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Reader, Store};
use std::path::Path;

const MADE: &[u8] = include_bytes!("../../fixtures/decoders.h5");
const ROWS: u64 = 70;

/// Values of a column, bit for bit.
fn bits(reader: &mut Reader, kind: &str) -> Option<Vec<u64>> {
    let block = reader.read(kind, &Rows::range(0..ROWS)).ok()?;
    Some(match kind {
        "f8" => block.array::<f64>().ok()?.iter().map(|v| v.to_bits()).collect(),
        "big" => block.array::<f32>().ok()?.iter().map(|v| u64::from(v.to_bits())).collect(),
        "i4" => block.array::<i32>().ok()?.iter().map(|v| u64::from(v.cast_unsigned())).collect(),
        _ => block.array::<u16>().ok()?.iter().map(|v| u64::from(*v)).collect(),
    })
}

fn tables(path: &Path) -> Vec<String> {
    let listed = Store::open(path).expect("opens").tables().expect("lists");
    listed.into_iter().map(|listing| listing.table.path).filter(|path| path != "plain").collect()
}

#[test]
fn values_are_those_that_were_packed() {
    let scratch = Scratch::new();
    let path = scratch.path("d.h5");
    std::fs::write(&path, MADE).expect("writes");
    let store = Store::open(&path).expect("opens");
    let mut plain = store.reader("plain").expect("reader");
    let (mut filters, tables) = (0, tables(&path));
    for table in &tables {
        let mut packed = store.reader(table).expect("reader");
        let kinds: Vec<String> = packed.table().columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(kinds.len(), 4, "{table}");
        for kind in kinds {
            let expected = bits(&mut plain, &kind).expect("plain values");
            assert_eq!(expected.len(), 350);
            assert!(bits(&mut packed, &kind) == Some(expected), "{table}/{kind}");
            filters += 1;
        }
    }
    assert_eq!((tables.len(), filters), (30, 120));
}

/// A damaged chunk gives an error or, without a checksum, other values. It never crashes the program.
#[test]
fn damaged_chunks_end_in_an_error_or_in_other_values() {
    let scratch = Scratch::in_memory();
    let path = scratch.path("d.h5");
    std::fs::write(&path, MADE).expect("writes");
    let store = Store::open(&path).expect("opens");
    let tables = tables(&path);
    let mut seed = 0x5eed_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut refused = 0;
    for round in 0..40 {
        let mut bytes = MADE.to_vec();
        // Values begin after the first metadata. If metadata is hit, the library reports it.
        for _ in 0..200 {
            let at = 4096 + random(bytes.len() as u64 - 4096) as usize;
            bytes[at] ^= 1 << random(8);
        }
        std::fs::write(&path, &bytes).expect("writes");
        for table in &tables {
            let Ok(mut reader) = store.reader(table) else { continue };
            for kind in ["f8", "i4", "u2", "big"] {
                refused += u32::from(bits(&mut reader, kind).is_none());
            }
        }
        assert!(round < 5 || refused > 0, "nothing was refused");
    }
}
