//! Hands out tasks to many processes, and records which tasks are done.
//!
//! A [`Ledger`] is one file that any number of workers on any number of hosts share without a server. [`StoreTasks`]
//! connects a ledger to a store: a task is then done only when its rows are committed. `docs/ledger.md` describes the
//! states of a task and the commands.

mod reconcile;

pub use h5part_tasks::{ErrorKind, ledger::*};
pub use reconcile::{Reconciled, StoreTasks, store_ref};
