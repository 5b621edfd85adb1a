//! The store: tables, columns, stamps, structure, and the changes of other programs.

mod addresses;
mod adopt;
mod aliases;
mod aside;
mod bundles;
pub mod changes;
pub mod columns;
mod crate_api;
mod descriptors;
mod direct;
mod foreign;
mod front_door;
mod groups;
pub mod guard;
mod left;
mod lost;
mod marks;
mod model;
mod names;
mod packed;
mod pair;
mod structure;
mod texts;
mod types;
mod unwritten;
mod verify;
pub mod wide;
