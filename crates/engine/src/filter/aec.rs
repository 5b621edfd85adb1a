//! `SZip`: the entropy coding of CCSDS 121.0-B, framed as by HDF5's filter 4. This crate only decodes it. The
//! maintained encoders are in C, and the only decoder in Rust (rust-aec) lacks HDF5's handling of lines and wide
//! elements.

use h5part_base::dataspace::Szip;

/// Bits of `options` in the client values of the filter.
const BIG_ENDIAN: u32 = 16;
const NEAREST_NEIGHBOUR: u32 = 32;
/// Bytes of the length that precedes the data.
const LENGTH: usize = 4;
/// The count of zero blocks that means "all up to the end of the segment".
const REST_OF_SEGMENT: u32 = 5;
/// Blocks per segment.
const SEGMENT: usize = 64;

/// Decodes into `out`. `false`: the bytes do not decode to exactly that length.
pub(super) fn unpack(szip: Szip, stored: &[u8], out: &mut [u8]) -> bool {
    let Some((length, data)) = stored.split_first_chunk::<LENGTH>() else { return false };
    if u32::from_le_bytes(*length) as usize != out.len() {
        return false;
    }
    // Elements of 32 and 64 bits are coded bytewise: first the first bytes of all elements, then the second ones, and
    // so on.
    let planes = if szip.bits >= 32 { szip.bits as usize / 8 } else { 1 };
    let coding = Coding::new(szip, if planes > 1 { 8 } else { szip.bits });
    if planes == 1 {
        return coding.decode(data, szip.line as usize, out);
    }
    let mut bytes = vec![0; out.len()];
    let decoded = coding.decode(data, szip.line as usize, &mut bytes);
    if decoded {
        super::shuffle::backward(planes, &bytes, out);
    }
    decoded
}
/// The parameters of a stream.
struct Coding {
    bits: u32,
    block: usize,
    /// Blocks per line.
    blocks: usize,
    preprocessed: bool,
    big_endian: bool,
}

impl Coding {
    fn new(szip: Szip, bits: u32) -> Self {
        Self {
            bits,
            block: szip.block as usize,
            blocks: szip.line.div_ceil(szip.block) as usize,
            preprocessed: szip.options & NEAREST_NEIGHBOUR != 0,
            big_endian: szip.options & BIG_ENDIAN != 0,
        }
    }

    /// Decodes lines of `line` samples. Padding of the last block of a line is dropped.
    fn decode(&self, data: &[u8], line: usize, out: &mut [u8]) -> bool {
        let size = match self.bits {
            0..=8 => 1,
            9..=16 => 2,
            _ => 4,
        };
        let mut bits = Bits { data, at: 0 };
        let mut samples = Vec::with_capacity(self.blocks * self.block);
        for out in out.chunks_mut(line.saturating_mul(size)) {
            samples.clear();
            if self.line(&mut bits, out.len().div_ceil(size), &mut samples).is_none() {
                return false;
            }
            if self.preprocessed {
                self.of_residuals(&mut samples);
            }
            for (to, sample) in out.chunks_mut(size).zip(&samples) {
                let bytes = if self.big_endian { sample.to_be_bytes() } else { sample.to_le_bytes() };
                let bytes = if self.big_endian { &bytes[4 - size..] } else { &bytes[..size] };
                to.copy_from_slice(&bytes[..to.len()]);
            }
        }
        true
    }

    /// Decodes the samples of one line, in whole blocks until `wanted` are reached.
    fn line(&self, bits: &mut Bits<'_>, wanted: usize, samples: &mut Vec<u32>) -> Option<()> {
        let id_bits = match self.bits {
            0..=8 => 3,
            9..=16 => 4,
            _ => 5,
        };
        while samples.len() < wanted {
            let first = self.preprocessed && samples.is_empty();
            let id = bits.take(id_bits)?;
            if id == (1 << id_bits) - 1 {
                for _ in 0..self.block {
                    samples.push(bits.take(self.bits)?);
                }
                continue;
            }
            let extension = id == 0 && bits.take(1)? == 1;
            if first {
                samples.push(bits.take(self.bits)?);
            }
            match (id, extension) {
                (0, true) => self.second_extension(bits, usize::from(first), samples)?,
                (0, false) => self.zeros(bits, samples)?,
                _ => Self::split(bits, id - 1, self.block - usize::from(first), samples)?,
            }
        }
        Some(())
    }

