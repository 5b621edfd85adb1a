//! Loss of power at any instant: every state of the disk that it may leave is recovered and checked.
//!
//! Work is recorded on a [`memory`] disk. Of each recording all [`points`] are taken at which the power may
//! fail, and of each point all [`states`], or, where they are too many, some. More of those are taken where
//! `H5PART_CRASH_STATES` asks for it, others where `H5PART_CRASH_SEED` does.

mod barriers;
mod changed_barriers;
mod changing;
mod commits;
mod deep;
mod image;
mod memory;
mod names;
mod neighbours;
mod points;
mod rows;
mod scenes;
mod states;
mod structure;
mod visit;

/// States that each scenario has at least.
const LEAST: [(&str, u64); 11] = [
    ("fresh", 1),
    ("fresh, guarded", 1),
    ("overwritten", 1),
    ("some columns", 1),
    ("guard set", 1),
    ("guard left out", 1),
    ("guard undefined", 1),
    ("group", 1),
    ("process", 1),
    ("reset", 1),
    ("series", 1),
];

/// Tells how many states there were.
fn counted(scenario: &str, states: u64) {
    println!("{scenario}: {states} states");
    let least = LEAST.iter().find(|(name, _)| *name == scenario).map_or(0, |(_, least)| *least);
    assert!(states >= least, "{scenario}: only {states} states");
}
