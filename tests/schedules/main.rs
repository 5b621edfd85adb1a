//! The protocols under every order of steps that a scheduler comes up with.
//!
//! These are the real commits, recoveries and locks. Shuttle runs the threads of a schedule as coroutines of
//! one thread, and switches between them where they touch the store's bytes ([`memory`]) and where they
//! pause for a lock (`Patience::sleep`); locks that belong to descriptors exclude coroutines as they exclude
//! processes. The calls of the HDF5 library have no such points: its own lock knows threads only.
//!
//! A schedule that fails is printed. To run it again:
//! `H5PART_SCHEDULE='91...' cargo nextest run --release -E 'binary(schedules) & test(=NAME)'`.
//! `H5PART_SCHEDULES=10` explores ten times as many.

#![expect(
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "a world is asked, whatever it needs for the answer"
)]

mod broken;
mod commits;
mod deaths;
mod explore;
mod foreign;
mod groups;
mod guards;
mod history;
mod ledger;
mod locks;
mod memory;
mod rows;
mod tasks;
mod world;
