//! Ledgers, runs, pools, SLURM.

pub mod ledger;
mod pools;
mod run;
mod slurm;
