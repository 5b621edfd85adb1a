//! Which frames a save changes, also if several save the same ones.

use super::{place, prepared, save, values};
use h5part::{ErrorKind, Misfit};
use h5part_base::dataspace::Rows;
use h5part_engine::store::{CellState, Durability, Values};
use h5part_mbe::FrameStatus::{self, Completed, Failed, ScfNotConverged, Undefined};
use h5part_mbe::{GroundTruth, Quantity, Results, Saved};
use std::path::Path;

const ATOMS: usize = 3;

fn saved(completed: u64, marked: u64, left: u64) -> Saved {
    Saved { completed, marked, left }
}

/// Status and energy of each frame; NaN as `None`. The forces must come from the same save.
fn frames(truth: &GroundTruth) -> Vec<(FrameStatus, Option<f64>)> {
    let mut reader = truth.reader().expect("reader");
    let all = Rows::range(0..reader.frames());
    let read = reader.read(&all, &Quantity::ALL).expect("read");
    let (energies, forces) = (read.energies.expect("energies"), read.forces.expect("forces"));
    let cells = forces.chunks_exact(ATOMS * 3);
    let whole = |(energy, forces): (&f64, &[f64])| {
        let expected = |k: usize| energy + 0.001 * k as f64;
        let same = forces.iter().enumerate().all(|(k, force)| *force == expected(k));
        assert!(same || (energy.is_nan() && forces.iter().all(|f| f.is_nan())), "{energy}: {forces:?}");
        (!energy.is_nan()).then_some(*energy)
    };
    read.statuses.into_iter().zip(energies.iter().zip(cells).map(whole)).collect()
}

#[test]
fn values_are_of_completed_frames_and_completed_frames_stay() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 6, ATOMS as u64);
    let mut saver = truth.saver().expect("saver");
    // Out of order, of all kinds.
    let (energies, forces) = values(&[4, 0, 2, 1], ATOMS, 10.0);
    let results = Results {
        statuses: vec![Completed, Failed, ScfNotConverged, Undefined],
        energies: Some(Values::from(&energies)),
        forces: Some(Values::from(&forces)),
    };
    assert_eq!(saver.save(&Rows::list(&[4, 0, 2, 1]), &results).expect("save"), saved(1, 2, 1));
    let none = (Undefined, None);
    let now = vec![(Failed, None), none, (ScfNotConverged, None), none, (Completed, Some(14.0)), none];
    assert_eq!(frames(&truth), now);
    // A failed frame is tried again, a completed one is left alone.
    assert_eq!(save(&mut saver, &[0, 4], ATOMS, 20.0, Completed).expect("save"), saved(1, 0, 1));
    assert_eq!(save(&mut saver, &[0, 4], ATOMS, 30.0, Failed).expect("save"), saved(0, 0, 2));
    assert_eq!(frames(&truth)[0], (Completed, Some(20.0)));
    assert_eq!(frames(&truth)[4], (Completed, Some(14.0)));
    // With `set_overwrite` it is replaced.
    saver.set_overwrite(true);
    assert_eq!(save(&mut saver, &[4], ATOMS, 40.0, Completed).expect("save"), saved(1, 0, 0));
    assert_eq!(frames(&truth)[4], (Completed, Some(44.0)));
    assert_eq!(save(&mut saver, &[4], ATOMS, 50.0, Failed).expect("save"), saved(0, 1, 0));
    assert_eq!(frames(&truth)[4], (Failed, None));
}

/// A slower process does not undo a correction that was made meanwhile.
#[test]
fn a_corrected_value_is_never_reverted() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 4, ATOMS as u64);
    let (mut slow, mut quick) = (truth.saver().expect("saver"), truth.saver().expect("saver"));
    save(&mut quick, &[0, 1, 2, 3], ATOMS, 1.0, Completed).expect("save");
    quick.set_overwrite(true);
    save(&mut quick, &[2], ATOMS, 100.0, Completed).expect("save");
    assert_eq!(save(&mut slow, &[1, 2, 3], ATOMS, 1.0, Completed).expect("save"), saved(0, 0, 3));
    assert_eq!(frames(&truth)[2], (Completed, Some(102.0)));
}

