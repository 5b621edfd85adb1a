//! SLURM: a job array of workers on one ledger, the state of its queue, and whether a job is gone.
//!
//! All access goes through SLURM's own programs, which every cluster has: `sbatch`, `squeue`, `scancel`, `scontrol`.
//! Accounting (`sacct`) is not needed.

mod call;
mod gone;
mod queue;
mod script;
mod shard;
mod submit;

pub use gone::job_is_gone;
pub use queue::{Element, Phase, cancel, cancel_waiting, look};
pub use script::{Array, GRACE_S, minutes};
pub use shard::{Shard, is_worker};
pub use submit::{Submitted, parts, submit, submit_shards};
