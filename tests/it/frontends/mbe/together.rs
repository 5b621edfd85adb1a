//! Both sides write one file at the same time, each under their common lock.

use super::{KEY, METHOD, dump, place, prepared, save, side, start_side};
use crate::common::support::{finished, run};
use h5part_engine::store::{Durability, Store};
use h5part_mbe::FrameStatus::Completed;
use h5part_mbe::{GroundTruth, Method, Structure};
use std::path::Path;
use std::process::Child;

const FRAMES: u64 = 240;
const ATOMS: usize = 5;
/// Here the other side polls more often than in practice, where it polls every 2 to 5 s.
const POLL_S: &str = "0.02";

fn ended(child: Child) -> String {
    let (code, out, err) = finished(&child.wait_with_output().expect("ends"));
    assert_eq!(code, 0, "{err}");
    out
}

/// Two processes of each side, and one of theirs that watches. Frames 0, 4, ... and 2, 6, ... are ours.
fn both_save(file: &str, truth: &GroundTruth) {
    let watch = start_side(&["watch", file, KEY, METHOD, POLL_S]).expect("h5py");
    let args = |first: &str| {
        let end = FRAMES.to_string();
        ["save", file, KEY, METHOD, first, &end, "4", "3", POLL_S, "2000"].map(str::to_owned)
    };
    let theirs: Vec<Child> = ["1", "3"]
        .into_iter()
        .map(|first| start_side(&args(first).each_ref().map(String::as_str)).expect("h5py"))
        .collect();
    std::thread::scope(|scope| {
        for first in [0, 2] {
            scope.spawn(move || {
                let mut saver = truth.saver().expect("saver");
                saver.set_durability(Durability::Process);
                let frames: Vec<u64> = (first..FRAMES).step_by(4).collect();
                for batch in frames.chunks(3) {
                    let saved = save(&mut saver, batch, ATOMS, 1000.0, Completed).expect("save");
                    assert_eq!(saved.completed, batch.len() as u64, "{saved:?}");
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
        }
    });
    for child in theirs {
        ended(child);
    }
    let told = ended(watch);
    println!("watched: {told}");
    all_are_there(file);
}

fn all_are_there(file: &str) {
    let seen = dump(file).expect("h5py");
    assert_eq!(seen.levels, [METHOD]);
    let method = &seen.methods[METHOD];
    assert_eq!(method.status, Some(vec![0; FRAMES as usize]));
    let expected: Vec<Option<f64>> =
        (0..FRAMES).map(|frame| Some(frame as f64 + if frame % 2 == 0 { 1000.0 } else { 2000.0 })).collect();
    assert!(method.energies.as_ref() == Some(&expected) && method.forces.as_ref() == Some(&expected), "{method:?}");
    // Our reader reads the same.
    let (code, out, err) = run(&["mbe", "read", file, KEY, "--method", METHOD]);
    let lines = |frame: u64| format!("{frame} COMPLETED {:?}\n", expected[frame as usize].unwrap_or_default());
    assert!(code == 0 && out == (0..FRAMES).map(lines).collect::<String>(), "{err}");
    let (code, out, err) = run(&["verify", file]);
    assert_eq!(code, 0, "{out}{err}");
}

#[test]
fn in_a_file_of_ours() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), FRAMES, ATOMS as u64);
    if dump(&file).is_some() {
        both_save(&file, &truth);
    }
}

#[test]
fn in_a_file_of_theirs() {
    let (_scratch, file) = place();
    let undefined = vec!["1"; FRAMES as usize].join(",");
    if side(&["make", &file, KEY, &FRAMES.to_string(), &ATOMS.to_string(), METHOD, &undefined]).is_none() {
        return;
    }
    let (code, _, err) = run(&["mbe", "init", &file, KEY, "--method", METHOD]);
    assert_eq!(code, 0, "{err}");
    let store = Store::open(&file).expect("opens");
    let truth = Structure::open(&store, KEY).expect("opens").ground_truth(&Method::new(METHOD).expect("name"));
    both_save(&file, &truth);
}

/// Values that they write over our frames are the ones that we read from then on. We leave alone what they have
/// completed.
#[test]
fn what_they_replace_is_replaced() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 8, 2);
    if dump(&file).is_none() {
        return;
    }
    let mut saver = truth.saver().expect("saver");
    save(&mut saver, &[0, 1, 2], 2, 10.0, h5part_mbe::FrameStatus::Failed).expect("save");
    save(&mut saver, &[3, 4], 2, 10.0, Completed).expect("save");
    // For a completed frame they write new values, for a failed one the status, too.
    side(&["save", &file, KEY, METHOD, "1", "5", "1", "10", POLL_S, "50"]).expect("h5py");
    let told = save(&mut saver, &[0, 1, 2, 3, 4], 2, 70.0, Completed).expect("save");
    assert_eq!((told.completed, told.left), (1, 4), "{told:?}");
    let (_, out, _) = run(&["mbe", "read", &file, KEY, "--method", METHOD, "--frames", "0:5"]);
    assert_eq!(out, "0 COMPLETED 70.0\n1 COMPLETED 51.0\n2 COMPLETED 52.0\n3 COMPLETED 53.0\n4 COMPLETED 54.0\n");
    saver.set_overwrite(true);
    assert_eq!(save(&mut saver, &[3], 2, 90.0, Completed).expect("save").completed, 1);
    drop(saver);
    let seen = dump(&file).expect("h5py");
    assert_eq!(seen.methods[METHOD].energies.as_ref().expect("energies")[3], Some(93.0));
}

/// A Python process that dies between energies and status leaves values that belong to no frame.
#[test]
fn what_one_of_theirs_leaves_half_done() {
    let (_scratch, file) = place();
    let truth = prepared(Path::new(&file), 4, 2);
    let script = "import sys, h5py
g = h5py.File(sys.argv[1], 'r+')['training/urea/ground_truth']
for k in g:
    if not k.startswith('status'): g[k][1:3] = 77.0";
    if crate::common::support::py(script, &[&file]).is_none() {
        return;
    }
    let (_, out, _) = run(&["mbe", "read", &file, KEY, "--method", METHOD]);
    assert_eq!(out, "0 UNDEFINED NaN\n1 UNDEFINED NaN\n2 UNDEFINED NaN\n3 UNDEFINED NaN\n");
    let mut saver = truth.saver().expect("saver");
    assert_eq!(save(&mut saver, &[0, 1], 2, 5.0, Completed).expect("save").completed, 2);
    drop(saver);
    let (_, out, _) = run(&["mbe", "read", &file, KEY, "--method", METHOD]);
    assert_eq!(out, "0 COMPLETED 5.0\n1 COMPLETED 6.0\n2 UNDEFINED NaN\n3 UNDEFINED NaN\n");
    let (code, out, err) = run(&["verify", &file]);
    assert_eq!(code, 0, "{out}{err}");
}
