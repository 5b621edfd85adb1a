//! How many workers this machine has room for: cores and memory.
//!
//! [`Machine`] is what was found, [`Budget::plan`] what follows from it; the plan asks nobody anything.

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
