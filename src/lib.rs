#![doc = include_str!("../README.md")]

#[cfg(doctest)]
#[doc = include_str!("../docs/mbe.md")]
struct MbePage;

pub mod ledger;
pub mod monitor;

/// Is this file system safe for shared writing?
pub mod doctor {
    pub use h5part_doctor::*;
}

/// Ground truth of `mbe_automation`.
pub mod mbe {
    pub use h5part_mbe::*;
}

/// Files of the same tables, merged into one.
pub mod merge {
    pub use h5part_engine::merge::*;
}

/// Pools of workers: threads, processes, SLURM.
pub mod pool {
    pub use h5part_tasks::{ErrorKind, pool::*};
}

/// Published files.
pub mod publish {
    pub use h5part_engine::publish::*;
}

/// Runs over the tasks of a ledger.
pub mod run {
    pub use h5part_tasks::{ErrorKind, budget, program, run::*, slurm};
}

/// The proof of what is in a file.
pub mod verify {
    pub use h5part_engine::verify::*;
}

/// vspace, multiplanet and `BigPlanet`.
pub mod vplanet {
    pub use h5part_vplanet::*;
}

pub use h5part_base::{
    dataspace::{ColumnSpec, Dtype, Rows},
    error::{Error, ErrorKind, Item, Result},
    lock::{Fence, Patience},
};
pub use h5part_engine::{
    h5::Failed,
    store::{
        Adopt, Adoption, Attribute, Block, CellState, Commit, Durability, Element, Group, H5Change, NewTable, Presence,
        Reader, Recovery, Status, Store, StorePair, Values, Writer,
    },
};
