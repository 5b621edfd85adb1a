"""An NFS server and two clients: three QEMU guests on one host, which no packet leaves.

    with Rig(boot, program) as rig:
        rig.start()
        rig.mount()
        rig.client1.run("ls /n").check()
        rig.client2.freeze()

The links are Unix datagram sockets. Guests and host share one folder, `rig.share`, which the guests see as /share.
"""

import ctypes
import dataclasses
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from packages import PATH

BOOT_S = 600
HERE = pathlib.Path(__file__).resolve().parent
SERVER_OF = {"client1": "10.77.1.1", "client2": "10.77.2.1"}
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def until(what, holds, seconds, pause=0.05):
    """Waits until `holds()` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while not (result := holds()):
        if time.monotonic() > end:
            raise TimeoutError(f"after {seconds:.0f} s still not so: {what}")
        time.sleep(pause)
    return result


@dataclasses.dataclass
class Result:
    code: int
    out: str
    what: str

    def check(self):
        """Its output; an exit code other than 0 is an error."""
        if self.code != 0:
            raise RuntimeError(f"{self.what}: exit code {self.code}: {self.out.strip()[-2000:]}")
        return self.out


class Command:
    """A shell script that runs in a guest."""

    def __init__(self, guest, number, script):
        self.guest, self.script = guest, script
        self.path = guest.commands / str(number)

    def done(self):
        code = self.path.with_suffix(".code")
        if code.exists():
            out = self.path.with_suffix(".out").read_text(errors="replace")
            return Result(int(code.read_text()), out, f"{self.guest.name}: {self.script.strip()[:200]}")
        if self.guest.process is None or self.guest.process.poll() is not None:
            raise RuntimeError(f"{self.guest.name} is gone, and with it: {self.script.strip()[:200]}")
        return None

    def wait(self, seconds=120):
        try:
            return until("the end of a command", self.done, seconds)
        except TimeoutError as error:
            out = self.path.with_suffix(".out")
            said = out.read_text(errors="replace")[-2000:] if out.exists() else "(not begun)"
            raise TimeoutError(f"{self.guest.name}: {error}: {self.script.strip()[:300]}\n{said}") from None


class Guest:
    def __init__(self, rig, name, links):
        self.rig, self.name = rig, name
        # For each link: its own socket, the peer's, and the last bytes of its address.
        self.links = links
        self.commands = rig.share / "commands" / name
        self.process, self.line, self.frozen = None, None, False

    def start(self):
        """Starts QEMU. `wait` waits until the guest takes commands."""
        shutil.rmtree(self.commands, ignore_errors=True)
        self.commands.mkdir(parents=True)
        for path in [self._socket("monitor"), self._socket("line"), *(self.rig.dir / own for own, _, _ in self.links)]:
            path.unlink(missing_ok=True)
        self.numbers, self.frozen, self.begun = 0, False, time.monotonic()
        out = open(self.rig.dir / f"{self.name}.qemu.log", "ab")
        with out:
            self.process = subprocess.Popen(
                self._qemu(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=_with_parent)
        self.line = None

    def wait(self, seconds=BOOT_S):
        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"QEMU of {self.name} has ended:\n{self._tail('qemu.log')}\n{self._tail('console')}")
            return (self.commands / "ready").exists()
        try:
            until(f"{self.name} is up", ready, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self._tail('console')}") from None
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(self._socket("line")))
        return time.monotonic() - self.begun

    def spawn(self, script):
        """Runs a shell script in the guest, beside others."""
        self.numbers += 1
        command = Command(self, self.numbers, script)
        command.path.with_suffix(".sh").write_text(script)
        self.line.sendall(b"%d\n" % self.numbers)
        return command

    def run(self, script, seconds=120):
        return self.spawn(script).wait(seconds)

    def freeze(self):
        """The guest stands still, as a host does that swaps, or a virtual machine that is moved."""
        self.process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def kill(self):
        """The guest is gone at once, as if its power had failed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.line:
            self.line.close()
        self.process, self.line, self.frozen = None, None, False

    def link(self, up):
        """Cuts or mends the link between the guest and its peer."""
        self._monitor(f"set_link link0 {'on' if up else 'off'}")

    def _monitor(self, command):
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(20)
            monitor.connect(str(self._socket("monitor")))
            said = b""
            while b"(qemu)" not in said:
                said += monitor.recv(4096)
            monitor.sendall(command.encode() + b"\n")
            said = b""
            while b"(qemu)" not in said:
                said += monitor.recv(4096)
        if b"rror" in said:
            raise RuntimeError(f"{self.name}: {command}: {said.decode(errors='replace')}")

    def _socket(self, kind):
        return self.rig.dir / f"{self.name}.{kind}"

    def _tail(self, kind):
        path = self.rig.dir / f"{self.name}.{kind}"
        return "\n".join(path.read_text(errors="replace").splitlines()[-25:]) if path.exists() else ""

    def _qemu(self):
        rig = self.rig
        words = ["console=ttyS0", "loglevel=4", "panic=-1", "mitigations=off", "nokaslr", "no_timer_check", "audit=0",
                 "random.trust_cpu=on", f"name={self.name}", f"lease={rig.lease}", f"grace={rig.grace}",
                 f"python={rig.python_prefix}"]
        command = ["qemu-system-x86_64", "-name", self.name, "-m", str(rig.memory_mib), "-smp", "1", "-nodefaults",
                   "-no-user-config", "-display", "none", "-no-reboot",
                   "-serial", f"file:{rig.dir}/{self.name}.console",
                   "-serial", f"unix:{self._socket('line')},server=on,wait=off",
                   "-monitor", f"unix:{self._socket('monitor')},server=on,wait=off",
                   "-kernel", str(rig.boot.kernel), "-initrd", str(rig.boot.initramfs), "-append", " ".join(words)]
        # Emulated, wider vectors than those of this processor make everything slower.
        emulated = ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "Nehalem-v1,+rdrand"]
        command += ["-enable-kvm", "-cpu", "host"] if rig.kvm else emulated
        for tag, folder in rig.folders().items():
            options = "" if tag == "share" else ",readonly=on"
            command += ["-fsdev", f"local,id={tag},path={folder},security_model=none,multidevs=remap{options}",
                        "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        for number, (own, peer, address) in enumerate(self.links):
            command += ["-netdev", f"dgram,id=link{number},local.type=unix,local.path={rig.dir}/{own},"
                                   f"remote.type=unix,remote.path={rig.dir}/{peer}",
                        "-device", f"virtio-net-pci,netdev=link{number},mac=52:54:00:77:{address},romfile="]
        if self.name == "server":
            command += ["-drive", f"file={rig.disk},format=raw,if=none,id=disk,cache=writeback,discard=unmap",
                        "-device", "virtio-blk-pci,drive=disk"]
        return command


def _with_parent():
    """A guest ends with the rig, however that ends."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)


class Rig:
    def __init__(self, boot, program, lease=15, grace=None, kvm=False, python=None, h5py=None, broken=None, memory_mib=512,
                 disk_gib=4, keep=False):
        self.boot, self.kvm, self.memory_mib, self.keep = boot, kvm, memory_mib, keep
        self.lease, self.grace = lease, grace or lease
        self.python, self.python_prefix = _python(python)
        self.h5py = h5py
        # A path that is short enough for sockets.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="h5part-nfs-"))
        self.share, self.disk = self.dir / "share", self.dir / "disk"
        self.guests = {
            "server": Guest(self, "server", [("s1", "c1", "01:01"), ("s2", "c2", "02:01")]),
            "client1": Guest(self, "client1", [("c1", "s1", "01:02")]),
            "client2": Guest(self, "client2", [("c2", "s2", "02:02")]),
        }
        self.server, self.client1, self.client2 = self.guests.values()
        self.options = "vers=4.2"
        programs = {"h5part": program} | ({"h5part-broken": broken} if broken else {})
        self._set_up(programs, disk_gib)

    @property
    def clients(self):
        return [self.client1, self.client2]

    def _set_up(self, programs, disk_gib):
        setup = self.share / "setup"
        (setup / "bin").mkdir(parents=True)
        for name, program in programs.items():
            # Symbols are of no use in a guest, and are five sixths of the file.
            stripped = shutil.which("strip") and subprocess.run(["strip", "-o", setup / "bin" / name, program]).returncode == 0
            if not stripped:
                shutil.copy(program, setup / "bin" / name)
        for script in HERE.glob("in_guest/*.py"):
            shutil.copy(script, setup)
        if pathlib.Path("/etc/ld.so.cache").exists():
            shutil.copy("/etc/ld.so.cache", setup)
        if self.h5py:
            (setup / "h5py").write_text("")
        with open(self.disk, "wb") as disk:
            disk.truncate(disk_gib << 30)
        mkfs = ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", self.disk]
        subprocess.run(mkfs, check=True, env=os.environ | {"PATH": PATH})

    def folders(self):
        """The folders of the host that the guests see, by tag."""
        folders = {"usr": "/usr", "tools": self.boot.tools, "share": self.share}
        if self.python_prefix != "/usr":
            folders["python"] = self.python_prefix
        if self.h5py:
            folders["h5py"] = self.h5py
        return folders

    def __enter__(self):
        # An end that is asked for is an end like others: nothing stays behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        return self

    def __exit__(self, kind, *_):
        for guest in self.guests.values():
            guest.kill()
        if self.keep:
            print(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, seconds=BOOT_S):
        """Starts all guests at once; returns the seconds that the slowest took."""
        for guest in self.guests.values():
            guest.start()
        return max(guest.wait(seconds) for guest in self.guests.values())

    def mount(self, options=None, clients=None, export="/srv/x", folder="/n"):
        """Mounts the export at /n, anew if it is mounted: nothing is cached."""
        options = options or self.options
        for client in clients or self.clients:
            script = (f"mkdir -p {folder}; ! grep -q ' {folder} ' /proc/mounts || umount {folder} || exit 1; "
                      f"mount.nfs {SERVER_OF[client.name]}:{export} {folder} -o {options}")
            client.run(script, 90).check()

    def restart_nfsd(self):
        """The server's NFS service ends and starts: all its state is gone, and clients reclaim their locks."""
        self.server.run("rpc.nfsd 0; rpc.nfsd 8", 60).check()

    def reboot(self, guest):
        """A guest loses power and boots again; a server on the same disk. Returns the seconds that it was away."""
        begun = time.monotonic()
        guest.kill()
        guest.start()
        guest.wait()
        return time.monotonic() - begun

    def revive(self):
        """Brings every guest back that a case has killed, frozen or cut off, with its mount."""
        for guest in self.guests.values():
            if guest.process is not None and guest.frozen:
                guest.thaw()
        dead = [guest for guest in self.guests.values() if guest.process is None or guest.process.poll() is not None]
        for guest in dead:
            guest.start()
        for guest in dead:
            guest.wait()
        for guest in self.clients:
            guest.link(up=True)
        fresh = [guest for guest in dead if guest is not self.server]
        if fresh:
            self.mount(clients=fresh)


def _python(wanted):
    """The interpreter that guests use, and the folder that it is installed in."""
    if wanted is None and pathlib.Path("/usr/bin/python3").exists():
        return "/usr/bin/python3", "/usr"
    if wanted is None:
        return f"{sys.base_prefix}/bin/python3", sys.base_prefix
    said = subprocess.run([wanted, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True)
    prefix = said.stdout.strip()
    return f"{prefix}/bin/python3", prefix
