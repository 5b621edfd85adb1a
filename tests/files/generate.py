#!/usr/bin/env python3
"""Makes strange HDF5 files: `generate.py SEED OUT.h5` writes one, `generate.py SEED` prints its recipe."""
import json
import random
import sys

import recipe as recipes

INTEGERS = [f"STD_{sign}{bits}{order}" for sign in "IU" for bits in (8, 16, 32, 64) for order in ("LE", "BE")]
FLOATS = [f"IEEE_F{bits}{order}" for bits in (16, 32, 64) for order in ("LE", "BE")]
NUMPY = ["<f8", ">f8", "<f4", ">f4", "<f2", "<i8", ">i8", "<i4", ">i4", "<i2", ">u2", "<u4", "u1", "i1", "?", "<u8"]
ODD_NAMES = ["a b", "forces:x", "é", "x=y", "0", "@at", "with,comma", "{row}", "h5part", "~", "名"]

# How often each kind of thing is chosen; a dataset's type first.
TYPES = {"plain": 30, "integer": 10, "float": 8, "reduced": 6, "offset": 4, "odd_float": 3, "enum": 3, "bitfield": 2,
         "opaque": 2, "string": 4, "vlen_string": 3, "vlen": 2, "compound": 4, "nested": 2, "array": 3,
         "reference": 2, "region": 1, "complex": 1, "named": 2, "vlen_compound": 1}
LAYOUTS = {"default": 6, "contiguous": 6, "chunked": 14, "compact": 2, "external": 1, "virtual": 1}
FILTERS = {"none": 12, "deflate": 6, "shuffle": 4, "fletcher32": 3, "both": 4, "scaleoffset": 2, "float_scale": 1,
           "nbit": 2, "szip": 1, "lzf": 2, "unknown": 1, "optional_unknown": 1, "zero_deflate": 1, "many": 1}
STEPS = {"table": 10, "dataset": 4, "group": 2, "hard": 2, "soft": 2, "external_link": 1, "dangling": 1, "circular": 1,
         "attribute": 4, "large_attribute": 1, "dense_attributes": 1, "null": 1, "direct_chunk": 2, "deep": 1,
         "many_children": 1, "named_type": 1, "delete": 1, "alias_table": 1, "scale": 1, "grown": 2, "root_column": 1}


def pick(rng, weights):
    return rng.choices(list(weights), list(weights.values()))[0]


