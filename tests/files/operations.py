"""What is done to a strange file: by h5part and by h5py in turn, each with the check of what it must do.

An operation is a dict of plain data: `choose` draws one that fits the file as it is, `run` does it and raises
`Finding` for what is wrong. The same operations are run again while a finding is shrunk.
"""
import glob
import os
import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np

import check
import recipe as recipes
from case import COMMITTED, FOREIGN, MISSING, Finding

REFUSALS = (3, 4, 10)  # What may be said of a table, column or type that h5part does not write.
WEIGHTS = {"info": 2, "status": 3, "verify": 6, "read": 10, "adopt": 8, "update": 12, "reset": 2, "extend": 2, "attr": 1,
           "create": 1, "publish": 4, "merge": 3, "recover": 2, "killed_update": 2,
           "h5_write": 3, "h5_resize": 2, "h5_delete": 1, "h5_rename": 1, "h5_add": 2, "h5_attr": 1, "h5_alias": 1}
CHANGES_BY_H5PY = ("h5_write", "h5_resize", "h5_delete", "h5_rename", "h5_add", "h5_attr", "h5_alias")


def choose(rng, case, tables):
    """Draws an operation for the file as it is."""
    kind = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    op = {"op": kind, "seed": rng.randrange(1 << 30)}
    named = [t for t in tables.values() if t["columns"]]
    if kind in ("info", "verify", "publish", "merge", "recover", "create"):
        return op
    if kind == "status":
        return op if any(t["stamped"] for t in named) else {"op": "info"}
    if not named:
        return {"op": "verify"}
    stamped = [t for t in named if t["stamped"]]
    fresh = [t for t in named if not t["stamped"]]
    if kind == "adopt":
        if not fresh:
            return {"op": "verify"}
        return dict(op, table=rng.choice(fresh)["path"], committed=rng.choice(["all", "all", None, "nonfill"]))
    if kind in ("reset", "killed_update") and not stamped:
        return {"op": "verify"}
    table = rng.choice(stamped if stamped and rng.random() < 0.8 else named)
    op["table"], rows = table["path"], table["rows"]
    columns = [c["name"] for c in table["columns"] if is_there(case, f"{op['table']}/{c['name']}".lstrip("/"))]
    if not columns:
        return {"op": "verify"}
    if kind in ("read", "h5_write", "h5_resize", "h5_delete", "h5_rename", "h5_alias"):
        op["column"] = rng.choice(columns)
    if kind == "h5_write" or kind in ("update", "reset", "killed_update"):
        if rows == 0:
            return {"op": "verify"}
        op["rows"] = sorted(rng.sample(range(rows), min(rows, rng.choice([1, 2, 3, rows]))))
    if kind in ("update", "killed_update"):
        op["columns"] = rng.sample(columns, rng.randint(1, len(columns)))
    if kind in ("h5_resize", "extend"):
        op["to"] = max(0, rows + rng.choice([1, 3, 9] + ([-1, -2] if kind == "h5_resize" else [])))
    return op


def is_there(case, path):
    """Whether h5py has a dataset of this name: h5part also names what another program took away."""
    try:
        return case.owner(path) is not None
    except KeyError:
        return False


def run(case, op):
    """Does an operation and checks it."""
    kind = op["op"]
    if kind in CHANGES_BY_H5PY:
        return changed_by_h5py(case, op)
    return globals()[f"run_{kind}"](case, op)


def spec(rows):
    return ",".join(map(str, rows))


def column_path(op, column):
    return f"{op['table']}/{column}".lstrip("/")


def states(case, op):
    return case.tables.get(op["table"])


def odd(case):
    """Whether another program has changed what has stamps: refusals are right then."""
    return case.sound is not True or any(FOREIGN in rows for t in case.tables.values() for rows in t.values())


# Commands that only look.

def run_info(case, op):
    case.info()
    case.nothing_else("info")


