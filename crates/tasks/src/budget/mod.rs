//! How many workers this machine has room for, by cores and memory.
//!
//! [`Machine`] describes the machine, and [`Budget::plan`] derives the plan from it without any I/O.

pub mod pin;

mod cgroup;
mod cpus;
mod machine;
mod plan;
mod probe;
mod watch;

pub use machine::{Cpu, Limit, Machine};
pub use plan::{Budget, Need};
pub use watch::{MemoryWatch, SHARE, Warn};
