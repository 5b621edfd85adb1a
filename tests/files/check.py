"""What h5py sees of a file, as plain data that two views of can be compared."""
import hashlib

import numpy as np
import h5py
from h5py import h5a, h5d, h5g, h5l, h5o, h5p, h5r, h5s, h5t

OURS = ("h5part_", "__h5part__")  # Names that h5part keeps its own things under.


def ours(name):
    return name.startswith(OURS)


def describe(t):
    """A type as plain data: what it means, and where its bits lie."""
    kind = t.get_class()
    if kind == h5t.INTEGER:
        return (kind, t.get_size(), t.get_order(), t.get_precision(), t.get_offset(), t.get_sign(), t.get_pad())
    if kind == h5t.BITFIELD:
        return (kind, t.get_size(), t.get_order())
    if kind == h5t.FLOAT:
        return (kind, t.get_size(), t.get_order(), t.get_precision(), t.get_offset(), t.get_fields(), t.get_ebias(),
                t.get_norm(), t.get_pad())
    if kind == h5t.STRING:
        return (kind, t.is_variable_str(), None if t.is_variable_str() else t.get_size(), t.get_cset(), t.get_strpad())
    if kind == h5t.OPAQUE:
        return (kind, t.get_size(), t.get_tag())
    if kind == h5t.COMPOUND:
        members = [(t.get_member_name(n), t.get_member_offset(n), describe(t.get_member_type(n)))
                   for n in range(t.get_nmembers())]
        return (kind, t.get_size(), members)
    if kind == h5t.ENUM:
        members = [(t.get_member_name(n), t.get_member_value(n)) for n in range(t.get_nmembers())]
        return (kind, describe(t.get_super()), members)
    if kind == h5t.ARRAY:
        return (kind, t.get_array_dims(), describe(t.get_super()))
    if kind == h5t.VLEN:
        return (kind, describe(t.get_super()))
    if kind == h5t.REFERENCE:
        return (kind, t.get_size())
    return (kind, t.get_size())


FIRST = {}  # First paths of the objects of the file that is being looked at, by address.


def points_elsewhere(t):
    """Whether values of the type are addresses: of references, or of data of variable length."""
    kind = t.get_class()
    if kind in (h5t.VLEN, h5t.REFERENCE):
        return True
    if kind == h5t.STRING:
        return t.is_variable_str()
    if kind == h5t.ARRAY:
        return points_elsewhere(t.get_super())
    if kind == h5t.COMPOUND:
        return any(points_elsewhere(t.get_member_type(n)) for n in range(t.get_nmembers()))
    return False


def plain(value, file):
    """Values that point elsewhere, as what they point to."""
    if isinstance(value, h5py.RegionReference):
        return ("region", h5r.get_name(value, file.id) if value else None)
    if isinstance(value, h5py.Reference):
        # By address: of several names of one object h5py tells any.
        return ("object", FIRST.get(h5o.get_info(h5r.dereference(value, file.id)).addr) if value else None)
    if isinstance(value, np.ndarray):
        return (value.shape, [plain(item, file) for item in value.ravel()])
    if isinstance(value, np.void) and value.dtype.names:
        return [plain(value[name], file) for name in value.dtype.names]
    if isinstance(value, (np.generic, np.void)):
        return value.tobytes()
    return value


CUT = "references that HDF5 stores in part"
UNWRITTEN = "what was in memory: HDF5 converts what it has not read"


def are_cut(t, count, file):
    """Whether references are not in the file: with short addresses HDF5 stores only what has room in theirs, and what
    it reads of the others is memory."""
    short = min(file.id.get_create_plist().get_sizes()) < 8
    return short and count > 0 and holds_references(t) and (count > 1 or t.get_class() != h5t.REFERENCE)


def holds_references(t):
    return t.detect_class(h5t.REFERENCE)


def values_of(d, file):
    """The values of a dataset or attribute: bytes as stored, a list of what they point to, or why not."""
    try:
        space, t = d.get_space(), d.get_type()
        if space.get_simple_extent_type() == h5s.NULL:
            return "null"
        if points_elsewhere(t):
            if isinstance(d, h5d.DatasetID) and d.get_create_plist().get_fill_time() == h5d.FILL_TIME_NEVER:
                if d.get_space_status() != h5d.SPACE_STATUS_ALLOCATED:
                    return UNWRITTEN
            if are_cut(t, space.get_simple_extent_npoints(), file):
                return CUT
            source = h5py.Dataset(d) if isinstance(d, h5d.DatasetID) else None
            if source is None:
                return None  # The attribute's values are read by name.
            return plain(np.asarray(source[()], dtype=object) if source.shape == () else source[...], file)
        count = space.get_simple_extent_npoints()
        if t.get_class() == h5t.INTEGER and t.get_precision() < 8 * t.get_size():
            # Bits beside the precision mean nothing: a copy may have others.
            sign = "i" if t.get_sign() == h5t.SGN_2 else "u"
            t = h5t.py_create(np.dtype(f"<{sign}{t.get_size()}")) if t.get_size() in (1, 2, 4, 8) else t
        if t.get_class() == h5t.STRING and t.get_strpad() == h5t.STR_NULLTERM:
            # Nor do bytes behind the end of a text.
            t = t.copy()
            t.set_strpad(h5t.STR_NULLPAD)
        data = np.zeros(count * t.get_size(), np.uint8)
        if count:
            if isinstance(d, h5d.DatasetID):
                d.read(h5s.create_simple((count,)), h5s.ALL if d.rank == 0 else space, data, mtype=t)
            else:
                d.read(data.view(f"V{t.get_size()}").reshape(space.shape), mtype=t)
        return data.tobytes()
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        return f"unreadable: {type(error).__name__}"


