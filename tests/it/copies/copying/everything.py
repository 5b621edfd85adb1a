"""Makes a file with everything that h5py can put into one: everything.py PATH LOW HIGH TRACK_ORDER."""
import sys

import h5py
import numpy as np

path, low, high, track = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "1"
h5py.get_config().track_order = track
f = h5py.File(path, "w", libver=(low, high))

t = f.create_group("t")
t.attrs["zeta"], t.attrs["alpha"] = 1, "α text"
t.attrs["unit"] = np.array(["eV", "Å"], dtype=h5py.string_dtype())
t.create_dataset("E", data=np.arange(100.0), maxshape=(None,), chunks=(10,), fillvalue=np.nan)
t.create_dataset("F", data=np.arange(1200.0).reshape(100, 4, 3), maxshape=(None, 4, 3), chunks=(16, 4, 3),
                 compression="gzip", shuffle=True, fillvalue=7.5)
t.create_dataset("flat", data=np.arange(100, dtype=">i4"))
t.create_dataset("flag", data=np.arange(100) % 3 == 0, maxshape=(200,), chunks=(50,))
t["label"] = np.array([f"row {k}" for k in range(100)], dtype=h5py.string_dtype())
for name, value in [("long_name", "energy"), ("answer", np.uint8(42)), ("none", h5py.Empty("f4")),
                    ("pair", np.array((1, 2.5), dtype=[("a", "i4"), ("b", "f8")])),
                    ("many", np.arange(50.0).reshape(5, 10)), ("short", np.bytes_(b"abc"))]:
    t["E"].attrs[name] = value
t["E"].attrs.create("lists", np.array([np.arange(3), np.arange(5)], dtype=object), dtype=h5py.vlen_dtype("i4"))
for k in range(20):
    t["F"].attrs[f"attribute {19 - k}"] = k

# Dimension scales, as netCDF4 has them: lists of references, and compounds with references.
f["time"] = np.arange(100) * 0.5
f["time"].make_scale("time")
f["xyz"] = np.arange(3)
f["xyz"].make_scale("xyz")
t["E"].dims[0].attach_scale(f["time"])
t["F"].dims[0].attach_scale(f["time"])
t["F"].dims[2].attach_scale(f["xyz"])

g = f.create_group("notes/deeper", track_order=True)
for name in "zebra", "ant", "mole":
    g[name] = np.arange(4, dtype="u2")
    g.attrs[name] = name
g["hard"] = t["E"]
f["E again"] = t["E"]
f["t again"] = t
g["up"] = f["/"]
f["soft"] = h5py.SoftLink("/notes/deeper/zebra")
f["dangling"] = h5py.SoftLink("/no/such/thing")
f["outside"] = h5py.ExternalLink("other file.h5", "/x/y")

kinds = f.create_group("kinds")
kinds["scalar"] = 3.25
kinds["text"] = "some text"
kinds["empty"] = h5py.Empty("i8")
kinds.create_dataset("no rows", shape=(0, 3), maxshape=(None, 3), chunks=(4, 3), dtype="f4")
kinds["compound"] = np.array([(1, b"x", [1, 2]), (2, b"y", [3, 4])], dtype=[("n", "i2"), ("s", "S3"), ("v", "f4", 2)])
kinds.create_dataset("vlen", data=np.array([np.arange(2.0), np.arange(7.0)], dtype=object), dtype=h5py.vlen_dtype("f8"))
kinds["enum"] = np.array([0, 1, 1], dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}, "u1"))
kinds["opaque"] = np.array([b"ab", b"cd"], dtype="V2")
kinds["complex"] = np.array([1 + 2j])
kinds.create_dataset("late", shape=(1000,), dtype="f8", chunks=(100,), fillvalue=-1)
kinds.create_dataset("lzf", data=np.arange(1000), chunks=(100,), compression="lzf", fletcher32=True)
plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
plist.set_layout(h5py.h5d.COMPACT)
space = h5py.h5s.create_simple((4,))
h5py.h5d.create(kinds.id, b"compact", h5py.h5t.NATIVE_INT32, space, plist).write(h5py.h5s.ALL, h5py.h5s.ALL,
                                                                                np.arange(4, dtype="i4"))

f["types/number"] = np.dtype("f4")
f["types/pair"] = np.dtype([("a", "i4"), ("b", "f8")])
f["types/number"].attrs["about"] = "a type with an attribute"
f["types/same as number"] = f["types/number"]
kinds.create_dataset("typed", data=np.arange(5), dtype=f["types/number"])
t.create_dataset("typed column", data=np.arange(100), dtype=f["types/number"])
kinds.create_dataset("typed pairs", shape=(3,), dtype=f["types/pair"])
kinds.attrs.create("typed", 1.5, dtype=f["types/number"])
kinds["scalar"].attrs.create("typed", 2.5, dtype=f["types/number"])
t["E"].attrs.create("typed", 3.5, dtype=f["types/number"])

refs = f.create_group("refs")
targets = [t, t["E"], f["xyz"], f["types/pair"], f["/"], g]
refs.create_dataset("objects", data=np.array([x.ref for x in targets] + [None], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
refs.create_dataset("one", data=t["F"].ref, dtype=h5py.ref_dtype)
refs.create_dataset("chunked", shape=(50, 2), chunks=(7, 2), dtype=h5py.ref_dtype, compression="gzip")
for k in range(0, 50, 3):
    refs["chunked"][k, 1] = targets[k % 6].ref
regions = [t["E"].regionref[3:7], t["F"].regionref[2:90:4, 1, :], f["xyz"].regionref[1]]
refs.create_dataset("regions", data=np.array(regions, dtype=h5py.regionref_dtype), dtype=h5py.regionref_dtype)
mixed = np.dtype([("n", "i4"), ("o", h5py.ref_dtype), ("r", h5py.regionref_dtype)])
values = np.zeros(2, dtype=mixed)
values["n"], values["o"], values["r"] = [1, 2], [t["E"].ref, f["time"].ref], regions[:2]
refs.create_dataset("mixed", data=values, dtype=mixed)
refs.attrs["to a column"] = t["E"].ref
refs.attrs["to a region"] = regions[0]
t["E"].attrs["back"] = refs["objects"].ref
t["F"].attrs.create("all", np.array([x.ref for x in targets], dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)
if low == "v110":
    f.attrs["large"] = np.arange(20000.0)
f.attrs["title"] = "everything"
f.close()
