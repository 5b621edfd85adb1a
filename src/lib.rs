#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::single_range_in_vec_init,
        reason = "small numbers and short lists of tests"
    )
)]

#[cfg(target_endian = "big")]
compile_error!("files are little-endian and h5part copies their bytes as they are");

pub mod dataspace;
pub mod doctor;
pub mod error;
pub mod executor;
#[cfg(feature = "hdf5")]
pub mod filter;
#[cfg(feature = "hdf5")]
pub mod frontend;
#[cfg(feature = "hdf5")]
pub mod h5;
pub mod ledger;
pub mod lock;
#[cfg(feature = "hdf5")]
pub mod merge;
pub mod monitor;
pub mod npy;
#[cfg(feature = "hdf5")]
pub mod publish;
pub mod record;
pub mod storage;
pub mod store;
pub mod stream;
#[cfg(feature = "hdf5")]
pub mod verify;

pub use error::{Error, ErrorKind, Result};
