//! What [`Store::verify`](crate::Store::verify) finds in a file.

pub use h5part_engine::verify::{Finding, Kind, Remedy, Repaired, Report, Severity, TableReport, Verify};
