//! What is broken on purpose is found: the exploration can fail.

use crate::commits::{settled, writing};
use crate::deaths::{self, Others};
use crate::explore::is_found;
use crate::guards;
use crate::history::Act;
use crate::memory::{Process, explored};
use crate::world::{UNDEFINED, World, patience, put};
use h5part_engine::store::Store;
use std::ops::Range;
use std::sync::Arc;

fn stamps(world: &World) -> Range<u64> {
    let layout = &world.table.stamps.as_ref().expect("stamps").layout;
    layout.find(0).0..layout.end()
}

/// A commit of both columns to rows 0 and 1.
fn whole(value: u64) -> Act {
    Act { value, rows: 0..2, sets: [true; 3], hides: [true; 3] }
}

/// Every process runs a broken h5part.
fn losing(world: &World, lost: crate::memory::Lost) -> Process {
    world.process().losing(lost, stamps(world))
}

#[test]
fn values_that_are_written_without_a_word_before() {
    let world = World::new(false);
    let writing = |address: u64, bytes: &[u8], stamps: &Range<u64>| stamps.contains(&address) && bytes[0] & 0x7f == 1;
    is_found(1_000, move || {
        let others = Others { dying: 1, reads: 1, ..Others::default() };
        deaths::schedule(&world, others, &|| losing(&world, writing))
    });
}

/// Two writers whose locks are not the same: as in two containers that see two lock files.
#[test]
fn writers_whose_locks_do_not_meet() {
    let (world, elsewhere) = (World::new(false), World::new(false));
    is_found(1_000, move || {
        world.begin();
        let history = Arc::new(World::history());
        let process = Process::new(&world.memory, &elsewhere.paths.file);
        let store = Store::open(&elsewhere.paths.file).expect("opens").with_storage(Arc::new(process));
        let mut stranger = store.with_patience(patience()).writer("t").expect("writer");
        let (at, of) = (Arc::clone(&world), Arc::clone(&history));
        let strange = Box::new(move || at.commit(&of, &mut stranger, &whole(10)));
        World::run(vec![strange, writing(&world, &history, vec![whole(20)])])?;
        settled(&world, &history)
    });
}

#[test]
fn values_that_are_overwritten_without_a_record() {
    let world = World::new(false);
    is_found(1_000, move || {
        let others = Others { dying: 1, reads: 1, ..Others::default() };
        deaths::schedule(&world, others, &|| losing(&world, |_, bytes, _| bytes.starts_with(b"h5partR")))
    });
}

#[test]
fn a_guard_that_goes_on_speaking() {
    let world = guards::world();
    is_found(1_000, move || {
        world.begin();
        let undefined =
            |_: u64, bytes: &[u8], _: &Range<u64>| bytes.chunks_exact(8).all(|cell| cell == UNDEFINED.to_le_bytes());
        let mut writer = world.store(losing(&world, undefined)).writer("t").expect("writer");
        explored(|| put(&mut writer, &whole(10))).map_err(|e| e.to_string())?;
        world.memory.found().map_or(Ok(()), Err)
    });
}
