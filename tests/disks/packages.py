"""What the guests are made of: programs of the host, and a kernel from a package of Debian.

The kernel's package is downloaded and unpacked into the cache folder, never installed. Of it are needed the kernel and
the modules in `MODULES`, which go into the guests' initial file system. As a program, this downloads the kernel.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
CACHE = pathlib.Path(os.environ.get("H5PART_DISKS_CACHE", PROJECT / "target/disks"))
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
# Programs that are called, and the packages of Debian that have them.
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
    "dpkg-deb": "dpkg",
    "apt-get": "apt",
}
KERNEL = "linux-image-amd64"
# In this order; those that they depend on are found. Nothing in the guest loads a module on demand.
MODULES = ["virtio_pci", "virtio_blk", "virtio_console", "9pnet_virtio", "9p", "crc32c_generic", "crc32c_intel",
           "dm_log_writes", "ext4", "xfs", "btrfs"]


@dataclasses.dataclass(frozen=True)
class Kernel:
    """A kernel and the modules to load into it, those first that others depend on."""

    release: str
    image: pathlib.Path
    modules: list


def find(program):
    return shutil.which(program, path=PATH)


def why_not():
    """Why no guest can be started here; None if it can."""
    missing = sorted({package for program, package in PROGRAMS.items() if not find(program)})
    if missing:
        return "these packages of Debian are not installed: " + ", ".join(missing)
    if os.uname().machine != "x86_64":
        return "the guests have the host's programs, and are made for x86_64"
    return None


def kernel(cache):
    """The kernel, downloaded into this folder if it is not there."""
    folder = cache / "kernel"
    if not folder.exists():
        download_kernel(cache, folder)
    [image] = (folder / "boot").glob("vmlinuz-*")
    release = image.name.removeprefix("vmlinuz-")
    found = [path for name in ("lib", "usr/lib") for path in (folder / name / "modules" / release).rglob("*.ko*")]
    return Kernel(release, image, in_order({module_name(path): path for path in found}))


def download_kernel(cache, folder):
    text = subprocess.run(["apt-cache", "depends", KERNEL], check=True, capture_output=True, text=True).stdout
    [package] = re.findall(r"Depends: (linux-image-\S+)", text)
    building = cache / "kernel.new"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    # As root, apt downloads as a user of its own, who may not write here.
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", package]
    subprocess.run(command, check=True, cwd=building, stdout=subprocess.DEVNULL)
    [archive] = building.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, building], check=True)
    archive.unlink()
    building.rename(folder)


def module_name(path):
    return path.name.split(".")[0].replace("-", "_")


def in_order(paths):
    """The files of `MODULES` and of those that they depend on, each after its own."""
    order = []

    def add(name):
        path = paths.get(name)
        # One that is missing is built in.
        if path and path not in order:
            for each in depends(contents(path)):
                add(each)
            order.append(path)

    for name in MODULES:
        add(name)
    return order


def contents(path):
    """The module itself, without the compression of its file."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        import lzma

        return lzma.decompress(data)
    return data


def depends(module):
    """The names in a module's own list of those that it depends on."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] if found else []


if __name__ == "__main__":
    try:
        print("Linux", kernel(CACHE).release)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"cannot get a kernel: {error}") from None
