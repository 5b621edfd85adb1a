//! The cost of work: time, memory, counts and bytes of named operations. Each worker has a file of its own.
//!
//! A [`Monitor`] is a worker's file in a folder that all workers of a run share. [`Monitor::measure`] returns a guard,
//! which appends one line when it is dropped. [`MonitorSummary`] adds up all files of a folder, also while workers go on.
//! [`draw`] shows workers over time; `h5part::monitor::export` writes OpenQuake's tables. `docs/monitor.md` describes
//! lines, fields and columns.
//!
//! ```
//! use h5part_tasks::monitor::{Monitor, MonitorSummary};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let monitor = Monitor::open(folder)?; // each worker its own; threads may share one
//! for index in 0..3 {
//!     let mut task = monitor.measure("classical");
//!     task.task(index).weight(2.0);
//!     {
//!         let mut part = monitor.measure("compute"); // part of the task
//!         part.count(100).bytes(800);
//!     }
//! }
//! let summary = MonitorSummary::read(folder)?;
//! assert_eq!(summary.records, 6);
//! assert_eq!(summary.operations.iter().map(|o| o.counts).sum::<u64>(), 300);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod costs;
mod draw;
mod files;
mod guard;
mod lanes;
mod recent;
mod record;
mod summary;
mod timeline;
mod usage;

pub use costs::{Costs, Percentiles, Spread};
pub use draw::draw;
pub use guard::{Clock, Measure, Monitor, after_fork_in_child};
pub use recent::{Recent, Slow};
pub use record::{FORMAT, Record, WorkerHeader};
pub use summary::{Host, MonitorSummary, Operation, Worker};
pub use timeline::{Event, Timeline, small};
pub use usage::{ChildUsage, Whose, own_peak, wait_child};
