//! Encodes and decodes chunks without the HDF5 library and its global lock.

mod aec;
mod bitshuffle;
mod blocks;
mod blosc;
mod codec;
mod deflate;
mod fletcher;
mod shuffle;

use h5part_base::dataspace::Filter;
use std::borrow::Cow;
use std::cell::RefCell;

pub use codec::Codecs;

thread_local! {
    static CODECS: RefCell<Codecs> = RefCell::default();
}

/// Lends the thread's own contexts and buffers, which are created once per thread.
pub fn with_codecs<T>(work: impl FnOnce(&mut Codecs) -> T) -> T {
    CODECS.with(|codecs| match codecs.try_borrow_mut() {
        Ok(mut codecs) => work(&mut codecs),
        // A caller further up on this thread's stack is using them.
        Err(_) => work(&mut Codecs::default()),
    })
}

/// The filters of a dataset, in the order in which they are applied when writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipeline<'a> {
    filters: &'a [Filter],
    /// Bytes of an element.
    element: usize,
}

/// A chunk in its stored form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Bit i is set if filter i was skipped, since the chunk would not have shrunk.
    pub mask: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a stored chunk cannot be the output of its filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The filter that failed. `None`: the length is wrong.
    pub filter: Option<Filter>,
}

impl<'a> Pipeline<'a> {
    /// A pipeline for elements of `element` bytes. `None`: with two compressors in a row, the length of the data
    /// between them would be unknown.
    #[must_use]
    pub fn new(filters: &'a [Filter], element: usize) -> Option<Self> {
        let compressors = filters.iter().filter(|filter| filter.compresses()).count();
        (compressors <= 1 && filters.len() <= 32 && element > 0).then_some(Self { filters, element })
    }

    /// Decodes `stored` into `chunk`.
    ///
    /// # Errors
    /// [`Damaged`]; the contents of `chunk` are then undefined. It does not panic, whatever the bytes are.
    pub fn decode(&self, mask: u32, stored: &[u8], chunk: &mut [u8], codecs: &mut Codecs) -> Result<(), Damaged> {
        let passed = self.filters.iter().enumerate().filter(|(i, _)| mask & 1 << i == 0);
        let passed: Vec<Filter> = passed.map(|(_, &filter)| filter).collect();
        let mut data = Cow::Borrowed(stored);
        for (k, &filter) in passed.iter().enumerate().rev() {
            let before = &passed[..k];
            let damaged = Damaged { filter: Some(filter) };
            if before.is_empty() {
                return if self.undo(filter, &data, chunk, codecs) { Ok(()) } else { Err(damaged) };
            }
            // If a compressor is still to come, only the data itself knows its length.
            let sums = before.iter().filter(|&&f| f == Filter::Fletcher32).count();
            let len = if before.iter().any(|f| f.compresses()) {
                data.len().saturating_sub(if filter == Filter::Fletcher32 { fletcher::BYTES } else { 0 })
            } else {
                chunk.len() + sums * fletcher::BYTES
            };
            let mut out = codecs.buffer(len);
            if !self.undo(filter, &data, &mut out, codecs) {
                return Err(damaged);
            }
            if let Cow::Owned(buffer) = std::mem::replace(&mut data, Cow::Owned(out)) {
                codecs.give_back(buffer);
            }
        }
        if copy(&data, chunk) { Ok(()) } else { Err(Damaged { filter: None }) }
    }

    /// Decodes the output of one filter into `out`.
    fn undo(&self, filter: Filter, data: &[u8], out: &mut [u8], codecs: &mut Codecs) -> bool {
        match filter {
            Filter::Fletcher32 => fletcher::strip(data).is_some_and(|bytes| copy(bytes, out)),
            Filter::Shuffle => {
                let fits = data.len() == out.len();
                if fits {
                    shuffle::backward(self.element, data, out);
                }
                fits
            }
            compressor => codecs.unpack(compressor, data, out),
        }
    }

