//! Crashes in all kinds of changes.

use super::counted;
use super::structure::Changed;
use crate::store::changes::{CHANGES, SUPERBLOCKS};
use h5part_engine::h5::Attribute;
use h5part_engine::store::Store;

/// States to take of a crash point that has too many.
const SAMPLED: u64 = 6;

fn crashed(number: usize) {
    let (name, change) = CHANGES[number];
    let changed = Changed::of(SUPERBLOCKS[number % SUPERBLOCKS.len()], &[&change]);
    counted(name, changed.crashed(SAMPLED).holds());
}

#[test]
fn a_table_is_created_or_not() {
    crashed(0);
}

#[test]
fn a_table_is_adopted_or_not() {
    crashed(1);
}

#[test]
fn a_table_is_extended_or_not() {
    crashed(2);
}

#[test]
fn attributes_are_set_or_not() {
    crashed(3);
}

#[test]
fn compressed_rows_are_committed_or_not() {
    crashed(4);
}

#[test]
fn a_file_shrinks_or_not() {
    crashed(5);
}

#[test]
fn a_file_shrinks_and_grows_or_not() {
    crashed(6);
}

#[test]
fn columns_are_added_or_not() {
    crashed(7);
}

#[test]
fn a_bundle_is_added_or_not() {
    crashed(8);
}

#[test]
fn many_datasets_are_made_or_none() {
    crashed(9);
}

#[test]
fn named_dimensions_are_made_or_not() {
    crashed(10);
}

/// The log of the next change overwrites the one before.
#[test]
fn one_change_after_another_is_made_or_not() {
    let set = |value: i64| move |store: &Store| store.set_attributes("t", &[("n".to_owned(), Attribute::Int(value))]);
    let changed = Changed::of(2, &[&set(1), &set(2), &set(3)]);
    counted("changes", changed.crashed(SAMPLED).holds());
}
