//! What users exchange with the program: `.npy` files, and requests as JSON lines.

mod error;
pub mod npy;
pub mod stream;

pub use error::ErrorKind;
