#!/usr/bin/env python3
"""The driver's checks over a folder of real files: `real.py DIR`. Works on copies, and prints a table."""
import argparse
import collections
import os
import pathlib
import random
import shutil
import sys
import tempfile

import operations
from case import Case, Finding
from drive import PROGRAM

ENDINGS = {".h5", ".hdf5", ".hdf", ".nc", ".nc4", ".nxs", ".h5ad", ".mat", ".he5", ".h5md", ".cxi"}
SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path):
    """A signature at 0, 512, 1024, ...: a user block may come before it."""
    with open(path, "rb") as file:
        at = 0
        while at < max(os.path.getsize(path), 1):
            file.seek(at)
            if file.read(8) == SIGNATURE:
                return True
            at = at * 2 if at else 512
    return False


def all_reads(tables):
    for table in tables.values():
        for column in table["columns"]:
            yield {"op": "read", "seed": 0, "table": table["path"], "column": column["name"]}


def steps(case, seed):
    """What is done to each file: look, copy, read all, adopt all, read all again, change some, copy, change more."""
    tables = case.info()
    yield from ({"op": op, "seed": seed} for op in ("verify", "publish", "merge"))
    yield from all_reads(tables)
    for path in tables:
        yield {"op": "adopt", "seed": seed, "table": path, "committed": "all"}
    tables = case.info()
    yield from all_reads(tables)
    yield from ({"op": op, "seed": seed} for op in ("status", "verify"))
    rng = random.Random(seed)
    for table in tables.values():
        if table["rows"] and table["columns"]:
            yield {"op": "update", "seed": seed, "table": table["path"], "columns": [c["name"] for c in table["columns"]],
                   "rows": sorted(rng.sample(range(table["rows"]), min(3, table["rows"])))}
    yield from ({"op": op, "seed": seed} for op in ("verify", "publish", "merge", "recover"))
    for _ in range(6):
        yield operations.choose(rng, case, case.info())


def check_file(path, folder, seed, program):
    """Returns how many operations were done and the findings; one does not hide those after it."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    case, findings, done = Case(folder, program), [], 0
    shutil.copyfile(path, case.path)
    try:
        case.refresh()
    except Finding as finding:
        return 0, [], f"skipped: {finding.text[:60]}"
    todo = steps(case, seed)
    while True:
        try:
            op = next(todo, None)
            if op is None:
                break
            done += 1
            operations.run(case, op)
        except Finding as finding:
            findings.append(finding)
            if "info" in finding.key or case.view is None:
                break
            case.sound = None
            case.refresh()
        except (KeyError, IndexError, MemoryError):
            continue
    return done, findings, "found" if findings else "right"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--most", type=float, default=50, help="leave out files of more MB than this")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=PROGRAM)
    args = parser.parse_args()
    paths = sorted(p for p in pathlib.Path(args.folder).rglob("*") if p.is_file() and p.suffix.lower() in ENDINGS)
    scratch = tempfile.mkdtemp(prefix="h5part-real-")
    totals, keys = collections.Counter(), collections.Counter()
    print(f"seed {args.seed}, {len(paths)} files\n{'MB':>8} {'operations':>10}  result")
    for path in paths:
        size = path.stat().st_size / 1e6
        if size > args.most or not is_hdf5(path):
            totals["left out"] += 1
            continue
        done, findings, result = check_file(path, os.path.join(scratch, "case"), args.seed, args.program)
        totals[result.split(":")[0]] += 1
        print(f"{size:8.2f} {done:10}  {result}  {path.relative_to(args.folder)}", flush=True)
        for finding in findings:
            keys[finding.key] += 1
            print(f"{'':21}{finding.key}: {finding.text[:300]}")
    shutil.rmtree(scratch, ignore_errors=True)
    for key, n in keys.most_common():
        print(f"finding: {n} x {key}")
    print(", ".join(f"{n} {what}" for what, n in totals.items()))
    return 1 if keys else 0


if __name__ == "__main__":
    sys.exit(main())
