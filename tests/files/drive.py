#!/usr/bin/env python3
"""Applies random operations of h5part and h5py to strange files, and checks all that they do.

drive.py --files N --seed S -j J [--minutes M] [--keep DIR]; --self-test plants faults and looks whether they are found.
H5PART names the program; else target/release/h5part.
"""
import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import generate
import operations
import recipe as recipes
import shrink
from case import Case, Finding

HERE = pathlib.Path(__file__).resolve()
PROGRAM = os.path.abspath(os.environ.get("H5PART") or HERE.parents[2] / "target" / "release" / "h5part")
OPERATIONS = 8  # Per file, at most.
PROGRESS = 60  # Seconds between lines about progress.


def play(recipe, program, folder):
    """Makes the file and does its operations, drawn where there are none; returns (finding or None, counts)."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    case = Case(folder, program)
    here = os.getcwd()
    os.chdir(folder)  # Data in other files lie beside the file.
    try:
        try:
            recipes.build(recipe, case.path)
            case.refresh()
            recipes.must_be_changeable(recipe, case.path)
        except (OSError, RuntimeError, ValueError, Finding) as error:
            case.counts[("not made", type(error).__name__)] = 1
            return None, case.counts
        try:
            do_all(recipe, case)
        except Finding as finding:
            return finding, case.counts
        except operations.BrokenByHdf5:
            case.counts[("broken by h5py", 0)] = 1
            return None, case.counts
        except Exception as error:  # Else a fault of the driver would pass for one of h5py.
            return Finding(f"the driver fails: {type(error).__name__}", traceback.format_exc()[-500:]), case.counts
        return None, case.counts
    finally:
        os.chdir(here)


def do_all(recipe, case):
    if recipe["operations"] is not None:
        for op in recipe["operations"]:
            try:
                operations.run(case, op)
            except (KeyError, IndexError):
                continue  # What it was about has been shrunk away.
        return
    rng = random.Random(recipe["seed"])
    recipe["operations"] = [{"op": "info"}]
    tables = case.info()
    for _ in range(rng.randint(2, OPERATIONS)):
        op = operations.choose(rng, case, tables)
        recipe["operations"].append(op)
        operations.run(case, op)
        if op["op"] in ("adopt", "create", "extend") or op["op"] in operations.CHANGES_BY_H5PY:
            tables = case.info()


def work(first, step, count, until, program, keep):
    """One worker: files first, first + step, ...; prints a line of JSON for each."""
    folder = tempfile.mkdtemp(prefix="h5part-files-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    seen = collections.Counter()
    for n in range(count):
        seed = first + n * step
        if until and time.time() > until:
            break
        print(json.dumps({"start": seed}), flush=True)
        recipe = generate.make(seed)
        finding, counts = play(recipe, program, os.path.join(folder, "case"))
        line = {"seed": seed, "counts": [[*key, value] for key, value in counts.items()]}
        if finding:
            seen[finding.key] += 1
            line.update(key=finding.key, text=finding.text)
            if seen[finding.key] == 1:
                small = shrink.shrink(recipe, finding.key, lambda r: play(r, program, os.path.join(folder, "small"))[0])
                again, _ = play(small, program, os.path.join(folder, "small"))
                line["script"] = shrink.script(small, again or finding)
                if keep:
                    shutil.copytree(os.path.join(folder, "case"), os.path.join(keep, str(seed)), dirs_exist_ok=True)
        print(json.dumps(line), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"end": True}), flush=True)


def spawn(args, first, step, count, until):
    command = [sys.executable, str(HERE), "--worker", str(first), str(step), str(count), str(until), "--program", args.program]
    return subprocess.Popen(command + (["--keep", args.keep] if args.keep else []), stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True)


def follow(args, worker, until, report):
    """Reads what a worker prints; starts it again behind a file over which the HDF5 library of h5py crashed."""
    first, step, count = worker, args.jobs, (args.files - worker + args.jobs - 1) // args.jobs
    seed = args.seed + first
    while count > 0:
        child, last, ended = spawn(args, seed, step, count, until), None, False
        for text in child.stdout:
            line = json.loads(text)
            if "start" in line:
                last = line["start"]
            elif "end" in line:
                ended = True
            else:
                report(line)
        child.wait()
        if ended or last is None:
            return ended
        report({"seed": last, "counts": [["h5py crashed", child.returncode, 1]]})
        done = (last - seed) // step + 1
        seed, count = seed + done * step, count - done
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, help="of the first file [default: from the clock]")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="worker processes")
    parser.add_argument("--minutes", type=float, help="end after this time")
    parser.add_argument("--keep", help="folder for the files of findings, and for their scripts")
    parser.add_argument("--program", default=PROGRAM, help="h5part")
    parser.add_argument("--self-test", action="store_true", help="plant faults, and look whether they are found")
    parser.add_argument("--worker", nargs=4, metavar="N", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        first, step, count, until = (float(n) for n in args.worker)
        return work(int(first), int(step), int(count), until, args.program, args.keep)
    if args.self_test:
        import selftest
        return selftest.main(args.program)
    args.seed = int(time.time()) % 1_000_000 * 1000 if args.seed is None else args.seed
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    return drive(args)


def drive(args):
    import threading
    print(f"seed {args.seed}, {args.files} files, {args.jobs} workers, {args.program}", flush=True)
    started, until = time.time(), time.time() + args.minutes * 60 if args.minutes else 0
    counts, keys, files, lock = collections.Counter(), collections.Counter(), [0], threading.Lock()
    told = [started]  # When progress was last told.

    def report(line):
        with lock:
            files[0] += 1
            if time.time() - told[0] > PROGRESS:
                told[0] = time.time()
                rate = files[0] / (told[0] - started)
                print(f"{files[0]} of {args.files} files, {len(keys)} kinds of findings, {rate:.1f} files per second", file=sys.stderr, flush=True)
            for what, code, times in line["counts"]:
                counts[what, str(code)] += times
            if "key" not in line:
                return
            keys[line["key"]] += 1
            if keys[line["key"]] == 1 and "script" in line:
                print(f"\nFOUND in seed {line['seed']}: {line['key']}\n  {line['text'][:600]}", flush=True)
                print("  | " + line["script"].replace("\n", "\n  | "), flush=True)
                if args.keep:
                    pathlib.Path(args.keep, f"{line['seed']}.py").write_text(line["script"])

    threads = [threading.Thread(target=follow, args=(args, worker, until, report)) for worker in range(args.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\noperation: times by exit code")
    for what in sorted({what for what, _ in counts}):
        print(f"  {what:14} " + ", ".join(f"{code}: {n}" for (name, code), n in sorted(counts.items()) if name == what))
    for key, n in keys.most_common():
        print(f"finding: {n} x {key}")
    print(f"{files[0]} files, {sum(keys.values())} findings of {len(keys)} kinds, {time.time() - started:.0f} s, seed {args.seed}")
    return 1 if keys or files[0] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
