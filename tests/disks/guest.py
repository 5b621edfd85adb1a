"""A guest: a Linux kernel of its own under QEMU, without KVM. Its root is the host's, which it can only read.

    with Guest(kernel, folder, disks=["disk.img"]) as guest:
        guest.call("examine", device="/dev/vda", file_system="ext4")

So the guest has the host's Python, its libraries and the program under test, at the same paths. `agent.py` runs in it,
and does what it is told through QEMU's standard input and output.
"""

import ctypes
import gzip
import json
import os
import pathlib
import selectors
import shlex
import signal
import subprocess
import sys

import packages

HERE = pathlib.Path(__file__).resolve().parent
# Generous, since emulation is slow and hosts may be busy.
BOOT_S = 1800
CALL_S = 1800

# Without AVX, which is slow to emulate.
CPU = "Nehalem-v1,+rdrand"
# `norandmaps`: QEMU translates a program anew where it lies at other addresses, which triples the time of each.
KERNEL_OPTIONS = ("console=ttyS0 loglevel=4 panic=-1 oops=panic mitigations=off nokaslr norandmaps no_timer_check "
                  "random.trust_cpu=on")

# The root's own /run is covered, since programs write there, and so does the agent.
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
while read module; do insmod /modules/$module || echo "cannot load $module"; done < /modules/order
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose root /root || poweroff -f
mount -t proc proc /root/proc
mount -t sysfs sys /root/sys
mount -t devtmpfs dev /root/dev
mount -t tmpfs run /root/run
mkdir /root/run/tmp
cd /root
TMPDIR=/run/tmp HOME=/run/tmp PYTHONDONTWRITEBYTECODE=1 chroot /root {agent}
poweroff -f
"""


PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def end_with_parent():
    """A guest ends with the process that started it, however that ends, and leaves the processors to others."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)


class GuestDied(Exception):
    """The guest ended, or did not answer in time."""


class Guest:
    def __init__(self, kernel, folder, disks, processors=1, memory_mib=512):
        self.kernel, self.folder, self.disks = kernel, pathlib.Path(folder), disks
        self.processors, self.memory_mib = processors, memory_mib
        self.console = self.folder / "console.txt"

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        start = self.folder / "initrd"
        start.write_bytes(initial_files(self.kernel))
        command = [
            packages.find("qemu-system-x86_64"), "-accel", "tcg,thread=multi,tb-size=256", "-cpu", CPU,
            "-m", str(self.memory_mib), "-smp", str(self.processors),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", f"file:{self.console}",
            "-kernel", self.kernel.image, "-initrd", start, "-append", KERNEL_OPTIONS,
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            "-chardev", "stdio,id=agent,signal=off",
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent",
        ]
        for number, disk in enumerate(self.disks):
            # What the host loses by this, were its power to fail, is a test.
            drive = f"file={str(disk).replace(',', ',,')},format=raw,if=none,id=disk{number},cache=unsafe,discard=unmap"
            command += ["-drive", drive, "-device", f"virtio-blk-pci,drive=disk{number}"]
        with open(self.folder / "qemu.txt", "wb") as errors:
            self.qemu = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                         preexec_fn=end_with_parent)
        self.unread = b""
        try:
            self.release = self._answer(BOOT_S)["release"]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.qemu.kill()
        self.qemu.wait()
        self.qemu.stdin.close()
        self.qemu.stdout.close()

    def call(self, function, seconds=CALL_S, **arguments):
        """Runs a function of `agent.py` in the guest, and returns what it returns."""
        line = json.dumps({"function": function, "arguments": arguments}) + "\n"
        try:
            self.qemu.stdin.write(line.encode())
            self.qemu.stdin.flush()
        except BrokenPipeError:
            raise GuestDied(self._last_words("the guest has ended")) from None
        answer = self._answer(seconds)
        if "error" in answer:
            raise RuntimeError(f"{function} failed in the guest: {answer['error']}")
        return answer["result"]

    def _answer(self, seconds):
        with selectors.DefaultSelector() as selector:
            selector.register(self.qemu.stdout, selectors.EVENT_READ)
            while b"\n" not in self.unread:
                if not selector.select(seconds):
                    raise GuestDied(self._last_words(f"the guest did not answer within {seconds} s"))
                part = os.read(self.qemu.stdout.fileno(), 1 << 20)
                if not part:
                    raise GuestDied(self._last_words("the guest has ended"))
                self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        return json.loads(line)

    def _last_words(self, what):
        said = [file.read_text(errors="replace")[-2000:] for file in (self.folder / "qemu.txt", self.console) if file.exists()]
        return "\n".join([what, *said])


def initial_files(kernel):
    """The initial file system of a guest, as a compressed archive of cpio's format `newc`."""
    agent = shlex.join([sys.executable, str(HERE / "agent.py")])
    folders = ["bin", "dev", "modules", "root"]
    files = {
        "init": INIT.format(agent=agent).encode(),
        "bin/busybox": pathlib.Path(packages.find("busybox")).read_bytes(),
        "modules/order": "".join(packages.module_name(path) + "\n" for path in kernel.modules).encode(),
    }
    files |= {"modules/" + packages.module_name(path): packages.contents(path) for path in kernel.modules}
    parts = [member(name, 0o040755, b"") for name in folders]
    parts += [member(name, 0o100755, data) for name, data in files.items()]
    return gzip.compress(b"".join([*parts, member("TRAILER!!!", 0, b"")]), 1)


def member(name, mode, data):
    numbers = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
