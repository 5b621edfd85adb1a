"""The log of dm-log-writes: its format, and replaying it onto the image of a disk.

The kernel describes the format in Documentation/admin-guide/device-mapper/log-writes.rst. The first sector is the
super block. Each entry begins with a sector that holds its header, and in the same sector the text of a mark; the
sectors that were written follow. The kernel logs a plain write only at the next flush that was submitted after the
write had completed, and a write with FUA when it has completed. So an entry that is a flush comes after all writes
that it made durable.
"""

import dataclasses
import os
import random
import struct

MAGIC = 0x6A736677736872
VERSION = 1
SUPER = struct.Struct("<QQQI")
HEADER = struct.Struct("<QQQQ")

FLUSH, FUA, DISCARD, MARK, METADATA = 1, 2, 4, 8, 16

# A sector is written whole or not at all; this is the unit in which devices promise that.
SECTOR_BYTES = 512
# Blocks of a file system's metadata. XFS relies on a device that does not tear them.
BLOCK_BYTES = 4096
COPY_BYTES = 1 << 18


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of the log. `at` is the offset of its data in the log, `start` and `bytes` are those on the disk."""

    start: int
    bytes: int
    flags: int
    at: int
    mark: str = ""

    @property
    def is_barrier(self):
        """Whether it is durable when it completes: a flush, or a write with FUA."""
        return bool(self.flags & (FLUSH | FUA))

    @property
    def is_mark(self):
        return bool(self.flags & MARK)


def read(path):
    """All entries of the log in this file."""
    with open(path, "rb") as file:
        magic, version, count, sector_bytes = SUPER.unpack(file.read(SUPER.size))
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"{path} is not a log of dm-log-writes of version {VERSION}")
        entries, offset = [], sector_bytes
        for _ in range(count):
            file.seek(offset)
            header = file.read(sector_bytes)
            sector, sectors, flags, mark_bytes = HEADER.unpack_from(header)
            mark = header[HEADER.size : HEADER.size + mark_bytes].rstrip(b"\0").decode() if flags & MARK else ""
            offset += sector_bytes
            entries.append(Entry(sector * sector_bytes, sectors * sector_bytes, flags, offset, mark))
            if not flags & DISCARD:
                offset += sectors * sector_bytes
        return entries


def positions(entries):
    """The numbers of entries after which the disk, or what was acknowledged, differs from all others.

    A mark does not change the disk, so a position just before one asks less than the position after it.
    """
    return [n for n in range(len(entries) + 1) if n == len(entries) or not entries[n].is_mark]


def pending(entries, position):
    """The plain writes that may be in the device's cache at this position: those before the next barrier."""
    writes = []
    for entry in entries[position:]:
        if entry.is_barrier:
            break
        if not entry.is_mark:
            writes.append(entry)
    return writes


class Replay:
    """The image of a disk that moves along the log, forward only."""

    def __init__(self, base, log, image):
        """Starts with a copy of the file `base`, in the file `image`."""
        self.entries = read(log)
        self.position = 0
        self.log = os.open(log, os.O_RDONLY)
        self.image = os.open(image, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        source = os.open(base, os.O_RDONLY)
        try:
            make_equal(source, self.image)
        finally:
            os.close(source)

    def close(self):
        os.close(self.log)
        os.close(self.image)

    def forward(self, position):
        """Applies the entries up to this position."""
        assert position >= self.position, "a replay only moves forward"
        for entry in self.entries[self.position : position]:
            apply(self.log, entry, self.image)
        self.position = position

    def put(self, disk, seed=None, torn=False):
        """Makes the file `disk` equal to the image.

        With a seed, a random subset of the pending writes is put onto it as well; with `torn`, parts of them.
        """
        make_equal(self.image, disk)
        if seed is not None:
            chance = random.Random(seed)
            share = chance.choice([0.1, 0.5, 0.9])
            for entry in pending(self.entries, self.position):
                apply_parts(self.log, entry, disk, chance, share, torn)

    def put_without(self, disk, seed, window):
        """As if the device ignored flushes: half of the last `window` entries were lost, flushed or not.

        The image must not have moved beyond them: call `forward` with the position minus the window.
        """
        make_equal(self.image, disk)
        chance = random.Random(seed)
        for entry in self.entries[self.position : self.position + window]:
            apply_parts(self.log, entry, disk, chance, 0.5, False)


def apply(log, entry, disk):
    """Does to the disk what this entry says. What was discarded reads as zeros."""
    if entry.flags & DISCARD:
        zero(disk, entry.start, entry.bytes)
    elif not entry.is_mark:
        copy(log, entry.at, disk, entry.start, entry.bytes)


def apply_parts(log, entry, disk, chance, share, torn):
    """Does it with this probability; with `torn`, decides it for each part that a device writes as a whole."""
    if entry.flags & DISCARD or not torn:
        if chance.random() < share:
            apply(log, entry, disk)
        return
    unit = BLOCK_BYTES if entry.flags & METADATA else SECTOR_BYTES
    for offset in range(0, entry.bytes, unit):
        if chance.random() < share:
            copy(log, entry.at + offset, disk, entry.start + offset, min(unit, entry.bytes - offset))


def copy(source, source_offset, target, target_offset, count):
    while count > 0:
        part = os.pread(source, min(count, COPY_BYTES), source_offset)
        if not part:
            raise EOFError("the log ends within an entry")
        os.pwrite(target, part, target_offset)
        source_offset, target_offset, count = source_offset + len(part), target_offset + len(part), count - len(part)


def zero(file, offset, count):
    while count > 0:
        part = min(count, COPY_BYTES)
        os.pwrite(file, bytes(part), offset)
        offset, count = offset + part, count - part


def extents(file):
    """The parts of a sparse file that hold data, as pairs of start and end."""
    found, offset, size = [], 0, os.fstat(file).st_size
    while offset < size:
        try:
            start = os.lseek(file, offset, os.SEEK_DATA)
        except OSError:
            break
        offset = os.lseek(file, start, os.SEEK_HOLE)
        found.append((start, offset))
    return found


def make_equal(source, target):
    """Makes a sparse file equal to another one; writes only what differs."""
    size = os.fstat(source).st_size
    if os.fstat(target).st_size != size:
        os.ftruncate(target, size)
    parts = set()
    for start, end in extents(source) + extents(target):
        parts.update(range(start // COPY_BYTES, (end - 1) // COPY_BYTES + 1))
    for part in sorted(parts):
        wanted = os.pread(source, COPY_BYTES, part * COPY_BYTES)
        if os.pread(target, COPY_BYTES, part * COPY_BYTES) != wanted:
            os.pwrite(target, wanted, part * COPY_BYTES)