class Maker:
    """Draws the steps of one file, and remembers the names that it has given."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.groups, self.tables, self.columns, self.serial = [""], [], [], 0

    def name(self, stem):
        self.serial += 1
        if self.rng.random() < 0.08:
            return f"{self.rng.choice(ODD_NAMES)}{self.serial}"
        return f"{stem}{self.serial}"

    def path(self, stem):
        parent = self.rng.choice(self.groups)
        return f"{parent}/{self.name(stem)}".lstrip("/")

    def seed(self):
        return self.rng.randrange(1 << 30)

    def type_lines(self):
        """Lines that set `t`, and whether its bytes may be any bits."""
        rng, kind = self.rng, pick(self.rng, TYPES)
        whole = rng.choice(INTEGERS)
        lines = {
            "plain": lambda: [f"t = h5t.py_create(np.dtype({rng.choice(NUMPY)!r}), logical=True)"],
            "integer": lambda: [f"t = h5t.{whole}.copy()"],
            "float": lambda: [f"t = h5t.{rng.choice(FLOATS)}.copy()"],
            "reduced": lambda: [f"t = h5t.{whole}.copy()", f"t.set_precision({rng.randint(1, int(whole[5:-2]))})"],
            "offset": lambda: [f"t = h5t.STD_{rng.choice('IU')}32{rng.choice(['LE', 'BE'])}.copy()",
                               f"t.set_precision({rng.randint(3, 20)})", f"t.set_offset({rng.randint(1, 12)})",
                               f"t.set_pad(h5t.PAD_{rng.choice(['ZERO', 'ONE'])}, h5t.PAD_ZERO)"],
            "odd_float": lambda: self.odd_float(),
            "enum": lambda: [f"t = h5py.h5t.py_create(h5py.enum_dtype({{'A': 0, 'B': 1, 'C': {rng.randint(2, 63)}}}, "
                             f"basetype={rng.choice(['i1', '<i4', '>i2', 'u1'])!r}), logical=True)"],
            "bitfield": lambda: [f"t = h5t.STD_B{rng.choice([8, 16, 32, 64])}{rng.choice(['LE', 'BE'])}.copy()"],
            "opaque": lambda: [f"t = h5t.create(h5t.OPAQUE, {rng.randint(1, 9)})", "t.set_tag(b'any')"],
            "string": lambda: ["t = h5t.C_S1.copy()", f"t.set_size({rng.randint(1, 12)})",
                               f"t.set_strpad(h5t.STR_{rng.choice(['NULLPAD', 'NULLTERM', 'SPACEPAD'])})",
                               f"t.set_cset(h5t.CSET_{rng.choice(['ASCII', 'UTF8'])})"],
            "vlen_string": lambda: ["t = h5t.py_create(h5py.string_dtype(), logical=True)"],
            "vlen": lambda: [f"t = h5t.vlen_create(h5t.{whole})"],
            "vlen_compound": lambda: ["t = h5t.vlen_create(h5t.py_create(np.dtype([('a', '<i4'), ('b', '<f8')])))"],
            "compound": lambda: ["t = h5t.py_create(np.dtype([('a', '<f8'), ('b', '>i2', (2,)), ('c', 'S3')]))"],
            "nested": lambda: ["t = h5t.create(h5t.COMPOUND, 24)", "t.insert(b'x', 2, h5t.IEEE_F64BE)",
                               "t.insert(b'y', 12, h5t.py_create(np.dtype([('u', '<u2'), ('v', 'i1', (3,))])))"],
            "array": lambda: [f"t = h5t.array_create(h5t.{whole}, {rng.choice(['(2,)', '(2, 3)'])})"],
            "reference": lambda: ["t = h5t.STD_REF_OBJ.copy()"],
            "region": lambda: ["t = h5t.STD_REF_DSETREG.copy()"],
            "complex": lambda: ["t = h5t.py_create(np.dtype('<c16'))"],
            "named": lambda: [f"t = h5t.py_create(np.dtype({rng.choice(NUMPY)!r}), logical=True)",
                              f"t.commit(f.id, {self.name('type').encode()!r})"],
        }[kind]()
        return lines, kind

    def odd_float(self):
        rng = self.rng
        if rng.random() < 0.5:
            return ["t = h5t.IEEE_F32LE.copy()", "t.set_fields(15, 10, 5, 0, 10)", "t.set_precision(16)"] + (
                ["t.set_size(2)"] if rng.random() < 0.5 else [])
        return ["t = h5t.IEEE_F32LE.copy()", "t.set_fields(15, 7, 8, 0, 7)", "t.set_precision(16)", "t.set_size(2)",
                "t.set_ebias(127)"] + (["t.set_order(h5t.ORDER_BE)"] if rng.random() < 0.5 else [])

    def filter_lines(self, cell):
        rng, kind = self.rng, pick(self.rng, FILTERS)
        flag = rng.choice(["h5z.FLAG_OPTIONAL", "0"])
        return {
            "none": [], "deflate": [f"p.set_deflate({rng.randint(1, 9)})"], "shuffle": ["p.set_shuffle()"],
            "fletcher32": ["p.set_fletcher32()"], "both": ["p.set_shuffle()", f"p.set_deflate({rng.randint(1, 9)})"],
            "scaleoffset": ["p.set_scaleoffset(h5z.SO_INT, 0)"],
            "float_scale": ["p.set_scaleoffset(h5z.SO_FLOAT_DSCALE, 2)"],
            "nbit": [f"p.set_filter(h5z.FILTER_NBIT, {flag}, ())"],
            "szip": ["p.set_szip(h5z.SZIP_NN_OPTION_MASK, 8)"],
            "lzf": ["p.set_filter(h5z.FILTER_LZF, h5z.FLAG_OPTIONAL)"],
            "unknown": ["p.set_filter(32768, 0, (1, 2, 3))"],
            "optional_unknown": ["p.set_filter(307, h5z.FLAG_OPTIONAL, tuple(range(30)))", "p.set_deflate(1)"],
            "zero_deflate": ["p.set_deflate(0)"],
            "many": ["p.set_fletcher32()", "p.set_shuffle()", "p.set_deflate(3)", "p.set_fletcher32()"],
        }[kind]

    def storage_lines(self, rows, cell, kind):
        """Lines that set `p`, `s`: layout, chunks, filters, fill, times of allocation; of the space."""
        rng = self.rng
        layout = pick(rng, LAYOUTS)
        lines, most = ["p = plist()"], [rows] + list(cell)
        if layout == "chunked":
            if rng.random() < 0.6:
                most[0] = rng.choice([None, rows + rng.randint(0, 20)])
            chunk = tuple([rng.choice([1, 2, 3, max(1, rows // 2), max(1, most[0] or rows or 4)])]
                          + [rng.choice([n, max(1, n - 1), 1]) for n in cell])
            lines += [f"p.set_chunk({chunk!r})"] + self.filter_lines(cell)
        elif layout == "contiguous":
            lines.append("p.set_layout(h5d.CONTIGUOUS)")
        elif layout == "compact":
            lines.append("p.set_layout(h5d.COMPACT)")
        elif layout == "external":
            lines.append(f"p.set_external(b'outside{self.seed()}.bin', 0, h5f.UNLIMITED)")
        elif layout == "virtual":
            lines += ["p.set_layout(h5d.VIRTUAL)"]
        if rng.random() < 0.4:
            lines.append(f"p.set_fill_time(h5d.FILL_TIME_{rng.choice(['ALLOC', 'NEVER', 'IFSET'])})")
        if rng.random() < 0.4:
            lines.append(f"p.set_alloc_time(h5d.ALLOC_TIME_{rng.choice(['EARLY', 'LATE', 'INCR'])})")
        if rng.random() < 0.25 and kind in ("plain", "integer", "float", "reduced"):
            lines.append(f"p.set_fill_value(np.array({rng.choice([1, 7, 0])}, {rng.choice(['i1', '<f4', '<f8'])!r}))")
        if rng.random() < 0.15:
            lines += ["p.set_attr_creation_order(h5p.CRT_ORDER_TRACKED)"]
        if rng.random() < 0.3:
            lines += [f"p.set_obj_track_times({rng.random() < 0.5})"]
        shown = ", ".join("h5s.UNLIMITED" if n is None else str(n) for n in most)
        lines.append(f"s = h5s.create_simple({(rows, *cell)!r}, ({shown},))")
        return lines

    def column(self, path, rows):
        rng = self.rng
        type_lines, kind = self.type_lines()
        cell = rng.choice([(), (), (), (3,), (2, 2), (0,) if rng.random() < 0.1 else (5,)])
        lines = type_lines + self.storage_lines(rows, cell, kind)
        lines.append(f"d = h5d.create(f.id, {path.encode()!r}, t, s, p)")
        part = "" if rng.random() < 0.6 else f", rows={rng.randint(0, rows)}"
        seed = self.seed()
        if "p.set_filter(32768, 0, (1, 2, 3))" in lines:
            # Only stored bytes can be written: the library has no such filter.
            lines.append(f"d.write_direct_chunk((0,) * len(d.shape), noise({seed}, 'V40').tobytes(), 0)")
        elif rng.random() < 0.8:
            if kind in ("integer", "reduced", "offset", "odd_float", "bitfield", "opaque", "string") and rng.random() < 0.5:
                lines.append(f"raw(d, {seed}{part})")
            elif kind == "vlen_string":
                lines.append(f"h5py.Dataset(d)[{self.some(rows)}] = 'text {seed}'")
            elif kind == "vlen":
                lines.append(f"h5py.Dataset(d)[0] = np.arange({rng.randint(0, 5)})")
            elif kind in ("reference", "region", "vlen_compound"):
                lines.append("h5py.Dataset(d)[0] = f.ref" if kind == "reference" else "pass")
            else:
                lines += ["o = h5py.Dataset(d)", f"o[{self.some(rows)}] = noise({seed}, o.dtype, o[{self.some(rows, same=True)}].shape)"]
        if rng.random() < 0.3:
            lines.append(f"h5py.Dataset(d).attrs['units'] = {rng.choice(['eV', 'Å', ''])!r}")
        self.columns.append(path)
        return lines

    def some(self, rows, same=False):
        if not same:
            rng = self.rng
            self.last = rng.choice(["...", "...", f":{rng.randint(0, rows)}", "::2"])
        return self.last

    def table(self):
        path = self.path("t")
        rows = self.rng.choice([0, 1, 2, 5, 7, 10, 10, 16, 33, 60])
        steps = [[f"f.create_group({path!r}, track_order={self.rng.random() < 0.2})"]]
        names = [self.name("c") for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4]))]
        for name in names:
            length = rows if self.rng.random() < 0.95 else rows + 1
            steps.append(self.column(f"{path}/{name}", length))
        self.tables.append(path)
        self.groups.append(path)
        return steps

    def step(self):
        rng, kind = self.rng, pick(self.rng, STEPS)
        target = rng.choice(self.columns + self.groups) if self.columns else ""
        column = rng.choice(self.columns) if self.columns else None
        where = f"f[{target!r}]" if target else "f"
        if kind == "table":
            return self.table()
        if kind == "dataset" or (kind == "root_column" and rng.random() < 0.5):
            return [self.column(self.path("d"), rng.randint(0, 12))]
        if kind == "group":
            path = self.path("g")
            self.groups.append(path)
            return [[f"f.create_group({path!r})"]]
        if kind == "hard" and target:
            return [[f"f[{self.path('h')!r}] = f[{target!r}]"]]
        if kind == "alias_table" and column and self.tables:
            return [[f"f[{rng.choice(self.tables) + '/' + self.name('alias')!r}] = {rng.choice(['f[%r]' % column, 'h5py.SoftLink(%r)' % ('/' + column)])}"]]
        if kind == "soft" and target:
            return [[f"f[{self.path('s')!r}] = h5py.SoftLink({'/' + target!r})"]]
        if kind == "external_link":
            return [[f"f[{self.path('x')!r}] = h5py.ExternalLink('other.h5', '/thing')"]]
        if kind == "dangling":
            return [[f"f[{self.path('n')!r}] = h5py.SoftLink('/nowhere/at/all')"]]
        if kind == "circular":
            parent = rng.choice(self.groups)
            return [[f"f[{(parent + '/loop').lstrip('/')!r}] = {rng.choice(['f[%r]' % (parent or '/'), 'h5py.SoftLink(%r)' % ('/' + parent + '/loop')])}"]]
        if kind == "attribute":
            value = rng.choice(["1.5", "'text'", "['a', 'bé']", "np.arange(4, dtype='>i2')", "True", "f.ref",
                                "np.array([(1, 2.5)], dtype=[('a', '<i4'), ('b', '>f8')])", "np.bytes_('abc')",
                                "np.array(['x', 'yy'], dtype='S2')", "h5py.Empty('f4')", "np.zeros((0,), 'f8')", "1+2j",
                                "np.array([f.ref, f.ref], dtype=h5py.ref_dtype)"])
            return [[f"{where}.attrs[{self.name('attr')!r}] = {value}"]]
        if kind == "large_attribute":
            return [[f"{where}.attrs[{self.name('big')!r}] = np.arange({rng.choice([6000, 9000, 30000])})"]]
        if kind == "dense_attributes":
            return [[f"for n in range({rng.randint(9, 20)}): {where}.attrs['dense%d' % n] = n"]]
        if kind == "null":
            return [[f"f[{self.path('null')!r}] = h5py.Empty({rng.choice(['f8', 'i2', 'S3'])!r})"]]
        if kind == "direct_chunk" and column:
            # Bytes at random are no addresses: not where values point elsewhere.
            return [[f"o = f[{column!r}]", "assert o.chunks and o.dtype.kind not in 'OV'",
                     f"o.id.write_direct_chunk((0,) * o.ndim, noise({self.seed()}, 'V%d' % o.id.get_type().get_size(), o.chunks).tobytes(), 0xffffffff & ((1 << o._dcpl.get_nfilters()) - 1))"]]
        if kind == "deep":
            path = "/".join([self.path("deep")] + ["d"] * rng.choice([5, 20, 60]))
            return [[f"f.create_group({path!r})"]]
        if kind == "many_children":
            path = self.path("many")
            return [[f"o = f.create_group({path!r})", f"for n in range({rng.randint(9, 40)}): o.create_group('n%d' % n)"]]
        if kind == "named_type":
            return [[f"f[{self.path('type')!r}] = np.dtype({rng.choice(NUMPY)!r})"]]
        if kind == "delete" and column and rng.random() < 0.5:
            self.columns.remove(column)
            return [[f"del f[{column!r}]"]]
        if kind == "scale" and column:
            return [[f"o = f[{column!r}]", "o.make_scale('axis')",
                     f"f[{rng.choice(self.columns)!r}].dims[0].attach_scale(o)"]]
        if kind == "grown" and column:
            return [[f"o = f[{column!r}]", f"o.resize(o.shape[0] + {rng.randint(0, 8)}, axis=0)"]]
        if kind == "root_column":
            return [self.column(self.name("c"), 6)]
        return []

    def create(self):
        """How the file itself is made: `f` at `path`."""
        rng = self.rng
        lines = ["fcpl, fapl = plist(h5p.FILE_CREATE), plist(h5p.FILE_ACCESS)", "fapl.set_fclose_degree(h5f.CLOSE_STRONG)"]
        paged = rng.random() < 0.12
        low, high = rng.choice([("EARLIEST", "LATEST")] * 6 + [("EARLIEST", "V18"), ("V18", "LATEST"), ("V18", "V18"),
                                ("V110", "LATEST"), ("V112", "V112"), ("LATEST", "LATEST"), ("LATEST", "LATEST")])
        lines.append(f"fapl.set_libver_bounds(h5f.LIBVER_{low}, h5f.LIBVER_{high})")
        if rng.random() < 0.12:
            lines.append(f"fcpl.set_userblock({rng.choice([512, 1024, 4096])})")
        if rng.random() < 0.1:
            size = rng.choice([4, 4, 2])
            lines.append(f"fcpl.set_sizes({size}, {rng.choice([size, 8])})")
        if paged and "V18" not in (low, high):
            lines.append(f"fcpl.set_file_space_strategy({rng.choice([0, 1, 2, 3])}, {rng.random() < 0.5}, 1)")
            if rng.random() < 0.5:
                lines.append(f"fcpl.set_file_space_page_size({rng.choice([512, 4096])})")
        if rng.random() < 0.15:
            lines.append("fcpl.set_link_creation_order(h5p.CRT_ORDER_TRACKED | h5p.CRT_ORDER_INDEXED)")
        if rng.random() < 0.1:
            lines.append(f"fcpl.set_attr_phase_change({rng.choice([0, 2])}, 0)")
        return lines + ["f = h5py.File(h5f.create(path.encode(), h5f.ACC_TRUNC, fcpl=fcpl, fapl=fapl))"]


def make(seed):
    """The recipe of one file; the same seed makes the same one."""
    maker = Maker(seed)
    create, steps = maker.create(), maker.table()
    for _ in range(maker.rng.choice([0, 1, 2, 4, 7, 12])):
        steps += maker.step()
    return {"seed": seed, "create": create, "steps": steps, "operations": None}


if __name__ == "__main__":
    drawn = make(int(sys.argv[1]))
    if len(sys.argv) == 2:
        json.dump(drawn, sys.stdout, indent=1)
    else:
        for step, error in zip(drawn["steps"], recipes.build(drawn, sys.argv[2])):
            if error:
                print(f"HDF5 refused {step}: {error}", file=sys.stderr)
