//! Loss of power at any instant: every state of the disk that it may leave is recovered and checked.
//!
//! Work is recorded on a [`memory`] disk. All [`points`] of a recording at which the power may fail are visited. Of
//! each point all [`states`] are visited, or a sample if there are too many. `H5PART_CRASH_STATES` sets the size of the
//! sample, `H5PART_CRASH_SEED` selects another one.

mod barriers;
mod changed_barriers;
mod changing;
mod commits;
mod deep;
mod image;
mod ledger;
mod ledger_and_store;
mod memory;
mod names;
mod neighbours;
mod points;
mod rows;
mod scenes;
mod states;
mod structure;
mod visit;
mod wide;

/// The least number of states of each scenario. Scenarios of structure have few: each state takes visits of the
/// library.
const LEAST: [(&str, u64); 38] = [
    ("fresh", 140_000),
    ("fresh, guarded", 55_000),
    ("overwritten", 175_000),
    ("some columns", 95_000),
    ("guard set", 95_000),
    ("guard kept", 32_000),
    ("guard left out", 95_000),
    ("guard undefined", 55_000),
    ("expected", 32_000),
    ("group", 20_000),
    ("process", 48_000),
    ("reset", 80_000),
    ("series", 1400),
    ("names", 80),
    ("two writers", 5500),
    ("foreign", 160_000),
    ("rows, three deep", 11_000),
    ("guards, three deep", 6000),
    ("changes, three deep", 3000),
    ("replace", 35),
    ("new file", 27_000),
    ("wide, in place", 50),
    ("wide, in the log", 100),
    ("create", 1500),
    ("adopt", 1400),
    ("extend", 6500),
    ("attr", 900),
    ("compressed", 1200),
    ("shrink", 60),
    ("regrow", 3700),
    ("columns", 1300),
    ("bundle", 500),
    ("many", 1400),
    ("dimensions", 1400),
    ("changes", 1700),
    ("ledger", 1000),
    ("new ledger", 10),
    ("ledger and store", 500),
];

/// Prints the number of states.
fn counted(scenario: &str, states: u64) {
    println!("{scenario}: {states} states");
    let (_, least) = LEAST.iter().find(|(name, _)| *name == scenario).expect("in the list");
    assert!(states >= *least, "{scenario}: only {states} states");
}

#[test]
fn there_are_a_million_states() {
    assert!(LEAST.iter().map(|(_, least)| least).sum::<u64>() >= 1_000_000);
}
