//! The library itself: raw calls, its file driver and filters, limits, forks.

pub(in crate::h5) mod codecs;
pub(in crate::h5) mod driver;
pub(in crate::h5) mod fork;
pub(in crate::h5) mod limits;
pub(in crate::h5) mod raw;
