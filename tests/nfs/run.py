#!/usr/bin/env python3
"""Two NFS clients and a server, as QEMU guests, run the cases of this folder with the program.

    H5PART=target/release/h5part tests/nfs/run.py disjoint freeze --seconds 120

Prints one line per result, and ends with exit code 1 if anything was lost, torn or seen to go back. `.ci/nfs` installs
QEMU where it may, and calls this.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases
import counts
import ledgers
import mounts
import packages
from rig import Rig
from workload import Outcome, Settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = {
    "disjoint": cases.disjoint, "same": cases.same, "readers": cases.readers, "kills": cases.kills,
    "client-killed": cases.client_killed, "freeze": cases.freeze, "link": cases.link, "server-restart": cases.server_restart,
    "controls": cases.controls, "calls": counts.calls, "h5py": counts.h5py, "ledger": ledgers.ledger, "mounts": mounts.mounts,
}
QUICK = {
    "disjoint": lambda rig, settings: cases.disjoint(rig, settings, ["power"]),
    "same": lambda rig, settings: cases.same(rig, settings, ["process"]),
    "freeze": lambda rig, settings: cases.freeze(rig, settings, ["power"]),
}
WIDTHS = (15, 26)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog="cases: " + ", ".join(CASES))
    p.add_argument("cases", nargs="*", metavar="CASE", help="cases to run [default: all]")
    p.add_argument("--all", action="store_true", help="run all cases, for hours: --seconds 900 --commits 500 --rounds 6")
    p.add_argument("--quick", action="store_true", help="run three cases, in less than 5 minutes")
    p.add_argument("--seconds", type=float, help="seconds of writing per trial [default: 60]")
    p.add_argument("--commits", type=int, help="commits that are counted; twice the number of kills [default: 50]")
    p.add_argument("--rounds", type=int, help="freezes, cuts and restarts per trial; attempts of controls [default: 3]")
    p.add_argument("--lease", type=int, help="seconds of the server's lease, and of its grace period [default: 15]")
    p.add_argument("--workers", type=int, default=2, help="writers per client [default: 2]")
    p.add_argument("--rows", type=int, default=64, help="rows of the table [default: 64]")
    program = os.environ.get("H5PART", str(ROOT / "target/release/h5part"))
    p.add_argument("--program", default=program, help="h5part [default: $H5PART, else target/release/h5part]")
    p.add_argument("--options", default="--shared nfs", help="options that let several hosts write [default: --shared nfs]")
    p.add_argument("--mount", default="vers=4.2", help="mount options of the clients [default: vers=4.2]")
    built = ROOT / "target/release/examples/broken_nfs"
    broken = os.environ.get("H5PART_BROKEN", str(built) if built.exists() else None)
    p.add_argument("--broken", metavar="PROGRAM", default=broken,
                   help="what broken.rs builds [default: $H5PART_BROKEN, else target/release/examples/broken_nfs]")
    p.add_argument("--breaks", default=",".join(cases.CONTROLS), help="what is broken in the case `controls` [default: %(default)s]")
    p.add_argument("--h5py", metavar="FOLDER", help="folder with h5py and numpy for the guests' Python")
    p.add_argument("--python", help="the guests' interpreter [default: /usr/bin/python3, else this one]")
    p.add_argument("--kvm", action="store_true", help="use /dev/kvm, which is quick on real hardware [default: emulate]")
    p.add_argument("--keep", action="store_true", help="keep the folder with logs, histories and the server's disk")
    p.add_argument("--json", metavar="FILE", help="write the results as JSON")
    o = p.parse_args()
    unknown = [name for name in o.cases if name not in CASES]
    if unknown:
        p.error(f"no such case: {', '.join(unknown)}; there are {', '.join(CASES)}")
    defaults = (900, 500, 6, 15) if o.all else (20, 20, 1, 10) if o.quick else (60, 50, 3, 15)
    for name, value in zip(("seconds", "commits", "rounds", "lease"), defaults):
        if getattr(o, name) is None:
            setattr(o, name, value)
    return o


def show(outcome, seconds):
    verdict = "skipped" if outcome.skipped else f"FAILED ({outcome.violations})" if outcome.violations else "ok"
    counts = ", ".join(f"{name} {count}" for name, count in outcome.counts.items())
    print(f"{outcome.case:<{WIDTHS[0]}} {outcome.what:<{WIDTHS[1]}} {verdict:<11} {counts}; {seconds:.0f} s", flush=True)
    if outcome.remark:
        print(f"    {outcome.remark}", flush=True)
    for example in outcome.examples if outcome.violations else []:
        print(f"    {example}", flush=True)


def run(name, case, rig, settings):
    """All lines of a case. One that cannot be finished has failed, and the next one goes on."""
    outcomes, begun = [], time.monotonic()
    try:
        for outcome in case(rig, settings):
            show(outcome, time.monotonic() - begun)
            outcomes.append(outcome)
            begun = time.monotonic()
    except (RuntimeError, TimeoutError, OSError) as error:
        outcome = Outcome(name, "not finished", {}, 1, [f"{type(error).__name__}: {error}"])
        outcomes.append(outcome)
        show(outcome, time.monotonic() - begun)
        # Whatever is stuck in a client must not disturb the next case.
        for client in rig.clients:
            client.kill()
        rig.revive()
    return outcomes


def main():
    o = arguments()
    reason = packages.why_not()
    if reason:
        sys.exit(f"no guests can be made here: {reason}")
    cache = pathlib.Path(os.environ.get("H5PART_NFS_CACHE", ROOT / "target/nfs"))
    boot = packages.prepare(cache)
    breaks = tuple(o.breaks.split(",")) if o.broken else ()
    settings = Settings(o.seconds, o.commits, o.rounds, o.workers, o.rows, tuple(shlex.split(o.options)), breaks)
    wanted = QUICK if o.quick and not o.cases else {name: CASES[name] for name in o.cases or CASES}
    outcomes = []
    more = {"kvm": o.kvm, "python": o.python, "h5py": o.h5py, "broken": o.broken, "keep": o.keep}
    with Rig(boot, o.program, o.lease, **more) as rig:
        rig.options = o.mount
        print(f"{boot.kernel.name}, lease {o.lease} s, mount {o.mount}, options {o.options}", flush=True)
        print(f"the guests were up after {rig.start():.0f} s", flush=True)
        rig.mount()
        said = rig.server.run(f"PYTHONPATH=/h5py {rig.python} -c 'import h5py'") if rig.h5py else None
        if said and said.code:
            print(f"h5py cannot be imported in the guests, its cases are skipped: {said.out.strip().splitlines()[-1]}")
            rig.h5py = None
        for name, case in wanted.items():
            outcomes += run(name, case, rig, settings)
    if o.json:
        pathlib.Path(o.json).write_text(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    failed = sum(bool(outcome.violations) for outcome in outcomes)
    print(f"{len(outcomes)} results, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
