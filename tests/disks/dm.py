"""The few calls of the kernel's device mapper that are needed, by ioctl. Runs in the guest, as root."""

import fcntl
import os
import struct

CONTROL = "/dev/mapper/control"
# struct dm_ioctl, struct dm_target_spec of linux/dm-ioctl.h
HEADER = struct.Struct("=3I II I i I I I Q 128s 129s 7x")
TARGET = struct.Struct("=QQiI16s")
CREATE, REMOVE, SUSPEND, TABLE_LOAD, MESSAGE = 3, 4, 6, 9, 14
BUFFER_BYTES = 16384


def call(command, name, payload=b"", targets=0):
    """One ioctl. Returns the number of the device."""
    header = HEADER.pack(4, 0, 0, BUFFER_BYTES, HEADER.size, targets, 0, 0, 0, 0, 0, name.encode(), b"")
    buffer = bytearray((header + payload).ljust(BUFFER_BYTES, b"\0"))
    control = os.open(CONTROL, os.O_RDWR)
    try:
        fcntl.ioctl(control, 3 << 30 | HEADER.size << 16 | 0xFD << 8 | command, buffer)
    finally:
        os.close(control)
    return HEADER.unpack_from(buffer)[10]


def create(name, sectors, kind, parameters):
    """Makes a device with one target, and returns its path."""
    device = call(CREATE, name)
    try:
        text = parameters.encode() + b"\0"
        text += bytes(-len(text) % 8)
        target = TARGET.pack(0, sectors, 0, TARGET.size + len(text), kind.encode())
        call(TABLE_LOAD, name, target + text, targets=1)
        # Without the flag for suspending, this resumes the device with its new table.
        call(SUSPEND, name)
    except OSError:
        call(REMOVE, name)
        raise
    return f"/dev/dm-{device & 0xFF | device >> 12 & 0xFFF00}"


def message(name, text):
    call(MESSAGE, name, struct.pack("=Q", 0) + text.encode() + b"\0")


def remove(name):
    call(REMOVE, name)
