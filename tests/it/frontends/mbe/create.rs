//! Structures that we make are structures for the other side, too.

use super::{KEY, place};
use crate::common::support::{is_one_error, ok, py, run};

const TWO: &str = "2\nLattice=\"4 0 0 0 4 0 0 0 4\" Properties=species:S:1:pos:R:3:forces:R:3 energy=-3.0\n\
    O 0 0 0.5 1 2 3\nH 1 0 0 4 5 6\n\
    2\nLattice=\"4 0 0 0 4 0 0 0 4\" Properties=species:S:1:pos:R:3:forces:R:3 energy=-5.0\n\
    O 0 0 0.25 1 2 3\nH 1 0 0 4 5 6\n";

/// Everything that the layout says about a structure, as h5py sees it.
const LOOK: &str = "import sys, h5py, json
f = h5py.File(sys.argv[1]); g = f[sys.argv[2]]
A = '\\u212b'; S = '\\u2215'
assert g.attrs['dataclass'] == 'Structure' and g.attrs['feature_vectors_type'] == 'none'
for a in ('dataclass', 'feature_vectors_type'):
    kind = h5py.check_string_dtype(g.attrs.get_id(a).dtype)
    assert kind.encoding == 'utf-8' and kind.length is None and g.attrs.get_id(a).shape == ()
for a in ('n_frames', 'n_atoms'):
    assert g.attrs.get_id(a).dtype == 'i8' and g.attrs.get_id(a).shape == ()
assert g.attrs.get_id('periodic').dtype == bool
assert all(d.chunks is None and d.id.get_offset() is not None for d in g.values())
assert g['atomic_numbers'].dtype == 'i8' and g['masses (u)'].dtype == 'f8'
names = {k.replace(A, 'A').replace(S, '/'): [list(d.shape), d[...].ravel()[:6].tolist()] for k, d in g.items()}
print(json.dumps([g.attrs['n_frames'].item(), g.attrs['n_atoms'].item(), bool(g.attrs['periodic']), names]))";

fn look(file: &str, key: &str) -> Option<serde_json::Value> {
    Some(serde_json::from_str(&py(LOOK, &[file, key])?).expect("JSON"))
}

#[test]
fn from_extended_xyz() {
    let (scratch, file) = place();
    std::fs::write(scratch.path("a.xyz"), TWO).expect("write");
    let said = ok(&["mbe", "create", &file, KEY, "--xyz", &scratch.text("a.xyz"), "--level-of-theory", "mace"]);
    assert!(said.contains("2 frames of 2 atoms, periodic"), "{said}");
    let Some(seen) = look(&file, KEY) else { return };
    let expected = serde_json::json!([2, 2, true, {
        "positions (A)": [[2, 2, 3], [0.0, 0.0, 0.5, 1.0, 0.0, 0.0]],
        "atomic_numbers": [[2], [8, 1]],
        "masses (u)": [[2], [15.999, 1.008]],
        "cell_vectors (A)": [[3, 3], [4.0, 0.0, 0.0, 0.0, 4.0, 0.0]],
        "E_pot (eV/atom)": [[2], [-1.5, -2.5]],
        "forces (eV/A)": [[2, 2, 3], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]],
    }]);
    assert_eq!(seen, expected);
    // Under another key in the same file; an existing one is never replaced.
    std::fs::write(scratch.path("b.xyz"), TWO.replace("O 0 0 0.25", "S 0 0 0.25").replace("0 0 4\"", "0 0 5\""))
        .expect("write");
    let create = ["mbe", "create", &file, "training/other", "--xyz", &scratch.text("b.xyz")];
    ok(&create);
    assert_eq!(run(&create).0, 11);
    let seen = look(&file, "training/other").expect("h5py");
    assert_eq!((&seen[3]["atomic_numbers"][0], &seen[3]["masses (u)"][0]), (&[2, 2].into(), &[2, 2].into()));
    assert_eq!(seen[3]["cell_vectors (A)"][0], serde_json::json!([3, 3]));
    let status = ok(&["mbe", "status", &file]);
    assert!(status.contains("training/other: Structure, 2 frames of 2 atoms") && status.contains(KEY), "{status}");
}

