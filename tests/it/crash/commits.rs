//! Loss of power in a row commit: each of its rows is old or new, and new once the commit is acknowledged.

use super::counted;
use super::scenes::{Put, Scene, Shape, Step, UNDEFINED, put};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{Durability, Writer};

/// Three rows are 14 sectors.
const WIDE: Shape = Shape { cell: 250, guard: false };
const GUARDED: Shape = Shape { cell: 250, guard: true };
/// States to take of a crash point that has too many.
const SAMPLED: u64 = 500;

/// Three rows are overwritten, once with each beginning.
fn overwritten(shape: Shape, old: Option<i64>, new: Option<i64>, starts: &[u64]) -> u64 {
    let of_start = |&start: &u64| {
        let before = [put(0..10, 1.0, old)];
        let scene = Scene::of(shape, &before, &[&|writer| shape.put(writer, &[put(start..start + 3, 20.0, new)])]);
        scene.crashed(SAMPLED).holds()
    };
    starts.iter().map(of_start).sum()
}

fn fresh(shape: Shape, status: Option<i64>, starts: &[u64]) -> u64 {
    let of_start = |&start: &u64| {
        // Neighbours in the same sectors have values.
        let before: Vec<Put> =
            [0..start, start + 3..10].into_iter().filter(|r| !r.is_empty()).map(|r| put(r, 1.0, status)).collect();
        let step = |writer: &mut _| shape.put(writer, &[put(start..start + 3, 20.0, status)]);
        Scene::of(shape, &before, &[&step]).crashed(SAMPLED).holds()
    };
    starts.iter().map(of_start).sum()
}

#[test]
fn fresh_rows_are_there_or_not() {
    counted("fresh", fresh(WIDE, Some(5), &[0, 2, 4, 6, 7]));
}

#[test]
fn fresh_rows_with_a_guard_are_there_or_not() {
    counted("fresh, guarded", fresh(GUARDED, Some(5), &[0, 3, 5, 7]));
}

#[test]
fn overwritten_rows_are_old_or_new() {
    counted("overwritten", overwritten(WIDE, Some(5), Some(6), &[0, 3, 5, 7]));
}

#[test]
fn rows_overwritten_in_some_columns_are_old_or_new() {
    counted("some columns", overwritten(WIDE, Some(5), None, &[1, 4, 6]));
}

#[test]
fn overwritten_rows_whose_guard_is_set_are_old_or_new() {
    counted("guard set", overwritten(GUARDED, Some(5), Some(6), &[1, 3, 6]));
}

#[test]
fn overwritten_rows_that_keep_their_guard_are_old_or_new() {
    counted("guard kept", overwritten(GUARDED, Some(5), Some(5), &[4]));
}

#[test]
fn overwritten_rows_whose_guard_is_left_out_are_old_or_new() {
    counted("guard left out", overwritten(GUARDED, Some(5), None, &[2, 4, 6]));
}

#[test]
fn overwritten_rows_become_undefined_or_not() {
    counted("guard undefined", overwritten(GUARDED, Some(5), Some(UNDEFINED), &[0, 5]));
}

/// Values that another program left there are not kept. The guard says so until the new values are there.
#[test]
fn rows_committed_where_the_guard_says_nothing_are_there_or_not() {
    let step = |writer: &mut Writer| GUARDED.put_where_undefined(writer, 3..6, 20.0, 6);
    let before = [put(0..3, 1.0, Some(5)), put(6..9, 1.0, Some(5))];
    let alone = Scene::of(GUARDED, &before, &[&step]).crashed(SAMPLED).holds();
    counted("expected", alone + Scene::after_another(GUARDED, &before, 4, &[&step]).crashed(SAMPLED).holds());
}

#[test]
fn a_group_is_made_commit_by_commit() {
    let mut states = 0;
    for guard in [false, true] {
        let shape = Shape { cell: 90, guard };
        let (one, two) =
            ([put(0..2, 20.0, Some(6)), put(4..5, 30.0, Some(7)), put(8..10, 40.0, Some(8))], put(4..6, 50.0, None));
        let steps: [Step<'_>; 2] =
            [&|writer| shape.put(writer, &one), &|writer| shape.put(writer, std::slice::from_ref(&two))];
        states += Scene::of(shape, &[put(0..5, 1.0, Some(5))], &steps).crashed(SAMPLED).holds();
    }
    counted("group", states);
}

#[test]
fn a_commit_without_syncs_over_durable_values_keeps_them() {
    let step = |writer: &mut Writer| {
        writer.set_durability(Durability::Process);
        WIDE.put(writer, &[put(3..6, 20.0, Some(6))]);
    };
    counted("process", Scene::of(WIDE, &[put(0..10, 1.0, Some(5))], &[&step]).crashed(SAMPLED).holds());
}

#[test]
fn rows_that_are_reset_are_there_or_not() {
    let mut states = 0;
    for shape in [WIDE, GUARDED] {
        let reset = |writer: &mut Writer| {
            writer.reset(&Rows::range(3..6)).expect("reset");
        };
        let again = |writer: &mut Writer| shape.put(writer, &[put(4..5, 30.0, Some(6))]);
        states += Scene::of(shape, &[put(0..10, 1.0, Some(5))], &[&reset, &again]).crashed(SAMPLED).holds();
    }
    counted("reset", states);
}

/// The next record of a writer overwrites the one before.
#[test]
fn one_commit_after_another_is_old_or_new() {
    let shape = Shape { cell: 100, guard: true };
    let steps: [Step<'_>; 4] = [
        &|writer| shape.put(writer, &[put(3..6, 20.0, Some(6))]),
        &|writer| shape.put(writer, &[put(4..7, 30.0, None)]),
        &|writer| shape.put(writer, &[put(4..5, 40.0, Some(7))]),
        &|writer| shape.put(writer, &[put(2..6, 50.0, Some(8))]),
    ];
    counted("series", Scene::of(shape, &[put(0..8, 1.0, Some(5))], &steps).crashed(SAMPLED).holds());
}

/// More than the bytes of the record must be durable: nobody has synced the folders yet.
#[test]
fn a_new_writers_record_is_there_when_it_is_needed() {
    let shape = Shape { cell: 20, guard: false };
    let step = |writer: &mut _| shape.put(writer, &[put(3..6, 20.0, Some(6))]);
    let mut scene = Scene::with_opening(shape, &[put(0..10, 1.0, Some(5))], &[&step]);
    scene.recording.folders_are_new();
    counted("names", scene.crashed(SAMPLED).holds());
}
