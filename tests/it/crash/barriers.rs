//! What each sync of row commits is for: without it some state is wrong.

use super::deep::all_states;
use super::image::Barrier;
use super::rows::Bench;
use super::scenes::{Put, Scene, Shape, put};
use super::states::{Sampling, State};
use super::visit::visit;

const PLAIN: Shape = Shape { cell: 90, guard: false };
const GUARDED: Shape = Shape { cell: 90, guard: true };
const SAMPLED: u64 = 2000;

fn overwriting(shape: Shape) -> Scene {
    scene(shape, &[put(0..10, 1.0, Some(5))])
}

fn scene(shape: Shape, before: &[Put]) -> Scene {
    let step = |writer: &mut _| shape.put(writer, &[put(3..6, 20.0, Some(6))]);
    Scene::of(shape, before, &[&step])
}

/// All states are right with the barrier, and some state is wrong without it.
fn is_needed(scene: &Scene, barrier: Barrier, what: &str) {
    scene.crashed(SAMPLED).holds();
    scene.without(barrier).crashed(SAMPLED).must_be_wrong(what);
}

#[test]
fn the_record_before_anything_is_overwritten() {
    is_needed(&overwriting(PLAIN), Barrier::Sync(".writer", 0), "the record's sync");
}

#[test]
fn the_records_name_before_anything_is_overwritten() {
    let step = |writer: &mut _| PLAIN.put(writer, &[put(3..6, 20.0, Some(6))]);
    let mut scene = Scene::with_opening(PLAIN, &[put(0..10, 1.0, Some(5))], &[&step]);
    scene.recording.folders_are_new();
    is_needed(&scene, Barrier::Folder("records", 0), "the sync of the folder of records");
    is_needed(&scene, Barrier::Folder(".part", 0), "the sync of the sidecar");
    is_needed(&scene, Barrier::Folder("", 2), "the sync of the file's folder");
}

#[test]
fn writing_before_the_values() {
    is_needed(&scene(PLAIN, &[]), Barrier::Sync("a.h5", 0), "the sync of WRITING");
    is_needed(&overwriting(GUARDED), Barrier::Sync("a.h5", 0), "the sync of hidden guards");
}

#[test]
fn the_values_before_the_guard() {
    is_needed(&overwriting(GUARDED), Barrier::Sync("a.h5", 1), "the sync of values");
}

#[test]
fn the_values_before_the_final_stamps() {
    is_needed(&overwriting(PLAIN), Barrier::Sync("a.h5", 1), "the sync of values");
}

#[test]
fn the_guard_before_the_final_stamps() {
    is_needed(&overwriting(GUARDED), Barrier::Sync("a.h5", 2), "the sync of guards");
}

#[test]
fn the_final_stamps_before_the_acknowledgement() {
    is_needed(&overwriting(PLAIN), Barrier::Sync("a.h5", 2), "the sync of COMMITTED");
    is_needed(&overwriting(GUARDED), Barrier::Sync("a.h5", 3), "the sync of COMMITTED");
}

/// Removes one sync from every recovery that has this many.
fn is_needed_in_recovery(scene: &Scene, syncs: usize, ordinal: usize, what: &str) {
    let broken = |taken_out: bool| {
        let check = |bench: &mut Bench, state: &State<'_>| {
            bench.put(state);
            let recovery = bench.recorded_recovery()?;
            if recovery.syncs("a.h5") != syncs {
                return Ok(());
            }
            let recovery = if taken_out { recovery.without(Barrier::Sync("a.h5", ordinal)) } else { recovery };
            for (point, number) in all_states(&recovery) {
                let within = point.state(number);
                bench.put(&within);
                bench.check_before(&scene.expected, state.acknowledged())?;
                bench.recover()?;
                bench.check_after(&scene.expected, state.acknowledged())?;
            }
            Ok(())
        };
        visit(&scene.recording, Sampling::of(50), || Bench::new(&scene.recording), check)
    };
    broken(false).holds();
    broken(true).must_be_wrong(what);
}

/// Small, because every recovery of every state is crashed in every way.
const SMALL: Shape = Shape { cell: 40, guard: true };

#[test]
fn in_recovery_the_hidden_guard_before_the_old_values() {
    is_needed_in_recovery(&overwriting(SMALL), 3, 0, "the sync of hidden guards in recovery");
}

#[test]
fn in_recovery_the_old_values_before_stamps_and_guard() {
    is_needed_in_recovery(&overwriting(SMALL), 3, 1, "the sync of old values in recovery");
    let plain = Shape { guard: false, ..SMALL };
    is_needed_in_recovery(&overwriting(plain), 2, 0, "the sync of old values in recovery");
}

#[test]
fn in_recovery_the_stamps_before_the_record_is_gone() {
    is_needed_in_recovery(&overwriting(SMALL), 3, 2, "the sync of old stamps in recovery");
    let plain = Shape { guard: false, ..SMALL };
    is_needed_in_recovery(&overwriting(plain), 2, 1, "the sync of old stamps in recovery");
}
