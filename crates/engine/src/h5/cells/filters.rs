//! The filters of a dataset, as the file records them.
#![expect(unsafe_code, reason = "the safe wrapper panics at more than 32 client values, and drops those of SZip")]

use crate::h5::Failed;
use h5part_base::dataspace::{Bitshuffle, Filter, Szip};
use hdf5::plist::DatasetCreate;
use hdf5_sys::h5p::{H5Pget_filter2, H5Pget_nfilters};
use std::ffi::CStr;
use std::fmt;

/// The library takes a larger count for an uninitialized one. Known filters have fewer values.
const MOST_VALUES: usize = 256;
const MOST_NAME: usize = 256;

/// A filter of any kind, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::h5) struct StoredFilter {
    number: i32,
    name: String,
    values: Vec<u32>,
}

/// The filters of a dataset, in the order in which they are applied when writing.
pub(in crate::h5) fn stored(plist: &DatasetCreate) -> Result<Vec<StoredFilter>, Failed> {
    let mut values = Vec::new();
    Ok(hdf5::sync::sync(|| {
        // SAFETY: the id is alive.
        let count = hdf5::h5check(unsafe { H5Pget_nfilters(plist.id()) })?;
        (0..u32::try_from(count).unwrap_or(0)).map(|index| one(plist, index, &mut values)).collect::<hdf5::Result<_>>()
    })?)
}

fn one(plist: &DatasetCreate, index: u32, values: &mut Vec<u32>) -> hdf5::Result<StoredFilter> {
    values.resize(MOST_VALUES, 0);
    let (mut flags, mut count, mut config) = (0, MOST_VALUES, 0);
    let mut name = [0u8; MOST_NAME];
    // SAFETY: the id is alive, and the buffers have the lengths passed.
    let number = hdf5::h5check(unsafe {
        let (flags, count, config) = (&raw mut flags, &raw mut count, &raw mut config);
        let name = name.as_mut_ptr().cast();
        H5Pget_filter2(plist.id(), index, flags, count, values.as_mut_ptr(), MOST_NAME - 1, name, config)
    })?;
    // `count` is the number of all values, of which the library returns as many as fit.
    values.truncate(count);
    let name = CStr::from_bytes_until_nul(&name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(StoredFilter { number, name, values: values.clone() })
}

impl StoredFilter {
    /// The same filter as one that this crate can undo, by its registered number.
    pub(in crate::h5) fn known(&self) -> Option<Filter> {
        let first = self.values.first().copied();
        Some(match self.number {
            1 => Filter::Deflate(first.and_then(|level| u8::try_from(level).ok()).filter(|level| *level <= 9)?),
            2 => Filter::Shuffle,
            3 => Filter::Fletcher32,
            4 => Filter::Szip(Szip::new(&self.values)?),
            307 => Filter::Bzip2,
            32000 => Filter::Lzf,
            32001 => Filter::Blosc,
            32004 => Filter::Lz4,
            32008 => Filter::Bitshuffle(Bitshuffle::new(&self.values)?),
            // Its only parameter is the level. Without it the library's default applies.
            32015 => Filter::Zstd(first.map_or(3, u32::cast_signed)),
            _ => return None,
        })
    }
}

impl StoredFilter {
    /// Whether chunks can be decoded, by this crate or by the library.
    pub(in crate::h5) fn can_decode(&self) -> bool {
        self.known().is_some() || crate::h5::library::codecs::is_available(self.number)
    }

    /// Why columns with this filter are not written: values may come back changed, or nothing here can encode them.
    pub(in crate::h5) fn frozen(&self) -> Option<String> {
        match (self.known(), self.number) {
            (Some(known), _) if known.can_encode() => None,
            // N-bit keeps numbers of full precision unchanged. Other numbers are not among our types.
            (None, 5) => None,
            // Kind of scaling (2: integers), and factor (0: as many bits as needed).
            (None, 6) if self.values.first() == Some(&2) && self.values.get(1) == Some(&0) => None,
            (None, 6) => Some(format!("{self} keeps values only approximately")),
            _ => Some(format!("{self} is read, not written")),
        }
    }
}

impl fmt::Display for StoredFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.known(), self.number) {
            (Some(known), _) => known.fmt(f),
            (None, 5) => write!(f, "nbit"),
            (None, 6) => write!(f, "scaleoffset"),
            (None, 32013) => write!(f, "zfp"),
            (None, 32026) => write!(f, "blosc2"),
            (None, number) if self.name.is_empty() => write!(f, "filter {number}"),
            (None, number) => write!(f, "filter {number}, '{}'", self.name),
        }
    }
}
