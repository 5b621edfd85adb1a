//! What users hand to the program and get from it: `.npy` files, and requests as JSON lines.

mod error;
pub mod npy;
pub mod stream;

pub use error::ErrorKind;
