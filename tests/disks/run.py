"""Records h5part on a file system, loses power at many points of the recording, and checks what is left.

README.md says how. Exit code 0: no violation (with --control: some, as it must be); 1: otherwise.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import log
import packages
import points
from check import Check
from guest import Guest, GuestDied

PROGRAM = os.environ.get("H5PART", str(packages.PROJECT / "target/release/h5part"))

# Disks as small as each file system may be, since replays copy what is on them.
DISK_MIB = {"ext4": 64, "xfs": 320, "btrfs": 128}
MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-K"],
    "btrfs": ["mkfs.btrfs", "-q", "-f", "-K"],
}
LOG_MIB = 8192
RECORD_S = 3600
COMMITS, QUICK_COMMITS = 150, 25
# Each of so many points is verified in the guest, too.
VERIFY_EVERY = 10
# Violations that are printed; all are in the JSON file.
SHOWN = 5
PROGRESS_S = 60


class Recording:
    """The folder of one recording: the disk before it, the log, the history."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.base, self.log = self.folder / "base.img", self.folder / "log.img"
        self.about = self.folder / "recording.json"

    def make(self, kernel, file_system, durability, commits, seed):
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        # The guest writes to the disk, and the replay begins with what it was before.
        disk = self.folder / "disk.img"
        for path, size_mib in ((self.base, DISK_MIB[file_system]), (self.log, LOG_MIB)):
            with open(path, "wb") as file:
                file.truncate(size_mib << 20)
        program, *options = MKFS[file_system]
        subprocess.run([packages.find(program), *options, self.base], check=True, stdout=subprocess.DEVNULL)
        copy(self.base, disk)
        with Guest(kernel, self.folder / "guest", [disk, self.log], processors=2) as guest:
            guest.call("copy_program", path=stripped(self.folder))
            history = guest.call("record", seconds=RECORD_S, file_system=file_system, device="/dev/vda", log="/dev/vdb",
                                 durability=durability, commits=commits, seed=seed)
        disk.unlink()
        self.about.write_text(json.dumps({"file_system": file_system, "kernel": kernel.release, "durability": durability,
                                          "seed": seed, "history": history}))

    def read(self):
        """What was recorded, and the history."""
        about = json.loads(self.about.read_text())
        return about, about.pop("history")


def stripped(folder):
    """A copy of the program without its symbols: guests keep it in memory."""
    copied = folder / "h5part"
    shutil.copy(PROGRAM, copied)
    if shutil.which("strip"):
        subprocess.run(["strip", copied], check=True)
    return str(copied)


def copy(source, target):
    """Copies a sparse file."""
    with open(source, "rb") as old, open(target, "wb+") as new:
        log.make_equal(old.fileno(), new.fileno())


def test(kernel, recording, file_system, chosen, check, number, report):
    """Tests these points, in the order of the log, with a guest of its own."""
    folder = recording.folder / f"replay{number}"
    folder.mkdir(exist_ok=True)
    replay = log.Replay(recording.base, recording.log, folder / "image.img")
    path = folder / "disk.img"
    disk = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    guest, states = None, {}
    try:
        for count, point in enumerate(chosen):
            point.put(replay, disk)
            try:
                if guest is None:
                    guest = Guest(kernel, folder, [path])
                    guest.__enter__()
                    guest.call("copy_program", path=check.program)
                found = guest.call("examine", device="/dev/vda", file_system=file_system,
                                   verify=count % VERIFY_EVERY == 0)
                if "new" in found:
                    states[found["state"]] = check.contents(found["new"])
                    report.states += 1
                if "unmountable" in found:
                    contents, said = {}, [f"the file system cannot be mounted: {found['unmountable']}"]
                else:
                    contents = states[found["state"]]
                    said = check.violations(contents, point.acknowledged(replay.entries))
            except (GuestDied, RuntimeError) as error:
                found, contents, said = {}, {}, [f"the guest failed: {error}"]
                if guest:
                    guest.__exit__()
                guest = None
            report(point, contents.get("recover"), said, found.get("kernel", []))
    finally:
        if guest:
            guest.__exit__()
        os.close(disk)
        replay.close()
        shutil.rmtree(folder)