def attributes_of(o, file):
    found = {}
    for number in range(h5a.get_num_attrs(o)):
        a = h5a.open(o, index=number)
        name = a.name.decode("utf-8", "surrogateescape")
        if ours(name):
            continue
        value = values_of(a, file)
        if value is None:
            try:
                value = plain(h5py.AttributeManager(h5py.Group(o) if isinstance(o, h5g.GroupID) else h5py.Dataset(o))[name], file)
            except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
                value = f"unreadable: {type(error).__name__}"
        space = a.get_space()
        shape = None if space.get_simple_extent_type() == h5s.NULL else space.shape
        found[name] = (describe(a.get_type()), shape, value)
    return found


def storage_of(d):
    """How a dataset is stored: what must stay while only values are written."""
    p = d.get_create_plist()
    filters = [p.get_filter(n)[:3] for n in range(p.get_nfilters())]
    layout = p.get_layout()
    chunk = p.get_chunk() if layout == h5d.CHUNKED else None
    return (layout, chunk, filters, p.fill_value_defined(), p.get_fill_time())


def links_of(group):
    """Links of a group by name: hard ones by kind alone, others with what they say."""
    found = {}
    for name in group:
        info = group.links.get_info(name)
        text = name.decode("utf-8", "surrogateescape")
        if ours(text):
            continue
        found[text] = ("hard", info.u) if info.type == h5l.TYPE_HARD else (info.type, group.links.get_val(name))
    return found


class View(dict):
    """All objects of a file by their first path; `first` has those paths by address."""

    def __init__(self):
        super().__init__()
        self.first = {}


def walk(file):
    """All objects by their first path, aliases by the others."""
    found, queue, opened = View(), [("/", file["/"].id)], []
    while queue:
        where, o = queue.pop(0)
        key = h5o.get_info(o).addr
        if key in found.first:
            found[where] = {"kind": "alias", "of": found.first[key]}
            continue
        found.first[key] = where
        links = links_of(o) if isinstance(o, h5g.GroupID) else {}
        opened.append((where, o, links))
        for name, link in sorted(links.items()):
            if link[0] == "hard":
                child = where.rstrip("/") + "/" + name
                try:
                    queue.append((child, h5o.open(o, name.encode("utf-8", "surrogateescape"))))
                except (OSError, RuntimeError, KeyError, ValueError) as error:
                    found[child] = {"kind": "unopenable", "why": type(error).__name__}
    return found, opened


def view(path):
    """All objects of a file by their first path: a dict of plain data each."""
    with h5py.File(path, "r") as file:
        found, opened = walk(file)
        FIRST.clear()
        FIRST.update(found.first)
        for where, o, links in opened:
            entry = found[where] = {"attributes": attributes_of(o, file)}
            if isinstance(o, h5g.GroupID):
                entry.update(kind="group", links={n: v if v[0] != "hard" else "hard" for n, v in links.items()})
            elif isinstance(o, h5d.DatasetID):
                space = o.get_space()
                null = space.get_simple_extent_type() == h5s.NULL
                entry.update(kind="dataset", type=describe(o.get_type()), shape=None if null else space.shape,
                             most=None if null else space.get_simple_extent_dims(True), storage=storage_of(o),
                             values=values_of(o, file))
            else:
                entry.update(kind="type", type=describe(o))
        return found


def brief(value):
    text = repr(value)
    return text if len(text) < 90 else f"{text[:60]}... ({hashlib.sha1(text.encode()).hexdigest()[:8]})"


def differences(before, after, storage=True, most=True):
    """What differs between two views: a list of (path, what, before, after)."""
    found = []
    for path in sorted(set(before) | set(after)):
        one, two = before.get(path), after.get(path)
        if one is None or two is None:
            found.append((path, "gone" if two is None else "new", one and one["kind"], two and two["kind"]))
            continue
        for what in sorted(set(one) | set(two)):
            if what in ("attributes", "links"):
                for name in sorted(set(one.get(what, {})) | set(two.get(what, {}))):
                    left, right = one.get(what, {}).get(name), two.get(what, {}).get(name)
                    if left != right:
                        found.append((path, f"{what[:-1]} {name}", brief(left), brief(right)))
            elif (what == "storage" and not storage) or (what == "most" and not most):
                continue
            elif one.get(what) != two.get(what):
                found.append((path, what, brief(one.get(what)), brief(two.get(what))))
    return found


def rows_that_differ(one, two):
    """The rows whose stored bytes differ between two entries of datasets of the same type and cell."""
    rows = min(one["shape"][0], two["shape"][0]) if one["shape"] else 0
    left, right = one["values"], two["values"]
    if not (isinstance(left, bytes) and isinstance(right, bytes)) or rows == 0:
        return None
    size = len(left) // one["shape"][0]
    if size == 0:
        return []
    return [row for row in range(rows) if left[row * size:(row + 1) * size] != right[row * size:(row + 1) * size]]
