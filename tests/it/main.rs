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

mod common;
mod copies;
mod crash;
mod frontends;
mod house;
mod peers;
mod program;
mod reading;
mod store;
mod tasks;
mod together;