class Report:
    """Counts points by kind, keeps what was wrong, and prints both."""

    def __init__(self, name, count):
        self.name, self.count = name, count
        self.points, self.violated = collections.Counter(), collections.Counter()
        self.violations, self.recovered = [], collections.Counter()
        # States of the files that differ, per guest.
        self.states = 0
        self.since = self.told = time.monotonic()

    def __call__(self, point, recover, said, kernel):
        """`said` is what is wrong at this point, `kernel` are the errors that the guest's kernel printed."""
        self.points[point.kind] += 1
        if recover and recover["code"] == 0:
            for key, value in json.loads(recover["output"]).items():
                self.recovered[key] += value
        if said:
            self.violated[point.kind] += 1
            self.violations.append({"point": str(point), "what": said, "kernel": kernel})
            if len(self.violations) <= SHOWN:
                lines = [*said[:5], *kernel[:5]]
                print(f"{self.name}, point '{point}':", *(line[:400].strip() for line in lines), sep="\n    ", flush=True)
        if time.monotonic() - self.told > PROGRESS_S:
            self.told = time.monotonic()
            print(f"{self.name}: {sum(self.points.values())} of {self.count} points", flush=True)

    def document(self):
        return {
            "points": sum(self.points.values()),
            "by_kind": dict(self.points),
            "states": self.states,
            "violated": dict(self.violated),
            "recovered": {key: value for key, value in self.recovered.items() if value},
            "seconds": round(time.monotonic() - self.since, 1),
            "violations": self.violations,
        }


def test_file_system(kernel, options, recording, chosen=None):
    """Tests one recording. Returns what goes into the JSON file."""
    about, history = recording.read()
    entries = log.read(recording.log)
    barriers = sum(entry.is_barrier for entry in entries)
    acknowledged = sum(entry.mark.isdigit() for entry in entries)
    print(f"{about['file_system']}: Linux {about['kernel']}, durability {about['durability']}, seed {about['seed']}: "
          f"{len(entries)} entries, {barriers} of them barriers; {acknowledged} of {len(history)} events acknowledged",
          flush=True)
    if not barriers:
        raise SystemExit("the log holds no flush: writes were not recorded as they were made durable")
    if chosen is None:
        chosen = points.choose(entries, options.points, options.seed, unordered=options.control == "order")
    report = Report(about["file_system"], len(chosen))
    check = Check(stripped(recording.folder), history)
    # Each guest goes over a part of the log.
    size = -(-len(chosen) // options.guests)
    parts = [chosen[start : start + size] for start in range(0, len(chosen), size)]
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        jobs = [pool.submit(test, kernel, recording, about["file_system"], part, check, number, report)
                for number, part in enumerate(parts)]
        for job in jobs:
            job.result()
    document = about | {"entries": len(entries), "barriers": barriers, "acknowledged": acknowledged} | report.document()
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(report.points.items()))
    print(f"{about['file_system']}: {document['points']} points ({kinds}; {document['states']} states of the files), "
          f"{sum(report.violated.values())} with violations, in {document['seconds']} s; recovered: {document['recovered']}",
          flush=True)
    return document


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file-system", choices=[*MKFS, "all"], default="all")
    parser.add_argument("--points", type=int, default=2000, help="points per file system [default: 2000]")
    parser.add_argument("--seed", type=int, help="seed of all random choices [default: from the clock]")
    parser.add_argument("--guests", type=int, default=os.cpu_count(), help="guests at a time [default: one per core]")
    parser.add_argument("--quick", action="store_true", help="make a short recording")
    parser.add_argument("--control", choices=["process", "order"],
                        help="record with durability 'process', or lose flushed writes: violations must be found")
    parser.add_argument("--keep", action="store_true", help="keep the recording, even if nothing is wrong with it")
    parser.add_argument("--again", metavar="FOLDER", type=pathlib.Path, help="test this recording, do not make one")
    parser.add_argument("--point", type=points.Point.parse, help="test this point only; needs --again")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write the results to this file")
    options = parser.parse_args()
    if options.point and not options.again:
        parser.error("--point needs --again")
    if options.seed is None:
        options.seed = time.time_ns() % 2**32
    return options


def main():
    options = arguments()
    # Guests end with this process, which need not wait for them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(1))
    why = packages.why_not()
    if why:
        raise SystemExit(f"no guest can be started: {why}")
    print(f"seed {options.seed}", flush=True)
    kernel = packages.kernel(packages.CACHE)
    results = []
    if options.again:
        results.append(test_file_system(kernel, options, Recording(options.again), options.point and [options.point]))
    else:
        for file_system in MKFS if options.file_system == "all" else [options.file_system]:
            name = "-".join(filter(None, [file_system, options.control, str(options.seed)]))
            recording = Recording(packages.CACHE / "recordings" / name)
            durability = "process" if options.control == "process" else "power"
            recording.make(kernel, file_system, durability, QUICK_COMMITS if options.quick else COMMITS, options.seed)
            results.append(test_file_system(kernel, options, recording))
            if results[-1]["violations"] and not options.control or options.keep:
                print(f"the recording is kept: test a point again with --again {recording.folder} --point POINT")
            else:
                shutil.rmtree(recording.folder)
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "control": options.control, "results": results}, indent=1))
    found = [bool(result["violations"]) for result in results]
    sys.exit(not all(found) if options.control else any(found))


if __name__ == "__main__":
    main()
