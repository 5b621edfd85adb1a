//! Copies are whole: `publish` and `merge` copy what other programs put into a file, or report it by name.

use crate::common::support::{Scratch, ok, py, run};

const MAKE: &str = r#"
import sys, h5py, numpy as np
kind, path = sys.argv[1:]
def raw_dataset(group, name, filter, level, data):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(data.shape)
    plist.set_filter(filter, h5py.h5z.FLAG_OPTIONAL, (level,))
    made = h5py.h5d.create(group.id, name, h5py.h5t.py_create(data.dtype), h5py.h5s.create_simple(data.shape), plist)
    made.write_direct_chunk((0,) * data.ndim, b"packed by somebody " * 30)
if kind == "sizes":
    plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plist.set_sizes(4, 4)
    file = h5py.File(h5py.h5f.create(path.encode(), h5py.h5f.ACC_TRUNC, fcpl=plist))
    file["c/s"] = [b"q%d" % i for i in range(40)]
    file["c"].attrs["u"] = "eV"
    file.close()
    sys.exit()
with h5py.File(path, "w", libver="latest" if kind == "latest" else None) as file:
    if kind == "fill":
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_fill_value(np.array("none", dtype=h5py.string_dtype()))
        text = h5py.h5t.py_create(h5py.string_dtype(), logical=True)
        made = h5py.Dataset(h5py.h5d.create(file.id, b"name", text, h5py.h5s.create_simple((4,)), plist))
        made[:3] = ["a", "b", "c"]
        made[3] = "none"
        made.attrs["unit"] = "eV"
    if kind == "latest":
        file.create_dataset("g/E", data=np.arange(100.0), chunks=(10,), compression="gzip")
    if kind == "lzf":
        names = [f"cell{i}" for i in range(100)]
        file.create_dataset("obs/_index", data=names, dtype=h5py.string_dtype(), compression="lzf")
        file.create_dataset("obs/n", data=np.arange(100), compression="lzf")
    if kind == "plugin":
        raw_dataset(file.create_group("raw"), b"signal", 32001, 3, np.arange(50000))
        file["t/E"] = np.arange(10.0)
    if kind == "wide":
        for i in range(5000):
            file[f"wide/v{i}"] = np.arange(3.0)
        file["t/E"] = np.arange(5.0)
    if kind == "big":
        file["g/E"] = np.arange(10.0).astype(">f8")
"#;

const SAME: &str = r#"
import sys, h5py, numpy as np
with h5py.File(sys.argv[1]) as a, h5py.File(sys.argv[2]) as b:
    def same(name, x):
        if name.startswith("__h5part__"): return
        y = b[name]
        theirs = [sorted(k for k in o.attrs if not k.startswith("h5part")) for o in (x, y)]
        assert theirs[0] == theirs[1], name
        assert all(np.array_equal(x.attrs[k], y.attrs[k]) for k in theirs[0]), name
        if isinstance(x, h5py.Dataset):
            assert (x.shape, x.dtype) == (y.shape, y.dtype), name
            if x.id.get_create_plist().get_nfilters() and x.id.get_create_plist().get_filter(0)[0] == 32001:
                assert x.id.read_direct_chunk((0,)) == y.id.read_direct_chunk((0,)), name
            else:
                assert np.array_equal(x[()], y[()]), name
                if h5py.check_string_dtype(x.dtype): assert x.fillvalue == y.fillvalue, name
    a.visititems(same)
"#;

fn make(scratch: &Scratch, kind: &str) -> String {
    let path = scratch.text(&format!("{kind}.h5"));
    py(MAKE, &[kind, &path]).expect("h5py");
    path
}

/// Both copies equal the source.
fn check(kind: &str) {
    let scratch = Scratch::new();
    let (source, published, merged) = (make(&scratch, kind), scratch.text("p.h5"), scratch.text("m.h5"));
    ok(&["publish", &source, "-o", &published]);
    py(SAME, &[&source, &published]).expect("h5py");
    ok(&["merge", &merged, &source]);
    py(SAME, &[&source, &merged]).expect("h5py");
    ok(&["verify", &published]);
}

