"""A strange file as a list of plain Python steps, so that it can be replayed, shrunk and shown as a script.

A recipe is a dict: "seed", "steps" (each a list of source lines, run by `exec` with the open file `f`) and
"operations" (see operations.py). Every step draws its values from a seed of its own, so that leaving one out
changes no other.
"""

import os
import shutil

PRELUDE = '''\
import numpy as np, h5py
from h5py import h5a, h5d, h5f, h5g, h5l, h5o, h5p, h5r, h5s, h5t, h5z

def noise(seed, dtype, shape=()):
    """Values of a dtype: small numbers, some of them zero; booleans; any bytes for other kinds."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    size = int(np.prod(shape))
    if dtype.names:
        out = np.zeros(shape, dtype)
        for at, name in enumerate(dtype.names):
            out[name] = noise(seed + at + 1, dtype[name].base, tuple(shape) + dtype[name].shape)
        return out
    if dtype.kind == "f":
        flat = np.where(rng.random(size) < 0.2, 0, np.round(rng.normal(size=size) * 8, 2))
    elif dtype.kind == "c":
        flat = np.round(rng.normal(size=size), 1) + 1j
    elif dtype.kind in "iu":
        flat = rng.integers(0, 64, size)
    elif dtype.kind == "b":
        flat = rng.random(size) < 0.5
    elif dtype.kind == "S":
        flat = np.array([b"x" * int(n) for n in rng.integers(0, dtype.itemsize + 1, size)], dtype)
    else:
        return np.frombuffer(rng.bytes(size * dtype.itemsize), np.uint8).view(dtype).reshape(shape)
    return flat.astype(dtype).reshape(shape)

def raw(d, seed, rows=None):
    """Writes rows of dataset d in its stored type, without conversion: any bit pattern that numbers can have."""
    t, rng = d.get_type(), np.random.default_rng(seed)
    shape = d.shape if rows is None else (rows,) + d.shape[1:]
    count = int(np.prod(shape))
    if count == 0:
        return
    data = np.frombuffer(rng.bytes(count * t.get_size()), np.uint8).copy()
    space = d.get_space()
    if rows is not None and len(d.shape):
        space.select_hyperslab((0,) * len(shape), shape)
    d.write(h5s.create_simple((count,)) , space, data, mtype=t)

def plist(kind=None):
    return h5p.create(kind if kind is not None else h5p.DATASET_CREATE)
'''

NAMES = {}
exec(PRELUDE, NAMES)


def create_lines(recipe):
    """The lines that make the empty file `f` at `path`."""
    return recipe["create"]


def build(recipe, path):
    """Makes the file; returns for each step the error that h5py answered, or None."""
    scope = dict(NAMES, path=path)
    errors = []
    exec("\n".join(recipe["create"]), scope)
    try:
        for step in recipe["steps"]:
            errors.append(run_step(step, scope))
    finally:
        scope["f"].close()
    return errors


def must_be_changeable(recipe, path):
    """Raises what h5py raises where HDF5 cannot change a file that it has made: one that keeps account of free space,
    with addresses of other than 8 bytes."""
    if not all(any(word in line for line in recipe["create"]) for word in ("set_sizes", "set_file_space_strategy")):
        return
    copy = path + ".copy"
    shutil.copyfile(path, copy)
    try:
        for n in range(2):
            with NAMES["h5py"].File(copy, "r+") as file:
                file.create_dataset(f"h5py{n}/values", data=[1.0] * 2000)
    finally:
        os.remove(copy)


def run_step(lines, scope):
    """Runs one step; a combination that HDF5 refuses is no finding, and leaves nothing open."""
    try:
        exec(compile("\n".join(lines), "<step>", "exec"), scope)
        return None
    except (ValueError, OSError, RuntimeError, KeyError, TypeError, AssertionError, NameError, IndexError, AttributeError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        for name in ("d", "t", "p", "g", "a", "s", "o"):
            scope.pop(name, None)


def address_bytes(path):
    """Bytes of an address or of a length in the file, whichever has fewer."""
    with NAMES["h5py"].File(path, "r") as file:
        return min(file.id.get_create_plist().get_sizes())


def change(lines, path):
    """Runs a step of h5py on a file that exists, as another program would; returns its error or None."""
    f = NAMES["h5py"].File(path, "r+")
    try:
        return run_step(lines, dict(NAMES, path=path, f=f))
    finally:
        f.close()
