"""Makes a finding small: leaves out operations, steps and lines as long as the same thing is found."""
import copy
import json

import recipe as recipes

TRIES = 150


def shrink(recipe, key, play):
    """The smallest recipe that `play` still finds `key` in."""
    budget = [TRIES]

    def still(candidate):
        if budget[0] <= 0:
            return False
        budget[0] -= 1
        try:
            found = play(copy.deepcopy(candidate))
        except Exception:  # What is left makes no sense: not smaller, but broken.
            return False
        return found is not None and found.key == key

    best = copy.deepcopy(recipe)
    best["operations"] = fewer(best["operations"], lambda ops: still(dict(best, operations=ops)))
    best["steps"] = fewer(best["steps"], lambda steps: still(dict(best, steps=steps)))
    best["create"] = best["create"][:1] + fewer(best["create"][1:-1], lambda lines: still(
        dict(best, create=best["create"][:1] + lines + best["create"][-1:]))) + best["create"][-1:]
    for at in range(len(best["steps"])):
        best["steps"][at] = fewer(best["steps"][at], lambda lines: still(
            dict(best, steps=best["steps"][:at] + [lines] + best["steps"][at + 1:])))
    return best


def fewer(items, holds):
    """Leaves out runs of items, longest first, while `holds`."""
    size = max(1, len(items) // 2)
    while items:
        at = 0
        while at < len(items):
            rest = items[:at] + items[at + size:]
            if holds(rest):
                items = rest
            else:
                at += size
        if size == 1:
            return items
        size //= 2
    return items


def script(recipe, finding):
    """A script of h5py calls and h5part commands that shows the finding."""
    lines = [f'"""{finding.key}: {finding.text}"""'.replace("\\", "/"), "HELPERS", SHELL, "path = 'file.h5'"]
    lines += recipe["create"]
    for step in recipe["steps"]:
        lines += step
    lines.append("f.close()")
    for op in recipe["operations"]:
        lines += command(op)
    body = "\n".join(lines) + "\n"
    head, *helpers = recipes.PRELUDE.split("\ndef ")
    used = [f"def {helper.rstrip()}\n" for helper in helpers if helper.split("(")[0] + "(" in body]
    return body.replace("HELPERS", head + "\n".join(used), 1)


SHELL = '''\
import os, subprocess, tempfile
os.chdir(tempfile.mkdtemp())
def h5part(*args):
    done = subprocess.run([os.environ.get("H5PART", "h5part"), *args])
    print("h5part", *args, "-> code", done.returncode)
'''


def command(op):
    """The lines of a script for one operation."""
    kind, table = op["op"], op.get("table") or "/"
    rows = ",".join(map(str, op.get("rows", [])))
    if kind in ("update", "killed_update"):
        lines = ["with h5py.File(path, 'r') as f:", "    sets = []"]
        for at, column in enumerate(op["columns"]):
            full = f"{op['table']}/{column}".lstrip("/")
            lines += [f"    want = f[{full!r}][...][{op['rows']}]",
                      f"    if want.dtype.kind in 'fiubcSV':",
                      f"        np.save('v{at}.npy', noise({op['seed'] + at}, want.dtype.newbyteorder('='), want.shape))",
                      f"        sets += ['--set', {column + f'=v{at}.npy'!r}]"]
        return lines + [f"h5part('update', path, {table!r}, '--rows', {rows!r}, *sets)"]
    if "lines" in op:
        return ["with h5py.File(path, 'r+') as f:"] + ["    " + line for line in op["lines"]]
    args = {"read": [table, op.get("column"), "--rows", ":", "-o", "o.npy", "--mask", "m.npy"],
            "adopt": [table] + (["--committed", op["committed"]] if op.get("committed") else []),
            "reset": [table, "--rows", rows], "extend": [table, "--rows", str(op.get("to"))],
            "attr": [table, "note=1"], "create": ["made", "--rows", "5", "--column", "E:f64"],
            "publish": ["-o", "out.h5"]}.get(kind, [])
    if kind == "merge":
        return ["h5part('merge', 'out.h5', path)"]
    return [f"h5part({kind!r}, path, *{args!r})"] if kind != "h5py" else [f"# {json.dumps(op)}"]
