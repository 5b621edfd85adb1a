//! Filters that chunks of a dataset pass through on their way into the file.

use std::fmt;

/// One filter, as the file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// gzip of this level, 0 to 9: HDF5's filter 1.
    Deflate(u8),
    /// Bytes of equal weight together: HDF5's filter 2.
    Shuffle,
    /// Four bytes of checksum behind: HDF5's filter 3.
    Fletcher32,
    /// LZF, which h5py brings: the registered filter 32000.
    Lzf,
    /// Zstandard of this level: the registered filter 32015.
    Zstd(i32),
}

impl Filter {
    /// Whether it makes chunks of another length, which only the chunk itself tells.
    #[must_use]
    pub fn compresses(self) -> bool {
        matches!(self, Self::Deflate(_) | Self::Lzf | Self::Zstd(_))
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
        }
    }
}