def run_verify(case, op):
    answer = case.h5part("verify", "--json", "file.h5", allowed=(0, 1))
    found = answer.json()
    if found["sound"] != (answer.code == 0):
        raise Finding("verify contradicts itself", f"verify: code {answer.code}, but sound is {found['sound']}")
    if any(entry["kind"] == "unopenable" for entry in case.view.values()) and case.sound is True:
        case.sound = False  # HDF5 wrote what it cannot read.
    if case.sound is True and answer.code != 0:
        faults = [f for f in found["findings"] if f["severity"] == "fault"]
        raise Finding(f"verify calls a sound file unsound: {faults[0]['kind']}", f"verify of a sound file: {faults[:2]}")
    if case.sound is False and answer.code == 0:
        raise Finding("verify calls a damaged file sound", "verify says sound although committed values are changed or gone")
    case.nothing_else("verify")


def run_status(case, op):
    answer = case.h5part("status", "--json", "file.h5", allowed=(0, 1) if odd(case) else (0,))
    if answer.code or odd(case):
        return
    for table in answer.json():
        model = case.tables.get(table["table"], {})
        for column in table["columns"]:
            rows = model.get(column["name"])
            if rows is not None and column["committed"] != rows.count(COMMITTED):
                raise Finding("status miscounts", f"status: {table['table']}/{column['name']}: {column['committed']} "
                              f"committed; {rows.count(COMMITTED)} were acknowledged")


def run_recover(case, op):
    case.h5part("recover", "file.h5", allowed=(0, 1) if odd(case) else (0,))
    case.nothing_else("recover", lambda path, change: odd(case))


def bits(values):
    """The bytes of values in the processor's order."""
    values = np.ascontiguousarray(values)
    return values.astype(values.dtype.newbyteorder("=")).tobytes()


def run_read(case, op):
    column, table = op["column"], op["table"]
    out, mask = case.scratch(".npy"), case.scratch(".npy")
    unreadable = str(case.view.get(case.owner(column_path(op, column)), {}).get("values", ""))[:10] == "unreadable"
    allowed = (0, 10, 4) + ((1, 5, 9) if odd(case) else ()) + ((5, 12) if unreadable else ())
    answer = case.h5part("read", "file.h5", table or "/", column, "--rows", ":", "-o", out, "--mask", mask, allowed=allowed)
    if answer.code != 0:
        return
    got, there = np.load(out), np.load(mask)
    want = case.values(column_path(op, column))
    if (states(case, op) or {}).get(column) is not None:
        want = want[:case.info()[table]["rows"]]  # h5py has lengthened this column alone: those are no rows yet.
    if got.shape != want.shape:
        raise Finding("read gives another shape", f"read {table}/{column}: shape {got.shape}, h5py {want.shape}")
    if got.dtype.kind == "U" and want.dtype.kind == "S":  # h5py gives text in UTF-8 as bytes.
        texts = [text.encode("utf-8", "surrogateescape") for text in got.ravel()]
        got = np.array(texts, want.dtype).reshape(got.shape)
    if got.dtype.kind != want.dtype.kind or got.dtype.itemsize != want.dtype.itemsize:
        raise Finding("read gives another type", f"read {table}/{column}: {got.dtype}, h5py {want.dtype}")
    model = (states(case, op) or {}).get(column)
    rows = [r for r in range(len(want)) if model is None or model[r] == COMMITTED]
    if bits(got[rows]) != bits(want[rows]):
        raise Finding("read gives other values", f"read {table}/{column}: {got[rows].ravel()[:8]}, h5py {want[rows].ravel()[:8]}")
    if model is not None and not odd(case):
        wrong = [r for r in range(len(want)) if bool(there[r]) != (model[r] == COMMITTED)]
        if wrong:
            raise Finding("read --mask is wrong", f"read {table}/{column}: rows {wrong[:9]} are said to be {bool(there[wrong[0]])}")
    elif model is None and not there.all():
        raise Finding("read --mask is wrong", f"read {table}/{column} without stamps: not all rows are there")


