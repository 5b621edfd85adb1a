//! The ledger as programs and users meet it.

mod commands;
mod damage;
mod faults;
mod kills;
mod owners;
mod texts;

use h5part::ledger::{Claim, ClaimOptions, Claimed, End, Ledger, NameList, NewLedger, Owner, OwnerId};
use h5part_base::lock::{Fate, ProcessId};
use std::path::Path;
use std::time::Duration;

/// An owner whose process has ended.
pub fn dead_owner() -> Owner {
    let mut child = std::process::Command::new("sleep").arg("100").spawn().expect("starts");
    let process = ProcessId::of(i32::try_from(child.id()).expect("pid")).expect("is there");
    child.kill().expect("kills");
    child.wait().expect("ends");
    assert_eq!(process.fate(), Fate::Ended);
    Owner::of(process)
}

/// An owner on another host: only its beat shows that it lives.
pub fn owner_elsewhere() -> Owner {
    let mut owner = Owner::this_process();
    "another-host".clone_into(&mut owner.process.host);
    owner
}

/// Claims up to `count` tasks that can be claimed now.
pub fn claim(ledger: &Ledger, owner: OwnerId, count: u64) -> Vec<Claim> {
    match ledger.claim(owner, &ClaimOptions { count, delay: Duration::ZERO }).expect("claims") {
        Claimed::Tasks(claims) => claims,
        Claimed::Nothing { .. } => Vec::new(),
    }
}

/// Ends tasks that were held.
pub fn end(ledger: &Ledger, claims: &[Claim], end: End) {
    for told in ledger.finish_all(claims, end).expect("tells") {
        told.expect("holds");
    }
}

/// Tasks `task 0`, `task 1`...
pub fn tasks(count: u64) -> NewLedger {
    let names: Vec<String> = (0..count).map(|k| format!("task {k}")).collect();
    NewLedger::of_names(NameList::try_from(names.as_slice()).expect("names"))
}

/// The same, created on disk.
pub fn ledger(path: &Path, count: u64) -> Ledger {
    tasks(count).create(path).expect("makes");
    Ledger::open(path).expect("opens")
}

/// The latest claims of tasks.
pub fn latest(ledger: &Ledger, places: std::ops::Range<u64>) -> h5part::Result<Vec<Claim>> {
    places.map(|place| ledger.claim_named(&format!("task {place}"), ledger.task(place)?.fence)).collect()
}
