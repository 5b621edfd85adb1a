//! Commits beside commits and readers.

use crate::explore::{Outcome, holds, pick};
use crate::history::{Act, History};
use crate::world::World;
use std::sync::Arc;

type Body = Box<dyn FnOnce() -> Outcome + Send>;

/// A thread that makes these commits, one after another.
pub fn writing(world: &Arc<World>, history: &Arc<History>, acts: Vec<Act>) -> Body {
    let (world, history, mut writer) = (Arc::clone(world), Arc::clone(history), world.writer());
    Box::new(move || {
        let outcome = acts.iter().try_for_each(|act| world.commit(&history, &mut writer, act));
        world.give_back(writer);
        outcome
    })
}

/// The same where a value of another program may be in the way: such a commit is refused, and all is well.
pub fn writing_around(world: &Arc<World>, history: &Arc<History>, acts: Vec<Act>) -> Body {
    let (world, history, mut writer) = (Arc::clone(world), Arc::clone(history), world.writer());
    Box::new(move || {
        let outcome = acts.iter().try_for_each(|act| world.commit_around(&history, &mut writer, act));
        world.give_back(writer);
        outcome
    })
}

/// A thread that looks at all rows, again and again.
pub fn reading(world: &Arc<World>, history: &Arc<History>, times: usize) -> Body {
    let (world, history, mut reader) = (Arc::clone(world), Arc::clone(history), world.reader());
    Box::new(move || {
        let outcome = (0..times).try_for_each(|_| world.look(&history, &mut reader, false));
        world.give_back_reader(reader);
        outcome
    })
}

/// After all is over: one of the serial orders.
pub fn settled(world: &World, history: &History) -> Outcome {
    let mut reader = world.reader();
    let outcome = world.look(history, &mut reader, true);
    world.give_back_reader(reader);
    outcome
}

/// The commits of each thread, in a world; then what is there.
pub fn schedule(world: &Arc<World>, threads: Vec<Vec<Act>>, reads: usize) -> Outcome {
    world.begin();
    let history = Arc::new(World::history());
    let mut bodies: Vec<Body> = threads.into_iter().map(|acts| writing(world, &history, acts)).collect();
    if reads > 0 {
        bodies.push(reading(world, &history, reads));
    }
    World::run(bodies)?;
    settled(world, &history)?;
    world.memory.found().map_or(Ok(()), Err)
}

/// Each row is whole, old or new or not there; each acknowledged commit is there unless a later one
/// replaced it; in the end it is one of the serial orders.
fn any_commits(name: &str, writers: u64, commits: u64) {
    let world = World::new(false);
    holds(name, move || {
        let acts = |w: u64| (0..commits).map(|n| world.any_act(10 + 10 * w + n)).collect();
        schedule(&world, (0..writers).map(acts).collect(), 2)
    });
}

#[test]
fn two_writers_and_a_reader() {
    any_commits("two writers", 2, 2);
}

#[test]
fn three_writers_and_a_reader() {
    any_commits("three writers", 3, 1);
}

#[test]
fn three_writers_twice() {
    any_commits("three writers twice", 3, 2);
}

/// Cells of all rows of E lie in one sector, as do the stamps.
#[test]
fn neighbours_in_a_sector_do_not_disturb_each_other() {
    let world = World::new(false);
    holds("neighbours", move || {
        let act = |row: u64, value| Act { value, rows: row..row + 1, sets: [true; 3], hides: [true; 3] };
        let first = pick(2) as u64;
        let threads = vec![vec![act(first, 10), act(first, 11)], vec![act(first + 1, 20)], vec![act(first + 2, 30)]];
        schedule(&world, threads, 1)
    });
}
