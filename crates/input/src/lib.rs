//! What users hand to the program and get from it: `.npy` files, and requests as JSON lines.
#![cfg_attr(
    test,
    expect(
        clippy::cast_possible_truncation,
        clippy::single_range_in_vec_init,
        reason = "small numbers and short lists of tests"
    )
)]

mod error;
pub mod npy;
pub mod stream;

pub use error::ErrorKind;
