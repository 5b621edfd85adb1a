"""Compares two HDF5 files: names, links, objects, attributes, types, values, what references point to.

compare.py A B [SHELL...]: of the datasets named SHELL neither values nor storage are compared. Prints a line for
each difference.
"""
import sys

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5p, h5r, h5s, h5t

CRT = h5p.CRT_ORDER_TRACKED


def say(path, what):
    print(f"{path}: {what}")


def key(object_id):
    info = h5o.get_info(object_id)
    return (info.fileno, info.addr)


class Side:
    """A file, with the first name of each of its objects."""

    def __init__(self, path):
        self.file = h5py.File(path, "r")
        self.names = {}
        self.types = {}
        todo = [("/", self.file.id)]
        self.note("/", h5o.open(self.file.id, b"/"))
        while todo:
            path, group = todo.pop(0)
            group = h5o.open(group, b"/") if path == "/" else group
            for name in sorted(group):
                if group.links.get_info(name).type != h5l.TYPE_HARD:
                    continue
                below = path.rstrip("/") + "/" + name.decode("utf8", "surrogateescape")
                child = h5o.open(group, name)
                if self.note(below, child) and isinstance(child, h5g.GroupID):
                    todo.append((below, child))

    def note(self, path, child):
        first = key(child) not in self.names
        self.names.setdefault(key(child), path)
        return first

    def name(self, object_id):
        return self.names.get(key(object_id), "no name")


def plain(side, value):
    """A value as something that can be compared, with references as the names of what they point to."""
    if isinstance(value, h5py.RegionReference):
        if not value:
            return "null region"
        target = h5r.dereference(value, side.file.id)
        region = h5r.get_region(value, side.file.id)
        kind = region.get_select_type()
        blocks = region.get_select_hyper_blocklist() if kind == h5s.SEL_HYPERSLABS else (
            region.get_select_elem_pointlist() if kind == h5s.SEL_POINTS else kind)
        return ("region", side.name(target), np.asarray(blocks).tolist(), region.shape)
    if isinstance(value, h5py.Reference):
        return ("object", side.name(h5r.dereference(value, side.file.id))) if value else "null"
    if isinstance(value, (np.ndarray, np.void)) and value.dtype.names:
        return [(name, plain(side, value[name])) for name in value.dtype.names]
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return [plain(side, one) for one in value.ravel()]
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, np.generic):
        return (value.dtype.str, value.tobytes())
    return value


def datatype(side, tid):
    named = side.name(tid) if tid.committed() else None
    copy = tid.copy()
    return (named, describe(copy))


def describe(tid):
    kind = tid.get_class()
    parts = [kind, tid.get_size()]
    if kind == h5t.COMPOUND:
        parts += [(tid.get_member_name(k), tid.get_member_offset(k), describe(tid.get_member_type(k)))
                  for k in range(tid.get_nmembers())]
    elif kind == h5t.ENUM:
        parts += [describe(tid.get_super())]
        parts += [(tid.get_member_name(k), tid.get_member_value(k)) for k in range(tid.get_nmembers())]
    elif kind == h5t.ARRAY:
        parts += [tid.get_array_dims(), describe(tid.get_super())]
    elif kind == h5t.VLEN:
        parts += [describe(tid.get_super())]
    elif kind == h5t.STRING:
        parts += [tid.is_variable_str(), tid.get_cset(), tid.get_strpad()]
    elif kind in (h5t.INTEGER, h5t.FLOAT):
        parts += [tid.get_order(), tid.get_precision()]
        parts += [tid.get_sign()] if kind == h5t.INTEGER else []
    elif kind == h5t.OPAQUE:
        parts += [tid.get_tag()]
    return tuple(parts)


def attributes(path, a, b, left, right):
    def names(object_id, order):
        found = []
        h5a.iterate(object_id, lambda name, *_: found.append(name), index_type=order)
        return found

    def order(object_id):
        if isinstance(object_id, h5t.TypeID):
            return h5_index(0)
        return h5_index(object_id.get_create_plist().get_attr_creation_order())

    if order(left) != order(right):
        say(path, "order of attributes is kept by one")
    ours, theirs = names(left, order(left)), names(right, order(right))
    if ours != theirs:
        say(path, f"attributes {ours} != {theirs}")
    for name in set(ours) & set(theirs):
        one, other = h5a.open(left, name), h5a.open(right, name)
        where = f"{path}@{name.decode()}"
        if datatype(a, one.get_type()) != datatype(b, other.get_type()):
            say(where, f"type {datatype(a, one.get_type())} != {datatype(b, other.get_type())}")
        spaces = [(s.get_simple_extent_type(), s.shape if s.get_simple_extent_type() == h5s.SIMPLE else None)
                  for s in (one.get_space(), other.get_space())]
        if spaces[0] != spaces[1]:
            say(where, f"space {spaces}")
        elif spaces[0][0] != h5s.NULL:
            # h5py's own way to a value; AttributeManager wants a Python object around the id.
            values = [wrap(side, obj).attrs[name.decode()] for side, obj in ((a, left), (b, right))]
            found = [plain(side, value) for side, value in zip((a, b), values)]
            if repr(found[0]) != repr(found[1]):
                say(where, f"{found[0]} != {found[1]}")