/// Several processes compute the same frames: each frame comes from one save, and stays as it is once completed.
#[test]
fn of_several_who_save_the_same_frames_the_first_one_stands() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 60, ATOMS as u64);
    let told: Vec<Saved> = std::thread::scope(|scope| {
        let work = |k: u64| {
            let truth = &truth;
            move || {
                let mut saver = truth.saver().expect("saver");
                saver.set_durability(Durability::Process);
                let mut told = Saved::default();
                for start in 0..6 {
                    let frames: Vec<u64> = (0..10).map(|i| (start * 10 + i * 7 + k) % 60).collect();
                    let mut frames: Vec<u64> = frames;
                    frames.sort_unstable();
                    frames.dedup();
                    let status = if (start + k).is_multiple_of(3) { Failed } else { Completed };
                    told = told.and(save(&mut saver, &frames, ATOMS, 1000.0 * k as f64, status).expect("save"));
                }
                told
            }
        };
        let threads: Vec<_> = (0..4).map(|k| scope.spawn(work(k))).collect();
        threads.into_iter().map(|thread| thread.join().expect("thread")).collect()
    });
    let completed = frames(&truth).iter().filter(|(status, value)| *status == Completed && value.is_some()).count();
    assert_eq!(told.iter().map(|t| t.completed).sum::<u64>(), completed as u64, "{told:?}: each was completed once");
}

#[test]
fn a_completed_frame_gets_what_it_lacks_and_no_more() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 3, ATOMS as u64);
    let mut saver = truth.saver().expect("saver");
    let (energies, _) = values(&[0, 1], ATOMS, 5.0);
    let results = Results { statuses: vec![Completed], energies: Some(Values::from(&energies)), forces: None };
    assert_eq!(saver.save(&Rows::range(0..2), &results).expect("save"), saved(2, 0, 0));
    let summary = truth.reader().expect("reader").summary(&Quantity::ALL, &|_, _| ()).expect("summary");
    assert_eq!((summary.lacking[&Quantity::Energies].len(), &summary.lacking[&Quantity::Forces]), (0, &vec![0, 1]));
    let left =
        |lacking: &[Quantity]| truth.reader().expect("reader").to_compute(None, None, false, lacking).expect("left");
    assert_eq!((left(&[]), left(&Quantity::ALL)), (vec![2], vec![0, 1, 2]));
    // Forces of the first frame, with another energy. That energy is ignored.
    let (other, forces) = values(&[0], ATOMS, 7.0);
    let results = Results {
        statuses: vec![Completed],
        energies: Some(Values::from(&other)),
        forces: Some(Values::from(&forces)),
    };
    assert_eq!(saver.save(&Rows::one(0), &results).expect("save"), saved(1, 0, 0));
    assert_eq!(saver.save(&Rows::one(0), &results).expect("save"), saved(0, 0, 1));
    let read = truth.reader().expect("reader").read(&Rows::range(0..2), &Quantity::ALL).expect("read");
    assert_eq!(read.energies, Some(vec![5.0, 6.0]));
    let forces = read.forces.expect("forces");
    assert!(forces[0] == 7.0 && forces[ATOMS * 3].is_nan(), "{forces:?}");
}

/// Values that were declared failed do not come back: quantities that the new result does not give are lacking.
#[test]
fn a_value_that_was_declared_failed_stays_out() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 4, ATOMS as u64);
    let mut saver = truth.saver().expect("saver");
    save(&mut saver, &[0, 1, 2, 3], ATOMS, 5.0, Completed).expect("save");
    saver.set_overwrite(true);
    save(&mut saver, &[0, 1], ATOMS, 0.0, Failed).expect("save");
    saver.set_overwrite(false);
    let (energies, forces) = values(&[0, 1], ATOMS, 50.0);
    let alone = |forces| Results { statuses: vec![Completed], energies: None, forces: Some(forces) };
    let of_two = alone(Values::from(&forces));
    assert_eq!(saver.save(&Rows::range(0..2), &of_two).expect("save"), saved(2, 0, 0));
    let read = |truth: &GroundTruth| {
        let frames = truth.reader().expect("reader").read(&Rows::range(0..4), &Quantity::ALL).expect("read");
        assert_eq!(frames.statuses, [Completed; 4]);
        let lies = truth.saver().expect("saver").writer().as_it_lies(&truth.method().energies(), &Rows::range(0..2));
        let lies = lies.expect("lies").array::<f64>().expect("f64");
        assert!(lies.iter().zip(frames.energies.as_ref().expect("E")).all(|(a, b)| a.to_bits() == b.to_bits()));
        (frames.energies.expect("energies"), frames.forces.expect("forces"))
    };
    let (found, forces_found) = read(&truth);
    assert!(found[..2].iter().all(|e| e.is_nan()) && found[2..] == [7.0, 8.0], "{found:?}");
    assert_eq!((forces_found[0], forces_found[ATOMS * 6]), (50.0, 7.0));
    let summary = truth.reader().expect("reader").summary(&Quantity::ALL, &|_, _| ()).expect("summary");
    assert_eq!((&summary.lacking[&Quantity::Energies], summary.lacking[&Quantity::Forces].len()), (&vec![0, 1], 0));
    // They can be filled in like any lacking value.
    let late = Results { statuses: vec![Completed], energies: Some(Values::from(&energies)), forces: None };
    assert_eq!(saver.save(&Rows::range(0..2), &late).expect("save"), saved(2, 0, 0));
    assert_eq!(read(&truth).0, [50.0, 51.0, 7.0, 8.0]);
    // If a COMPLETED frame is replaced in part, the rest stays.
    saver.set_overwrite(true);
    let (_, forces) = values(&[2, 3], ATOMS, 90.0);
    let of_two = alone(Values::from(&forces));
    assert_eq!(saver.save(&Rows::range(2..4), &of_two).expect("save"), saved(2, 0, 0));
    assert_eq!(read(&truth).0, [50.0, 51.0, 7.0, 8.0]);
}

