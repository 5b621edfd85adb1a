//! Tasks, and whether their results are in a store.

mod reconcile;

pub use h5part_tasks::{ErrorKind, ledger::*};
pub use reconcile::{Reconciled, StoreTasks, store_ref};
