//! Many processes write **one ordinary HDF5 file, in place, at the same time**, without MPI. Any of them may be killed at
//! any instant.
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
//! let energies = store.reader("frames")?.read("E", [22, 7])?; // beside them
//! assert_eq!(energies.mask().to_vec(), [true, false]);
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
//! - **A file and its tables.** A [`Store`] is a file. [`Store::create`] makes a [`Table`] in it: rows, and columns that
//!   share them. [`Store::require`] is for programs that are started many times. [`Store::extend`] and
//!   [`Store::add_columns`] let a table grow; [`Store::adopt`] takes over one that h5py made. [`StoreOptions`] sets
//!   timeouts.
//! - **Writing.** A [`Writer`] commits [`Rows`] of some columns: each row whole or not at all, acknowledged when it
//!   survives what [`Durability`] says. [`CommitBuilder::expect`] commits only where nothing has changed; a [`Group`]
//!   makes many small commits at the cost of one.
//! - **Reading.** A [`Reader`] gives a [`Block`] of values, and says which rows are there. [`Store::status`] counts them,
//!   [`Store::missing`] names those that are still to be computed.
//! - **After a kill.** Nothing needs to be done: what was acknowledged is there, and the next writer puts back what a
//!   dead one left. [`Store::recover`] does so at once; [`Store::verify`] proves what is in the file.
//! - **For readers.** [`Store::publish`] makes a compressed copy, whole or not at all; [`publish::Snapshot`] maps one
//!   into memory. [`merge::merge`] makes one file of many.
//! - **Work for many processes.** A [`ledger`] hands out tasks, and knows which are done; [`mod@run`] runs a program for
//!   each; a [`pool`] runs Rust code in threads and processes; a [`monitor`] measures what it cost.
//! - **Other communities' tools.** [`mbe`] for `mbe_automation`, [`vplanet`] for vspace, multiplanet and `BigPlanet`.
//!   [`doctor`] says whether a file system is safe for shared writing.
//!
//! Every function returns [`Error`], which says what failed, on which path, and why; [`ErrorKind`] tells the cases
//! apart. What is guaranteed, and how, is told in `docs/design/`.

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

/// Is this file system safe for shared writing?
pub mod doctor {
    pub use h5part_doctor::*;
}

/// Ground truth of `mbe_automation`.
pub mod mbe {
    pub use h5part_mbe::*;
}

/// Pools of workers: threads, processes, SLURM.
pub mod pool {
    pub use h5part_tasks::{ErrorKind, pool::*};
}

/// Runs over the tasks of a ledger.
pub mod run {
    pub use h5part_tasks::{ErrorKind, budget, program, run::*, slurm};
}

/// vspace, multiplanet and `BigPlanet`.
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
    error::{Error, ErrorKind, Item, Result, Shortage},
    lock::{Fence, Waiting},
};
pub use h5part_engine::store::{
    Adopt, Adopted, Adoption, Attribute, Before, CellState, ColumnPresence, ColumnStatus, Commit, Coordinates,
    Decision, Dimensions, Durability, Element, LostStatus, Presence, Recovery, Side, Status, Values,
};
