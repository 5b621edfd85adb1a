//! Faults that strange files (tests/files) have shown, each with the test of its fix.

use crate::common::support::{Scratch, ok, py, run};

#[test]
fn publishing_rows_that_h5py_appended() {
    let scratch = Scratch::new();
    let (path, out) = (scratch.text("a.h5"), scratch.text("p.h5"));
    let make = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'w') as f:
    f.create_dataset('t/E', data=np.arange(10.0), maxshape=(None,), chunks=(1,))";
    py(make, &[&path]).expect("h5py");
    ok(&["adopt", &path, "t", "--committed", "all"]);
    let grow = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'r+') as f:
    f['t/E'].resize(13, axis=0)
    f['t/E'][10:] = 7";
    py(grow, &[&path]).expect("h5py");
    for option in ["--plain", "--gzip=1"] {
        ok(&["publish", &path, "-o", &out, option]);
        let see = "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: print(f['t/E'][...].sum(), f['t/E'].shape)";
        assert_eq!(py(see, &[&out]).expect("h5py"), "66.0 (13,)\n");
        ok(&["verify", &out]);
    }
}

#[test]
fn a_dataset_gets_stamps_in_one_table() {
    let scratch = Scratch::new();
    let path = scratch.text("a.h5");
    let make = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'w') as f:
    f['a/E'] = np.arange(4.0)
    f['a/n'] = np.arange(4)
    f['b/same'] = f['a/E']
    f['b/soft'] = h5py.SoftLink('/a/n')
    f['b/own'] = np.arange(4)";
    py(make, &[&path]).expect("h5py");
    ok(&["adopt", &path, "a", "--committed", "all"]);
    let (code, _, err) = run(&["adopt", &path, "b", "--column", "same"]);
    assert!(code == 2 && err.contains("another name of '/a/E', which has stamps"), "{code}: {err}");
    let out = ok(&["adopt", &path, "b", "--json"]);
    assert!(out.contains("another name of '/a/n', which has stamps"), "{out}");
    assert!(ok(&["status", &path, "b", "--json"]).contains("\"name\":\"own\""));
    // The dataset cannot be written by another name either: its stamps would not match.
    let values = scratch.npy("v.npy", &[4], &[1.0, 2.0, 3.0, 4.0]);
    let (code, _, err) = run(&["update", &path, "b", "--rows", "0:4", "--set", &format!("same={values}")]);
    assert!(code == 10 && err.contains("another name of '/a/E', which has stamps"), "{code}: {err}");
    ok(&["publish", &path, "-o", &scratch.text("p.h5")]);
    ok(&["merge", &scratch.text("m.h5"), &path]);
    for file in [&path, &scratch.text("p.h5"), &scratch.text("m.h5")] {
        let see =
            "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: print(f['b/same'] == f['a/E'], f['b/same'][...])";
        assert_eq!(py(see, &[file]).expect("h5py"), "True [0. 1. 2. 3.]\n");
        ok(&["verify", file]);
    }
    // Adopting again, with all stamps rebuilt, leaves other tables alone.
    ok(&["adopt", &path, "a", "--again", "--committed", "all"]);
}

#[test]
fn cells_without_elements_are_committed() {
    let scratch = Scratch::new();
    let (path, mask) = (scratch.text("a.h5"), scratch.text("m.npy"));
    let make = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'w') as f:
    f['t/empty'] = np.zeros((7, 0))
    f['t/big'] = np.zeros((7, 0), '>f4')
    f.create_dataset('none/E', shape=(0, 3), maxshape=(None, 3))";
    py(make, &[&path]).expect("h5py");
    for table in ["t", "none"] {
        ok(&["adopt", &path, table, "--committed", "all"]);
    }
    let status = ok(&["status", &path, "t", "--json"]);
    assert_eq!(status.matches("\"committed\":7").count(), 2, "{status}");
    for (table, column, rows) in [("t", "empty", 7), ("t", "big", 7), ("none", "E", 0)] {
        ok(&["read", &path, table, column, "--rows", ":", "--mask", &mask, "-o", &scratch.text("o.npy"), "--force"]);
        let see = "import sys, numpy as np\nm = np.load(sys.argv[1])\nprint(m.dtype, m.shape, m.all())";
        assert_eq!(py(see, &[&mask]).expect("numpy"), format!("bool ({rows},) True\n"), "{table}/{column}");
    }
    ok(&["verify", &path]);
}

