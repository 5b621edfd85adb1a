//! Shared by the formats that consist of blocks: reads numbers and slices off the front of a chunk, and decodes blocks.

/// The rest of a chunk.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `len` bytes.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (here, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(here)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (here, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*here)
    }

    pub(super) fn be64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn be32(&mut self) -> Option<usize> {
        self.array().map(|bytes| u32::from_be_bytes(bytes) as usize)
    }

    pub(super) fn le32(&mut self) -> Option<usize> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }
}

/// Decodes a block of LZ4 into `out`.
pub(super) fn lz4(packed: &[u8], out: &mut [u8]) -> bool {
    let len = out.len();
    lz4_flex::block::decompress_into(packed, out).is_ok_and(|written| written == len)
}

/// Decodes a frame of Zstandard into `out`.
pub(super) fn zstd(packed: &[u8], out: &mut [u8]) -> bool {
    zstd::bulk::decompress_to_buffer(packed, out).is_ok_and(|len| len == out.len())
}

/// Decodes what the registered filter 32004 stores into `out`: blocks of LZ4, or stored bytes that did not shrink.
pub(super) fn unpack_lz4(stored: &[u8], out: &mut [u8]) -> bool {
    let unpack = |out: &mut [u8]| {
        let mut stored = Reader(stored);
        let (bytes, block) = (stored.be64()?, stored.be32()?);
        if bytes != out.len() as u64 || block == 0 {
            return None;
        }
        for out in out.chunks_mut(block) {
            let len = stored.be32()?;
            let packed = stored.take(len)?;
            let done = if len == out.len() { super::copy(packed, out) } else { lz4(packed, out) };
            done.then_some(())?;
        }
        Some(())
    };
    unpack(out).is_some()
}

/// Decodes a stream of bzip2 into `out`.
pub(super) fn bzip2(packed: &[u8], out: &mut [u8]) -> bool {
    let mut stream = bzip2::Decompress::new(false);
    let mut ended = false;
    while !ended {
        let (read, written) = (stream.total_in(), stream.total_out());
        let from = usize::try_from(read).ok().and_then(|at| packed.get(at..)).unwrap_or_default();
        let to = usize::try_from(written).ok().and_then(|at| out.get_mut(at..)).unwrap_or_default();
        match stream.decompress(from, to) {
            Ok(bzip2::Status::StreamEnd) => ended = true,
            Ok(_) if (stream.total_in(), stream.total_out()) != (read, written) => {}
            _ => return false,
        }
    }
    stream.total_out() == out.len() as u64
}
