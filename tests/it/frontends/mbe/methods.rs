//! Several methods in one ground truth, made by both sides.

use super::{KEY, METHOD, dump, place, prepared, save, side, start_side, structure};
use crate::common::support::{finished, ok, py, run};
use h5part_engine::store::Store;
use h5part_mbe::FrameStatus::{self, Completed, Failed};
use h5part_mbe::{GroundTruth, Method, Prepared, Quantity, Structure};
use std::path::Path;

const OTHER: &str = "PBE0+D4";

fn truth(file: &str, method: &str) -> GroundTruth {
    let store = Store::open(file).expect("opens");
    Structure::open(&store, KEY).expect("opens").ground_truth(&Method::new(method).expect("name"))
}

fn statuses(file: &str, method: &str) -> Vec<FrameStatus> {
    truth(file, method).reader().expect("reader").statuses().expect("read")
}

#[test]
fn a_second_method_has_a_guard_of_its_own() {
    let (_scratch, file) = place();
    let first = prepared(Path::new(&file), 8, 2);
    let mut saver = first.saver().expect("saver");
    save(&mut saver, &[0, 1], 2, 10.0, Completed).expect("save");
    let second = truth(&file, OTHER);
    assert_eq!(second.prepare(&Quantity::ALL).expect("prepare"), Prepared::Made);
    assert_eq!(second.prepare(&Quantity::ALL).expect("prepare"), Prepared::AlreadyThere);
    // The saver of the first method continues.
    save(&mut saver, &[2], 2, 10.0, Completed).expect("save");
    save(&mut second.saver().expect("saver"), &[2, 3], 2, 20.0, Completed).expect("save");
    save(&mut saver, &[3], 2, 10.0, Failed).expect("save");
    for (method, completed) in [(METHOD, &[0, 1, 2][..]), (OTHER, &[2, 3])] {
        let found: Vec<usize> = (0..8).filter(|&k| statuses(&file, method)[k].is_completed()).collect();
        assert_eq!(found, completed, "{method}");
    }
    let verdict = ok(&["verify", &file]);
    assert!(verdict.contains("sound: 0 faults, 0 notes"), "{verdict}");
    let told = ok(&["mbe", "status", &file]);
    assert!(
        told.contains("PBE0+D4: energies and forces, 2 COMPLETED") && told.contains("3 COMPLETED, 1 FAILED"),
        "{told}"
    );
    if let Some(seen) = dump(&file) {
        assert_eq!(seen.levels, [OTHER, METHOD], "sorted");
        assert_eq!(seen.methods[OTHER].status, Some(vec![1, 1, 0, 0, 1, 1, 1, 1]));
        assert_eq!(seen.methods[METHOD].status, Some(vec![0, 0, 0, 3, 1, 1, 1, 1]));
        assert_eq!(seen.methods[OTHER].energies.as_ref().expect("energies")[2], Some(22.0));
    }
}

#[test]
fn forces_are_prepared_later_than_energies() {
    let (_scratch, file) = place();
    structure(Path::new(&file), 5, 2);
    let truth = truth(&file, METHOD);
    assert_eq!(truth.prepare(&[Quantity::Energies]).expect("prepare"), Prepared::Made);
    let mut early = truth.saver().expect("saver");
    assert_eq!(truth.prepare(&Quantity::ALL).expect("prepare"), Prepared::Made);
    assert_eq!(truth.present().expect("present").quantities, Quantity::ALL);
    save(&mut truth.saver().expect("saver"), &[1, 2], 2, 0.0, Completed).expect("save");
    // A saver opened before knows only the energies, and continues with them.
    let energies = ndarray::array![7.0];
    let results = h5part_mbe::Results {
        statuses: vec![Completed],
        energies: Some(h5part_engine::store::Values::from(&energies)),
        forces: None,
    };
    early.save(&h5part_base::dataspace::Rows::one(4), &results).expect("save");
    let (code, out, _) = run(&["mbe", "status", &file]);
    assert!(code == 1 && out.contains("3 COMPLETED") && out.contains("COMPLETED without forces (NaN): 4"), "{out}");
    let (code, out, _) = run(&["verify", &file]);
    assert!(code == 1 && out.contains("guard"), "the forces are under the same guard: {out}");
}