#[test]
fn booleans_that_are_neither_are_merged_as_they_are() {
    let scratch = Scratch::new();
    let (path, out) = (scratch.text("a.h5"), scratch.text("m.h5"));
    let make = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'w') as f:
    d = f.create_dataset('t/flag', shape=(4,), chunks=(4,), dtype=bool)
    d.id.write_direct_chunk((0,), bytes([0, 1, 37, 255]))";
    py(make, &[&path]).expect("h5py");
    ok(&["merge", &out, &path]);
    let see = "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: print(f['t/flag'].id.read_direct_chunk((0,))[1])";
    assert_eq!(py(see, &[&out]).expect("h5py"), "b'\\x00\\x01%\\xff'\n");
    ok(&["verify", &out]);
}

/// In a file with 2-byte lengths, HDF5 writes attributes beside others that it cannot read again, and then loses all
/// attributes of the object. Such a change is refused before it is made.
#[test]
fn attributes_that_hdf5_cannot_read_again_are_not_written() {
    let make = "\
import sys, h5py, numpy as np
plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
plist.set_sizes(int(sys.argv[2]), int(sys.argv[3]))
plist.set_attr_phase_change(2, 0)
with h5py.File(h5py.h5f.create(sys.argv[1].encode(), h5py.h5f.ACC_TRUNC, fcpl=plist)) as file:
    file.attrs['mine'] = 1
    file['t/x'] = np.arange(7)
";
    for sizes in [("2", "2"), ("8", "2"), ("4", "4"), ("8", "8")] {
        let scratch = Scratch::new();
        let file = scratch.text("a.h5");
        if py(make, &[&file, sizes.0, sizes.1]).is_none() {
            return;
        }
        let before = std::fs::read(&file).expect("reads");
        let (code, _, err) = run(&["adopt", &file, "t"]);
        let is_short = sizes.1 == "2";
        assert_eq!(code, if is_short { 10 } else { 0 }, "{sizes:?}: {err}");
        if is_short {
            assert!(err.contains("would not read back") && err.contains("2 bytes"), "{err}");
            assert!(std::fs::read(&file).expect("reads") == before);
        }
        let seen = py("import sys, h5py; print(h5py.File(sys.argv[1]).attrs['mine'])", &[&file]);
        assert_eq!(seen.expect("h5py"), "1\n", "{sizes:?}");
    }
}

#[test]
fn a_chunk_that_hdf5_freed_is_never_written_to() {
    let scratch = Scratch::new();
    let (path, out) = (scratch.text("a.h5"), scratch.text("p.h5"));
    // The file names the chunk of `E` where `other` lies afterwards.
    let make = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1], 'w', libver='latest') as f:
    f.create_dataset('t/E', data=np.ones((1, 4000)), maxshape=(1, 4000), chunks=(1, 4000))
with h5py.File(sys.argv[1], 'r+') as f: f['t/E'].resize(0, axis=0)
with h5py.File(sys.argv[1], 'r+') as f: f['other'] = np.full(6000, 7.0)";
    py(make, &[&path]).expect("h5py");
    let told = ok(&["verify", &path, "--json"]);
    assert!(told.contains("freed_chunk") && told.contains("/t/E"), "{told}");
    ok(&["adopt", &path, "t", "--committed", "all"]);
    let (code, _, err) = run(&["extend", &path, "t", "--rows", "1"]);
    assert!(code == 10 && err.contains("freed its chunk"), "{code}: {err}");
    ok(&["publish", &path, "-o", &out]);
    assert!(!ok(&["verify", &out, "--json"]).contains("freed_chunk"));
    ok(&["merge", &scratch.text("m.h5"), &path, &out]);
    for file in [&path, &out, &scratch.text("m.h5")] {
        let see = "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: print(f['t/E'].shape, set(f['other'][...]))";
        assert_eq!(py(see, &[file]).expect("h5py"), "(0, 4000) {np.float64(7.0)}\n");
    }
}