#[test]
fn what_is_no_number_is_not_completed() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 3, ATOMS as u64);
    let mut saver = truth.saver().expect("saver");
    let (mut energies, mut forces) = values(&[0, 1, 2], ATOMS, 0.0);
    energies[1] = f64::NAN;
    let mut save = |statuses: &[FrameStatus], energies: &ndarray::Array1<f64>, forces: &ndarray::Array3<f64>| {
        let results = Results {
            statuses: statuses.to_vec(),
            energies: Some(Values::from(energies)),
            forces: Some(Values::from(forces)),
        };
        saver.save(&Rows::range(0..3), &results)
    };
    let error = save(&[Completed], &energies, &forces).expect_err("NaN");
    assert!(matches!(error.kind(), ErrorKind::BadValues(_)) && error.to_string().contains("energies of frame 1"));
    energies[1] = f64::NEG_INFINITY;
    assert!(save(&[Completed], &energies, &forces).is_err_and(|e| e.to_string().contains("energies of frame 1")));
    energies[1] = 1.0;
    forces[[2, 0, 1]] = f64::NAN;
    let error = save(&[Completed], &energies, &forces).expect_err("NaN");
    assert!(error.to_string().contains("forces of frame 2"), "{error}");
    assert_eq!(save(&[Completed, Completed, Failed], &energies, &forces).expect("save"), saved(2, 1, 0));
    // One status per frame, or one for all.
    assert!(save(&[Completed, Failed], &energies, &forces).is_err_and(|e| e.to_string().contains("2 statuses for 3")));
}

/// A conditional commit is made only if its condition holds.
#[test]
fn a_commit_that_expects_finds_it_or_is_not_made() {
    let scratch = crate::common::support::Scratch::new();
    let store = crate::common::support::small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    let (one, status) = (ndarray::array![1.0, 2.0], ndarray::array![1i64, 1]);
    let rows = Rows::list(&[7, 3]);
    let expected = [("status", Values::from(&status))];
    writer.commit_if(&rows, &[("E", Values::from(&one))], &expected).expect("as expected");
    let other = ndarray::array![1i64, 5];
    let expected = [("status", Values::from(&other))];
    let error = writer.commit_if(&rows, &[("E", Values::from(&one))], &expected).expect_err("another");
    assert!(matches!(error.kind(), ErrorKind::NotAsExpected { column, row: 3 } if column == "status"), "{error}");
    let lies = writer.as_it_lies("E", &Rows::list(&[7, 3, 0])).expect("lies").array::<f64>().expect("f64");
    assert!(lies[[0]] == 1.0 && lies[[1]] == 2.0 && lies[[2]].is_nan());
    let short = ndarray::array![1i64];
    let error = writer.commit_if(&rows, &[("E", Values::from(&one))], &[("status", Values::from(&short))]);
    assert!(matches!(error.expect_err("short").kind(), ErrorKind::BadValues(Misfit::Shape { .. })));
}

/// A value that another program writes over a committed one is a value for readers that accept it, and a change for
/// others.
#[test]
fn readers_accept_the_values_of_others_if_they_are_told_to() {
    let scratch = crate::common::support::Scratch::new();
    let store = crate::common::support::small_store(&scratch.path("a.h5"), 10);
    let mut writer = store.writer("t").expect("writer");
    writer.commit(&Rows::range(0..2), &[("E", Values::from(&ndarray::array![1.0, 2.0]))]).expect("commit");
    drop(writer);
    let file = hdf5::File::open_rw(store.path()).expect("opens");
    file.dataset("t/E").expect("there").write_slice(&ndarray::array![5.0], 1..2).expect("write");
    drop(file);
    let mut reader = store.reader("t").expect("reader");
    let read = |reader: &mut h5part_engine::store::Reader| reader.read("E", &Rows::range(0..3)).expect("read");
    let states = |third| [CellState::Committed, third, CellState::Missing];
    assert_eq!(read(&mut reader).states(), states(CellState::Changed));
    reader.set_accept_foreign(true);
    let block = read(&mut reader);
    assert_eq!((block.states(), block.array::<f64>().expect("f64")[[1]]), (&states(CellState::Plain)[..], 5.0));
}
