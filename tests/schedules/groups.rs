//! Groups of commits beside single ones, and beside a value of another program.

use crate::commits::{reading, settled, writing, writing_around};
use crate::explore::{Outcome, holds, pick};
use crate::history::{Act, End, History};
use crate::world::{Cells, World, is_foreign};
use h5part_base::dataspace::Rows;
use std::sync::Arc;

/// A thread that makes these commits as a group. `foreign`: the row in which E is not replaced.
fn grouping(
    world: &Arc<World>,
    history: &Arc<History>,
    acts: Vec<Act>,
    foreign: Option<u64>,
) -> Box<dyn FnOnce() -> Outcome + Send> {
    let (world, history, mut writer) = (Arc::clone(world), Arc::clone(history), world.writer());
    Box::new(move || {
        let numbers: Vec<usize> = acts.iter().map(|act| history.begin(act)).collect();
        let mut group = writer.group();
        for act in &acts {
            let values = Cells::of(act);
            group.commit(&Rows::range(act.rows.clone()), &values.sets(act)).map_err(|e| e.to_string())?;
        }
        let answers = group.finish();
        writer.pause();
        world.give_back(writer);
        for ((answer, number), act) in answers.into_iter().zip(numbers).zip(&acts) {
            let meets = act.sets[0] && foreign.is_some_and(|row| act.rows.contains(&row));
            match answer {
                Ok(_) if !meets => history.end(number, End::Acknowledged),
                Err(e) if meets && is_foreign(&e) => history.end(number, End::Refused),
                other => return Err(format!("{act:?}: {other:?}")),
            }
        }
        Ok(())
    })
}

#[test]
fn beside_single_commits_each_row_is_whole() {
    let world = World::new(false);
    holds("groups", move || {
        world.begin();
        let history = Arc::new(World::history());
        let acts = |from: u64| (from..from + 3).map(|value| world.any_act(value)).collect();
        let single = (0..2).map(|n| world.any_act(20 + n)).collect();
        let other =
            if pick(2) == 0 { writing(&world, &history, single) } else { grouping(&world, &history, acts(30), None) };
        World::run(vec![grouping(&world, &history, acts(10), None), other, reading(&world, &history, 2)])?;
        settled(&world, &history)
    });
}

/// The one that meets it is refused; the others are made.
#[test]
fn one_that_meets_a_foreign_value_fails_alone() {
    let world = World::new(false);
    holds("groups and a foreign value", move || {
        world.begin();
        let row = pick(2) as u64;
        world.memory.write(&77.0f64.to_le_bytes(), world.table.columns[0].direct().expect("direct").find(row).0);
        let history = Arc::new(World::history_with_foreign(row));
        let acts = |from: u64| (from..from + 3).map(|value| world.any_act(value)).collect();
        let single = writing_around(&world, &history, vec![world.any_act(20)]);
        World::run(vec![grouping(&world, &history, acts(10), Some(row)), single, reading(&world, &history, 2)])?;
        settled(&world, &history)
    });
}