#[test]
fn fill_values_of_texts() {
    check("fill");
}

#[test]
fn newest_form() {
    check("latest");
}

#[test]
fn texts_in_lzf() {
    check("lzf");
}

#[test]
fn filters_that_nobody_has() {
    check("plugin");
}

#[test]
fn addresses_of_four_bytes() {
    check("sizes");
}

#[test]
fn references_with_short_addresses() {
    for bytes in ["8", "4", "2"] {
        let scratch = Scratch::new();
        let (source, published, merged) = (scratch.text("s.h5"), scratch.text("p.h5"), scratch.text("m.h5"));
        let make = "
import sys, h5py, numpy as np
path, size = sys.argv[1:]
plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
plist.set_sizes(int(size), 8)
with h5py.File(h5py.h5f.create(path.encode(), h5py.h5f.ACC_TRUNC, fcpl=plist)) as file:
    d = file.create_dataset('t/E', data=np.arange(5.0))
    d.attrs['one'] = d.ref
    d.attrs['nothing'] = np.array(h5py.Reference(), dtype=h5py.ref_dtype)
    d.attrs['region'] = d.regionref[1:3]
    d.attrs['two'] = np.array([d.ref, file.ref], dtype=h5py.ref_dtype)
";
        py(make, &[&source, bytes]).expect("h5py");
        let see = "
import sys, h5py
with h5py.File(sys.argv[1]) as file:
    a = file['t/E'].attrs
    print(file[a['one']].name, bool(a['nothing']), file[a['region']][a['region']], [r and file[r].name for r in a['two']])
";
        // HDF5 has room for only one of the two in such a file.
        let (codes, two) = if bytes == "8" { ((0, 0), "'/t/E', '/'") } else { ((1, 1), "") };
        let (publishing, _, err) = run(&["publish", &source, "-o", &published]);
        let named = err.contains("/t/E, attribute 'two'");
        let (merging, _, err) = run(&["merge", &merged, &source]);
        assert_eq!(
            (publishing, merging, named, err.contains("/t/E, attribute 'two'")),
            (codes.0, codes.1, two.is_empty(), two.is_empty())
        );
        for copy in [&published, &merged] {
            let seen = py(see, &[copy]).expect("h5py");
            assert!(
                seen.starts_with("/t/E False [1. 2.] ") && (two.is_empty() || seen.contains(two)),
                "{bytes}: {seen}"
            );
        }
    }
}

#[test]
fn references_in_chunks_with_short_addresses() {
    let scratch = Scratch::new();
    let (source, published, merged) = (scratch.text("s.h5"), scratch.text("p.h5"), scratch.text("m.h5"));
    let make = "
import sys, h5py, numpy as np
plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
plist.set_sizes(4, 8)
with h5py.File(h5py.h5f.create(sys.argv[1].encode(), h5py.h5f.ACC_TRUNC, fcpl=plist)) as file:
    file['t/E'] = np.arange(5.0)
    one = file.create_dataset('t/one', (1,), h5py.ref_dtype, chunks=(3,), maxshape=(None,))
    one[0] = file['t/E'].ref
    file.create_dataset('t/none', (60,), h5py.ref_dtype, chunks=(7,), maxshape=(None,))
";
    py(make, &[&source]).expect("h5py");
    assert_eq!(run(&["publish", &source, "-o", &published]).0, 0);
    assert_eq!(run(&["merge", &merged, &source]).0, 0);
    let see = "
import sys, h5py
with h5py.File(sys.argv[1]) as file:
    one, none = file['t/one'], file['t/none']
    print(file[one[0]].name, one.chunks, one.maxshape, none.shape, none.chunks, any(none[:]))
";
    for copy in [&published, &merged] {
        assert_eq!(py(see, &[copy]).expect("h5py").trim(), "/t/E (3,) (None,) (60,) (7,) False");
    }
}

