//! Loss of power with several writers: two side by side, and another program after them.

use super::counted;
use super::image::Op;
use super::rows::Bench;
use super::scenes::{Scene, Shape, Step, put};
use super::states::{Random, Sampling, State};
use super::visit::visit;

const SAMPLED: u64 = 300;

/// Merges the calls of two writers, keeping the order of each.
fn merged(one: &[Op], other: &[Op], mut first: impl FnMut(usize) -> bool) -> Vec<Op> {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    let mut all = Vec::new();
    while one.peek().is_some() || other.peek().is_some() {
        let take_first = other.peek().is_none() || (one.peek().is_some() && first(all.len()));
        all.extend(if take_first { one.next() } else { other.next() }.cloned());
    }
    all
}

/// Their rows and stamps lie in the same sectors, and each one's sync makes the other's durable.
#[test]
fn two_writers_of_neighbouring_rows_lose_nothing_to_each_other() {
    let mut states = 0;
    for guard in [false, true] {
        let shape = Shape { cell: 60, guard };
        let steps: [Step<'_>; 2] = [&|writer| shape.put(writer, &[put(2..4, 20.0, Some(6))]), &|writer| {
            shape.put(writer, &[put(4..7, 30.0, Some(7))]);
        }];
        let mut scene = Scene::of_writers(shape, &[put(0..6, 1.0, Some(5))], &steps);
        let log = std::mem::take(&mut scene.recording.log);
        let middle = 1 + log.iter().position(|op| *op == Op::Ack(1)).expect("there");
        let (one, other) = log.split_at(middle);
        for order in 0..8u64 {
            let mut random = Random::new(order);
            scene.recording.log = match order {
                0 => merged(one, other, |k| k % 2 == 0),
                1 => merged(one, other, |k| k % 2 == 1),
                2 => merged(other, one, |_| true),
                _ => merged(one, other, |_| random.next().is_multiple_of(2)),
            };
            states += scene.crashed(SAMPLED).holds();
        }
    }
    counted("two writers", states);
}

#[test]
fn what_another_program_wrote_after_the_crash_is_left_alone() {
    let mut states = 0;
    for (guard, cell) in [(false, (4, 0)), (false, (4, 1)), (true, (5, 1)), (true, (3, 0))] {
        let shape = Shape { cell: 250, guard };
        let step = |writer: &mut _| shape.put(writer, &[put(3..6, 20.0, Some(6))]);
        let scene = Scene::of(shape, &[put(0..10, 1.0, Some(5))], &[&step]);
        let bench = || Bench::new(&scene.recording);
        let check = |bench: &mut Bench, state: &State<'_>| bench.check_foreign(state, &scene.expected, cell);
        states += visit(&scene.recording, Sampling::of(SAMPLED), bench, check).holds();
    }
    counted("foreign", states);
}