# Commands that write.

def run_adopt(case, op):
    args = ["adopt", "--json", "file.h5", op["table"] or "/"] + (["--committed", op["committed"]] if op["committed"] else [])
    answer = case.h5part(*args, allowed=(0, 1, 2, 4, 10) + ((5, 12) if unreadable_in(case, op["table"]) else ()) + ((9, 11) if odd(case) else ()))
    if answer.code == 2 and "columns of numbers" not in answer.err:
        raise Finding("adopt ends with code 2", answer.err)
    case.nothing_else("adopt")
    if answer.code > 1:
        return
    table = case.info().get(op["table"])
    if table is None or not table["stamped"]:
        raise Finding("adopt makes no table", f"adopt {op['table']} succeeded, but info shows no stamps")
    model = {}
    for column in table["columns"]:
        if not column["stamped"] or column.get("alias_of"):
            continue
        if op["committed"] == "all":
            model[column["name"]] = [COMMITTED] * table["rows"]
        else:
            model[column["name"]] = mask_of(case, op["table"], column["name"])
    case.tables[op["table"]] = model


def unreadable_in(case, table):
    prefix = "/" + table.strip("/")
    return any(str(e.get("values", ""))[:10] == "unreadable" for p, e in case.view.items() if p.startswith(prefix))


def mask_of(case, table, column):
    mask = case.scratch(".npy")
    case.h5part("read", "file.h5", table or "/", column, "--rows", ":", "--mask", mask, "-o", case.scratch(".npy"))
    return [COMMITTED if there else MISSING for there in np.load(mask)]


def draw_values(case, op):
    """Values for each column of an update, as .npy files; columns that numpy has no type for are left out."""
    sets = {}
    for at, column in enumerate(op["columns"]):
        want = case.values(column_path(op, column), op["rows"])
        if want.dtype.kind not in "fiubcSV" or want.dtype.metadata and "vlen" in want.dtype.metadata:
            continue
        values = recipes.NAMES["noise"](op["seed"] + at, want.dtype.newbyteorder("="), want.shape)
        path = case.scratch(".npy")
        np.save(path, values)
        sets[column] = (path, values, want)
    return sets


def aliases(case, op, columns):
    return len({case.owner(column_path(op, c)) for c in columns}) < len(columns)


def update_args(op, sets):
    args = ["update", "file.h5", op["table"] or "/", "--rows", spec(op["rows"])]
    for column, (path, _, _) in sets.items():
        args += ["--set", f"{column}={path}"]
    return args


def run_update(case, op):
    try:
        sets = draw_values(case, op)
    except OSError:
        return  # h5py can't read the column.
    if not sets:
        return
    owners = {case.owner(column_path(op, column)): column for column in sets}
    allowed = (0, 4, 10) + ((9, 5) if odd(case) else ()) + ((2,) if aliases(case, op, sets) else ())
    answer = case.h5part(*update_args(op, sets), allowed=allowed + ((5, 12) if unreadable_in(case, op["table"]) else ()))
    before = case.nothing_else("update", lambda path, change: answer.code == 0 and path in owners and change == "values")
    if answer.code:
        return
    for owner, column in owners.items():
        only_rows(case, op, before, owner, column)
        got = case.values(column_path(op, column), op["rows"])
        if bits(got) != bits(sets[column][1]) and not aliases(case, op, sets):
            raise Finding("update stores other values", f"update {op['table']}/{column} rows {spec(op['rows'])}: "
                          f"{sets[column][1].ravel()[:6]} was acknowledged, h5py reads {got.ravel()[:6]}")
    mark(case, op, sets, COMMITTED)


def only_rows(case, op, before, owner, column):
    changed = check.rows_that_differ(before[owner], case.view[owner])
    if changed is not None and set(changed) - set(op["rows"]):
        raise Finding(f"{op['op']} changes other rows", f"{op['op']} {op['table']}/{column} rows {spec(op['rows'])} changed "
                      f"rows {spec(sorted(set(changed) - set(op['rows']))[:9])}, too")


