//! Headers of .npy files: no panic, no size that overflows.
#![no_main]

use h5part_input::npy::NpyHeader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(header) = NpyHeader::read(&mut &bytes[..]) {
        assert!(header.data_bytes().is_some());
        let again = NpyHeader::to_bytes(header.dtype, &header.shape);
        if again.len() < 10_000 {
            assert_eq!(NpyHeader::read(&mut again.as_slice()).expect("its own bytes").shape, header.shape);
        }
    }
});