    /// Encodes a chunk. A compressor that does not shrink it is skipped.
    #[must_use]
    pub fn encode(&self, chunk: &[u8], codecs: &mut Codecs) -> Encoded {
        let (mut mask, mut data) = (0, Cow::Borrowed(chunk));
        for (i, &filter) in self.filters.iter().enumerate() {
            data = match filter {
                Filter::Shuffle => {
                    let mut out = codecs.buffer(data.len());
                    shuffle::forward(self.element, &data, &mut out);
                    Cow::Owned(out)
                }
                Filter::Fletcher32 => {
                    let mut bytes = data.into_owned();
                    bytes.extend(fletcher::sum(&bytes).to_le_bytes());
                    Cow::Owned(bytes)
                }
                compressor => {
                    if let Some(packed) = codecs.pack(compressor, &data) {
                        if let Cow::Owned(buffer) = data {
                            codecs.give_back(buffer);
                        }
                        Cow::Owned(packed)
                    } else {
                        mask |= 1 << i;
                        data
                    }
                }
            };
        }
        Encoded { mask, bytes: data.into_owned() }
    }
}

fn copy(from: &[u8], to: &mut [u8]) -> bool {
    let fits = from.len() == to.len();
    if fits {
        to.copy_from_slice(from);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Filter; 5] = [Filter::Shuffle, Filter::Fletcher32, Filter::Deflate(4), Filter::Lzf, Filter::Zstd(3)];

    fn round(filters: &[Filter], element: usize, chunk: &[u8]) -> Result<(), TestCaseError> {
        let Some(pipeline) = Pipeline::new(filters, element) else { return Ok(()) };
        let mut codecs = Codecs::default();
        let stored = pipeline.encode(chunk, &mut codecs);
        let mut back = vec![0xAA; chunk.len()];
        prop_assert_eq!(pipeline.decode(stored.mask, &stored.bytes, &mut back, &mut codecs), Ok(()));
        prop_assert_eq!(&back, chunk);
        Ok(())
    }

    #[test]
    fn two_compressors_are_not_for_us() {
        assert!(Pipeline::new(&[Filter::Deflate(1), Filter::Lzf], 8).is_none());
        assert!(Pipeline::new(&[], 8).is_some() && Pipeline::new(&[], 0).is_none());
    }

    #[test]
    fn what_does_not_shrink_is_stored_as_it_is() {
        let noise: Vec<u8> = (0..4096u32).flat_map(|i| (i.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
        let noise: Vec<u8> = noise.iter().zip((0..).map(|i: u32| ((i * i) >> 3) as u8)).map(|(a, b)| a ^ b).collect();
        for filter in [Filter::Lzf, Filter::Deflate(1), Filter::Zstd(1)] {
            let filters = [filter];
            let pipeline = Pipeline::new(&filters, 4).expect("one filter");
            let stored = pipeline.encode(&noise[..64], &mut Codecs::default());
            assert!(stored.bytes.len() <= 64, "{filter}");
        }
    }

    proptest! {
        #[test]
        fn every_pipeline_gives_back_what_it_was_given(
            which in prop::collection::vec(0usize..5, 0..5), element in 1usize..17, seed: u64, len in 0usize..3000, step in 1u64..64,
        ) {
            let filters: Vec<Filter> = which.iter().map(|&i| ALL[i]).collect();
            let chunk: Vec<u8> = (0..len as u64).map(|i| (seed >> (i % step % 57)) as u8).collect();
            round(&filters, element, &chunk)?;
        }

        /// Nothing panics, and nothing is read out of bounds.
        #[test]
        fn any_bytes_are_decoded_or_refused(
            which in prop::collection::vec(0usize..5, 0..5), stored in prop::collection::vec(any::<u8>(), 0..200), mask: u32, len in 0usize..500,
        ) {
            let filters: Vec<Filter> = which.iter().map(|&i| ALL[i]).collect();
            if let Some(pipeline) = Pipeline::new(&filters, 8) {
                let _ = pipeline.decode(mask, &stored, &mut vec![0; len], &mut Codecs::default());
            }
        }

        #[test]
        fn a_damaged_chunk_is_noticed_by_its_checksum(bit in 0usize..8 * 36, element in 1usize..9) {
            let filters = [Filter::Shuffle, Filter::Fletcher32];
            let pipeline = Pipeline::new(&filters, element).expect("filters");
            let chunk: Vec<u8> = (0..32).collect();
            let mut stored = pipeline.encode(&chunk, &mut Codecs::default());
            prop_assert_eq!(stored.bytes.len(), 36);
            stored.bytes[bit / 8] ^= 1 << (bit % 8);
            let mut back = vec![0; 32];
            let damaged = Damaged { filter: Some(Filter::Fletcher32) };
            prop_assert_eq!(pipeline.decode(stored.mask, &stored.bytes, &mut back, &mut Codecs::default()), Err(damaged));
        }
    }
}