    /// Decodes blocks of zeros.
    fn zeros(&self, bits: &mut Bits<'_>, samples: &mut Vec<u32>) -> Option<()> {
        let done = samples.len() / self.block;
        let left = self.blocks.checked_sub(done)?;
        let count = match bits.unary()?.checked_add(1)? {
            REST_OF_SEGMENT => left.min(SEGMENT - done % SEGMENT),
            count if count > REST_OF_SEGMENT => count as usize - 1,
            count => count as usize,
        };
        (count <= left).then(|| samples.resize((done + count) * self.block, 0))
    }

    /// Decodes pairs of samples, each coded as one number.
    fn second_extension(&self, bits: &mut Bits<'_>, from: usize, samples: &mut Vec<u32>) -> Option<()> {
        let mut i = from;
        while i < self.block {
            let pair = bits.unary()?;
            let sum = (0..=12).rfind(|sum| sum * (sum + 1) / 2 <= pair)?;
            let second = pair - sum * (sum + 1) / 2;
            if i.is_multiple_of(2) {
                samples.push(sum.checked_sub(second)?);
                i += 1;
            }
            samples.push(second);
            i += 1;
        }
        Some(())
    }

    /// Decodes the upper parts of all samples in unary, then their lowest `low` bits.
    fn split(bits: &mut Bits<'_>, low: u32, count: usize, samples: &mut Vec<u32>) -> Option<()> {
        let start = samples.len();
        for _ in 0..count {
            samples.push(bits.unary()?.checked_shl(low)?);
        }
        for sample in &mut samples[start..] {
            *sample |= bits.take(low)?;
        }
        Some(())
    }

    /// Converts a first sample and residuals to samples. Each sample was predicted by the one before it.
    fn of_residuals(&self, samples: &mut [u32]) {
        let most = u32::MAX >> (32 - self.bits);
        let Some((&mut first, rest)) = samples.split_first_mut() else { return };
        let mut before = first & most;
        for sample in rest {
            let residual = *sample;
            // Distance to the nearer end of the range. Larger residuals have only one sign.
            let flip = if before > most / 2 { most } else { 0 };
            let half = (residual >> 1) + (residual & 1);
            before = if half > flip ^ before {
                flip ^ residual
            } else if residual & 1 == 0 {
                before.wrapping_add(half)
            } else {
                before.wrapping_sub(half)
            } & most;
            *sample = before;
        }
    }
}

/// The bits of a stream, most significant first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// At least 56 bits from the current position, left-aligned. Zeros follow the last byte.
    fn ahead(&self) -> u64 {
        let from = self.data.get(self.at / 8..).unwrap_or_default();
        let word = if let Some(eight) = from.first_chunk::<8>() {
            u64::from_be_bytes(*eight)
        } else {
            let mut eight = [0; 8];
            eight[..from.len()].copy_from_slice(from);
            u64::from_be_bytes(eight)
        };
        word << (self.at % 8)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at += count;
        (self.at <= self.data.len() * 8).then_some(())
    }

    /// The next `count` bits, at most 32.
    fn take(&mut self, count: u32) -> Option<u32> {
        let value = self.ahead().checked_shr(64 - count).unwrap_or(0);
        self.skip(count as usize)?;
        u32::try_from(value).ok()
    }

    /// Counts zeros up to the next one bit, and consumes both.
    fn unary(&mut self) -> Option<u32> {
        let mut zeros = 0;
        loop {
            let here = self.ahead().leading_zeros();
            if here < 56 {
                self.skip(here as usize + 1)?;
                return Some(zeros + here);
            }
            zeros += 56;
            self.skip(56)?;
        }
    }
}
