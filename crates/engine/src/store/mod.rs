//! The store: one HDF5 file that many processes write in place, at once.
//!
//! [`Store`] opens or creates one; [`Writer`] commits rows; [`Reader`] reads them without keeping anyone waiting. Each
//! of them documents what may run beside it.

mod adopt;
mod attributes;
mod building;
mod bundle;
mod cells;
mod change;
mod columns;
mod commit;
mod create;
mod gate;
mod group;
mod handle;
mod lost;
mod marks;
mod packer;
mod pair;
mod presence;
mod read;
mod recover;
mod resolve;
mod stamping;
mod status;
mod table_view;
mod unclaimed;
mod values;
mod writer;

pub use {
    crate::h5::{
        Attribute, Bundle, BundleSum, Content, Coordinates, Dimensions, Filters, H5Change, Listing, Member, Named,
        NewArray, NewDimensions, NewTable,
    },
    adopt::{Adopt, Adopted, Adoption, Before, Decision},
    bundle::AddBundle,
    commit::Durability,
    create::Progress,
    group::Group,
    handle::{AsStore, Store},
    pair::{Side, StorePair},
    presence::{ColumnPresence, Presence},
    read::Reader,
    recover::Recovery,
    status::{ColumnStatus, LostStatus, Status},
    values::{Block, CellState, Element, Values, check_fit},
    writer::{Commit, Writer},
};

// For the upper layers that read stamps and sidecar themselves.
pub(crate) use {
    building::{Building, BuildingTable},
    cells::{for_each_cell, is_fill, read_stamps},
    create::UNFINISHED,
    packer::Packer,
    read::CellReader,
    read::still::Known,
    recover::{ForeignValues, unspent},
    resolve::header_of,
    table_view::{Stamped, TableView},
    unclaimed::Unclaimed,
};
