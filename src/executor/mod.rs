//! Where tasks run: in this thread, in threads, in processes, in a SLURM job array.

pub mod ledgered;
pub mod program;
