"""Runs in the guest: does what the host asks for, one JSON line per request and per answer."""

import ctypes
import json
import os
import pathlib
import shutil
import sys
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).parent))

PROGRAM = "/run/h5part"
FOLDER = "/run/disk"
MNT_DETACH = 2

libc = ctypes.CDLL(None, use_errno=True)


def mount(device, file_system):
    """Mounts the device on `FOLDER`. Raises the kernel's error."""
    os.makedirs(FOLDER, exist_ok=True)
    if libc.mount(device.encode(), FOLDER.encode(), file_system.encode(), 0, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), device)


def unmount():
    if libc.umount2(FOLDER.encode(), 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), FOLDER)


def copy_program(path):
    """Keeps the program in memory: over the host's root each page of it would be asked for again."""
    shutil.copyfile(path, PROGRAM)
    os.chmod(PROGRAM, 0o755)


def record(**arguments):
    import workload

    return workload.record(**arguments)


def examine(**arguments):
    import examine

    return examine.examine(**arguments)


FUNCTIONS = {function.__name__: function for function in (copy_program, record, examine)}


def port():
    """The device that leads to the host."""
    for folder in pathlib.Path("/sys/class/virtio-ports").iterdir():
        if (folder / "name").read_text().strip() == "agent":
            return f"/dev/{folder.name}"
    raise FileNotFoundError("no port named 'agent'")


def main():
    # The port can be opened only once.
    file = os.open(port(), os.O_RDWR)
    requests, answers = os.fdopen(file, "rb"), os.fdopen(os.dup(file), "wb")

    def send(answer):
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()

    send({"release": os.uname().release})
    for line in requests:
        request = json.loads(line)
        try:
            send({"result": FUNCTIONS[request["function"]](**request["arguments"])})
        except Exception:
            send({"error": traceback.format_exc()})


if __name__ == "__main__":
    main()
