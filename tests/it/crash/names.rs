//! Loss of power while a file takes its name.

use super::counted;
use super::image::{Barrier, Image, Recording};
use super::memory::Memory;
use super::states::{Sampling, State};
use super::visit::{Visited, visit};
use crate::common::content::content;
use crate::common::support::{Scratch, small_table};
use h5part_base::storage::{Mode, Storage, replace};
use h5part_engine::store::Store;
use std::path::Path;
use std::sync::{Arc, Mutex};

const SAMPLED: u64 = 100;

/// A ledger of three lines, each of which takes two sectors.
fn ledger(line: usize) -> Vec<u8> {
    format!("{line}").repeat(1000).into_bytes()
}

/// The ledger is replaced twice.
fn replaced() -> Recording {
    let scratch = Scratch::new();
    std::fs::write(scratch.path("ledger"), ledger(0)).expect("write");
    let memory = Memory::taken_from(scratch.path("ledger").parent().expect("folder"));
    memory.record();
    for line in 1..3 {
        let new =
            scratch.path("ledger.new").parent().expect("folder").canonicalize().expect("folder").join("ledger.new");
        memory.open(&new, Mode::CreateNew).expect("new").write_at(&ledger(line), 0).expect("write");
        replace(&memory, &new, &new.with_file_name("ledger")).expect("replace");
        memory.acknowledge(1 << (line - 1));
    }
    memory.recorded()
}

fn ledgers(recording: &Recording) -> Visited {
    let check = |(): &mut (), state: &State<'_>| {
        let image = state.image();
        let least = usize::try_from(state.acknowledged().count_ones()).expect("small");
        let found = (least..3).find(|line| image.bytes("ledger") == ledger(*line));
        found.map(|_| ()).ok_or_else(|| format!("{} bytes, and none of a ledger", image.bytes("ledger").len()))
    };
    visit(recording, Sampling::of(SAMPLED), || (), check)
}

#[test]
fn a_file_that_is_replaced_is_old_or_new() {
    counted("replace", ledgers(&replaced()).holds());
}

#[test]
fn the_file_before_it_is_renamed() {
    ledgers(&replaced().without(Barrier::Sync("ledger.new", 0))).must_be_wrong("the sync of the new file");
}

#[test]
fn the_folder_before_the_acknowledgement() {
    ledgers(&replaced().without(Barrier::Folder("", 0))).must_be_wrong("the sync of the folder");
}

/// A store is made in an empty folder.
fn created() -> (Recording, Image) {
    let scratch = Scratch::new();
    let path = scratch.path("a.h5");
    let memory = Memory::taken_from(path.parent().expect("folder"));
    let store = Store::new(&path).expect("path").with_storage(Arc::new(memory.clone()));
    memory.record();
    store.create(&small_table(10), &|_, _| ()).expect("create");
    memory.acknowledge(1);
    (memory.recorded(), memory.image())
}

fn creations((recording, end): &(Recording, Image)) -> Visited {
    let known = Mutex::new(Vec::new());
    let seen = |bytes: &[u8], scratch: &Scratch| {
        let path = scratch.path("seen.h5");
        std::fs::write(&path, bytes).expect("write");
        content(&path).map_err(|e| e.to_string())
    };
    let whole = seen(end.bytes("a.h5"), &Scratch::new()).expect("opens");
    let check = |scratch: &mut Scratch, state: &State<'_>| {
        let image = state.image();
        if image.number(Path::new("a.h5")).is_none() {
            let lost = state.acknowledged() > 0;
            return if lost { Err("an acknowledged file is not there".to_owned()) } else { Ok(()) };
        }
        let bytes = image.bytes("a.h5").to_vec();
        if !known.lock().expect("lock").contains(&bytes) {
            if seen(&bytes, scratch)? != whole {
                return Err("it has another content".to_owned());
            }
            known.lock().expect("lock").push(bytes);
        }
        Ok(())
    };
    visit(recording, Sampling::of(SAMPLED), Scratch::new, check)
}

#[test]
fn a_new_file_is_there_as_a_whole_or_not_at_all() {
    counted("new file", creations(&created()).holds());
}

#[test]
fn the_new_file_before_it_takes_its_name() {
    let (recording, end) = created();
    creations(&(recording.without(Barrier::Sync("a.h5", 0)), end)).must_be_wrong("the sync of the new file");
}

#[test]
fn the_name_of_the_new_file_before_the_acknowledgement() {
    let (recording, end) = created();
    creations(&(recording.without(Barrier::Folder("", 0)), end)).must_be_wrong("the sync of its folder");
}
