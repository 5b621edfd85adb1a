//! The storage engine: one HDF5 file that many processes write in place, at once.
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::single_range_in_vec_init,
        reason = "small numbers and short lists of tests"
    )
)]

pub mod filter;
pub mod h5;
pub mod merge;
pub mod publish;
pub mod store;
pub mod verify;
