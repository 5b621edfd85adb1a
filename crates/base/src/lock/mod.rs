//! Locks of the gate, the file and its rows, and who holds them.
//!
//! They are always taken in this order (`docs/design/locks.md`): turnstile, gate (`FILE.lock`), the HDF5 file, rows
//! ascending. All are advisory locks of the kernel, which releases them when their owner dies.

mod belongs;
mod burst;
mod byte;
mod calls;
mod courtesy;
mod fence;
mod filesystem;
mod gate;
mod holders;
mod mounts;
mod ofd;
mod owner;
mod paths;
mod process;
mod rows;
mod shared;
mod wait;
mod witness;

pub use crate::inherited::{after_fork_in_child, after_fork_in_parent, before_fork};
pub use crate::storage::Shared;
pub use belongs::{clear_store_uuid, read_store_uuid, write_store_uuid};
pub use burst::{Burst, InBurst};
pub use byte::{ByteGuard, ByteLock};
pub use calls::{LockCall, open_to_lock};
pub use fence::Fence;
pub use filesystem::{FileSystem, Reach, Sharing, Why};
pub use gate::{CreationLock, ExclusiveGate, Gate, HeldGate, ReadGate, SharedGate, StockReaders, is_ours};
pub use holders::{Holder, LockReport, report, rows_held};
pub use holders::{of_server, writers_elsewhere};
pub use mounts::Mount;
pub use owner::host;
pub use owner::{Dead, Owner, OwnerNote, records};
pub use paths::Paths;
pub use process::{Fate, ProcessId};
pub use rows::{MAX_RANGES, RowGuard, RowLocks};
pub use shared::lease_s;
pub use wait::{Interrupt, Patience, Tell, Waiting};