#[test]
fn no_limit_stays_no_limit_where_lengths_have_four_bytes() {
    let scratch = Scratch::new();
    let (source, published, merged) = (scratch.text("s.h5"), scratch.text("p.h5"), scratch.text("m.h5"));
    let make = "
import sys, h5py, numpy as np
plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
plist.set_sizes(4, 4)
with h5py.File(h5py.h5f.create(sys.argv[1].encode(), h5py.h5f.ACC_TRUNC, fcpl=plist)) as file:
    d = file.create_dataset('t/E', (10, 5), '?', maxshape=(None, 5), chunks=(1, 5), compression=4)
    d[::2] = np.arange(25).reshape(5, 5) % 3 == 0
";
    py(make, &[&source]).expect("h5py");
    assert_eq!(run(&["publish", &source, "-o", &published]).0, 0);
    assert_eq!(run(&["merge", &merged, &source]).0, 0);
    let see = "
import sys, h5py
with h5py.File(sys.argv[1]) as file: print(file['t/E'].shape, file['t/E'][...].sum())
";
    let seen = py(see, &[&source]).expect("h5py");
    for copy in [&published, &merged] {
        // An index of chunks up to the maximum length would take gigabytes and never end.
        assert!(std::fs::metadata(copy).expect("is there").len() < 1 << 20);
        assert_eq!(py(see, &[copy]).expect("h5py"), seen);
    }
}

#[test]
fn comments_and_links_of_unknown_classes() {
    const HDF5: &str = "
import sys, ctypes, glob, os, h5py, numpy as np
hdf5 = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(h5py.__file__), '..', 'h5py.libs', 'libhdf5-*'))[0])
names = ['/', '/g', '/d', '/text', '/type', '/t', '/t/E']
";
    let make = format!(
        "{HDF5}
class Class(ctypes.Structure):
    _fields_ = [('version', ctypes.c_int), ('id', ctypes.c_int), ('comment', ctypes.c_char_p)] + [
        (name, ctypes.c_void_p) for name in ('create', 'move', 'copy', 'traverse', 'delete', 'query')]
follow = ctypes.CFUNCTYPE(ctypes.c_int64)(lambda: -1)
of_user = Class(1, 100, b'ours', None, None, None, ctypes.cast(follow, ctypes.c_void_p), None, None)
assert hdf5.H5Lregister(ctypes.byref(of_user)) >= 0
hdf5.H5Lcreate_ud.argtypes = [ctypes.c_int64, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t] + [ctypes.c_int64] * 2
hdf5.H5Oset_comment_by_name.argtypes = [ctypes.c_int64, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int64]
with h5py.File(sys.argv[1], 'w') as file:
    file.create_group('g')
    file['d'] = np.arange(3)
    file.create_dataset('text', data=['a', 'b'], dtype=h5py.string_dtype(), fillvalue='none')
    file['type'] = np.dtype('f8')
    file['t/E'] = np.arange(20000.0)
    for name in names: assert hdf5.H5Oset_comment_by_name(file.id.id, name.encode(), ('of ' + name).encode(), 0) >= 0
    assert hdf5.H5Lcreate_ud(file.id.id, b'ours', 100, b'data', 4, 0, 0) >= 0
"
    );
    let see = format!(
        "{HDF5}
hdf5.H5Oget_comment_by_name.argtypes = [ctypes.c_int64, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]
with h5py.File(sys.argv[1]) as file:
    for name in names:
        room = ctypes.create_string_buffer(99)
        hdf5.H5Oget_comment_by_name(file.id.id, name.encode(), room, 99, 0)
        assert room.value.decode() == 'of ' + name, (name, room.value)
"
    );
    let scratch = Scratch::new();
    let (source, published, merged) = (scratch.text("s.h5"), scratch.text("p.h5"), scratch.text("m.h5"));
    py(&make, &[&source]).expect("h5py");
    for args in [vec!["publish", &source, "-o", &published], vec!["merge", &merged, &source]] {
        let (code, _, err) = run(&args);
        assert!(code == 1 && err.contains("/ours"), "{code}: {err}");
    }
    for copy in [&published, &merged] {
        py(&see, &[copy]).expect("h5py");
    }
}