#[test]
fn from_npy() {
    let (scratch, file) = place();
    let positions = scratch.npy("p.npy", &[3, 2, 3], &(0..18).map(f64::from).collect::<Vec<_>>());
    let numbers = scratch.npy("z.npy", &[2], &[6.0, 8.0]);
    let cells = scratch.npy("c.npy", &[3, 3, 3], &[1.0; 27]);
    let masses = scratch.npy("m.npy", &[2], &[13.0, 16.0]);
    let base = ["mbe", "create", &file, KEY, "--positions", &positions, "--atomic-numbers"];
    ok(&[&base[..], &[&numbers, "--cell-vectors", &cells, "--masses", &masses]].concat());
    if let Some(seen) = look(&file, KEY) {
        assert_eq!(seen[3]["positions (A)"][1], serde_json::json!([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(seen[3]["masses (u)"][1], serde_json::json!([13.0, 16.0]));
        assert_eq!((&seen[2], &seen[3]["cell_vectors (A)"][0]), (&true.into(), &serde_json::json!([3, 3, 3])));
    }
    // Bad input is refused, and no file is created.
    let other = scratch.text("b.hdf5");
    let three = scratch.npy("z3.npy", &[3], &[6.0, 8.0, 1.0]);
    let bad = scratch.npy("zx.npy", &[2], &[6.0, 0.0]);
    let flat = scratch.npy("flat.npy", &[6], &[0.0; 6]);
    for (positions, numbers, more, code) in [
        (&positions, &three, vec![], 4),
        (&positions, &bad, vec![], 4),
        (&flat, &numbers, vec![], 4),
        (&positions, &numbers, vec!["--masses", &three], 4),
        (&positions, &numbers, vec!["--cell-vectors", &flat], 4),
        (&scratch.text("none.npy"), &numbers, vec![], 3),
    ] {
        let base = ["mbe", "create", &other, KEY, "--positions", positions, "--atomic-numbers", numbers];
        let (found, _, err) = run(&[&base[..], &more].concat());
        assert!(found == code && err.starts_with("h5part: "), "{positions} {numbers} {more:?}: {found} {err}");
        let left = run(&["mbe", "status", &other]);
        assert!(left.0 == 3 || left.1.is_empty(), "{left:?}");
    }
}

/// A refused command leaves nothing behind: no file, and no change to an existing one.
#[test]
fn what_is_refused_is_not_begun() {
    let (scratch, file) = place();
    let ok_positions = scratch.npy("p.npy", &[2, 2, 3], &[0.5; 12]);
    let numbers = scratch.npy("z.npy", &[2], &[6.0, 8.0]);
    let with = |name: &str, shape: &[u64], fill: f64, last: f64| {
        let mut values = vec![fill; shape.iter().product::<u64>() as usize];
        *values.last_mut().expect("some") = last;
        scratch.npy(name, shape, &values)
    };
    std::fs::write(scratch.path("mixed.xyz"), TWO.replacen("Lattice", "pbc=\"T T F\" Lattice", 1)).expect("write");
    std::fs::write(scratch.path("some.xyz"), TWO.replacen(" energy=-5.0", "", 1)).expect("write");
    let positions =
        |positions: String| vec!["--positions".to_owned(), positions, "--atomic-numbers".into(), numbers.clone()];
    let more = |option: &str, path: String| [positions(ok_positions.clone()), vec![option.to_owned(), path]].concat();
    let xyz = |name: &str| vec!["--xyz".to_owned(), scratch.text(name)];
    for (key, args, code, says) in [
        (KEY, positions(with("pn.npy", &[2, 2, 3], 0.0, f64::NAN)), 4, "frame 1 has positions that are not all finite"),
        (KEY, positions(with("pi.npy", &[2, 2, 3], 0.0, f64::INFINITY)), 4, "not all finite"),
        (
            KEY,
            more("--cell-vectors", with("cn.npy", &[3, 3], 1.0, f64::NAN)),
            4,
            "cell vectors that are not all finite",
        ),
        (KEY, more("--cell-vectors", with("c0.npy", &[3, 3], 0.0, 0.0)), 4, "frame 0 has cell vectors that are zero"),
        (
            KEY,
            more("--cell-vectors", with("c1.npy", &[2, 3, 3], 0.0, 1.0)),
            4,
            "frame 0 has cell vectors that are zero",
        ),
        (KEY, more("--masses", with("m.npy", &[2], 12.0, -1.0)), 4, "a mass is -1"),
        (KEY, more("--masses", with("mn.npy", &[2], 12.0, f64::NAN)), 4, "a mass is NaN"),
        (KEY, xyz("mixed.xyz"), 4, "line 2: it is periodic in some directions only"),
        (KEY, xyz("some.xyz"), 4, "line 6: it has no energy"),
        ("a//b", positions(ok_positions.clone()), 2, "'a//b' is not a key"),
        ("a/../b", positions(ok_positions.clone()), 2, "is not a key"),
        ("a\nb", positions(ok_positions.clone()), 2, "is not a key"),
        ("/", positions(ok_positions.clone()), 2, "a structure needs a key"),
        ("__h5part__/x", positions(ok_positions.clone()), 2, "is not a key"),
        ("a/__h5part__x", positions(ok_positions.clone()), 2, "is not a key"),
        ("training/urea/ground_truth", positions(ok_positions.clone()), 2, "is not a key"),
    ] {
        let args: Vec<&str> =
            ["mbe", "create", &file, key].into_iter().chain(args.iter().map(String::as_str)).collect();
        let (found, _, err) = run(&args);
        assert!(found == code && err.contains(says) && is_one_error(&err), "{args:?}: {found} {err}");
        assert!(!std::path::Path::new(&file).exists(), "{args:?}: an empty file is left");
    }
    // In an existing file.
    let create = ["mbe", "create", &file];
    let args = ["--positions", &ok_positions, "--atomic-numbers", &numbers];
    ok(&[&create[..], &[KEY], &args].concat());
    let before = std::fs::read(&file).expect("read");
    assert_eq!(run(&[&create[..], &["a//b"], &args].concat()).0, 2);
    assert_eq!(run(&[&create[..], &["c", "--positions", &scratch.text("pn.npy")], &args[2..]].concat()).0, 4);
    assert!(std::fs::read(&file).expect("read") == before, "nothing was changed");
}

#[test]
fn frames_that_are_not_periodic_have_no_cell() {
    let (scratch, file) = place();
    let text = TWO.replace("Lattice", "pbc=\"F F F\" Lattice");
    std::fs::write(scratch.path("a.xyz"), text).expect("write");
    let said = ok(&["mbe", "create", &file, KEY, "--xyz", &scratch.text("a.xyz")]);
    assert!(said.contains("2 frames of 2 atoms") && !said.contains("periodic"), "{said}");
    if let Some(seen) = look(&file, KEY) {
        assert_eq!((&seen[2], &seen[3]["cell_vectors (A)"]), (&false.into(), &serde_json::Value::Null));
    }
}
