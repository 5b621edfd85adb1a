//! What other programs have left in a file and we cannot use. Each such thing is reported, and never changed.

use super::{KEY, METHOD, place, side};
use crate::common::support::{is_one_error, ok, py, run};
use serde_json::Value;

/// Runs Python with the names of the datasets of [`METHOD`] as E, F and S, and the ground truth as g. `None` without
/// h5py.
fn change(file: &str, script: &str) -> Option<String> {
    let head = "import sys, h5py, numpy as np
f = h5py.File(sys.argv[1], 'r+'); s = f[sys.argv[2]]; g = s['ground_truth']
E, F, S = ([k for k in g if k.startswith(w)][0] for w in ('E_', 'forces_', 'status_'))
def put(name, data): del g[name]; g.create_dataset(name, data=data)
";
    py(&format!("{head}{script}"), &[file, KEY])
}

#[test]
fn datasets_that_cannot_be_used_are_not_taken_over() {
    for (script, says) in [
        ("put(E, np.zeros(6, 'f4'))", ["dataset 'E_", "expected f64 of shape 6, found f32 of shape 6"]),
        ("put(S, np.zeros(6, 'i4'))", ["dataset 'status_", "expected i64 of shape 6, found i32 of shape 6"]),
        ("put(E, np.zeros(5))", ["dataset 'E_", "expected f64 of shape 6, found no dataset of 6 rows"]),
        ("put(E, np.zeros((6, 1)))", ["dataset 'E_", "expected f64 of shape 6, found f64 of shape 6x1"]),
        ("put(F, np.zeros((6, 3, 3)))", ["dataset 'forces_", "expected f64 of shape 6x2x3, found f64 of shape 6x3x3"]),
        (
            "put(E, np.zeros(4)); put(F, np.zeros((4, 2, 3))); put(S, np.zeros(4, int))",
            ["dataset 'status_", "expected i64 of shape 6, found i64 of shape 4"],
        ),
    ] {
        let (_scratch, file) = place();
        if side(&["make", &file, KEY, "6", "2", METHOD, "0,0,0,0,1,1"]).is_none() {
            return;
        }
        change(&file, script).expect("h5py");
        let before = std::fs::read(&file).expect("read");
        for command in ["init", "read", "select"] {
            let (code, out, err) = run(&["mbe", command, &file, KEY, "--method", METHOD]);
            let all = code == 10 && is_one_error(&err) && says.iter().all(|word| err.contains(word));
            assert!(all && !err.contains("--cast"), "{command} {script}: {code} {out}{err}");
        }
        assert!(std::fs::read(&file).expect("read") == before, "{script}: nothing was changed");
        // Another method of the same structure still works.
        if !script.contains("zeros(4)") {
            ok(&["mbe", "init", &file, KEY, "--method", "PBE"]);
            ok(&["mbe", "read", &file, KEY, "--method", "PBE"]);
        }
    }
}

#[test]
fn an_odd_structure_hides_no_other() {
    let (_scratch, file) = place();
    if side(&["make", &file, KEY, "4", "2", METHOD, "0,0,0,0"]).is_none() {
        return;
    }
    let script = "for k in ('listed', 'short', 'narrow'): f.copy(KEY, k)
KEY_GROUND = lambda k: f[k]['ground_truth']
KEY_GROUND('listed').attrs['levels_of_theory'] = ['gone', g.attrs['levels_of_theory'][0]]
t = KEY_GROUND('short'); del t[E]; t.create_dataset(E, data=np.zeros(3))
t = KEY_GROUND('narrow'); del t[S]; t.create_dataset(S, data=np.zeros(4, 'i4'))
f.create_group('md').attrs['dataclass'] = 'Trajectory'"
        .replace("KEY,", "sys.argv[2],");
    change(&file, &script).expect("h5py");
    let (code, out, err) = run(&["mbe", "status", &file]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let line = |begins: &str| out.lines().filter(|line| line.starts_with(begins)).collect::<Vec<_>>();
    assert_eq!(line(&format!("  {METHOD}: energies and forces, 4 COMPLETED")).len(), 2, "{out}");
    assert!(line("  gone: ")[0].contains("no ground truth of 'gone' in 'listed'; available: r2scan"), "{out}");
    assert!(line("md: ")[0].contains("'n_frames'") && out.contains("found i32 of shape 4"), "{out}");
    assert!(out.contains("found no dataset of 4 rows") && out.lines().count() == 4 + 5 + 1, "{out}");
    let (code, out, _) = run(&["mbe", "status", &file, "--json"]);
    let told: Vec<Value> = serde_json::from_str(&out).expect("JSON");
    let with_error = |entries: &[Value]| entries.iter().filter(|entry| entry["error"].is_string()).count();
    assert_eq!((code, told.len(), with_error(&told)), (1, 5, 1));
    let methods = |k: usize| with_error(told[k]["methods"].as_array().map_or(&[][..], Vec::as_slice));
    assert_eq!((told[0]["path"].as_str(), (0..5).map(methods).sum::<usize>()), (Some("listed"), 3));
    assert_eq!(told[0]["methods"][0]["method"], "gone");
    // A structure selected by its key.
    assert_eq!(run(&["mbe", "status", &file, "md"]).0, 3);
    assert_eq!(run(&["mbe", "status", &file, "narrow"]).0, 1);
    assert_eq!(run(&["mbe", "status", &file, KEY]).0, 0);
}