def h5_index(flags):
    return h5py.h5.INDEX_CRT_ORDER if flags & CRT else h5py.h5.INDEX_NAME


def wrap(side, object_id):
    if isinstance(object_id, h5g.GroupID):
        return h5py.Group(object_id)
    if isinstance(object_id, h5d.DatasetID):
        return h5py.Dataset(object_id)
    return h5py.Datatype(object_id)


def dataset(path, a, b, left, right, shell):
    ours, theirs = h5py.Dataset(left), h5py.Dataset(right)
    if datatype(a, left.get_type()) != datatype(b, right.get_type()):
        say(path, f"type {datatype(a, left.get_type())} != {datatype(b, right.get_type())}")
    for what in ("shape", "maxshape"):
        if getattr(ours, what) != getattr(theirs, what):
            say(path, f"{what} {getattr(ours, what)} != {getattr(theirs, what)}")
    plists = left.get_create_plist(), right.get_create_plist()
    if repr(plain(a, ours.fillvalue)) != repr(plain(b, theirs.fillvalue)):
        say(path, f"fill {ours.fillvalue} != {theirs.fillvalue}")
    if shell:
        return
    storage = [(p.get_layout(), p.get_chunk() if p.get_layout() == h5d.CHUNKED else None,
                [p.get_filter(k) for k in range(p.get_nfilters())], p.get_alloc_time()) for p in plists]
    if storage[0] != storage[1]:
        say(path, f"storage {storage}")
    if ours.shape is None or theirs.shape is None or 0 in ours.shape:
        return
    found = [plain(side, d[()]) for side, d in ((a, ours), (b, theirs))]
    if repr(found[0]) != repr(found[1]):
        say(path, f"values {str(found[0])[:200]} != {str(found[1])[:200]}")


def group(path, left, right, todo):
    orders = [h5_index(g.get_create_plist().get_link_creation_order()) for g in (left, right)]
    if orders[0] != orders[1]:
        say(path, "order of links is kept by one")
        orders = [h5py.h5.INDEX_NAME] * 2
    names = [list_names(side, orders[0]) for side in (left, right)]
    if names[0] != names[1]:
        say(path, f"names {names[0]} != {names[1]}")
    for name in [n for n in names[0] if n in names[1]]:
        below = path.rstrip("/") + "/" + name.decode("utf8", "surrogateescape")
        infos = left.links.get_info(name), right.links.get_info(name)
        if infos[0].type != infos[1].type or infos[0].cset != infos[1].cset:
            say(below, f"link {infos[0].type}, {infos[0].cset} != {infos[1].type}, {infos[1].cset}")
        elif infos[0].type != h5l.TYPE_HARD:
            if left.links.get_val(name) != right.links.get_val(name):
                say(below, "leads elsewhere")
        else:
            todo.append((below, h5o.open(left, name), h5o.open(right, name)))


def list_names(group_id, order):
    found = []
    group_id.links.iterate(found.append, idx_type=order, order=h5py.h5.ITER_INC)
    return found


def main(one, other, shells):
    a, b = Side(one), Side(other)
    todo = [("/", h5o.open(a.file.id, b"/"), h5o.open(b.file.id, b"/"))]
    seen = set()
    shells = {key(a.file[name].id) for name in shells}
    while todo:
        path, left, right = todo.pop()
        if type(left) is not type(right):
            say(path, f"{type(left)} != {type(right)}")
            continue
        if a.name(left) != b.name(right):
            say(path, f"is {a.name(left)} in one, {b.name(right)} in the other")
        if key(left) in seen:
            continue
        seen.add(key(left))
        attributes(path, a, b, left, right)
        if isinstance(left, h5g.GroupID):
            group(path, left, right, todo)
        elif isinstance(left, h5d.DatasetID):
            dataset(path, a, b, left, right, key(left) in shells)
        elif describe(left) != describe(right):
            say(path, "another type")


main(sys.argv[1], sys.argv[2], set(sys.argv[3:]))
