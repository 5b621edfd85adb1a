"""One point of a log: mounts the disk, recovers, and hands the files over. Runs in the guest."""

import base64
import hashlib
import os
import subprocess
import zlib

import agent
from tables import FILE

# Messages of the kernel up to this level are errors.
ERROR = 3


# States of the files that were examined before.
known = set()


def examine(device, file_system, verify):
    """What is on the disk. `unmountable` is the kernel's reason if it could not be mounted.

    Programs are slow here. So files that are as at an earlier point are not examined again: `state` says at which.
    And the host verifies the copy of the files. `verify` does it here, too: only here are records and logs those of
    this file, not of another inode.
    """
    with open("/dev/kmsg", "rb", buffering=0) as messages:
        messages.seek(0, os.SEEK_END)
        os.set_blocking(messages.fileno(), False)
        try:
            agent.mount(device, file_system)
        except OSError as error:
            return {"unmountable": str(error), "kernel": errors(messages)}
        try:
            path = f"{agent.FOLDER}/{FILE}"
            found = {"state": state(path)}
            if found["state"] not in known:
                found["new"] = look(path, verify)
                known.add(found["state"])
        finally:
            agent.unmount()
        return found | {"kernel": errors(messages)}


def state(path):
    """A digest of all that the program can see: contents, and what stat says of each file but its last access."""
    top = os.path.dirname(path)
    digest = hashlib.sha1(repr(sorted(os.path.relpath(folder, top) for folder, _, _ in os.walk(top))).encode())
    for name, data, stat in sorted(files(top)):
        seen = (name, len(data), stat.st_ino, stat.st_mode, stat.st_nlink, stat.st_blocks, stat.st_mtime_ns, stat.st_ctime_ns)
        digest.update(repr(seen).encode() + data)
    return digest.hexdigest()


def look(path, verify):
    found = {"there": os.path.exists(path)}
    if found["there"]:
        found["recover"] = run("recover", "--json", path)
        if verify:
            found["verify"] = run("verify", "--json", path)
        # With its sidecar, so that what reads the copy sees what is left there.
        after = files(os.path.dirname(path))
        found["files"] = {name: base64.b64encode(zlib.compress(data, 1)).decode() for name, data, _ in after}
    return found


def run(*arguments):
    done = subprocess.run([agent.PROGRAM, *arguments], capture_output=True, text=True)
    return {"code": done.returncode, "output": done.stdout, "errors": done.stderr}


def files(top):
    """Names, contents and stat of all files on the disk: the file itself, its sidecar, and what is under construction."""
    for folder, _, names in os.walk(top):
        for name in names:
            whole = os.path.join(folder, name)
            with open(whole, "rb") as file:
                yield os.path.relpath(whole, top), file.read(), os.fstat(file.fileno())


def errors(messages):
    """The kernel's messages since the last time that are errors."""
    found = []
    while True:
        try:
            line = messages.read(8192)
        except BrokenPipeError:
            # Some were overwritten before they were read.
            continue
        if line is None:
            return found
        head, _, text = line.decode(errors="replace").partition(";")
        if int(head.split(",")[0]) & 7 <= ERROR:
            found.append(text.splitlines()[0])