def mark(case, op, columns, state):
    """Notes in the model what rows of columns became, in every table that holds them."""
    owners = {case.owner(column_path(op, column)) for column in columns}
    for table, model in case.tables.items():
        for column, rows in model.items():
            path = f"{table}/{column}".lstrip("/")
            try:
                same = case.owner(path) in owners
            except KeyError:
                continue
            if same:
                for row in op["rows"]:
                    if row < len(rows):
                        rows[row] = state


def run_killed_update(case, op):
    try:
        sets = draw_values(case, op)
    except OSError:
        return
    if not sets or aliases(case, op, sets):
        return
    child = subprocess.Popen([case.program, *update_args(op, sets)], cwd=case.folder, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(random.Random(op["seed"]).random() * 0.02)  # Any instant is right: the checks hold for all.
    child.send_signal(signal.SIGKILL)
    code = child.wait()
    case.h5part("recover", "file.h5", allowed=(0, 1) if odd(case) else (0,))
    owners = {case.owner(column_path(op, column)): column for column in sets}
    before = case.nothing_else("a killed update", lambda path, change: path in owners and change == "values")
    for owner, column in owners.items():
        only_rows(case, op, before, owner, column)
        got, (_, new, old) = case.values(column_path(op, column), op["rows"]), sets[column]
        for at, row in enumerate(op["rows"]):
            known = (states(case, op) or {}).get(column)
            if known is None or odd(case):
                continue
            one = bits(got[at:at + 1])
            if one not in (bits(old[at:at + 1]), bits(new[at:at + 1])) and known[row] == COMMITTED:
                raise Finding("a killed update leaves a mixture", f"{op['table']}/{column} row {row}: neither old nor new")
    for column in sets:
        model = states(case, op)
        if model and column in model and not odd(case):
            fresh = mask_of(case, op["table"], column)
            lost = [r for r, state in enumerate(model[column]) if state == COMMITTED and fresh[r] != COMMITTED]
            if lost:
                raise Finding("a killed update loses rows", f"{op['table']}/{column}: rows {lost[:9]} were committed")
            model[column][:] = fresh
    return code


def run_reset(case, op):
    if not states(case, op):
        return
    model = states(case, op)
    model = {column: rows for column, rows in model.items() if is_there(case, column_path(op, column))}
    owners = {case.owner(column_path(op, column)): column for column in model}
    answer = case.h5part("reset", "file.h5", op["table"] or "/", "--rows", spec(op["rows"]),
                         allowed=(0, 10) + ((9, 5) if odd(case) else ()))
    before = case.nothing_else("reset", lambda path, change: answer.code == 0 and path in owners and change == "values")
    if answer.code == 0:
        for owner, column in owners.items():
            only_rows(case, op, before, owner, column)
        mark(case, op, model, MISSING)


def run_extend(case, op):
    before_info = case.info().get(op["table"])
    if before_info is None:
        return
    owners = {case.owner(column_path(op, c["name"])) for c in before_info["columns"]}
    answer = case.h5part("extend", "file.h5", op["table"] or "/", "--rows", str(op["to"]),
                         allowed=(0, 2, 10) + ((9, 5) if odd(case) else ()))
    before = case.nothing_else("extend", lambda path, change: answer.code == 0 and path in owners and change in ("shape", "values"))
    if answer.code == 0:
        for owner in owners:
            if check.rows_that_differ(before[owner], case.view[owner]):
                raise Finding("extend changes rows", f"extend {op['table']} changed rows of {owner}")
        grown(case)


def grown(case):
    """Rows that datasets have now and the model lacks: they hold nothing yet."""
    for table, model in case.tables.items():
        for column, rows in model.items():
            entry = entry_of(case, f"{table}/{column}".lstrip("/"))
            if entry and entry.get("shape") and len(rows) < entry["shape"][0]:
                rows += [MISSING] * (entry["shape"][0] - len(rows))


def entry_of(case, path):
    try:
        return case.view[case.owner(path)]
    except KeyError:
        return None


def run_attr(case, op):
    answer = case.h5part("attr", "file.h5", op["table"] or "/", f"note={op['seed']}", allowed=(0, 10) + ((9,) if odd(case) else ()))
    owner = case.owner(op["table"] or "/")
    case.nothing_else("attr", lambda path, change: answer.code == 0 and path == owner and change == "attribute note")


def run_create(case, op):
    name = f"made{op['seed']}"
    answer = case.h5part("create", "file.h5", name, "--rows", "5", "--column", "E:f64", "--column", "n:i32:2=-1", allowed=(0, 10))
    case.nothing_else("create", lambda path, change: answer.code == 0 and (path.startswith(f"/{name}") or (path == "/" and change == f"link {name}")))
    if answer.code == 0:
        if f"/{name}/n" not in case.view:
            raise Finding("create makes no table", "create succeeded, but h5py does not see the table")
        case.tables[name] = {"E": [MISSING] * 5, "n": [MISSING] * 5}


# Copies.

def run_publish(case, op):
    packing = random.Random(op["seed"]).choice([[], ["--plain"], ["--gzip", "1"], ["--zstd", "1"]])
    compare_copy(case, ["publish", "file.h5", "-o", "published.h5", *packing], "published.h5", "publish", zstd="--zstd" in packing)
    case.nothing_else("publish")


def run_merge(case, op):
    compare_copy(case, ["merge", "merged.h5", "file.h5"], "merged.h5", "merge")
    case.nothing_else("merge")


def compare_copy(case, args, name, what, zstd=False):
    """Runs a command that copies the file, and compares the copy: all of it, or what is missing is named."""
    out = os.path.join(case.folder, name)
    if os.path.exists(out):
        os.remove(out)
    for beside in glob.glob(out + ".*"):  # Locks and folders of h5part that belong to it.
        shutil.rmtree(beside) if os.path.isdir(beside) else os.remove(beside)
    answer = case.h5part(*args, allowed=(0, 1) + ((4, 5, 9) if odd(case) else ()) + ((5, 12) if unreadable_in(case, "") else ()))
    if answer.code > 1:
        # A merge that was refused midway goes on where it stopped.
        if os.path.exists(out) and what != "merge":
            raise Finding(f"{what} leaves a copy that failed", f"{' '.join(args)}: code {answer.code}, but OUT exists")
        return
    try:
        copy = check.view(out)
    except (OSError, RuntimeError) as error:
        raise Finding(f"h5py cannot open what {what} made", f"{' '.join(args)}: {error}") from None
    stamped = stamped_owners(case)
    for path, change, one, two in check.differences(case.view, copy, storage=False, most=False):
        if (what == "merge" and change == "links") or (change == "values" and one == repr(check.UNWRITTEN)):
            continue
        # Of what HDF5 stores in part nothing may have been written: then a copy holds no references either.
        if change == "values" and "HDF5 stores in part" in str(one) and "', '/" not in str(two):
            continue
        if change == "values" and path in stamped:
            both = check.rows_that_differ(case.view[path], copy[path])
            if both is not None and not any(stamped[path][r] == COMMITTED for r in both):
                continue
        if change == "values" and (zstd or what == "merge") and "unreadable" in str(two) and "unreadable" not in str(one) and zstd:
            continue
        if change == "values" and str(case.view[path].get("values", ""))[:10] == "unreadable":
            continue  # h5py reads the copy, but not the file.
        if answer.code == 1 and is_named(case, path, answer.err + answer.out):
            continue
        raise Finding(f"{what} changes {change.split(' ')[0]}", f"{' '.join(args)}: {change} of {path}: {one} -> {two}; code {answer.code}, {answer.err[-200:]}")


def is_named(case, path, said):
    """Whether a message names an object, by one of its paths or as the column of a table."""
    owner = case.view.get(path, {}).get("of", path)
    names = {path, owner} | {other for other, what in case.view.items() if what.get("of") == owner}
    for name in (name.lstrip("/") or "/" for name in names):
        table, _, column = name.rpartition("/")
        if name in said or f"column '{column}' of table '{table}'" in said:
            return True
    # A path through a soft link to a group is not in the view.
    return any(leads_to(case, name, owner) for name in re.findall(r"(/\S+) of ", said))


def leads_to(case, name, owner):
    try:
        return case.owner(name) == owner
    except (KeyError, OSError):
        return False


def stamped_owners(case):
    found = {}
    for table, model in case.tables.items():
        for column, rows in model.items():
            try:
                found[case.owner(f"{table}/{column}".lstrip("/"))] = rows
            except KeyError:
                continue
    return found


# What other programs do.

def changed_by_h5py(case, op):
    path = column_path(op, op.get("column", ""))
    kind = op["op"]
    lines = {
        "h5_write": lambda: [f"o = f[{path!r}]", f"o[{op['rows']}] = noise({op['seed']}, o.dtype, ({len(op['rows'])},) + o.shape[1:])"],
        # HDF5 would let a dataset whose only chunk it has freed grow over other data.
        "h5_resize": lambda: [
            f"o = f[{path!r}]",
            "assert not (0 in o.shape and o.chunks and o.id.get_num_chunks()), 'a freed chunk'",
            f"o.resize({op['to']}, axis=0)",
        ],
        "h5_delete": lambda: [f"del f[{path!r}]"],
        "h5_rename": lambda: [f"f.move({path!r}, {path + 'renamed'!r})"],
        "h5_add": lambda: [f"f[{(op['table'] + '/added%d' % op['seed']).lstrip('/')!r}] = np.arange(3.0)"],
        "h5_attr": lambda: [f"f[{op['table'] or '/'!r}].attrs['extra{op['seed']}'] = 'x' * {op['seed'] % 900}"],
        "h5_alias": lambda: [f"f[{'alias%d' % op['seed']!r}] = f[{path!r}]"],
    }[kind]()
    op["lines"] = lines
    stamped = stamped_owners(case)
    try:
        owner = case.owner(path) if "column" in op else None
    except KeyError:
        return
    before = case.view
    few = recipes.address_bytes(case.path) < 4
    error = recipes.change(lines, case.path)
    try:
        case.refresh()
    except Finding:
        if few:
            raise BrokenByHdf5 from None
        raise
    case.counts[(kind, "refused" if error else 0)] = case.counts.get((kind, "refused" if error else 0), 0) + 1
    # A column is gone with its name, though the dataset may have others outside its table.
    unnamed = kind in ("h5_delete", "h5_rename") and not error and op["column"] in case.tables.get(op["table"], {})
    if owner in stamped and (unnamed or before.get(owner) != case.view.get(owner)):
        harm(case, op, stamped[owner], before[owner], case.view.get(owner))
    grown(case)


class BrokenByHdf5(Exception):
    """h5py alone has changed the file, and cannot open it again: with addresses or lengths of 2 bytes, after a large attribute."""


def harm(case, op, rows, before, after):
    """Notes what a change by h5py did to rows with stamps."""
    kind = op["op"]
    if kind in ("h5_delete", "h5_rename"):
        case.sound = False if COMMITTED in rows and case.sound is True else None
    elif kind == "h5_resize":
        if COMMITTED in rows[op["to"]:]:
            case.sound = False
        elif op["to"] < len(rows):
            case.sound = None
    elif kind == "h5_write":
        changed = check.rows_that_differ(before, after)
        if changed is None:
            case.sound = None
            return
        if any(rows[r] == COMMITTED for r in changed):
            case.sound = False
        for row in changed:
            rows[row] = FOREIGN
