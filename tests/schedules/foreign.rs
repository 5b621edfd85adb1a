//! A stock program changes a cell between commits, deaths and recoveries: never unnoticed.

use crate::commits::writing_around;
use crate::deaths::{self, dying, recovering};
use crate::explore::{Outcome, holds, is_found, pick};
use crate::history::Act;
use crate::world::{COLUMNS, World, address};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the stock program writes into E.
const THEIRS: u64 = 77;

/// Locks the file as the HDF5 library does, writes, and closes it. Tells whether a writer had died in the
/// cell: then it has no value, whoever writes there.
fn changing(world: &Arc<World>, row: u64, in_dead_cell: &Arc<AtomicBool>) -> Box<dyn FnOnce() -> Outcome + Send> {
    let (world, in_dead_cell) = (Arc::clone(world), Arc::clone(in_dead_cell));
    let file = File::options().read(true).write(true).open(&world.paths.file).expect("opens");
    Box::new(move || {
        while file.try_lock().is_err() {
            shuttle::thread::yield_now();
        }
        let mut stamp = [0; 8];
        world.memory.read(&mut stamp, world.table.stamps.as_ref().expect("stamps").layout.find(row).0);
        in_dead_cell.store(stamp[0] & 0x7f == 1, Ordering::Relaxed);
        world.memory.write(&theirs(), world.table.columns[0].direct().expect("direct").find(row).0);
        Ok(())
    })
}

fn theirs() -> [u8; 8] {
    f64::from(u32::try_from(THEIRS).expect("small")).to_le_bytes()
}

fn schedule(world: &Arc<World>, deaths: u64, writers: u64, recoveries: usize) -> Outcome {
    world.begin();
    assert_eq!(world.table.columns[0].name, COLUMNS[0]);
    let (history, row) = (Arc::new(World::history()), pick(3) as u64);
    let in_dead_cell = Arc::new(AtomicBool::new(false));
    let act = |value| Act { rows: row..row + 1, ..world.any_act(value) };
    let mut bodies = vec![changing(world, row, &in_dead_cell)];
    bodies.extend((0..deaths).map(|n| dying(world, &history, act(10 + n), &world.process())));
    bodies.extend((0..writers).map(|n| writing_around(world, &history, vec![act(20 + n), act(30 + n)])));
    bodies.extend((0..recoveries).map(|_| recovering(world, 1)));
    World::run(bodies)?;
    deaths::put_back(world)?;
    let mut now = [0; 8];
    world.memory.read(&mut now, address(world.table.columns[0].direct().expect("direct"), row) as u64);
    let overwritten = now != theirs();
    if overwritten && !in_dead_cell.load(Ordering::Relaxed) {
        return Err(format!("row {row} holds {now:?}: {history:?}"));
    }
    Ok(())
}

#[test]
fn a_change_beside_commits_stays() {
    let world = World::new(false);
    world.forget_witness();
    holds("a foreign change beside commits", move || schedule(&world, 0, 2, 0));
}

#[test]
fn a_change_beside_a_death_and_recoveries_stays() {
    let world = World::new(false);
    world.forget_witness();
    holds("a foreign change beside a death", move || schedule(&world, 1, 1, 1));
}

/// Nothing here moves the change time of the file, so that cells without a stamp are not looked at.
#[test]
fn a_witness_that_sees_nothing_is_found() {
    let world = World::new(false);
    is_found(1_000, move || schedule(&world, 0, 2, 0));
}
