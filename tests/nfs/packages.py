"""What the guests run: a kernel and the NFS tools, from Debian packages that are unpacked into a cache, not installed.

    boot = packages.prepare(cache)      # boot.kernel, boot.initramfs, boot.tools

Asks apt for the newest kernel and for the libraries that the tools need, so that no version is named here.
"""

import dataclasses
import gzip
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
TOOLS = ["busybox-static", "nfs-common", "nfs-kernel-server", "rpcbind"]
# Libraries that the host has, as any Debian: the C library's parts must be of one version.
OF_THE_HOST = ("libc6", "libgcc", "libcrypt1", "libpam", "libsystemd0", "libelogind0")
# Loaded in this order, each after the modules that it depends on. Those that the kernel has built in are not found.
MODULES = [
    "virtio_pci", "virtio_net", "virtio_blk", "9pnet_virtio", "9p", "crc32c_generic", "crc32c_intel", "ext4",
    "nfsd", "nfs", "nfsv4", "nfsv3",
]


@dataclasses.dataclass
class Boot:
    kernel: pathlib.Path
    initramfs: pathlib.Path
    # The unpacked packages, which the guests see as /x.
    tools: pathlib.Path


def why_not():
    """Why no guest can be made here; None if it can."""
    if os.uname().machine != "x86_64":
        return f"the guests are made for x86_64, this host is {os.uname().machine}"
    programs = ["qemu-system-x86_64", "apt-get", "apt-cache", "dpkg-deb", "mkfs.ext4"]
    missing = [name for name in programs if not shutil.which(name, path=PATH)]
    return "these programs are not installed: " + ", ".join(missing) if missing else None


def prepare(cache):
    """Fetches and unpacks what is missing in the folder `cache`, and makes the initramfs."""
    cache.mkdir(parents=True, exist_ok=True)
    kernel_root, tools = _known(cache) or _newest(cache)
    kernel = next((kernel_root / "boot").glob("vmlinuz-*"))
    return Boot(kernel, _initramfs(cache, kernel_root, tools), tools)


def _known(cache):
    """The folders of the last time, for a week: asking apt takes longer than anything else."""
    try:
        if time.time() - (cache / "newest.json").stat().st_mtime > 7 * 86400:
            return None
        folders = [cache / name for name in json.loads((cache / "newest.json").read_text())]
    except (OSError, ValueError):
        return None
    return folders if all(folder.is_dir() for folder in folders) else None


def _newest(cache):
    # Folders are named by what is in them: another kernel or other tools get folders of their own.
    folders = [_unpacked(cache, [newest_kernel()], keep=_kernel_files), _unpacked(cache, _with_libraries(TOOLS))]
    (cache / "newest.json").write_text(json.dumps([folder.name for folder in folders]))
    return folders


def newest_kernel():
    """The package that `linux-image-amd64` depends on just now."""
    for name in _depends(["linux-image-amd64"]):
        if re.match(r"linux-image-[0-9]", name):
            return name
    raise RuntimeError("apt-cache knows no linux-image-amd64: call `apt-get update`, or use Debian")


def _depends(packages):
    said = _call("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                 "--no-replaces", "--no-enhances", *packages)
    return re.findall(r"^ +\|?(?:Pre)?Depends: ([a-z0-9][^<\s]*)$", said, re.MULTILINE)


def _with_libraries(packages):
    """These packages, and the libraries that they need, and those that these need."""
    found, fresh = [], list(packages)
    while fresh:
        found += fresh
        names = [name for name in _depends(fresh) if name.startswith("lib") and not name.startswith(OF_THE_HOST)]
        fresh = [name for name in dict.fromkeys(names) if name not in found]
    return found


def _unpacked(cache, packages, keep=None):
    """The folder that holds the content of these packages, in their newest versions."""
    uris = _call("apt-get", "download", "--print-uris", *packages).split("\n")
    names = sorted(re.findall(r"^'[^']*' (\S+) ", "\n".join(uris), re.MULTILINE))
    if len(names) < len(packages):
        raise RuntimeError(f"apt-get can download only {names} of {packages}: call `apt-get update`")
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    folder = cache / f"{packages[0]}-{digest}"
    if folder.exists():
        return folder
    print(f"fetching {len(packages)} packages: {packages[0]}...", flush=True)
    debs, fresh = cache / "packages", cache / f"{folder.name}.new"
    debs.mkdir(exist_ok=True)
    _call("apt-get", "download", *packages, cwd=debs)
    shutil.rmtree(fresh, ignore_errors=True)
    for name in names:
        _call("dpkg-deb", "--extract", str(debs / name), str(fresh))
        (debs / name).unlink()
    if keep:
        keep(fresh)
    fresh.rename(folder)
    return folder


def _kernel_files(root):
    """Deletes what no guest needs: nearly all drivers."""
    modules = _modules(root)
    keep = {path for name in MODULES for path in _with_dependencies(modules, name)}
    for path in set(modules.values()) - keep:
        path.unlink()


def _modules(root):
    """The files of the kernel's modules by name. Names are written with - or _ alike."""
    return {path.name.split(".")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}


def _content(path):
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _with_dependencies(modules, name):
    """The files of a module and of those that it depends on, these first."""
    path = modules.get(name.replace("-", "_"))
    if path is None:
        return []
    # A module says itself what it depends on, in its section .modinfo.
    said = re.search(rb"\0depends=([^\0]*)\0", _content(path))
    names = [name.decode() for name in said[1].split(b",") if name] if said else []
    files = [file for each in names for file in _with_dependencies(modules, each)]
    return list(dict.fromkeys([*files, path]))


def _initramfs(cache, kernel_root, tools):
    known = _modules(kernel_root)
    modules = list(dict.fromkeys(path for name in MODULES for path in _with_dependencies(known, name)))
    busybox = next(path for path in (tools / "bin/busybox", tools / "usr/bin/busybox") if path.exists())
    archive = Cpio()
    for name in ("bin", "proc", "sys", "dev", "tmp", "usr", "share", "x", "mods", "etc", "run", "var", "mnt", "srv", "n"):
        archive.folder(name)
    archive.file("bin/busybox", busybox.read_bytes(), 0o755)
    for name in ("init", "server.sh", "client.sh"):
        archive.file(name, (HERE / "guest" / name).read_bytes(), 0o755)
    names = [re.sub(r"\.xz$", "", path.name) for path in modules]
    for name, path in zip(names, modules):
        archive.file(f"mods/{name}", _content(path), 0o644)
    archive.file("mods/order", ("\n".join(names) + "\n").encode(), 0o644)
    for name in ("lib", "lib64", "sbin"):
        archive.link(name, f"usr/{name}")
    target = cache / "initramfs.gz"
    fresh = cache / f"initramfs.{os.getpid()}"
    fresh.write_bytes(gzip.compress(archive.end(), 1))
    fresh.rename(target)
    return target


class Cpio:
    """An archive in the format that the kernel unpacks (newc)."""

    def __init__(self):
        self.parts, self.inode = [], 0

    def folder(self, name):
        self._entry(name, 0o040755, b"")

    def file(self, name, content, mode):
        self._entry(name, 0o100000 | mode, content)

    def link(self, name, target):
        self._entry(name, 0o120777, target.encode())

    def end(self):
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self.parts)

    def _entry(self, name, mode, content):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        for part in (header, content):
            self.parts.append(part + b"\0" * (-len(part) % 4))


def _call(*command, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | {"PATH": PATH, "LC_ALL": "C"})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:3])}...: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout
