//! Calls the compression libraries with whole buffers.

use super::{aec, bitshuffle, blocks, blosc, deflate};
use h5part_base::dataspace::Filter;
use libdeflater::{CompressionLvl, Compressor, Decompressor};

/// What a thread keeps from chunk to chunk: contexts of the libraries, and a buffer.
#[derive(Default)]
pub struct Codecs {
    inflate: Option<Decompressor>,
    deflate: Option<(u8, Compressor)>,
    buffer: Vec<u8>,
}

impl Codecs {
    /// A buffer of this length with arbitrary contents.
    pub(super) fn buffer(&mut self, len: usize) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(len, 0);
        buffer
    }

    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > self.buffer.capacity() {
            self.buffer = buffer;
        }
    }

    /// Decodes into `out`. `false`: the bytes do not decode to exactly that length.
    pub(super) fn unpack(&mut self, filter: Filter, bytes: &[u8], out: &mut [u8]) -> bool {
        match filter {
            Filter::Deflate(_) => {
                let inflate = self.inflate.get_or_insert_with(Decompressor::new);
                inflate.zlib_decompress(bytes, out) == Ok(out.len())
            }
            Filter::Lzf => lzf::decompress(bytes, out.len()).is_ok_and(|data| super::copy(&data, out)),
            Filter::Zstd(_) => blocks::zstd(bytes, out),
            Filter::Szip(szip) => aec::unpack(szip, bytes, out),
            Filter::Bzip2 => blocks::bzip2(bytes, out),
            Filter::Lz4 => blocks::unpack_lz4(bytes, out),
            Filter::Bitshuffle(how) => bitshuffle::unpack(how, bytes, out),
            Filter::Blosc => blosc::unpack(bytes, out),
            Filter::Shuffle | Filter::Fletcher32 => false,
        }
    }

    /// Encodes bytes. `None`: they do not shrink, or this crate only decodes the filter.
    pub(super) fn pack(&mut self, filter: Filter, bytes: &[u8]) -> Option<Vec<u8>> {
        let packed = match filter {
            Filter::Deflate(level) => self.pack_deflate(level, bytes)?,
            Filter::Lzf => lzf::compress(bytes).ok()?,
            Filter::Zstd(level) => zstd::bulk::compress(bytes, level).ok()?,
            _ => return None,
        };
        (packed.len() < bytes.len()).then_some(packed)
    }

    fn pack_deflate(&mut self, level: u8, bytes: &[u8]) -> Option<Vec<u8>> {
        let kept = self.deflate.take().filter(|(of, _)| *of == level);
        let fresh = || Some((level, Compressor::new(CompressionLvl::new(i32::from(level)).ok()?)));
        let (_, compressor) = self.deflate.insert(kept.or_else(fresh)?);
        deflate::pack(compressor, bytes)
    }
}
