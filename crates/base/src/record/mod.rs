//! Formats of what is written before anything of value is overwritten: row records, and the log of a structural change.
//! `docs/design/formats.md` describes their bytes.

mod extents;
pub mod log;
mod overlay;
pub mod row;
mod sealed;
pub mod stamp;

pub use overlay::Overlay;
pub use sealed::{Fit, Sealed};