/// Many prepare methods at once. Each method is prepared once, and all are listed.
#[test]
fn many_prepare_at_once() {
    let (_scratch, file) = place();
    structure(Path::new(&file), 20, 2);
    let methods: Vec<String> = (0..5).map(|k| format!("method {k}/x")).collect();
    let args = |k: usize| ["mbe", "init", &file, KEY, "--method", &methods[k % 5]].map(str::to_owned);
    let start = |k: usize| crate::common::support::h5part().args(args(k)).output().expect("starts");
    std::thread::scope(|scope| {
        let start = &start;
        let all: Vec<_> = (0..10).map(|k| scope.spawn(move || start(k))).collect();
        for done in all {
            let (code, out, err) = finished(&done.join().expect("thread"));
            assert!(code == 0 && (out.starts_with("prepared") || out.starts_with("had prepared")), "{out}{err}");
        }
    });
    let structure = Structure::open(&Store::open(&file).expect("opens"), KEY).expect("opens");
    assert_eq!(structure.methods().expect("methods"), methods, "sorted");
    for (k, method) in methods.iter().enumerate() {
        save(&mut truth(&file, method).saver().expect("saver"), &[k as u64], 2, 0.0, Completed).expect("save");
    }
    assert!(ok(&["verify", &file]).contains("sound: 0 faults, 0 notes"));
}

/// A method that Python adds to our file, and one that we add to theirs.
#[test]
fn methods_of_both_sides() {
    let (_scratch, file) = place();
    let truth_of_ours = prepared(Path::new(&file), 12, 2);
    if dump(&file).is_none() {
        return;
    }
    let mut saver = truth_of_ours.saver().expect("saver");
    // They add their method while we save.
    let args = ["save", &file, KEY, OTHER, "0", "12", "2", "1", "0.01", "500"];
    let theirs = start_side(&args).expect("h5py");
    for frame in 0..12 {
        save(&mut saver, &[frame], 2, 100.0, Completed).expect("save");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (code, _, err) = finished(&theirs.wait_with_output().expect("ends"));
    assert_eq!(code, 0, "{err}");
    let other = truth(&file, OTHER);
    assert!(other.saver().is_err_and(|e| matches!(e.kind_of(), Some(h5part::mbe::ErrorKind::NoGroundTruth { .. }))));
    assert_eq!(other.prepare(&Quantity::ALL).expect("prepare"), Prepared::Adopted);
    save(&mut other.saver().expect("saver"), &[1, 2], 2, 900.0, Completed).expect("save");
    save(&mut saver, &[5], 2, 100.0, Completed).expect("save");
    let seen = dump(&file).expect("h5py");
    assert_eq!(seen.levels, [OTHER, METHOD]);
    let energies = |method: &str| seen.methods[method].energies.clone().expect("energies");
    assert_eq!(energies(OTHER)[..4], [Some(500.0), Some(901.0), Some(502.0), None]);
    assert_eq!(energies(METHOD), (0..12).map(|k| Some(100.0 + f64::from(k))).collect::<Vec<_>>());
    let (code, out, err) = run(&["verify", &file]);
    assert_eq!(code, 0, "{out}{err}");
    // The other way round.
    let (_scratch, file) = place();
    side(&["make", &file, KEY, "4", "2", METHOD, "0,3,1,0"]).expect("h5py");
    let ours = truth(&file, OTHER);
    ours.prepare(&Quantity::ALL).expect("prepare");
    save(&mut ours.saver().expect("saver"), &[0, 1], 2, 60.0, Completed).expect("save");
    side(&["save", &file, KEY, METHOD, "1", "3", "1", "1", "0.01", "70"]).expect("h5py");
    let seen = dump(&file).expect("h5py");
    assert_eq!(
        (&seen.methods[METHOD].status, &seen.methods[OTHER].status),
        (&Some(vec![0; 4]), &Some(vec![0, 0, 1, 1]))
    );
    // Then we take over theirs, too, and leave alone what is completed.
    ok(&["mbe", "init", &file, KEY, "--method", METHOD]);
    let told = save(&mut truth(&file, METHOD).saver().expect("saver"), &[0, 1, 2, 3], 2, 0.0, Completed).expect("save");
    assert_eq!(told.left, 4, "{told:?}");
    assert!(ok(&["verify", &file]).contains("sound: 0 faults"));
}

/// Files from before there were statuses: all frames count as completed, also after `init`.
#[test]
fn a_method_without_statuses() {
    let (_scratch, file) = place();
    if side(&["make", &file, KEY, "4", "2", METHOD, "0,0,0,0"]).is_none() {
        return;
    }
    let script = "import sys, h5py
g = h5py.File(sys.argv[1], 'r+')['training/urea/ground_truth']
del g[[k for k in g if k.startswith('status')][0]]";
    py(script, &[&file]).expect("h5py");
    let truth = truth(&file, METHOD);
    assert_eq!(statuses(&file, METHOD), [Completed; 4]);
    let told = ok(&["mbe", "status", &file]);
    assert!(told.contains("no statuses: all count as COMPLETED"), "{told}");
    assert!(truth.saver().is_err());
    assert_eq!(truth.prepare(&Quantity::ALL).expect("prepare"), Prepared::Adopted);
    assert_eq!(statuses(&file, METHOD), [Completed; 4]);
    assert_eq!(save(&mut truth.saver().expect("saver"), &[0], 2, 9.0, Completed).expect("save").left, 1);
    assert_eq!(dump(&file).expect("h5py").methods[METHOD].status, Some(vec![0; 4]));
}
