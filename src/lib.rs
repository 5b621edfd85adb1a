//! Many processes write **one ordinary HDF5 file, in place, at the same time**, without MPI. Any of them may be killed
//! at any instant.
//!
//! ```
//! use h5part::{Durability, Store, Table};
//!
//! # fn main() -> h5part::Result<()> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let path = folder.path().join("run.h5");
//! let store = Store::create(&path, Table::new("frames", 4000).column::<f64>("E", []))?;
//!
//! let mut frames = store.writer("frames")?; // in each of many processes
//! frames.commit(20..23).set("E", &[0.1, 0.2, 0.3]).run()?;
//!
//! let energies = store.reader("frames")?.read("E", [22, 7])?; // while others write
//! assert_eq!(energies.mask().to_vec(), [true, false]);
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
//! - **A file and its tables.** A [`Store`] stands for one file. [`Store::create`] makes a [`Table`] in it: an HDF5
//!   group whose datasets, the columns, share their first axis, the rows. [`Store::require`] is for programs that are
//!   started many times. [`Store::extend`] adds rows, [`Store::add_columns`] adds columns. [`Store::adopt`] takes over
//!   a table that another program made, such as one that uses h5py. [`StoreOptions`] sets timeouts.
//! - **Writing.** A [`Writer`] commits values for [`Rows`] of some columns. Each row is written whole or not at all. A
//!   commit is acknowledged once it survives what [`Durability`] says. [`CommitBuilder::expect`] commits only where
//!   nothing has changed. A [`Group`] makes many small commits at the cost of one.
//! - **Reading.** A [`Reader`] returns a [`Block`] of values, which also says which rows are there. [`Store::status`]
//!   counts cells by state. [`Store::missing`] returns the rows that are still to be computed.
//! - **After a kill.** Nothing needs to be done. What was acknowledged is in the file. The next writer restores the old
//!   values of rows that a dead writer left half-written. [`Store::recover`] does so at once. [`Store::verify`] checks
//!   every value in the file.
//! - **Copies.** [`Store::publish`] makes a compressed copy for readers, whole or not at all. [`publish::Snapshot`]
//!   maps a published file into memory. [`merge::merge`] merges several files into one.
//! - **Work for many processes.** A [`ledger`] hands out tasks and records which are done. [`mod@run`] runs a program
//!   for each task. A [`pool`] runs Rust code in threads and processes. A [`monitor`] measures what a run cost.
//! - **Other communities' tools.** [`mbe`] is for `mbe_automation`, [`vplanet`] for vspace, multiplanet and
//!   `BigPlanet`. [`doctor`] tests whether a file system is safe for shared writing.
//!
//! Every function that can fail returns an [`Error`], which says what failed, on which path, and why. [`ErrorKind`]
//! distinguishes the cases. `docs/design/` describes what is guaranteed, and how.
//!
//! # Words
//!
//! - A **cell** is one row of one column.
//! - A **stamp** is eight bytes per cell: its state, its version, and the checksum of its bytes. Tables that h5part
//!   makes or adopts have stamps.
//! - A cell is **committed** if its stamp says so and the checksum matches the bytes. A cell without a committed value
//!   is **not there**; readers return its column's **fill** value for it.
//! - A **direct column** is written in place. A **library column**, such as a compressed one, is written through the
//!   HDF5 library, by one commit at a time.
//! - A **stock program** uses the HDF5 library and knows nothing of h5part. **Foreign** values were written by another
//!   program than h5part.
//! - The **gate** is the advisory lock on `FILE.lock`. Commits to direct columns share it. A **structural change**,
//!   which changes metadata of the file, holds it exclusively; so does a commit to a library column.
//! - A **guard** is a column that tells stock programs whether a row is complete.
//! - The **sidecar** is the folder `FILE.part` beside the HDF5 file. It holds row locks, and the **records** of
//!   writers: the old values of cells that a commit overwrites.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/guide.md")]
    struct Guide;
    #[doc = include_str!("../docs/executor.md")]
    struct Executor;
    #[doc = include_str!("../docs/mbe.md")]
    struct Mbe;
    #[doc = include_str!("../docs/monitor.md")]
    struct Monitor;
}

pub mod exit;
pub mod fork;
pub mod ledger;
pub mod merge;
pub mod monitor;
pub mod publish;
pub mod verify;

mod block;
mod gate;
mod group;
mod info;
mod options;
mod pair;
mod reader;
mod store;
mod table;
mod writer;

/// Tests whether a file system is safe for shared writing.
pub mod doctor {
    pub use h5part_doctor::*;
}

/// Energies and forces that many processes compute for `mbe_automation`.
pub mod mbe {
    pub use h5part_mbe::*;
}

/// Pools of workers, which run Rust code in threads or processes.
pub mod pool {
    pub use h5part_tasks::{ErrorKind, pool::*};
}

/// Runs a program for each task of a ledger, on this host or in SLURM jobs.
pub mod run {
    pub use h5part_tasks::{ErrorKind, budget, program, run::*, slurm};
}

/// Counterparts of vspace, multiplanet and `BigPlanet`, which read and write the same files.
pub mod vplanet {
    pub use h5part_vplanet::*;
}

pub use block::Block;
pub use gate::Gate;
pub use group::{Group, GroupCommit};
pub use info::{ColumnInfo, TableInfo};
pub use options::StoreOptions;
pub use pair::StorePair;
pub use reader::Reader;
pub use store::Store;
pub use table::Table;
pub use writer::{CommitBuilder, Writer};

pub use h5part_base::{
    dataspace::{ColumnSpec, CompoundType, Dtype, EnumType, Field, Rows},
    error::{Error, ErrorKind, Gone, Item, Misfit, Remedy, Result, RowsFault, Shortage},
    lock::{Fence, Shared, Waiting},
};
pub use h5part_engine::store::{
    Adopt, Adopted, Adoption, Attribute, Before, CellState, ColumnPresence, ColumnStatus, Commit, Coordinates,
    Decision, Dimensions, Durability, Element, LostStatus, Presence, Recovery, Side, Status, Values,
};
