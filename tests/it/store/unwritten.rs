//! Storage that was never written and that HDF5 must not fill: h5part reads, copies and leaves alone what h5py reads.

use crate::common::support::{Scratch, ok, py};

/// A table `t` with a column for each kind of storage. Row 3 of the columns whose name ends in 'w' was written. The
/// fill value is 7, undefined, or the default of the type.
const MAKE: &str = r"
import sys, ctypes, glob, os, h5py, numpy as np
from h5py import h5d, h5p, h5s, h5t
library = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(h5py.__file__), '..', 'h5py.libs', 'libhdf5-*'))[0])
library.H5Pset_fill_value.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p]
path, fill, time = sys.argv[1:]
with h5py.File(path, 'w') as file:
    file.create_group('t')
    for name, alloc in (('late', h5d.ALLOC_TIME_LATE), ('incr', h5d.ALLOC_TIME_INCR), ('early', h5d.ALLOC_TIME_EARLY)):
        for layout in ('block', 'rows', 'parts', 'gzip'):
            if (layout == 'block' and alloc == h5d.ALLOC_TIME_INCR) or (layout == 'gzip' and name == 'early'): continue
            for kind, written in (('<f8', ''), ('>i4', ''), ('<f8', 'w')):
                plist = h5p.create(h5p.DATASET_CREATE)
                plist.set_alloc_time(alloc)
                plist.set_fill_time(getattr(h5d, 'FILL_TIME_' + time))
                if fill == 'seven': plist.set_fill_value(np.array(7, 'i1'))
                if fill == 'undefined': assert library.H5Pset_fill_value(plist.id, h5t.STD_I32LE.id, None) >= 0
                if layout != 'block': plist.set_chunk({'rows': (3, 4), 'parts': (3, 2), 'gzip': (3, 4)}[layout])
                if layout == 'gzip': plist.set_deflate(1)
                name_of = f't/{layout}{kind[1:]}{name}{written}'.encode()
                made = h5d.create(file.id, name_of, h5t.py_create(np.dtype(kind)), h5s.create_simple((10, 4)), plist)
                # Without a fill, one that is a block is what was in the file before.
                if written: h5py.Dataset(made)[... if layout == 'block' else 3] = 5
";

/// All rows of all columns, except rows 2 and 6, as h5py reads them; None for columns that it cannot read.
const SEE: &str = r"
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as file:
    for name, column in sorted(file['t'].items()):
        # Of what has no fill value, h5py reads nothing before it is written.
        try: values = column[...]
        except OSError: values = np.zeros(column.shape, column.dtype)
        print(name, np.delete(values, [2, 6], 0).tolist())
";

const SAME: &str = r"
import sys, h5py, numpy as np
folder, path = sys.argv[1:]
with h5py.File(path) as file:
    for name, column in file['t'].items():
        got = np.load(f'{folder}/{name}.npy')
        try: values = column[...]
        except OSError: values = np.zeros(column.shape, column.dtype)
        assert got.tolist() == values.tolist(), (name, got, values)
";

const KINDS: [[&str; 2]; 6] = [
    ["seven", "NEVER"],
    ["none", "NEVER"],
    ["undefined", "NEVER"],
    ["undefined", "IFSET"],
    ["seven", "ALLOC"],
    ["none", "IFSET"],
];

fn made(scratch: &Scratch, [fill, time]: [&str; 2]) -> (String, String, Vec<String>) {
    let path = scratch.text("a.h5");
    py(MAKE, &[&path, fill, time]).expect("h5py");
    let seen = py(SEE, &[&path]).expect("h5py");
    let names = seen.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    (path, seen, names)
}

#[test]
fn reading_is_as_h5py_reads() {
    for kind in KINDS {
        let scratch = Scratch::in_memory();
        let (path, _, names) = made(&scratch, kind);
        for name in &names {
            ok(&["read", &path, "t", name, "--rows", ":", "-o", &scratch.text(&format!("{name}.npy"))]);
        }
        py(SAME, &[&scratch.text(""), &path]).expect("h5py");
    }
}

#[test]
fn copies_are_as_h5py_reads() {
    for kind in KINDS {
        let scratch = Scratch::in_memory();
        let (path, seen, _) = made(&scratch, kind);
        for [name, option] in [["chunks", "--gzip=1"], ["plain", "--plain"]] {
            let out = scratch.text(&format!("{name}.h5"));
            ok(&["publish", &path, "-o", &out, option]);
            assert_eq!(py(SEE, &[&out]).expect("h5py"), seen, "{kind:?} {option}");
        }
        let out = scratch.text("m.h5");
        ok(&["merge", &out, &path]);
        assert_eq!(py(SEE, &[&out]).expect("h5py"), seen, "{kind:?} merge");
    }
}

