//! Measures the cost of work: time, memory, counts and bytes of named operations.
//!
//! A [`Monitor`] appends the measurements of one worker to a file of its own. A [`MonitorSummary`] adds up all files of a
//! folder, also while workers run. [`export`] writes OpenQuake's tables. `docs/monitor.md` describes the files and the
//! tables.

mod openquake;

pub use h5part_tasks::{ErrorKind, monitor::*};
pub use openquake::export;
