//! Options and reports of [`Store::verify`](crate::Store::verify).

pub use h5part_engine::verify::{Finding, Kind, Remedy, Repaired, Report, Severity, TableReport, Verify};
