//! All integration tests in one binary: it is linked once.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::single_range_in_vec_init,
    clippy::unreadable_literal,
    reason = "small numbers, exact values, texts of tests"
)]

mod addresses;
mod adopt;
mod aliases;
mod aside;
mod bad_input;
mod bigplanet;
mod bundles;
mod changes;
mod choices;
mod cli;
mod columns;
mod content;
mod copies;
mod copying;
mod courtesy;
mod crash;
mod crate_api;
mod decoders;
mod descriptors;
mod direct;
mod doctor;
mod every_fault;
mod everyday;
mod examples;
mod faults;
mod foreign;
mod front_door;
mod groups;
mod guard;
mod h5py;
mod interleavings;
mod interop;
mod killing;
mod layers;
mod ledger;
mod left;
mod lost;
mod marks;
mod mbe;
mod merge;
mod merge_concat;
mod merge_differences;
mod model;
mod monitor;
mod multiplanet;
mod names;
mod outputs;
mod packed;
mod pair;
mod planets;
mod pools;
mod power;
mod processes;
mod public_api;
mod publish;
mod publish_faults;
mod readers_beside;
mod reading;
mod run;
mod sealed;
mod slurm;
mod stopping;
mod strange;
mod structure;
mod support;
mod system;
mod texts;
mod unknown_origin;
mod unwritten;
mod verify;
mod vspace;
mod wide;