#[test]
fn groups_of_more_columns_than_stamps() {
    let scratch = Scratch::new();
    let (source, merged) = (make(&scratch, "wide"), scratch.text("m.h5"));
    ok(&["merge", &merged, &source]);
    py(SAME, &[&source, &merged]).expect("h5py");
}

#[test]
fn plain_columns_of_the_other_byte_order() {
    let scratch = Scratch::new();
    let (source, published) = (make(&scratch, "big"), scratch.text("p.h5"));
    ok(&["adopt", &source, "g", "--committed", "all"]);
    ok(&["publish", &source, "-o", &published, "--plain"]);
    py(SAME, &[&source, &published]).expect("h5py");
}

#[test]
fn published_inputs() {
    let scratch = Scratch::new();
    let halves = ["0:5", "5:10"].map(|rows| {
        let (file, out) = (scratch.text(&format!("{rows}.h5")), scratch.text(&format!("{rows}p.h5")));
        ok(&["create", &file, "t", "--rows", "10", "--column", "E:f64"]);
        let values = scratch.npy("e.npy", &[5], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        ok(&["update", &file, "t", "--rows", rows, "--set", &format!("E={values}")]);
        ok(&["publish", &file, "-o", &out]);
        out
    });
    let merged = scratch.text("m.h5");
    ok(&["merge", &merged, &halves[0], &halves[1]]);
    // The merged file is not itself a published one.
    ok(&["merge", &merged, &halves[1]]);
    assert!(ok(&["status", &merged, "t", "--json"]).contains("10"));
}

#[test]
fn texts_beside_merged_rows_are_merged() {
    let scratch = Scratch::new();
    let script = "
import sys, h5py, numpy as np
for k, path in enumerate(sys.argv[1:]):
    with h5py.File(path, 'w') as file:
        x, label = np.full(10, np.nan), np.array([''] * 10, dtype=object)
        for i in range(5 * k, 5 * k + 5): x[i], label[i] = i, f'label{i}'
        file.create_dataset('res/x', data=x, fillvalue=np.nan)
        file.create_dataset('res/label', data=label, dtype=h5py.string_dtype())
";
    let (a, b) = (scratch.text("a.h5"), scratch.text("b.h5"));
    py(script, &[&a, &b]).expect("h5py");
    let merged = scratch.text("m.h5");
    let (code, _, err) = run(&["merge", &merged, &a, &b]);
    assert_eq!(code, 0, "{err}");
    let labels = "import sys, h5py\nprint(list(h5py.File(sys.argv[1])['res/label'].asstr()) == [f'label{i}' for i in range(10)])";
    assert_eq!(py(labels, &[&merged]).expect("h5py"), "True\n");
}

/// Data stored in other files does not change. References there point to objects of the source; this is reported.
#[test]
fn references_that_are_stored_outside_are_named() {
    let scratch = Scratch::new();
    let (source, published, merged) = (scratch.text("s.h5"), scratch.text("p.h5"), scratch.text("m.h5"));
    let make = "
import sys, os, h5py
os.chdir(os.path.dirname(sys.argv[1]))
with h5py.File(sys.argv[1], 'w') as file:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_external(b'refs.bin', 0, h5py.h5f.UNLIMITED)
    space = h5py.h5s.create_simple((3,))
    made = h5py.h5d.create(file.create_group('g').id, b'refs', h5py.h5t.STD_REF_OBJ, space, plist)
    h5py.Dataset(made)[0] = file.ref
";
    if py(make, &[&source]).is_none() {
        return;
    }
    let before = std::fs::read(scratch.path("refs.bin")).expect("there");
    for args in [["publish", &source, "-o", &published].to_vec(), ["merge", &merged, &source].to_vec()] {
        let (code, _, err) = run(&args);
        assert!(code == 1 && err.contains("/g/refs") && err.contains("stored outside"), "{args:?}: {code} {err}");
        assert!(std::fs::read(scratch.path("refs.bin")).expect("there") == before, "{args:?}");
    }
}