#[test]
fn an_update_leaves_other_rows_as_h5py_reads_them() {
    for kind in KINDS {
        // Columns that HDF5 fills itself are tested elsewhere, too.
        let unfilled = kind[0] == "undefined" || kind[1] == "NEVER";
        for adopt in [None, Some("nonfill")].into_iter().take(if unfilled { 2 } else { 1 }) {
            let scratch = Scratch::in_memory();
            let (path, seen, names) = made(&scratch, kind);
            if let Some(committed) = adopt {
                ok(&["adopt", &path, "t", "--committed", committed]);
                assert_eq!(py(SEE, &[&path]).expect("h5py"), seen, "{kind:?} adopt {committed}");
            }
            let values = scratch.npy("v.npy", &[2, 4], &[1.5; 8]);
            let whole = scratch.npy_of("w.npy", h5part_base::dataspace::Dtype::I32, &[2, 4], &[3i32; 8]);
            let values_of = |name: &str| if name.contains("i4") { &whole } else { &values };
            let sets: Vec<String> = names.iter().map(|name| format!("--set={name}={}", values_of(name))).collect();
            let update = ["update", &path, "t", "--rows", "2,6"];
            ok(&update.into_iter().chain(sets.iter().map(String::as_str)).collect::<Vec<_>>());
            assert_eq!(py(SEE, &[&path]).expect("h5py"), seen, "{kind:?} {adopt:?}");
            ok(&["verify", &path]);
            if adopt.is_some() {
                ok(&["extend", &path, "t", "--rows", "10"]);
                ok(&["reset", &path, "t", "--rows", "2,6"]);
                assert_eq!(py(SEE, &[&path]).expect("h5py"), seen, "{kind:?} {adopt:?} reset");
                ok(&["verify", &path]);
            }
        }
    }
}

#[test]
fn new_rows_hold_nothing_of_others() {
    const GROWING: &str = r"
import sys, h5py, numpy as np
from h5py import h5d, h5p, h5s, h5t
with h5py.File(sys.argv[1], 'w') as file:
    file.create_group('t')
    for name in ('LATE', 'EARLY', 'INCR'):
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_alloc_time(getattr(h5d, 'ALLOC_TIME_' + name))
        plist.set_fill_time(h5d.FILL_TIME_NEVER)
        plist.set_fill_value(np.array(7, 'i1'))
        plist.set_chunk((4,))
        made = h5d.create(file.id, b't/' + name.encode(), h5t.NATIVE_DOUBLE, h5s.create_simple((10,), (h5s.UNLIMITED,)), plist)
        h5py.Dataset(made)[...] = 5
        made.write_direct_chunk((8,), np.array([5, 5, 99, 99], 'f8').tobytes())
";
    let scratch = Scratch::in_memory();
    let path = scratch.text("a.h5");
    py(GROWING, &[&path]).expect("h5py");
    ok(&["adopt", &path, "t", "--committed", "all"]);
    ok(&["extend", &path, "t", "--rows", "17"]);
    let script = "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: print([f['t'][n][10:].sum() for n in f['t']])";
    assert_eq!(py(script, &[&path]).expect("h5py"), "[np.float64(0.0), np.float64(0.0), np.float64(0.0)]\n");
    let status = ok(&["status", &path, "t", "--json"]);
    assert_eq!(status.matches("\"committed\":10").count(), 3, "{status}");
    ok(&["verify", &path]);
}

/// A fill value that is neither 0 nor 1: rows that are not written keep the byte, too.
#[test]
fn a_bool_keeps_the_byte_of_its_fill_value() {
    let scratch = Scratch::new();
    let (file, value, out) = (scratch.text("b.h5"), scratch.text("true.npy"), scratch.text("b.npy"));
    let make = "
import sys, h5py, numpy as np
from h5py import h5d, h5p, h5s, h5t
with h5py.File(sys.argv[1], 'w') as file:
    file.create_group('t')
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((2,))
    plist.set_fill_value(np.array(7, 'i1'))
    kind = h5t.py_create(np.dtype('?'), logical=True)
    h5d.create(file.id, b't/done', kind, h5s.create_simple((0,), (h5s.UNLIMITED,)), plist)
np.save(sys.argv[2], np.array([True]))
";
    py(make, &[&file, &value]).expect("h5py");
    ok(&["extend", &file, "t", "--rows", "3"]);
    ok(&["update", &file, "t", "--rows", "1", "--set", &format!("done={value}")]);
    ok(&["read", &file, "t", "done", "--rows", ":", "-o", &out]);
    let see = "
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as file: print(file['t/done'][...].view('u1').tolist(), np.load(sys.argv[2]).view('u1').tolist())
";
    assert_eq!(py(see, &[&file, &out]).expect("h5py").trim(), "[7, 1, 7] [7, 1, 7]");
}
