//! Filters of chunks.

use std::fmt;

/// One filter, as the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// gzip at this level, 0 to 9: HDF5's filter 1.
    Deflate(u8),
    /// Shuffle, which groups bytes of equal weight: HDF5's filter 2.
    Shuffle,
    /// Appends a checksum of four bytes: HDF5's filter 3.
    Fletcher32,
    /// LZF, which comes with h5py: the registered filter 32000.
    Lzf,
    /// Zstandard at this level: the registered filter 32015.
    Zstd(i32),
    /// `SZip`: HDF5's filter 4. It is only decoded, as are all filters below.
    Szip(Szip),
    /// bzip2: the registered filter 307.
    Bzip2,
    /// LZ4 in blocks: the registered filter 32004.
    Lz4,
    /// Bitshuffle, which groups bits of equal weight and may compress them: the registered filter 32008.
    Bitshuffle(Bitshuffle),
    /// A container of Blosc 1: the registered filter 32001.
    Blosc,
}

/// The client values of `SZip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Szip {
    /// The coding, and the byte order.
    pub options: u32,
    /// Samples per block: even, 2 to 32.
    pub block: u32,
    /// Bits per element: 1 to 24, 32 or 64.
    pub bits: u32,
    /// Elements per line, which starts with a reference sample.
    pub line: u32,
}

impl Szip {
    /// Parses the client values. `None`: such a stream cannot be decoded.
    #[must_use]
    pub fn new(values: &[u32]) -> Option<Self> {
        let &[options, block, bits, line, ..] = values else { return None };
        let known = matches!(bits, 1..=24 | 32 | 64) && (2..=32).contains(&block) && block.is_multiple_of(2);
        let blocks = line.div_ceil(block.max(1));
        (known && (1..=4096).contains(&blocks)).then_some(Self { options, block, bits, line })
    }
}

/// The client values of bitshuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitshuffle {
    /// Bytes per element.
    pub element: u32,
    /// Elements per block; 0: the default.
    pub block: u32,
    /// How blocks are compressed, if they are.
    pub inside: Option<BlockCodec>,
}

/// A compressor of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its format")]
pub enum BlockCodec {
    Lz4,
    Zstd,
}

impl Bitshuffle {
    /// Parses the client values. `None`: they are not understood.
    #[must_use]
    pub fn new(values: &[u32]) -> Option<Self> {
        let value = |i: usize| values.get(i).copied().unwrap_or(0);
        let inside = match value(4) {
            0 => None,
            2 => Some(BlockCodec::Lz4),
            3 => Some(BlockCodec::Zstd),
            _ => return None,
        };
        let this = Self { element: value(2), block: value(3), inside };
        (this.element > 0 && (this.block as usize).is_multiple_of(8)).then_some(this)
    }
}

impl Filter {
    /// Whether this crate can encode chunks with it, not only decode.
    #[must_use]
    pub fn can_encode(self) -> bool {
        matches!(self, Self::Deflate(_) | Self::Shuffle | Self::Fletcher32 | Self::Lzf | Self::Zstd(_))
    }

    /// Whether the encoded length of a chunk depends on its content.
    #[must_use]
    pub fn compresses(self) -> bool {
        match self {
            Self::Shuffle | Self::Fletcher32 => false,
            Self::Bitshuffle(bitshuffle) => bitshuffle.inside.is_some(),
            _ => true,
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deflate(level) => write!(f, "gzip {level}"),
            Self::Shuffle => write!(f, "shuffle"),
            Self::Fletcher32 => write!(f, "fletcher32"),
            Self::Lzf => write!(f, "lzf"),
            Self::Zstd(level) => write!(f, "zstd {level}"),
            Self::Szip(_) => write!(f, "szip"),
            Self::Bzip2 => write!(f, "bzip2"),
            Self::Lz4 => write!(f, "lz4"),
            Self::Bitshuffle(Bitshuffle { inside: None, .. }) => write!(f, "bitshuffle"),
            Self::Bitshuffle(Bitshuffle { inside: Some(BlockCodec::Lz4), .. }) => write!(f, "bitshuffle with lz4"),
            Self::Bitshuffle(Bitshuffle { inside: Some(BlockCodec::Zstd), .. }) => write!(f, "bitshuffle with zstd"),
            Self::Blosc => write!(f, "blosc"),
        }
    }
}
