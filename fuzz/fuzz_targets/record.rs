//! Row records: what is read was written so, and what explains bytes is what a plain model says.
#![no_main]

use arbitrary::Arbitrary;
use h5part_base::record::row::{Entry, HEADER, decode_header, encode, is_explained, piece_sums};
use h5part_fuzz::{crc32c, pattern, peak};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    /// A record as it lies in a file; `sealed`: with the checksums that its bytes call for.
    Bytes { sealed: bool, bytes: &'a [u8] },
    /// A cell whose pieces are old (0), new (1) or neither.
    Cell { seed: u8, len: u16, shift: u16, pieces: Vec<u8>, equal: u16 },
}

fn decode(mut bytes: Vec<u8>, sealed: bool) {
    if bytes.len() < HEADER {
        return;
    }
    if sealed {
        bytes[..8].copy_from_slice(b"h5partR1");
        let (len, sum) = ((bytes.len() - HEADER) as u64, crc32c(&bytes[HEADER..]));
        bytes[64..72].copy_from_slice(&len.to_le_bytes());
        bytes[80..84].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32c(&bytes[..84]);
        bytes[84..88].copy_from_slice(&sum.to_le_bytes());
    }
    let head = bytes.first_chunk().expect("long enough");
    let Ok(header) = decode_header(head) else {
        assert!(!sealed, "its own version is refused");
        return;
    };
    assert!(!sealed || header.is_some(), "its own header is none");
    let Some(header) = header else { return };
    let (entries, most) = peak(|| header.decode_body(&bytes[HEADER..]));
    // An entry of no bytes takes 32 in the record and 80 in memory, and a vector doubles.
    assert!(most < 4096 + 8 * bytes.len(), "{most} bytes of memory for a record of {}", bytes.len());
    if let Some(entries) = entries {
        let again = encode(&header.id, &entries.iter().collect::<Vec<_>>());
        assert_eq!(again, bytes);
    }
}

fn explain(seed: u8, len: u16, shift: u16, choices: &[u8], equal: u16) {
    let (len, shift) = (usize::from(len % 1400), shift % 512);
    let old = pattern(seed, len);
    let mut new = pattern(seed.wrapping_add(1), len);
    // Where old and new agree, bytes are both.
    let equal = usize::from(equal).min(len);
    new[..equal].copy_from_slice(&old[..equal]);
    // Piece by piece, by the sector in which each byte lies.
    let sector = |i: usize| (i + usize::from(shift)) / 512;
    let pieces_of = |bytes: &[u8]| {
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        for (i, &byte) in bytes.iter().enumerate() {
            pieces.resize(sector(i) + 1, Vec::new());
            pieces[sector(i)].push(byte);
        }
        pieces
    };
    let sums: Vec<u32> = pieces_of(&new).iter().map(|piece| crc32c(piece)).collect();
    assert_eq!(piece_sums(&new, shift), sums);
    let choice = |k: usize| choices.get(k).copied().unwrap_or(0);
    let now: Vec<u8> = (0..len)
        .map(|i| match choice(sector(i)) {
            0 => old[i],
            1 => new[i],
            other => old[i] ^ u8::from(i % usize::from(other) == 0),
        })
        .collect();
    let (was, is, becomes) = (pieces_of(&old), pieces_of(&now), pieces_of(&new));
    let explained = is.iter().zip(&was).zip(&becomes).all(|((now, old), new)| now == old || now == new);
    let entry = Entry { row: 1, place: 0, shift, old_stamp: 0, new_stamp: 0, old, new_pieces: sums };
    assert_eq!(is_explained(&entry, &now), explained);
    assert!(!is_explained(&entry, &[&now[..], &[0]].concat()), "another length is explained");
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Bytes { sealed, bytes } => decode(bytes.to_vec(), sealed),
        Input::Cell { seed, len, shift, pieces, equal } => explain(seed, len, shift, &pieces, equal),
    }
});
