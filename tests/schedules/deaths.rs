//! A writer dies at any of its writes, beside others that commit, read and recover.

use crate::commits::{reading, settled, writing};
use crate::explore::{Outcome, holds, pick, repeats};
use crate::history::{Act, End, History};
use crate::memory::Process;
use crate::world::{World, put};
use h5part_engine::store::{Durability, Recovery};
use std::sync::Arc;

type Body = Box<dyn FnOnce() -> Outcome + Send>;

/// More than a commit of two rows writes.
const WRITES: usize = 14;

/// A thread whose process dies in its commit, or not at all. It is opened here: that waits for no other.
pub fn dying(world: &Arc<World>, history: &Arc<History>, act: Act, process: &Process) -> Body {
    let mut writer = world.store(process.clone()).writer("t").expect("writer");
    writer.set_durability([Durability::Process, Durability::Power][pick(2)]);
    process.dies_after(pick(WRITES) as u64);
    let history = Arc::clone(history);
    Box::new(move || {
        let number = history.begin(&act);
        let outcome = put(&mut writer, &act);
        history.end(
            number,
            match outcome {
                Ok(()) => End::Acknowledged,
                Err(_) if writer.is_poisoned() => End::Died,
                Err(_) => End::Refused,
            },
        );
        // The kernel closes its files.
        drop(writer);
        Ok(())
    })
}

/// A thread that looks after the dead, as one who knows of them does.
pub fn recovering(world: &Arc<World>, times: usize) -> Body {
    let (world, mut writer) = (Arc::clone(world), world.writer());
    Box::new(move || {
        for _ in 0..times {
            writer.recover().map_err(|e| e.to_string())?;
            writer.pause();
        }
        world.give_back(writer);
        Ok(())
    })
}

/// The same, of all tables.
fn recovering_all(world: &Arc<World>) -> Body {
    let store = world.store(world.process());
    Box::new(move || store.recover().map(|_| ()).map_err(|e| e.to_string()))
}

/// Whatever was left is put back, and nothing is left to do.
pub fn put_back(world: &World) -> Outcome {
    let mut writer = world.writer();
    writer.recover().map_err(|e| e.to_string())?;
    let again = writer.recover().map_err(|e| e.to_string())?;
    writer.pause();
    world.give_back(writer);
    if again == Recovery::default() { Ok(()) } else { Err(format!("recovered once more: {again:?}")) }
}

/// Who takes part beside those who die.
#[derive(Clone, Copy, Default)]
pub struct Others {
    pub dying: u64,
    pub writers: u64,
    pub recoveries: usize,
    /// Of all tables.
    pub whole_recoveries: usize,
    pub reads: usize,
}

pub fn schedule(world: &Arc<World>, others: Others, process: &dyn Fn() -> Process) -> Outcome {
    world.begin();
    let history = Arc::new(World::history());
    let mut bodies: Vec<Body> =
        (0..others.dying).map(|n| dying(world, &history, world.any_act(10 + n), &process())).collect();
    bodies.extend((0..others.writers).map(|n| writing(world, &history, vec![world.any_act(20 + n)])));
    bodies.extend((0..others.recoveries).map(|_| recovering(world, 2)));
    bodies.extend((0..others.whole_recoveries).map(|_| recovering_all(world)));
    if others.reads > 0 {
        bodies.push(reading(world, &history, others.reads));
    }
    World::run(bodies)?;
    put_back(world)?;
    settled(world, &history)?;
    world.memory.found().map_or(Ok(()), Err)
}

fn whole_rows_beside(name: &str, others: Others) {
    let world = World::new(false);
    holds(name, move || schedule(&world, others, &|| world.process()));
}

/// Those who meet its rows recover by themselves.
#[test]
fn two_writers_and_a_reader_beside_a_death() {
    whole_rows_beside("a death beside writers", Others { dying: 1, writers: 2, reads: 2, ..Others::default() });
}

#[test]
fn two_recoveries_and_a_writer_beside_a_death() {
    whole_rows_beside("a death beside recoveries", Others { dying: 1, writers: 1, recoveries: 2, ..Others::default() });
}

#[test]
fn two_deaths_and_a_recovery() {
    whole_rows_beside("two deaths and a recovery", Others { dying: 2, recoveries: 1, reads: 1, ..Others::default() });
}

#[test]
fn two_deaths_a_writer_and_a_recovery() {
    whole_rows_beside(
        "two deaths, a writer and a recovery",
        Others { dying: 2, writers: 1, recoveries: 1, reads: 1, ..Others::default() },
    );
}

#[test]
fn two_recoveries_of_all_tables_and_a_writer_beside_a_death() {
    whole_rows_beside(
        "a death beside recoveries of all tables",
        Others { dying: 1, writers: 1, whole_recoveries: 2, ..Others::default() },
    );
}

/// Else a schedule that was printed would be worth nothing.
#[test]
fn a_schedule_does_the_same_again() {
    let world = World::new(true);
    let others = Others { dying: 2, writers: 1, recoveries: 1, reads: 1, ..Others::default() };
    repeats(300, move || schedule(&world, others, &|| world.process()));
}
