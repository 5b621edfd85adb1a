"""Plants faults: a wrapper that stands for h5part does one thing wrongly, and the driver must find it."""
import os
import stat
import sys
import tempfile

import generate
import recipe as recipes

WRAPPER = '''#!{python}
import os, subprocess, sys
fault, program, args = {fault!r}, {program!r}, sys.argv[1:]
done = subprocess.run([program, *args], capture_output=True)
code = done.returncode

def with_file(path, change):
    import h5py
    with h5py.File(path, "r+") as f:
        change(f)

if fault == "byte" and args[0] == "update" and code == 0:
    def flip(f):
        d = f["t/x"]
        d[9] = d[9] + 1
    with_file("file.h5", flip)
elif fault == "attribute" and args[0] == "publish" and code == 0:
    with_file("published.h5", lambda f: f["t/x"].attrs.pop("units"))
elif fault == "mask" and args[0] == "read" and code == 0:
    import numpy as np
    path = args[args.index("--mask") + 1]
    mask = np.load(path)
    mask[0] = not mask[0]
    np.save(path, mask)
elif fault == "value" and args[0] == "read" and code == 0:
    import numpy as np
    path = args[args.index("-o") + 1]
    values = np.load(path)
    values[1] += 1
    np.save(path, values)
elif fault == "panic" and args[0] == "recover":
    code = 101
elif fault == "code" and args[0] == "recover":
    code = 77
elif fault == "sound" and args[0] == "verify":
    done.stdout, code = done.stdout.replace(b'"sound":false', b'"sound":true'), 0
elif fault == "unsound" and args[0] == "verify":
    done.stdout, code = done.stdout.replace(b'"sound":true', b'"sound":false').replace(
        b'"findings":[]', b'"findings":[{{"severity":"fault","kind":"planted"}}]'), 1
elif fault == "link" and args[0] == "adopt" and code == 0:
    with_file("file.h5", lambda f: f.__delitem__("alias"))
elif fault == "slow" and args[0] == "info":
    n = 0
    while sum(os.times()[:2]) < 21: n += 1
sys.stdout.buffer.write(done.stdout)
sys.stderr.buffer.write(done.stderr)
sys.exit(code)
'''

FAULTS = ["none", "byte", "attribute", "mask", "value", "panic", "code", "sound", "unsound", "link", "slow"]


def the_file():
    table = {"table": "t", "seed": 7}
    return {"seed": 7, "create": generate.make(0)["create"][:2] + ["f = h5py.File(path, 'w')"],
            "steps": [["f['t/x'] = np.arange(10.0)", "f['t/x'].attrs['units'] = 'eV'"], ["f['t/y'] = np.arange(10)"],
                      ["f['alias'] = h5py.SoftLink('/t/x')"]],
            "operations": [{"op": "adopt", "committed": "all", **table}, {"op": "info"},
                           {"op": "update", "columns": ["x", "y"], "rows": [1, 2], **table}, {"op": "status"},
                           {"op": "read", "column": "x", **table}, {"op": "verify"}, {"op": "recover"},
                           {"op": "publish", "seed": 3}, {"op": "merge", "seed": 3},
                           {"op": "h5_write", "column": "x", "rows": [4], **table}, {"op": "verify"}]}


def main(program):
    """Tells of each fault whether it was found; exit code 1 if one was not, or if one is found that is none."""
    from drive import play
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        for fault in FAULTS:
            wrapper = os.path.join(folder, f"h5part-{fault}")
            with open(wrapper, "w", encoding="utf-8") as file:
                file.write(WRAPPER.format(python=sys.executable, fault=fault, program=program))
            os.chmod(wrapper, os.stat(wrapper).st_mode | stat.S_IXUSR)
            finding, _ = play(the_file(), wrapper, os.path.join(folder, "case"))
            right = (finding is None) == (fault == "none")
            missed += not right
            print(f"{'right' if right else 'WRONG':6} planted {fault:10} {finding.key if finding else 'nothing found'}", flush=True)
    return 1 if missed else 0
