//! All integration tests in one binary: it is linked once.

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
