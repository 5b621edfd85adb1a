//! What each sync of a structural change is for. `changing` shows that all states are right with them.

use super::image::Barrier;
use super::structure::Changed;
use crate::store::changes::CHANGES;
use h5part_engine::h5::Attribute;
use h5part_engine::store::Store;

const SAMPLED: u64 = 6;

/// A change that grows the file and writes below its old end.
fn is_needed(barrier: Barrier, what: &str) {
    let changed = Changed::of(2, &[&CHANGES[0].1]);
    changed.without(barrier).crashed(SAMPLED).must_be_wrong(what);
}

#[test]
fn the_bytes_beyond_the_old_end_before_the_seal() {
    is_needed(Barrier::Sync("a.h5", 0), "the sync of the grown file");
}

#[test]
fn the_log_before_its_seal() {
    is_needed(Barrier::Sync("change.log", 0), "the sync of the log");
}

#[test]
fn the_seal_before_the_change_is_applied() {
    is_needed(Barrier::Sync("change.log", 1), "the sync of the seal");
}

#[test]
fn the_applied_change_before_the_log_is_spent() {
    is_needed(Barrier::Sync("a.h5", 1), "the sync of the changed file");
}

/// Without it the old log comes back, beside what was changed since.
#[test]
fn the_spent_mark_before_the_return() {
    let set = |value: i64| move |store: &Store| store.set_attributes("t", &[("n".to_owned(), Attribute::Int(value))]);
    let changed = Changed::of(2, &[&set(1), &set(2)]);
    changed.without(Barrier::Sync("change.log", 2)).crashed(SAMPLED).must_be_wrong("the sync of the spent mark");
}

#[test]
fn the_logs_name_before_its_bytes_are_needed() {
    is_needed(Barrier::Folder(".part", 0), "the sync of the sidecar");
}

/// Nobody has synced the sidecar's name yet.
#[test]
fn the_sidecars_name_before_its_log_is_needed() {
    let new = || {
        let mut changed = Changed::of(2, &[&CHANGES[3].1]);
        changed.recording.folders_are_new();
        changed
    };
    new().crashed(SAMPLED).holds();
    new().without(Barrier::Folder("", 1)).crashed(SAMPLED).must_be_wrong("the sync of the file's folder");
}
