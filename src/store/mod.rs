//! The store: one HDF5 file that many processes write in place, at once.
//!
//! [`Store`] opens or makes one; [`Writer`] commits rows; [`Reader`] reads them without keeping
//! anybody waiting. What may run beside what is told with each.

pub mod stamp;

#[cfg(feature = "hdf5")]
mod adopt;
#[cfg(feature = "hdf5")]
mod alter;
#[cfg(feature = "hdf5")]
mod begun;
#[cfg(feature = "hdf5")]
mod building;
#[cfg(feature = "hdf5")]
mod bundle;
#[cfg(feature = "hdf5")]
mod cells;
#[cfg(feature = "hdf5")]
mod change;
#[cfg(feature = "hdf5")]
mod columns;
#[cfg(feature = "hdf5")]
mod commit;
#[cfg(feature = "hdf5")]
mod create;
mod fence;
#[cfg(feature = "hdf5")]
mod group;
#[cfg(feature = "hdf5")]
mod handle;
#[cfg(feature = "hdf5")]
mod left;
#[cfg(feature = "hdf5")]
mod lost;
#[cfg(feature = "hdf5")]
mod marks;
#[cfg(feature = "hdf5")]
mod packer;
#[cfg(feature = "hdf5")]
mod pair;
#[cfg(feature = "hdf5")]
mod plain;
#[cfg(feature = "hdf5")]
mod presence;
#[cfg(feature = "hdf5")]
mod read;
#[cfg(feature = "hdf5")]
mod recover;
#[cfg(feature = "hdf5")]
mod repack;
#[cfg(feature = "hdf5")]
mod request;
#[cfg(feature = "hdf5")]
mod resolve;
#[cfg(feature = "hdf5")]
mod stamping;
#[cfg(feature = "hdf5")]
mod status;
#[cfg(feature = "hdf5")]
mod through;
#[cfg(feature = "hdf5")]
mod unclaimed;
#[cfg(feature = "hdf5")]
mod values;
#[cfg(feature = "hdf5")]
mod view;
#[cfg(feature = "hdf5")]
mod writer;

pub use fence::Fence;
#[cfg(feature = "hdf5")]
pub use {
    crate::h5::{Attribute, Bundle, BundleSum, Content, Filters, H5Change, Listing, Member, Named, NewArray, NewTable},
    adopt::{Adopt, Adopted, Adoption, Before, Decision},
    bundle::AddBundle,
    commit::Durability,
    create::Progress,
    group::Group,
    handle::Store,
    pair::{Side, StorePair},
    presence::{ColumnPresence, Presence},
    read::Reader,
    recover::Recovery,
    status::{ColumnStatus, LostStatus, Status},
    values::{Block, CellState, Element, Values, check_fit},
    writer::{Commit, Writer},
};

// For the layers above that look at stamps and sidecar themselves.
#[cfg(feature = "hdf5")]
pub(crate) use {
    building::{Building, BuildingTable},
    cells::{for_each_cell, is_fill, read_stamps},
    create::UNFINISHED,
    left::Trust,
    packer::Packer,
    read::CellReader,
    read::still::Known,
    recover::unspent,
    resolve::header_of,
    unclaimed::Unclaimed,
    view::{Stamped, View},
};
