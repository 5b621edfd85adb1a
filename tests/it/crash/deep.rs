//! Loss of power in recovery, and in the recovery from that, to a depth of three.

use super::counted;
use super::image::Recording;
use super::points::points;
use super::rows::{Bench, Expected};
use super::scenes::{Scene, Shape, Step, put};
use super::states::{Point, Random, Sampling, State};
use super::structure::{Bench as Stage, Changed};
use super::visit::visit;
use crate::store::changes::CHANGES;
use std::sync::atomic::{AtomicU64, Ordering};

/// Crashes within the recovery.
const DEPTH: u32 = 3;
/// States to take of each crash.
const WIDTH: u64 = 6;

/// Recovers a state, checks it, and crashes that recovery in turn.
struct Fall<'a> {
    expected: &'a Expected,
    acknowledged: u64,
    states: &'a AtomicU64,
    random: Random,
    width: u64,
}

impl Fall<'_> {
    fn from(&mut self, bench: &mut Bench, state: &State<'_>, deeper: u32) -> Result<(), String> {
        self.states.fetch_add(1, Ordering::Relaxed);
        let why = |e| format!("{deeper} levels before the end: {e}, {state:?}");
        bench.put(state);
        bench.check_before(self.expected, self.acknowledged).map_err(why)?;
        let recovery = bench.recorded_recovery()?;
        bench.check_after(self.expected, self.acknowledged).map_err(why)?;
        if deeper == 0 {
            return Ok(());
        }
        let all = all_states(&recovery);
        let count = all.len() as u64;
        for k in 0..count.min(self.width) {
            let pick = if count <= self.width { k } else { self.random.next() % count };
            let (point, number) = &all[usize::try_from(pick).expect("small")];
            self.from(bench, &point.state(*number), deeper - 1)?;
        }
        Ok(())
    }
}

/// All states of a recording; points with very many are sampled. This is feasible because recoveries are short.
pub fn all_states(recording: &Recording) -> Vec<(std::rc::Rc<Point>, u64)> {
    let sampling = Sampling { states: 200, seed: 1, exhaustive: 1 << 10 };
    let points = points(recording, sampling).into_iter().map(std::rc::Rc::new);
    points
        .flat_map(|point| (0..point.count(sampling)).map(move |number| (std::rc::Rc::clone(&point), number)))
        .collect()
}

fn three_deep(scene: &Scene) -> u64 {
    let (states, sampling) = (AtomicU64::new(0), Sampling::of(WIDTH));
    let check = |bench: &mut Bench, state: &State<'_>| {
        let random = Random::new(sampling.seed ^ state.seed());
        let (expected, acknowledged) = (&scene.expected, state.acknowledged());
        let mut fall = Fall { expected, acknowledged, states: &states, random, width: sampling.states };
        fall.from(bench, state, DEPTH)
    };
    visit(&scene.recording, Sampling { states: 60, ..sampling }, || Bench::new(&scene.recording), check).holds();
    states.into_inner()
}

#[test]
fn a_recovery_of_rows_that_is_crashed_three_times_ends_as_one_that_is_not() {
    let shape = Shape { cell: 60, guard: false };
    let step = |writer: &mut _| shape.put(writer, &[put(3..6, 20.0, Some(6))]);
    counted("rows, three deep", three_deep(&Scene::of(shape, &[put(0..10, 1.0, Some(5))], &[&step])));
}

#[test]
fn so_does_one_of_rows_with_a_guard() {
    let shape = Shape { cell: 40, guard: true };
    let steps: [Step<'_>; 2] = [&|writer| shape.put(writer, &[put(3..6, 20.0, Some(6))]), &|writer| {
        shape.put(writer, &[put(4..7, 30.0, None)]);
    }];
    counted("guards, three deep", three_deep(&Scene::of(shape, &[put(0..10, 1.0, Some(5))], &steps)));
}

/// The same for a structural change: the recovery that applies or undoes its log is crashed, too.
fn fall(
    changed: &Changed,
    bench: &Stage,
    state: &State<'_>,
    acknowledged: u64,
    random: &mut Random,
    deeper: u32,
) -> Result<u64, String> {
    let recovery = changed.recorded_recovery(bench, state, acknowledged)?;
    let mut states = 1;
    if deeper > 0 {
        let all = all_states(&recovery);
        for _ in 0..3 {
            let (point, number) = &all[usize::try_from(random.next() % all.len() as u64).expect("small")];
            states += fall(changed, bench, &point.state(*number), acknowledged, random, deeper - 1)?;
        }
    }
    Ok(states)
}

#[test]
fn so_does_one_of_a_structural_change() {
    let states = AtomicU64::new(0);
    let changed = Changed::of(0, &[&CHANGES[3].1]);
    let sampling = Sampling { exhaustive: 1, ..Sampling::of(3) };
    let check = |bench: &mut Stage, state: &State<'_>| {
        let mut random = Random::new(sampling.seed ^ state.seed());
        let fallen = fall(&changed, bench, state, state.acknowledged(), &mut random, DEPTH)?;
        states.fetch_add(fallen, Ordering::Relaxed);
        Ok(())
    };
    visit(&changed.recording, sampling, Stage::new, check).holds();
    counted("changes, three deep", states.into_inner());
}
