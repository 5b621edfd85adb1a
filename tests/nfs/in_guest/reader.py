"""Reads the whole table again and again, and logs which versions it saw.

Lines of the log; times are the host's:
    R column begun ended version,...    read: one version per row
    F column begun ended message        the read failed
    V begun ended code message          `h5part verify`
"""

import argparse
import os
import subprocess
import time

from values import TABLE, HostClock, read


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("--log", required=True)
    p.add_argument("--seconds", type=float, default=1e9)
    p.add_argument("--stop")
    p.add_argument("--pause", type=float, default=1.0, help="seconds between two rounds")
    p.add_argument("--verify", action="store_true")
    p.add_argument("program", nargs="+", help="after --: h5part, and options of `read` and `verify`")
    o = p.parse_args()
    program, more = o.program[0], o.program[1:]
    clock, log = HostClock(o.log + ".clock"), open(o.log, "ab", buffering=0)
    end = time.monotonic() + o.seconds

    def call(*argv):
        begun = clock.now()
        done = subprocess.run(argv, capture_output=True, text=True)
        said = " ".join((done.stderr + done.stdout).split())[:400]
        return done.returncode, f"{begun:.3f} {clock.now():.3f}", said

    while time.monotonic() < end and not (o.stop and os.path.exists(o.stop)):
        # In this order: E must never be newer than the Q that is read after it.
        for column in ("E", "Q"):
            prefix = f"/tmp/read-{os.getpid()}"
            code, times, said = call(program, "read", o.file, TABLE, column, "--rows", ":", "-o", prefix + ".npy",
                                     "--mask", prefix + ".mask.npy", *more)
            if code == 0:
                text = f"R {column} {times} {','.join(map(str, read(column, prefix)))}"
            else:
                text = f"F {column} {times} {code} {said}"
            log.write((text + "\n").encode())
        if o.verify:
            code, times, said = call(program, "verify", o.file, *more)
            log.write(f"V {times} {code} {said}\n".encode())
        time.sleep(o.pause)


if __name__ == "__main__":
    main()
