//! All integration tests in one binary: it is linked once.

#![expect(
    clippy::cast_precision_loss,
    clippy::float_cmp,
    clippy::format_push_string,
    clippy::format_collect,
    clippy::single_range_in_vec_init,
    reason = "small numbers, exact values, texts of tests"
)]

mod bad_input;
mod cli;
mod crate_api;
mod direct;
mod examples;
mod faults;
mod foreign;
mod h5py;
mod layers;
mod model;
mod processes;
mod support;
