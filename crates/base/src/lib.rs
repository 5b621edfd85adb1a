//! The foundation of h5part, without any C: errors, rows and cells, files, locks, and the records and logs that are
//! written before anything of value is overwritten.
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

pub mod checksum;
pub mod dataspace;
pub mod error;
mod inherited;
pub mod lock;
pub mod num;
pub mod record;
pub mod storage;
pub mod sync;
