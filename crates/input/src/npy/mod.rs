//! `.npy` files as sources and sinks of rows, in bounded memory.
//!
//! Files are streamed: C order as it comes, Fortran order by positioned reads, big-endian values with their bytes
//! swapped. Casts are explicit and lose nothing except the last digits of floats.

mod cast;
mod header;
mod source;
mod write;

pub use cast::cast;
pub use header::NpyHeader;
pub use source::{RowSource, indices};
pub use write::NpyWriter;
